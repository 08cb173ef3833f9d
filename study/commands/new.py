"""``study new``: a study file from a few answers."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from hpgan_core.config import LOSS_NAMES, TrainingConfig, unknown_name
from hpgan_core.data import dataset_at
from hpgan_core.durable import write_durably
from hpgan_core.errors import BadInput
from hpgan_core.losses import LOSSES
from hpgan_core.metrics import METRICS
from study.errors import BadStudyInput
from study.reading import read_study_file
from study.sections import PATTERNS, Name, Shortlist

SYNTHETIC = "{dataset: synthetic, people: 40, clips_per_action: 3}"
# Of a weight: its least and its greatest value over the default, at which losses are faint.
WEIGHT_RANGE = 0.1, 1000.0
LOSSES_SHOWN = ", ".join(LOSS_NAMES)

Answer = TypeVar("Answer")
Size = Literal["quick", "laptop", "gpu"]


@dataclass(frozen=True)
class Scale:
    """How much is trained."""

    trials: int
    members: int
    epochs: int
    critic_iterations: int
    hidden_sizes: tuple[int, ...]
    training: str
    gpus: bool


SCALES: dict[Size, Scale] = {
    "quick": Scale(3, 5, 10, 3, (32, 64), "{batch_size: 32, critic_size: 128, final_windows: 200}", gpus=False),
    "laptop": Scale(12, 10, 30, 10, (64, 128, 256), "{batch_size: 32, critic_size: 128}", gpus=False),
    "gpu": Scale(24, 10, 90, 10, (128, 256, 512, 1024), "", gpus=True),
}


def run(
    file: Path,
    *,
    replace: Sequence[str] | None,
    by: Sequence[str] | None,
    data: str | None,
    size: Size | None,
    console: Console,
) -> None:
    """Write a study file, checked as ``study validate`` does; what was not given is asked for on a terminal.

    Args:
        file: what to write; its stem is the study's name.
        replace: the reference's losses.
        by: the candidate's.
        data: folder of recordings or motion archive, or ``synthetic``.
        size: how much to train.
        console: where to tell.

    Raises:
        BadStudyInput: the file is there already or cannot be there, or what was given cannot be used.
    """
    _expect_room(file)
    given = _losses(by) if by else []
    reference = _answer(
        "--replace", replace, f"Which losses are to be replaced ({LOSSES_SHOWN})?", "consistency, bone",
        lambda words: _losses(words, other=given), console,
    )  # fmt: skip
    candidate = _answer(
        "--by", by, f"By which losses ({LOSSES_SHOWN})?", _in_place_of(reference),
        lambda words: _losses(words, other=reference), console,
    )  # fmt: skip
    source = _answer(
        "--data", data and [data], "Recordings (a folder, an archive, or synthetic)?", "synthetic", _data, console
    )
    chosen = _answer("--size", size and [size], f"How much to train ({', '.join(SCALES)})?", "quick", _size, console)
    arms = {"none": [], "+".join(candidate): candidate, "+".join(reference): reference}
    text = _template().render(
        vars(SCALES[chosen]),
        all_shortlisted=SCALES[chosen].trials <= Shortlist().trials,
        file=file,
        name=file.stem,
        question=f"Can {_listed(candidate)} replace {_listed(reference)}?",
        data=source,
        arms=arms,
        reference="+".join(reference),
        candidate="+".join(candidate),
        weights={loss: _weight(loss) for loss in LOSS_NAMES if loss in {*reference, *candidate}},
        claim=f"{_listed(candidate)} {'replaces' if len(candidate) == 1 else 'replace'} {_listed(reference)}",
        metrics=list(dict.fromkeys(["ade", *(LOSSES[loss].trains_on[0] for loss in reference)])),
    )
    write_durably(file, text.encode())
    try:
        study_file = read_study_file(file, metrics=METRICS)
    except BadStudyInput:
        file.unlink()
        raise
    console.print(f"{file}: {len(arms)} arms, {study_file.n_trials()} trials, {len(study_file.claims)} claim")
    console.print(f"How long it takes here: study plan {file}\nRun it: study launch {file}")


def _expect_room(file: Path) -> None:
    """Raises BadStudyInput where no study file can be written, before anything is asked."""
    if file.exists():
        raise BadStudyInput(f"{file} is there already; name another file")
    if not file.parent.is_dir():
        raise BadStudyInput(f"{file.parent} is no folder; make it, or name a file elsewhere")
    try:
        TypeAdapter[str](Name).validate_python(file.stem)
    except ValidationError as error:
        expected = PATTERNS[error.errors()[0]["ctx"]["pattern"]]
        raise BadStudyInput(f"{file}: its stem is the study's name, which must be {expected}") from None


def _answer(
    option: str,
    given: Sequence[str] | None,
    question: str,
    default: str,
    read: Callable[[Sequence[str]], Answer],
    console: Console,
) -> Answer:
    """What ``read`` makes of what was given, or of the answer to a question, which is asked until it can be used.

    Where nobody is there to be asked the default is taken, and said.

    Raises:
        BadStudyInput: what was given, or the default, cannot be used.
    """
    while not given and sys.stdin.isatty():
        try:
            return read([typer.prompt(question, default=default)])
        except BadStudyInput as error:
            console.print(str(error), soft_wrap=True)
    if not given:
        console.print(f"{question} {default}, since nobody is there to be asked; {option} says otherwise")
    try:
        return read(given or [default])
    except BadStudyInput as error:
        raise BadStudyInput(*(f"{option}: {problem}" for problem in error.problems)) from error


def _losses(names: Sequence[str], other: Sequence[str] = ()) -> list[str]:
    """The losses in these words, which are not the same as the ``other`` ones."""
    losses = [loss for name in names for loss in name.replace(",", " ").replace("+", " ").split()]
    if wrong := [unknown_name("loss", loss, LOSS_NAMES) for loss in losses if loss not in LOSS_NAMES]:
        raise BadStudyInput(*wrong)
    if not losses:
        raise BadStudyInput(f"name one or more of {LOSSES_SHOWN}")
    if set(losses) == set(other):
        raise BadStudyInput(f"the candidate's losses must differ from the reference's, found {', '.join(losses)} twice")
    return list(dict.fromkeys(losses))


def _in_place_of(reference: Sequence[str]) -> str:
    """The first loss that the reference has not; of one that has them all, the first of all."""
    return next((loss for loss in LOSS_NAMES if loss not in reference), LOSS_NAMES[0])


def _size(words: Sequence[str]) -> Size:
    for size in SCALES:
        if words[0].strip() == size:
            return size
    raise BadStudyInput(unknown_name("size", words[0], tuple(SCALES)))


def _data(words: Sequence[str]) -> str:
    place = words[0].strip()
    if place == "synthetic":
        return SYNTHETIC
    try:
        found = dataset_at(Path(place).expanduser().absolute())
    except BadInput as error:
        raise BadStudyInput(str(error)) from error
    return "{" + ", ".join(f"{key}: {value!r}" for key, value in found.items()) + "}"


def _listed(losses: Sequence[str]) -> str:
    return " and ".join(f"the {'ground-truth' if loss == 'gt' else loss} loss" for loss in losses)


def _weight(loss: str) -> str:
    default = getattr(TrainingConfig(), f"{loss}_weight")
    low, high = (default * factor for factor in WEIGHT_RANGE)
    return f"{{type: float, min: {low:.1e}, max: {high:.1e}, log: true, default: {default}}}"


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("study"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.yaml.j2")
