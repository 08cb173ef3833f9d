"""``study validate``: what a study file says, or everything that is wrong with it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpgan_core.metrics import METRICS
from study.errors import BadStudyInput
from study.paths import StudyPaths
from study.reading import read_study_file
from study.record import Record
from study.space import active_parameters
from study.study_file import StudyFile
from study.warm_start import find_lessons


def run(
    file: Path, overrides: Sequence[str], data_root: Path | None, as_json: bool, studies: Path = Path("studies")
) -> None:
    """Print the plan of a study file, and in which state the study of that name in ``studies`` is, if there is one.

    Raises:
        BadStudyInput: the problems; as JSON they are printed as well.
    """
    try:
        study_file = read_study_file(file, overrides, data_root, METRICS)
        record = Record(StudyPaths(studies, study_file.name))
        if not record.exists:
            # One that is there has learned what it was to learn.
            find_lessons(studies, study_file)
    except BadStudyInput as error:
        if as_json:
            print(json.dumps({"valid": False, "problems": error.problems}, indent=2))
        raise
    state = record.state() if record.exists else None
    if as_json:
        checked = {"valid": True, "plan": plan(study_file), "file": study_file.canonical(), "state": state}
        print(json.dumps(checked, indent=2))
    else:
        print(_description(study_file))
        if state is not None:
            print(f"Record   {record.paths.folder} holds a study of this name: {state}")


def plan(study_file: StudyFile) -> dict[str, Any]:
    """What the study would run at most."""
    shortlist = study_file.shortlist()
    return {
        "arms": {arm: list(active_parameters(study_file, arm)) for arm in study_file.arms},
        "search": {
            "trials_per_arm": study_file.trials_per_arm(),
            "trials": study_file.n_trials(),
            "members": study_file.search.members,
            "epochs": study_file.search.epochs,
            "member_epochs": study_file.search_member_epochs(),
        },
        "shortlist": shortlist
        and {
            "runs": study_file.n_shortlisted(),
            "members": shortlist.members,
            "epochs": study_file.confirm_epochs(),
            "member_epochs": study_file.shortlist_member_epochs(),
        },
        "confirm": study_file.confirm
        and {
            "runs": len(study_file.arms),
            "members": study_file.confirm.members,
            "epochs": study_file.confirm_epochs(),
            "member_epochs": study_file.confirm_member_epochs(),
        },
    }


def _description(study_file: StudyFile) -> str:
    search, confirm, objective = study_file.search, study_file.confirm, study_file.objective
    options = "".join(f", {key} {value}" for key, value in study_file.data.options.items())
    shortlist, epochs = study_file.shortlist(), study_file.confirm_epochs()
    shortlisted = (
        [f"         {study_file.n_shortlisted()} of them again, {shortlist.members} new members each, {epochs} epochs"]
        if shortlist
        else []
    )
    arm_width = max(map(len, study_file.arms))
    lines = [
        f"{study_file.name} is valid. {study_file.question}".rstrip(),
        f"Data     {study_file.data.dataset}{options}",
        f"Search   {study_file.n_trials()} trials, {study_file.trials_per_arm()} an arm",
        f"         {search.members} members each, {search.epochs} epochs, {search.sampler.name} sampler, "
        f"pruner {search.pruner.name}, {objective.goal} {objective.metric}",
        *shortlisted,
        f"Confirm  {len(study_file.arms)} winners, {confirm.members} members each, {study_file.confirm_epochs()} epochs"
        if confirm
        else "Confirm  left out",
        f"Cost     {study_file.member_epochs()} member-epochs at most",
        *(
            f"Claim    {claim.name}: {claim.candidate} for {study_file.reference_of(claim)}, {', '.join(claim.metrics)}"
            for claim in study_file.claims
        ),
        "Arms",
        *(
            f"  {arm:<{arm_width}}  {', '.join(active_parameters(study_file, arm)) or 'nothing is searched'}"
            for arm in study_file.arms
        ),
    ]
    return "\n".join(lines)
