"""How a verb of the command line speaks and ends: one message and its exit code."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from study.errors import UNWRITABLE, StudyError, Unwritable

if TYPE_CHECKING:
    from rich.console import Console

PIPE_COLUMNS = 140


def make_console(stderr: bool = False) -> "Console":
    """Standard output, or standard error where the former is kept for JSON; a file or pipe is no narrow terminal."""
    from rich.console import Console

    class Told(Console):
        """Whether its reader has gone is for ``carry_out`` to deal with."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    return Told(stderr=stderr, width=None if stream.isatty() else PIPE_COLUMNS, markup=False, highlight=False)


def carry_out(debug: bool, verb: Callable[[], None]) -> None:
    """Turn what a person can act on into one message and its exit code; all else is our own mistake and says so."""
    try:
        verb()
    except StudyError as error:
        _fail(error, error.exit_code, debug)
    except ValueError as error:
        from hpgan_core.errors import BadInput

        if not isinstance(error, BadInput):
            raise
        _fail(error, 2, debug)
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # The reader of our output, `head` for instance, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _fail(Unwritable(error), Unwritable.exit_code, debug)


def _fail(error: Exception, exit_code: int, debug: bool) -> None:
    if debug:
        raise error
    # The terminal may have been closed; the exit code says it still.
    with suppress(OSError):
        typer.echo(f"study: {error}", err=True)
    raise typer.Exit(exit_code)
