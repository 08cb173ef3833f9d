"""The study files of this repository, and what editors and people are shown of them."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from hpgan_core.config import TrainingConfig
from hpgan_core.metrics import METRICS
from study.commands import validate
from study.errors import BadStudyInput
from study.paths import StudyPaths
from study.reading import read_study_file
from study.record import Record
from study.schema import json_schema
from study.space import configuration, default_values

SPACES = Path(__file__).parents[3] / "search_spaces"
FILES = sorted(SPACES.glob("*.yaml"))
SCHEMA = SPACES / "study.schema.json"


def test_all_study_files_are_found() -> None:
    assert {"gt_loss.yaml", "ntu60.yaml", "quick.yaml"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_file_is_valid_and_its_first_trials_can_be_configured(path: Path) -> None:
    study_file = read_study_file(path, metrics=METRICS)
    for arm, losses in study_file.arms.items():
        settings = configuration(study_file, arm, default_values(study_file, arm), study_file.search.epochs)
        assert TrainingConfig.from_mapping(settings).losses == losses


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_file_says_question_cost_and_command_and_names_its_schema(path: Path) -> None:
    header = path.read_text().partition("\nname:")[0]
    assert header.startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")
    assert all(f"# {word} " in header for word in ("Question", "Cost", "Command"))
    assert f"study launch search_spaces/{path.name}" in header


def test_ground_truth_study_has_every_combination_of_losses_and_its_three_claims() -> None:
    study_file = read_study_file(SPACES / "gt_loss.yaml")
    assert {frozenset(losses) for losses in study_file.arms.values()} == {
        frozenset(loss for bit, loss in enumerate(("gt", "consistency", "bone")) if number >> bit & 1)
        for number in range(8)
    }
    assert [(claim.candidate, claim.metrics) for claim in study_file.claims] == [
        ("gt+bone", ("ade", "jerk_ratio")),
        ("gt+consistency", ("ade", "bone_error")),
        ("gt", ("ade", "jerk_ratio", "bone_error")),
    ]


def test_schema_is_up_to_date() -> None:
    assert json.loads(SCHEMA.read_text()) == json_schema(), "python -m study.schema > search_spaces/study.schema.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_file_follows_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(YAML(typ="safe", pure=True).load(path))


@pytest.mark.parametrize(
    "text",
    [
        "serch: {epochs: 3}",
        "search: {epoch: 3}",
        "arms: {gt: [gtt]}",
        "arms: {a b: [gt]}",
        "preset: papr",
        "training: {batch_siz: 3}",
        "training: {batch_size: 0}",
        "parameters: {epochs: {type: int, min: 1, max: 2, default: 1}}",
        "parameters: {hidden_size: {type: int, min: 1, max: 2}}",
        "parameters: {hidden_size: {type: int, min: 1, max: 2, default: 1, when: gtt}}",
        "objective: {metric: val/adee}",
        "claims: [{name: a, candidate: gt, metrics: [adee]}]",
        "data: {dataset: synthetic, pepole: 3}",
        "search: {pruner: {name: median, reduction_factor: 3}}",
    ],
)
def test_editor_marks_what_the_reader_would_refuse(text: str) -> None:
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(YAML(typ="safe", pure=True).load(text))


def test_every_key_is_described_in_the_schema() -> None:
    def keys(node: object, path: str = "") -> list[tuple[str, dict[str, object]]]:
        if isinstance(node, list):
            return [found for item in node for found in keys(item, path)]
        if not isinstance(node, dict):
            return []
        here = [(f"{path}.{name}", key) for name, key in node.get("properties", {}).items()]
        return here + [found for name, item in node.items() for found in keys(item, f"{path}.{name}")]

    schema = json_schema()
    described = {f"#/$defs/{name}" for name, section in schema["$defs"].items() if section.get("description")}
    found = keys(schema)
    assert len(found) > 100
    assert [path for path, key in found if "description" not in key and key.get("$ref") not in described] == []


def test_the_header_of_the_largest_study_has_its_cost() -> None:
    text = (SPACES / "ntu60.yaml").read_text()
    study_file = read_study_file(SPACES / "ntu60.yaml")
    assert study_file.confirm is not None
    confirmed = len(study_file.arms) * study_file.confirm_epochs()
    shortlisted = study_file.shortlist_member_epochs()
    member_epochs = study_file.search_member_epochs() + shortlisted + confirmed * study_file.confirm.members
    assert f": {member_epochs:,}\n#           member-epochs before pruning" in text
    shortlist = study_file.shortlist()
    assert shortlist is not None
    searched = study_file.search_member_epochs() // study_file.search.members
    epochs = searched + shortlisted // shortlist.members + confirmed
    assert f"{epochs:,} epochs of a\n" in text
    settings = configuration(study_file, "all", default_values(study_file, "all"), study_file.search.epochs)
    # NTU RGB+D 60 has so many clips of the 20 people who train, one in five of whom validate.
    steps = int(40_320 * (1 - study_file.data.split.validation)) // TrainingConfig.from_mapping(settings).batch_size
    assert f"{steps} steps each" in text
    assert f"make\n#           {epochs * steps * 2000 * 5e-6 / 3600:.0f} GPU hours" in text


class TestValidate:
    def test_valid_file_is_described(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        validate.run(
            SPACES / "quick.yaml",
            ["search.trials_per_arm=2", "search.epochs=3", "confirm=null", "claims=[]"],
            None,
            False,
            tmp_path,
        )
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("quick is valid. Can ")
        assert "Search   6 trials, 2 an arm" in lines
        assert "Confirm  left out" in lines
        assert [line.split()[0] for line in lines[-3:]] == ["none", "gt", "paper"]

    def test_valid_file_as_json_holds_the_plan(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        validate.run(SPACES / "quick.yaml", ["confirm.members=4"], None, True, tmp_path)
        said = json.loads(capsys.readouterr().out)
        assert said["valid"] is True
        assert list(said["plan"]["arms"]) == ["none", "gt", "paper"]
        assert said["plan"]["confirm"]["members"] == 4
        assert said["file"]["name"] == "quick"
        assert said["state"] is None

    def test_a_study_of_that_name_is_mentioned(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        study_file = read_study_file(SPACES / "quick.yaml")
        Record(StudyPaths(tmp_path, "quick")).create(study_file, "", "0", {})
        validate.run(SPACES / "quick.yaml", [], None, False, tmp_path)
        assert capsys.readouterr().out.splitlines()[-1].endswith("holds a study of this name: interrupted")

    def test_problems_are_raised_and_as_json_printed_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        overrides = ["objective.metric=val/adee", "search.epochs=0"]
        with pytest.raises(BadStudyInput) as caught:
            validate.run(SPACES / "quick.yaml", overrides, None, True)
        assert caught.value.exit_code == 2
        said = json.loads(capsys.readouterr().out)
        assert said == {"valid": False, "problems": list(caught.value.problems)}
        assert [problem.partition(":")[0] for problem in said["problems"]] == [
            "--set objective.metric=val/adee",
            "--set search.epochs=0",
        ]
