"""The Markdown pages of the repository, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fenced(page: Path, *languages: str) -> list[tuple[str, str]]:
    """The code blocks of these languages, in their order: language and content."""
    return [(language, content) for language, content in _FENCED.findall(page.read_text()) if language in languages]


def shell_lines(page: Path) -> list[str]:
    """The commands of a page, a line each, without comments."""
    lines = (line for _, content in fenced(page, "sh") for line in content.splitlines())
    return [command for line in lines if (command := re.split(r"\s+#\s", line)[0].strip())]
