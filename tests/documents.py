"""The Markdown pages of the repository, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Words with which a command of a page begins.
_PROGRAMS = ("study", "make", "python", "docker")
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fenced(page: Path, *languages: str) -> list[tuple[str, str]]:
    """The code blocks of these languages, in their order: language and content."""
    return [(language, content) for language, content in _FENCED.findall(page.read_text()) if language in languages]


def shell_lines(page: Path) -> list[str]:
    """The commands of a page, a line each, without comments."""
    lines = (line for _, content in fenced(page, "sh") for line in content.splitlines())
    return [command for line in lines if (command := re.split(r"\s+#\s", line)[0].strip())]


def inline_commands(page: Path) -> list[str]:
    """The commands in the text of a page and in its tables, each once; not a verb that is named without its words."""
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _FENCED.sub("", page.read_text())))
    commands = dict.fromkeys(span for span in spans if span.split(" ")[0] in _PROGRAMS and " " in span)
    named = {command for command in commands if re.fullmatch(r"study [a-z ]+", command)}
    return [one for one in commands if one not in named or not any(other.startswith(f"{one} ") for other in commands)]
