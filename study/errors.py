"""What a person is told when something goes wrong, and the exit code that goes with it."""

from typing import ClassVar


class StudyError(Exception):
    """Something failed that a person can act on.

    The message says what, where, what was expected and what to do; the command line prints it without a traceback.

    Attributes:
        exit_code: what the process ends with.
    """

    exit_code: ClassVar[int] = 1


class BadStudyInput(StudyError):
    """What a person gave cannot be used: a study file, an option, a name.

    Args:
        problems: every problem that was found, a line each.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class NotReproduced(StudyError):
    """A trial that was run again did not give the recorded numbers."""

    exit_code = 3


class Interrupted(StudyError):
    """A study was stopped by Ctrl-C or SIGTERM and can be gone on with.

    Args:
        study: its name.
    """

    exit_code = 75

    def __init__(self, study: str) -> None:
        super().__init__(
            f"study {study!r} was interrupted; everything up to here is kept, and the same command goes on with it"
        )
