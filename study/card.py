"""An answer as a notebook shows it: plain HTML with no style sheet, readable on a light page and on a dark one."""

from collections.abc import Iterable, Sequence
from html import escape

# Of the line beside a sentence; between them black and white text have the page's own contrast.
COLOURS = {
    "superior": "#2e9e5b",
    "non-inferior": "#2e9e5b",
    "inferior": "#d64545",
    "gate failed": "#dd8a1f",
    "warning": "#dd8a1f",
}
GREY = "#888"
FAINT = "rgba(128,128,128,.35)"


def card(
    heading: str,
    question: str,
    sentences: Iterable[tuple[str | None, str]],
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    notes: Iterable[str],
) -> str:
    """One answer; every text is escaped.

    Args:
        heading: small, above all else.
        question: that is answered; may be empty.
        sentences: each with the word that colours it: a verdict, ``warning``, or None.
        headings: of the columns; the first is of names.
        rows: their cells.
        notes: small, below.
    """
    lines = [f'<div style="border:1px solid {FAINT};border-radius:6px;padding:12px 16px;max-width:60em">']
    lines.append(f'<div style="opacity:.75;font-size:90%">{escape(heading)}</div>')
    if question:
        lines.append(f'<div style="font-size:115%;font-weight:600;margin:2px 0 10px">{escape(question)}</div>')
    for word, sentence in sentences:
        style = f"border-left:4px solid {COLOURS.get(word or '', GREY)};padding:0 0 0 10px;margin:6px 0"
        lines.append(f'<div style="{style}">{escape(sentence)}</div>')
    lines += [*_table(headings, rows), *(_note(text) for text in notes), "</div>"]
    return "\n".join(lines)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    # Wider than a narrow page it scrolls by itself.
    yield '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:12px 0 6px;font-size:90%">'
    yield f"<thead><tr>{_cells('th', headings)}</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{_cells('td', row)}</tr>"
    yield "</tbody></table></div>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    style = f"padding:3px 10px 3px 0;border-bottom:1px solid {FAINT};white-space:nowrap"
    aligned = (
        f"{style};text-align:{'right' if column else 'left'};font-variant-numeric:tabular-nums"
        for column in range(len(texts))
    )
    return "".join(f'<{tag} style="{own}">{escape(text)}</{tag}>' for own, text in zip(aligned, texts, strict=True))


def _note(text: str) -> str:
    return f'<div style="opacity:.75;font-size:85%">{escape(text)}</div>'
