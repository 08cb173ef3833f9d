"""What a person is told when something goes wrong, and the exit code that goes with it."""

import errno
from pathlib import Path
from typing import ClassVar

# What the system says where a disk or a folder cannot be written to, which is no mistake of ours.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


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


class Unwritable(StudyError):
    """Something cannot be written.

    Args:
        error: what the system says.
    """

    def __init__(self, error: OSError) -> None:
        place = f" {error.filename}" if error.filename else ""
        super().__init__(f"cannot write{place}: {error.strerror}; make room or give access, or name another place")


class DamagedRecord(StudyError):
    """A file of a study folder is not what was written there.

    Args:
        path: the file.
        what: what is wrong with it.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is damaged: {what}; restore it from a copy of the study folder")


class NotReproduced(StudyError):
    """A trial that was run again did not give the recorded numbers."""

    exit_code = 3


class TooManyFailed(StudyError):
    """More trials failed than ``budget.failed_fraction`` allows; the study has been stopped."""

    exit_code = 4


class BudgetSpent(StudyError):
    """A budget was spent before the search had its trials; what there is has been confirmed."""

    exit_code = 5


class ClaimsOpen(StudyError):
    """Not every claim is non-inferior or superior, and the exit code was asked to say so."""

    exit_code = 6


class Interrupted(StudyError):
    """A study was stopped and can be gone on with; its running trials have written their checkpoints.

    Args:
        study: its name.
        resume: the command that goes on with it.
    """

    exit_code = 75

    def __init__(self, study: str, resume: str) -> None:
        super().__init__(f"study {study!r} was interrupted; everything up to here is kept. Go on with:\n  {resume}")


class StoppedAtOnce(Interrupted):
    """A study was stopped without waiting for checkpoints; it goes on from the ones that there are."""

    exit_code = 130
