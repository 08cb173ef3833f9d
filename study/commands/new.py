"""``study new``: a study file from a few answers."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from rich.console import Console

from hpgan_core.config import LOSS_NAMES, TrainingConfig, unknown_name
from hpgan_core.data import dataset_at
from hpgan_core.durable import write_durably
from hpgan_core.errors import BadInput
from hpgan_core.losses import LOSSES
from hpgan_core.metrics import METRICS
from study.errors import BadStudyInput
from study.sections import Shortlist
from study.study_file import read_study_file

SYNTHETIC = "{dataset: synthetic, people: 40, clips_per_action: 3}"
# Of a weight: its least and its greatest value over the default, at which losses are faint.
WEIGHT_RANGE = 0.1, 1000.0

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
        BadStudyInput: the file is there already, or an answer cannot be used.
    """
    if file.exists():
        raise BadStudyInput(f"{file} is there already; name another file")
    reference = _losses("--replace", replace or _asked("Which losses are to be replaced?", "consistency, bone"))
    candidate = _losses("--by", by or _asked("By which losses?", "gt"))
    if set(reference) == set(candidate):
        raise BadStudyInput(f"--by must differ from --replace, found {', '.join(candidate)} twice")
    place = data or _asked("Recordings (a folder, an archive, or synthetic)?", "synthetic")[0]
    chosen = size or _asked(f"How much to train ({', '.join(SCALES)})?", "quick")[0]
    if chosen not in SCALES:
        raise BadStudyInput(unknown_name("size", chosen, tuple(SCALES)))
    arms = {"none": [], "+".join(candidate): candidate, "+".join(reference): reference}
    text = _template().render(
        vars(SCALES[chosen]),
        all_shortlisted=SCALES[chosen].trials <= Shortlist().trials,
        file=file,
        name=file.stem,
        question=f"Can {_listed(candidate)} replace {_listed(reference)}?",
        data=_data(place),
        arms=arms,
        reference="+".join(reference),
        candidate="+".join(candidate),
        weights={loss: _weight(loss) for loss in LOSS_NAMES if loss in {*reference, *candidate}},
        claim=f"{_listed(candidate)} replaces {_listed(reference)}",
        metrics=list(dict.fromkeys(["ade", *(LOSSES[loss].trains_on[0] for loss in reference)])),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(file, text.encode())
    try:
        study_file = read_study_file(file, metrics=METRICS)
    except BadStudyInput:
        file.unlink()
        raise
    console.print(f"{file}: {len(arms)} arms, {study_file.n_trials()} trials, {len(study_file.claims)} claim")
    console.print(f"How long it takes here: study plan {file}\nRun it: study launch {file}")


def _asked(question: str, default: str) -> list[str]:
    """Words of an answer; the default where nobody is there to be asked."""
    answer = typer.prompt(question, default=default) if sys.stdin.isatty() else default
    return [word for word in answer.replace(",", " ").split() if word]


def _losses(option: str, names: Sequence[str]) -> list[str]:
    losses = [loss for name in names for loss in name.replace(",", " ").replace("+", " ").split()]
    if wrong := [unknown_name("loss", loss, LOSS_NAMES) for loss in losses if loss not in LOSS_NAMES]:
        raise BadStudyInput(*(f"{option}: {problem}" for problem in wrong))
    return list(dict.fromkeys(losses))


def _data(place: str) -> str:
    if place == "synthetic":
        return SYNTHETIC
    try:
        found = dataset_at(Path(place).expanduser().absolute())
    except BadInput as error:
        raise BadStudyInput(f"--data: {error}") from error
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
