"""Hyper-parameter studies that decide, with evidence, whether one loss can replace another."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.notebook import Study

__all__ = ["__version__", "load"]

__version__ = version("hpgan-study")


def load(name: str, studies: str | Path = "studies") -> "Study":
    """A recorded study for Python and notebooks: ``study.load("quick").trials``, ``.compare()``, ``.plot_verdicts()``.

    Args:
        name: of the study.
        studies: folder of all studies.

    Raises:
        BadStudyInput: there is none of that name; says which there are.
        DamagedRecord: its plan is no longer the one that was locked.
    """
    # Imported here, since the command line imports this package for every verb.
    from study.notebook import Study
    from study.record import Record

    record = Record.open(Path(studies), name)
    record.plan_digest()
    return Study(record)
