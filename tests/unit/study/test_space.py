"""Parameters, the arms that have them, and the configurations they make."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from hpgan_core.config import LOSS_NAMES, SETTINGS, TrainingConfig, convert_setting
from hpgan_core.presets import PRESETS
from study.constraints import BadConstraint, Constraint
from study.reading import read_study_file
from study.space import (
    NOT_SEARCHED,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    active_parameters,
    configuration,
    default_values,
    parameter_problems,
    setting_problem,
)
from study.study_file import StudyFile

FILE = """\
preset: report
arms: {none: [], gt: [gt], paper: [consistency, bone]}
training: {batch_size: 32, critic_learning_rate: 1}
parameters:
  lambda_gp: {type: int, min: 1, max: 20, default: 10}
  gt_weight: {type: float, min: 0.1, max: 10, log: true, default: 1}
  residual: {type: categorical, values: [true, false], default: false, when: bone}
"""


@pytest.fixture
def study_file(tmp_path: Path) -> StudyFile:
    path = tmp_path / "study.yaml"
    path.write_text(FILE)
    return read_study_file(path)


def parameter(**keys: object) -> Parameter:
    return TypeAdapter(Parameter).validate_python(keys)


def test_parameter_exists_where_its_loss_does(study_file: StudyFile) -> None:
    assert {arm: list(active_parameters(study_file, arm)) for arm in study_file.arms} == {
        "none": ["lambda_gp"],
        "gt": ["lambda_gp", "gt_weight"],
        "paper": ["lambda_gp", "residual"],
    }


def test_first_trial_runs_the_defaults(study_file: StudyFile) -> None:
    assert default_values(study_file, "paper") == {"lambda_gp": 10, "residual": False}


def test_configuration_is_preset_then_training_then_arm_then_values(study_file: StudyFile) -> None:
    settings = configuration(study_file, "gt", {"lambda_gp": 5, "gt_weight": 0.5}, epochs=7)
    assert settings == {
        "preset": "report",
        "batch_size": 32,
        "critic_learning_rate": 1.0,
        "lambda_gp": 5.0,
        "gt_weight": 0.5,
        "losses": ["gt"],
        "epochs": 7,
    }
    assert type(settings["lambda_gp"]) is float
    config = TrainingConfig.from_mapping(settings)
    assert (config.losses, config.epochs, config.lambda_gp, config.batch_size) == (("gt",), 7, 5.0, 32)
    assert config.hidden_size == PRESETS["report"].hidden_size


@pytest.mark.parametrize(
    "values",
    [
        {"lambda_gp": 5},
        {"lambda_gp": 5, "gt_weight": 0.5, "residual": True},
        {"lambda_gp": 5, "gt_weight": 11.0},
        {"lambda_gp": 5.5, "gt_weight": 1.0},
    ],
)
def test_configuration_refuses_values_that_the_arm_does_not_have(
    study_file: StudyFile, values: dict[str, Value]
) -> None:
    with pytest.raises(ValueError, match=r"arm 'gt' has the parameters|values outside their parameters"):
        configuration(study_file, "gt", values, epochs=1)


@pytest.mark.parametrize(
    ("keys", "inside", "outside"),
    [
        ({"type": "int", "min": 1, "max": 9, "default": 1}, [1, 5, 9], [0, 10, 1.0, True, "1"]),
        ({"type": "int", "min": 2, "max": 8, "step": 3, "default": 5}, [2, 5, 8], [3, 4, 11]),
        (
            {"type": "float", "min": 0, "max": 1, "default": 0},
            [0, 0.0, 1, 0.3],
            [-0.1, 1.1, False, "0.5", float("nan")],
        ),
        ({"type": "float", "min": 0.1, "max": 0.7, "step": 0.2, "default": 0.5}, [0.1, 0.3, 0.5, 0.7], [0.2, 0.31]),
        ({"type": "categorical", "values": [True, "a"], "default": "a"}, [True, "a"], [1, "b", False]),
        ({"type": "categorical", "values": [1, 2.5], "default": 1}, [1, 2.5, 1.0], [True, 2]),
    ],
)
def test_parameter_knows_what_a_sampler_may_choose(
    keys: dict[str, object], inside: list[Value], outside: list[Value]
) -> None:
    found = parameter(**keys)
    assert [value for value in inside if not found.contains(value)] == []
    assert [value for value in outside if found.contains(value)] == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"type": "int", "min": 5, "max": 4, "default": 5}, r"max\n  must be min \(5\) or more, found 4"),
        ({"type": "int", "min": 0, "max": 4, "log": True, "default": 1}, r"min\n  must be above 0, since log is true"),
        ({"type": "int", "min": 1, "max": 4, "log": True, "step": 1, "default": 1}, r"step\n  cannot be combined"),
        ({"type": "int", "min": 1, "max": 4, "step": 2, "default": 1}, r"max\n  must be min \(1\) plus a multiple of"),
        (
            {"type": "int", "min": 1, "max": 5, "step": 2, "default": 2},
            r"default\n  must be a whole number from 1 to 5 in steps of 2",
        ),
        ({"type": "int", "min": 1, "max": 5, "step": 0, "default": 2}, r"step\n  Input should be greater than 0"),
        ({"type": "int", "min": 1, "max": 5, "default": 2.0}, r"default\n  Input should be a valid integer"),
        ({"type": "categorical", "values": [], "default": 1}, "at least 1 item"),
        ({"type": "categorical", "values": [1, 2, 1.0], "default": 1}, r"values.2\n  must be listed once, found 1.0"),
        ({"type": "categorical", "values": [1, None], "default": 1}, "a finite number, text, true or false"),
        ({"type": "categorical", "values": [1, 2], "default": True}, r"default\n  must be one of 1, 2, found True"),
    ],
)
def test_parameter_that_contradicts_itself_is_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameter(**keys)


@pytest.mark.parametrize("name", list(NOT_SEARCHED))
def test_what_other_keys_decide_is_no_parameter(name: str) -> None:
    ((path, text),) = parameter_problems(name, IntParameter(type="int", min=2, max=3, default=2))
    assert path == ()
    assert text.startswith("is no parameter")


def test_condition_names_a_known_loss() -> None:
    ((path, text),) = parameter_problems("z_size", IntParameter(type="int", min=2, max=3, default=2, when="gtt"))
    assert path == ("when",)
    assert "did you mean 'gt'?" in text


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_weight_may_repeat_the_loss_that_it_implies(loss: str) -> None:
    weight = FloatParameter(type="float", min=0.1, max=1.0, default=0.5, when=loss)
    assert list(parameter_problems(f"{loss}_weight", weight)) == []


def test_every_default_of_every_preset_is_a_value_of_its_setting() -> None:
    checked = [
        setting_problem(name, value) for preset in PRESETS.values() for name, value in preset.to_mapping().items()
    ]
    assert len(checked) == len(PRESETS) * len(SETTINGS)
    assert set(checked) == {None}


def test_setting_refuses_what_the_core_would_refuse() -> None:
    refused = {"hidden_size": 0, "residual": 1, "z_distribution": "uniforn", "lambda_gp": float("nan"), "z_size": 2.5}
    for name, value in refused.items():
        assert setting_problem(name, value) is not None
        with pytest.raises(ValueError, match=name):
            TrainingConfig.from_mapping({name: value})


def test_conversion_of_an_int_parameter_to_a_float_setting_is_the_core_s() -> None:
    assert convert_setting("lambda_gp", 3) == 3.0
    assert list(parameter_problems("lambda_gp", IntParameter(type="int", min=1, max=3, default=3))) == []


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({"type": "int", "min": 2, "max": 8, "step": 3, "default": 5}, [2, 2, 5, 5, 8, 8]),
        ({"type": "int", "min": 1, "max": 100, "log": True, "default": 5}, [1, 1, 3, 7, 17, 41]),
        ({"type": "float", "min": 0.1, "max": 0.3, "step": 0.1, "default": 0.1}, [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]),
        ({"type": "float", "min": 1.0, "max": 4.0, "default": 1.0}, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
        ({"type": "float", "min": 1.0, "max": 64.0, "log": True, "default": 1.0}, [1, 2, 4, 8, 16, 32]),
        ({"type": "categorical", "values": ["b", True, 3], "default": 3}, ["b", "b", True, True, 3, 3]),
    ],
)
def test_parameter_spreads_its_values_over_the_unit_interval(keys: dict[str, object], values: list[Value]) -> None:
    found = [parameter(**keys).at((sixth + 0.01) / 6) for sixth in range(6)]
    assert found == [value if isinstance(value, (bool, str)) else pytest.approx(value, rel=0.05) for value in values]


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("a * b <= 12", {"a": 3, "b": 4}, True),
        ("a * b < 12", {"a": 3, "b": 4}, False),
        ("1 < a <= 3 < b", {"a": 3, "b": 4}, True),
        ("not (a == 3 or b == 9) or a ** 0.5 > 1", {"a": 3, "b": 4}, True),
        ("min(a, b, 1) == 1 and -a // 2 == -2 and 7 % b == 3", {"a": 3, "b": 4}, True),
        ("c == 'gru' and flag == True", {"c": "gru", "flag": True}, True),
        # What has no value does not hold, whichever way it is compared.
        ("1 / a > 0", {"a": 0}, False),
        ("1 / a <= 0", {"a": 0}, False),
        ("a ** 0.5 != 3", {"a": -1}, False),
        ("a ** a ** a > 0", {"a": 99}, False),
        ("c < 3", {"c": "gru"}, False),
        ("c * 1000000000 != 'x'", {"c": "gru"}, False),
    ],
)
def test_constraint_holds_or_not(text: str, values: dict[str, Value], holds: bool) -> None:
    assert Constraint(text).holds(values) is holds


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a <", "a + 1", "3 < 4", "a = 3", "a is 3", "a in (1, 2)", "a.b > 3", "a[0] > 1", "f(a) > 1",
        "min(a) > 1", "min(a, key=b) > 1", "(lambda: a)() > 1", "[x for x in a] > 1", "a if a else a > 3",
        "a > b'x'", "a > 3j", "a << 9 > 1", "~a > 1", "a @ a > 1", "(a := 3) > 1", "a > None", "a > f'{a}'",
        "min(*a, 1) > 1", "a > 1\x00", "a > " + "1" * 300,
    ],
)  # fmt: skip
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(BadConstraint):
        Constraint(text)
