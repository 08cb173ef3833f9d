"""What can be wrong with the input of a person, as exceptions that name what, where and what to do."""

from pathlib import Path


class BadInput(ValueError):
    """Something a person gave (a folder, a file, a setting) cannot be used; the message says why and what to do."""


class SealedTestSplit(RuntimeError):
    """Something asked for the test split in data that does not hold it; a mistake in the program, not in its input."""

    def __init__(self) -> None:
        super().__init__("the test split is sealed: this data is for choosing, and holds none of it")


class MalformedRecording(BadInput):
    """A motion file does not follow its format.

    Args:
        path: the file.
        expected: what the format asks for at that place.
        found: what stands there instead.
        line: 1-based line number, where the format has lines.
    """

    def __init__(self, path: str | Path, expected: str, found: str, line: int | None = None) -> None:
        self.path, self.expected, self.found, self.line = Path(path), expected, found, line
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: expected {expected}, found {found}")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.path, self.expected, self.found, self.line)
