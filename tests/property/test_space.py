"""What holds for every study file: values stay inside, the canonical form is faithful, bad input gets a message."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.trial import create_trial

from hpgan_core.config import CHOICES, LOSS_NAMES, RANGES, SETTINGS, TrainingConfig
from study.constraints import MAX_CHARACTERS, BadConstraint, Constraint
from study.errors import BadStudyInput
from study.pareto import pareto_front
from study.reading import read_study_file
from study.search.distributions import from_sampled, sampled_distribution, shown_distribution, to_sampled
from study.space import NOT_SEARCHED, Parameter, Value, active_parameters, configuration, default_values
from study.study_file import StudyFile
from study.yaml_source import MalformedYaml, parse_yaml

SEARCHED = [name for name in SETTINGS if name not in NOT_SEARCHED]
Pick = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def parameters(draw: Pick, name: str) -> dict[str, Any]:
    """The keys of a parameter that fits setting ``name``."""
    if SETTINGS[name] in (bool, str):
        values = draw(st.lists(st.sampled_from(CHOICES.get(name, (True, False))), min_size=1, unique=True))
        return {"type": "categorical", "values": values, "default": draw(st.sampled_from(values))}
    low, high = RANGES[name]
    if SETTINGS[name] is int:
        numbers: st.SearchStrategy[Any] = st.integers(int(low), int(high))
    else:
        numbers = st.floats(low, high, allow_subnormal=False)
    if draw(st.booleans()):
        values = draw(st.lists(numbers, min_size=1, max_size=5, unique=True))
        default = draw(st.sampled_from(values))
        return {"type": "categorical", "values": values, "default": default, "ordered": draw(st.booleans())}
    kind = SETTINGS[name].__name__
    if SETTINGS[name] is int and draw(st.booleans()):
        least, step = draw(numbers), draw(st.integers(1, 10))
        count = min(draw(st.integers(0, 5)), (int(high) - least) // step)
        default = least + step * draw(st.integers(0, count))
        return {"type": kind, "min": least, "max": least + step * count, "step": step, "default": default}
    least, default, most = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return {"type": kind, "min": least, "max": most, "default": default, "log": least > 0 and draw(st.booleans())}


@st.composite
def study_files(draw: Pick) -> dict[str, Any]:
    """The plain values of a valid study file."""
    arms = draw(
        st.dictionaries(
            st.from_regex(r"[a-z0-9_][a-z0-9_+.-]{0,8}", fullmatch=True),
            st.lists(st.sampled_from(LOSS_NAMES), unique=True).map(sorted),
            min_size=1,
            max_size=4,
        )
    )
    arms = {
        arm: losses for arm, losses in arms.items() if arm == next(a for a, other in arms.items() if other == losses)
    }
    used = {f"{loss}_weight" for losses in arms.values() for loss in losses}
    names = [name for name in SEARCHED if name in used or not name.endswith("_weight")]
    searched = draw(st.lists(st.sampled_from(names), min_size=1, max_size=5, unique=True))
    # An arm that has none of them is trained once.
    shared = any(not name.endswith("_weight") for name in searched)
    is_bare = [not shared and not any(f"{loss}_weight" in searched for loss in losses) for losses in arms.values()]
    return {
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)),
        "question": draw(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=20)),
        "arms": arms,
        "parameters": {name: draw(parameters(name)) for name in searched},
        "search": {
            "trials_per_arm": 1 if any(is_bare) else draw(st.integers(1, 1000)),
            "members": draw(st.integers(1, 32)),
            "sampler": {
                "name": draw(st.sampled_from(["tpe", "random", "qmc", "gp", "cmaes"])),
                "seed": draw(st.integers(0, 2**32 - 1)),
            },
            "pruner": {"name": draw(st.sampled_from(["median", "none", "successive_halving", "hyperband"]))},
        },
        "confirm": draw(st.none() | st.fixed_dictionaries({"members": st.integers(1, 64)})),
        "data": {"dataset": "synthetic", "split": {"seed": draw(st.integers(0, 99))}},
        "budget": draw(st.just({}) | st.fixed_dictionaries({"wall_time_s": st.floats(1e-3, 1e9)})),
    }


def values_of(parameter: Parameter) -> st.SearchStrategy[Value]:
    """What a sampler could draw."""
    if parameter.type == "categorical":
        return st.sampled_from(parameter.values)
    if parameter.type == "float":
        return st.floats(parameter.min, parameter.max)
    step = parameter.step or 1
    return st.integers(0, (parameter.max - parameter.min) // step).map(lambda count: parameter.min + step * count)


PLAIN_VALUES = st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text("ab", max_size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def read(folder: Path, plain: dict[str, Any]) -> StudyFile:
    """JSON is YAML: the file that a study is read from."""
    path = folder / "file.yaml"
    path.write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    return read_study_file(path)


@given(plain=study_files())
def test_canonical_form_survives_json_and_builds_an_equal_study(folder: Path, plain: dict[str, Any]) -> None:
    study_file = read(folder, plain)
    again = StudyFile.from_canonical(json.loads(json.dumps(study_file.canonical())))
    assert again == study_file
    assert json.dumps(again.canonical()) == json.dumps(study_file.canonical())


@given(plain=study_files(), data=st.data())
def test_values_of_the_space_make_configurations_that_the_core_accepts(
    folder: Path, plain: dict[str, Any], data: st.DataObject
) -> None:
    study_file = read(folder, plain)
    arm = data.draw(st.sampled_from(sorted(study_file.arms)))
    active = active_parameters(study_file, arm)
    drawn = {name: data.draw(values_of(parameter)) for name, parameter in active.items()}
    assert all(parameter.contains(drawn[name]) for name, parameter in active.items())
    config = TrainingConfig.from_mapping(configuration(study_file, arm, drawn, epochs=3))
    assert config.losses == study_file.arms[arm]
    assert {name: getattr(config, name) for name in drawn} == drawn


@given(plain=study_files(), data=st.data())
def test_space_to_optuna_to_space_is_identity(folder: Path, plain: dict[str, Any], data: st.DataObject) -> None:
    for parameter in read(folder, plain).parameters.values():
        value = data.draw(values_of(parameter))
        for distribution, there, back in (
            (sampled_distribution(parameter), to_sampled(parameter, value), from_sampled),
            (shown_distribution(parameter), value, lambda _, shown: shown),
        ):
            inside = distribution.to_internal_repr(there)
            found = back(parameter, distribution.to_external_repr(inside))
            assert (found, type(found)) == (value, type(value))
            trial = create_trial(params={"p": there}, distributions={"p": distribution}, value=0.0)
            assert trial.params == {"p": there}


@given(plain=study_files(), data=st.data())
def test_a_point_of_the_unit_cube_is_a_value_and_its_ends_reach_both_ends(
    folder: Path, plain: dict[str, Any], data: st.DataObject
) -> None:
    for parameter in read(folder, plain).parameters.values():
        shares = [0.0, math.nextafter(1.0, 0.0), *data.draw(st.lists(st.floats(0, 1, exclude_max=True), max_size=9))]
        values = [parameter.at(share) for share in shares]
        assert all(parameter.contains(value) for value in values)
        if parameter.type == "categorical":
            assert values[:2] == [parameter.values[0], parameter.values[-1]]
        else:
            assert values[:2] == [pytest.approx(parameter.min), pytest.approx(parameter.max)]
            assert sorted(values) == [value for _, value in sorted(zip(shares, values, strict=True))]


@given(
    text=st.text(st.sampled_from("ab12. ()<>=!+-*/%'\"and or not min,[]{}:@_"), max_size=40),
    a=PLAIN_VALUES,
    b=PLAIN_VALUES,
)
def test_any_text_is_a_constraint_with_an_answer_or_none(text: str, a: Value, b: Value) -> None:
    answers = {True, False}
    try:
        constraint = Constraint(text)
    except BadConstraint:
        return
    assert constraint.holds(dict.fromkeys(constraint.names, a) | {constraint.names[0]: b}) in answers


NUMBERS = st.integers(-20, 20) | st.floats(-20, 20)
TERMS = st.recursive(
    st.sampled_from(["a", "b"]) | NUMBERS.map(lambda value: f"({value})"),
    lambda term: (
        st.tuples(term, st.sampled_from(["+", "-", "*", "/", "//", "%"]), term).map(lambda t: f"({' '.join(t)})")
        | st.tuples(st.sampled_from(["min", "max"]), term, term).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
    ),
    max_leaves=5,
)
COMPARISONS = st.tuples(TERMS, st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]), TERMS).map(" ".join)


@given(
    left=COMPARISONS, joint=st.sampled_from(["and", "or", "and not", "or not"]), right=COMPARISONS, a=NUMBERS, b=NUMBERS
)
def test_a_constraint_means_what_python_means(left: str, joint: str, right: str, a: float, b: float) -> None:
    text = f"{left} {joint} {right}"
    assume(len(text) <= MAX_CHARACTERS and ("a" in text.replace("and", "").replace("max", "") or "b" in text))
    try:
        expected = eval(text, {"a": a, "b": b, "min": min, "max": max})
    except ArithmeticError:
        expected = False
    assert Constraint(text).holds({"a": a, "b": b}) == expected


@given(points=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12), data=st.data())
def test_pareto_front_is_what_nothing_dominates(points: list[tuple[int, ...]], data: st.DataObject) -> None:
    minimize = data.draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    signed = [tuple(v if less else -v for v, less in zip(point, minimize, strict=True)) for point in points]

    def dominates(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    expected = [i for i, point in enumerate(signed) if not any(dominates(other, point) for other in signed)]
    assert pareto_front(points, minimize) == expected


@given(plain=study_files())
def test_defaults_are_inside_and_weights_exist_only_with_their_loss(folder: Path, plain: dict[str, Any]) -> None:
    study_file = read(folder, plain)
    for arm, losses in study_file.arms.items():
        active, defaults = active_parameters(study_file, arm), default_values(study_file, arm)
        assert defaults.keys() == active.keys()
        assert all(active[name].contains(value) for name, value in defaults.items())
        weights = {name.removesuffix("_weight") for name in active if name.endswith("_weight")}
        assert weights <= set(losses)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["gt", "int", "paper"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(plain=study_files(), data=st.data())
def test_file_with_anything_anywhere_is_read_or_told_line_by_line(
    folder: Path, plain: dict[str, Any], data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        section: Any = plain
        while True:
            key = data.draw(st.sampled_from([*section, "new"]) if isinstance(section, dict) else st.just(0))
            inner = section.get(key) if isinstance(section, dict) else None
            if not isinstance(inner, dict) or not inner or data.draw(st.booleans()):
                break
            section = inner
        section[key] = data.draw(PLAIN)
    told: tuple[str, ...] = ()
    try:
        study_file = read(folder, plain)
    except BadStudyInput as error:
        told = error.problems
    else:
        assert StudyFile.from_canonical(study_file.canonical()) == study_file
    assert all(problem.startswith(f"{folder / 'file.yaml'}") for problem in told)


@given(text=st.text(st.sampled_from("ab1.:-,[]{}'\"#&*!|>?%@~ \n\t\\e+0x"), max_size=60))
def test_any_text_is_yaml_or_malformed(text: str) -> None:
    try:
        lines = set(parse_yaml(text).lines.values())
    except MalformedYaml as error:
        lines = {error.line}
    assert lines <= set(range(1, text.count("\n") + 2))


@given(value=st.floats(allow_nan=False) | st.integers(-(10**16), 10**16) | st.booleans() | st.none())
def test_number_written_by_python_is_read_back(value: float | None) -> None:
    text = "null" if value is None else str(value).replace("inf", ".inf")
    found = parse_yaml(text.lower() if isinstance(value, bool) else text).data
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, float):
        assert math.copysign(1, found) == math.copysign(1, value)
