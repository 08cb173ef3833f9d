"""The shipped quick study, in a smaller form, on real Kinect recordings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.motion import load_motion
from study.study_file import Data

ROOT = Path(__file__).parents[2]
UI_PRMD = ROOT.parent / "shared" / "data" / "ui_prmd" / "skeletons"
SMALLER = (
    "search.trials_per_arm=1",
    "search.members=1",
    "search.epochs=2",
    "confirm.members=3",
    "confirm.epochs=2",
    "training.final_windows=40",
)

pytestmark = pytest.mark.skipif(not UI_PRMD.is_dir(), reason=f"real recordings are not at {UI_PRMD}")


def study(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a folder of studies and a cache of its own."""
    command = [str(Path(sys.executable).with_name("study")), *arguments, "--studies", str(folder)]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    settings["HPGAN_CACHE"] = str(folder / "cache")
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False, timeout=280)


def test_the_quick_study_runs_on_real_motion_and_can_be_reproduced(tmp_path: Path) -> None:
    settings = [word for setting in SMALLER for word in ("--set", setting)]
    relative = os.path.relpath(UI_PRMD, ROOT)
    launched = study(tmp_path, "launch", "search_spaces/quick.yaml", "--data", relative, *settings)
    assert launched.returncode == 0, launched.stderr
    plan = json.loads((tmp_path / "quick" / "plan.json").read_text())
    assert (plan["file"]["data"]["dataset"], plan["file"]["data"]["root"]) == ("ntu_rgbd", str(UI_PRMD))
    status = json.loads(study(tmp_path, "status", "quick", "--json").stdout)
    assert status["state"] == "finished"
    assert {arm: counts["complete"] for arm, counts in status["arms"].items()} == {"none": 1, "gt": 1, "paper": 1}
    comparison = json.loads(study(tmp_path, "compare", "quick", "--json").stdout)
    assert {arm["n_members"] for arm in comparison["arms"].values()} == {3}
    # People move: whoever predicts that they stand still is wrong by centimetres, and by less than a metre.
    assert 10 < comparison["baselines"]["zero_velocity"]["test/joint_error_mm"] < 1000
    reproduced = study(tmp_path, "reproduce", "quick")
    assert reproduced.returncode == 0, reproduced.stderr
    assert "bit-identical" in reproduced.stdout
    (archive,) = (tmp_path / "cache").iterdir()
    data = {"dataset": "archive", "path": str(archive), "split": plan["file"]["data"]["split"]}
    assert load_motion(Data.model_validate(data)).digest == plan["data_digest"]


def test_people_of_another_data_set_have_no_official_split(tmp_path: Path) -> None:
    settings = ("--data", str(UI_PRMD), "--set", "data.split.protocol=ntu60_cross_subject")
    refused = study(tmp_path, "launch", "search_spaces/quick.yaml", *settings)
    assert refused.returncode == 2
    assert (
        "performer 101 is in no official split of NTU RGB+D 60 (and 624 clips more); use by_subject" in refused.stderr
    )
    assert not (tmp_path / "quick").exists()
