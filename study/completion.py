"""What a shell offers at Tab: read from names of files alone, since it must be there at once and never fail."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import typer

from hpgan_core.config import LOSS_NAMES
from study.packaged import study_file_names
from study.paths import StudyPaths, names_of_studies

Offer = Callable[[typer.Context, str], list[str]]


def _offered(words: Callable[[typer.Context, str], Iterable[str]]) -> Offer:
    """Those of ``words`` that begin as what stands at the cursor; none where a folder cannot be read."""

    @functools.wraps(words)
    def offer(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = sorted(set(words(ctx, incomplete)))
        except OSError:
            return []
        # A name that is no text would end in a traceback at the prompt.
        return [word for word in found if word.startswith(incomplete) and word.isprintable()]

    return offer


@_offered
def study_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Studies of the folder that has been named so far."""
    return names_of_studies(_studies(ctx))


@_offered
def trials(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """``ARM/TRIAL`` of the study that has been named."""
    return (f"{request.parts[-3]}/{request.parts[-2]}" for request in _trials(ctx).glob("*/*/trial.json"))


@_offered
def arms(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Arms of the study that has been named, as far as they have trials."""
    return (folder.name for folder in _trials(ctx).glob("*/"))


@_offered
def losses(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    return LOSS_NAMES


@_offered
def study_files(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Those that come along, by name; YAML files and folders on the way to one, by path."""
    yield from study_file_names()
    folder = os.path.dirname(incomplete)  # noqa: PTH120 - Path would drop the ./ that somebody has typed
    for entry in Path(folder or ".").iterdir():
        hidden = entry.name.startswith(".") and not os.path.basename(incomplete)  # noqa: PTH119
        if not hidden and (entry.is_dir() or entry.suffix in (".yaml", ".yml")):
            yield os.path.join(folder, entry.name) + "/" * entry.is_dir()  # noqa: PTH118


def _studies(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("studies") or "studies")


def _trials(ctx: typer.Context) -> Path:
    # After an option that waits for its value the names have not been given to their arguments yet.
    name = ctx.params.get("name") or next(iter(ctx.args), "")
    return StudyPaths(_studies(ctx), name).trials
