"""Files that come with the package: in an installed one inside it, in a checkout beside it."""

from pathlib import Path

STUDY_FILES = "search_spaces"
CONSTRAINTS = "constraints.txt"


def packaged(name: str) -> Path | None:
    """The file or folder ``name``; None where the package was installed without it."""
    package = Path(__file__).parent
    return next((found for folder in (package, package.parent) if (found := folder / name).exists()), None)


def study_file_at(path: Path) -> Path:
    """The study file that a person means: ``quick`` is the one of that name that comes along, where nothing else is."""
    found = packaged(f"{STUDY_FILES}/{path}.yaml") if path.name == str(path) and not path.exists() else None
    return found or path


def study_file_names() -> list[str]:
    """Of the study files that come along."""
    folder = packaged(STUDY_FILES)
    return sorted(file.stem for file in folder.glob("*.yaml")) if folder else []
