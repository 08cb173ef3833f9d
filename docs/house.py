"""The house as pages show it: its floors from the contracts that `make floors` checks, its modules by their docstrings.

``python -m docs.house`` writes the files anew; they are kept, so that they can be read where no site is built.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("study", "hpgan_core")


def files() -> dict[Path, str]:
    """What each of them is to hold."""
    pictures = {ROOT / "docs" / "images" / f"floors-{name}.svg": floors_picture(name) for name in PACKAGES}
    return pictures | {ROOT / "docs" / "modules.md": modules_page()}


def floors_picture(package: str) -> str:
    """A package as a house: a file may import what stands on floors below its own."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == [package]]
    return "\n".join(_house(package, layers)) + "\n"


# Pixels: of a letter, a room's height, between rooms, beside a room's name, of the picture.
LETTER, ROOM, GAP, PAD, WIDTH = 7.3, 24, 6, 9, 760


def _house(package: str, layers: list[str]) -> Iterator[str]:
    floors = [re.split(r" [:|] ", layer) for layer in layers]
    rooms, y = [], GAP
    for floor in floors:
        x, top = GAP, y
        for name in floor:
            width = LETTER * len(name) + 2 * PAD
            if x + width > WIDTH - GAP:
                x, y = GAP, y + ROOM + GAP
            rooms.append(
                f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{ROOM}" rx="3" class="room"/>'
                f'<text x="{x + PAD:.0f}" y="{y + 16}">{escape(name)}</text>'
            )
            x += width + GAP
        y += ROOM + GAP
        rooms.insert(0, f'<rect x="0" y="{top - GAP / 2:.0f}" width="{WIDTH}" height="{y - top}" class="floor"/>')
    described = f"The floors of {package}, from the top: " + "; ".join(", ".join(floor) for floor in floors)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">'
    yield f"<title>{escape(described)}</title>"
    yield from (FLOORS_STYLE, *rooms)
    yield "</svg>"


FLOORS_STYLE = """\
<style>
.floor{fill:#f2f3f5;stroke:#fff;stroke-width:2} .room{fill:#fff;stroke:#9aa0a6} text{fill:#1f2328;font:12px monospace}
@media (prefers-color-scheme: dark){
.floor{fill:#2a2f3a;stroke:#1b1f27} .room{fill:#1b1f27;stroke:#6b7280} text{fill:#e6e8eb}}
</style>"""


def modules_page() -> str:
    """A line for each module, package by package."""
    lines = ["# Modules", "", "What each file says of itself. `python -m docs.house` writes this page."]
    for folder in sorted({path.parent for name in PACKAGES for path in (ROOT / name).rglob("*.py")}):
        lines += ["", f"## `{folder.relative_to(ROOT)}/`", "", _said(folder / "__init__.py"), "", "| file | is |"]
        lines += ["| --- | --- |"]
        modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        lines += [f"| `{path.name}` | {_said(path)} |" for path in modules]
    return "\n".join(lines) + "\n"


def _said(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content)
