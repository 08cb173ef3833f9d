"""YAML 1.2 without surprises: what a scalar means, where it stands, what is refused."""

import math
from pathlib import Path

import pytest

from study.yaml_source import MAX_BYTES, MAX_DEPTH, MalformedYaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-3", 1e-3),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("12", 12),
        ("-7", -7),
        ("010", 10),
        ("0o17", 15),
        ("0x1f", 31),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-11-22", "2026-11-22"),
        ("1e", "1e"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("gt+bone", "gt+bone"),
    ],
)
def test_scalar_means_what_the_core_schema_of_yaml_1_2_says(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_tab_is_named_with_what_is_to_stand_there() -> None:
    with pytest.raises(MalformedYaml) as refused:
        parse_yaml("a:\n\tb: 1\n")
    assert (refused.value.line, refused.value.problem) == (2, "must be indented with spaces, found a tab")


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(parse_yaml(".nan").data)


def test_block_text_is_never_a_number() -> None:
    assert parse_yaml("key: |\n  12\n").data == {"key": "12\n"}


def test_keys_are_text_as_written() -> None:
    assert parse_yaml("{1: a, off: b, null: c, 'x y': d}").data == {"1": "a", "off": "b", "null": "c", "x y": "d"}


def test_every_key_and_item_has_its_line() -> None:
    source = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2,\n     d: [3,\n 4]}\n")
    assert source.data == {"a": 1, "b": ["x", {"c": 2, "d": [3, 4]}]}
    assert source.lines == {
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 5,
        ("b", 1, "d", 0): 5,
        ("b", 1, "d", 1): 6,
    }


def test_repeated_keys_are_listed_once_each_with_both_lines() -> None:
    source = parse_yaml("a: {b: 1}\nc:\n  d: 1\n  d: 2\na: {b: 3}\n")
    assert source.repeated == [(("c", "d"), 3, 4), (("a",), 1, 5)]
    assert source.data == {"a": {"b": 3}, "c": {"d": 2}}
    assert source.lines["a", "b"] == 5


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_nothing_reads_as_null(text: str) -> None:
    assert parse_yaml(text).data is None


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: [1, 2\n", 3, "is not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "must be indented with spaces, found a tab"),
        ("a: b: c\n", 1, "mapping values are not allowed here"),
        ("a: 'open\n", 2, "is not valid YAML"),
        ("a: 1\nb: &x 2\n", 2, "anchors (&) and aliases (*) are not supported"),
        ("a: *x\n", 1, "anchors (&) and aliases (*) are not supported"),
        ("{? &x k : 1}\n", 1, "anchors (&) and aliases (*) are not supported"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tags are not supported"),
        ("a: !!str 5\n", 1, "tags are not supported"),
        ("a: 1\n---\nb: 2\n", 2, "must hold one document"),
        ("? [a, b]\n: 1\n", 1, "a key must be text"),
        ("a: 1\nb: \x07\n", 2, "found a control character"),
        ("a: 1\nb: \x00\n", 2, "found a control character"),
        ("a: \ud800\n", 1, "found a control character"),
        ('a: 1\nb: "\\ud800"\n', 2, "found half a surrogate pair"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', 2, "a number or an escape is out of range"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1\n", 1, "a number or an escape is out of range"),
        (f"a: {'9' * 5000}\n", 1, "an integer must have at most 18 characters, found 5000"),
    ],
)
def test_what_a_study_file_has_no_use_for_is_refused(text: str, line: int, problem: str) -> None:
    with pytest.raises(MalformedYaml) as caught:
        parse_yaml(text)
    assert caught.value.line == line
    assert problem in caught.value.problem


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_is_refused_beyond_its_limit_and_never_exhausts_the_stack(opening: str) -> None:
    with pytest.raises(MalformedYaml, match=f"must not nest deeper than {MAX_DEPTH} levels"):
        parse_yaml(opening * 50_000)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH).data is not None


def test_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    with pytest.raises(MalformedYaml, match="aliases"):
        parse_yaml(bomb)


def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: caf\xc3\xa9\r\nb: 1\r\n")
    source = read_yaml(path)
    assert source.data == {"name": "café", "b": 1}
    assert source.lines["b",] == 2


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"a: 1\nname: caf\xe9\n", 2, "must be UTF-8 text, found the byte 0xe9"),
        ("name: é\n".encode("utf-16"), 1, "must be UTF-8 text, found the byte 0xff"),
        (b"#" * (MAX_BYTES + 1), 1, f"must not be longer than {MAX_BYTES} bytes"),
    ],
)
def test_file_that_is_no_text_of_a_sane_length_is_refused(
    tmp_path: Path, content: bytes, line: int, problem: str
) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(MalformedYaml) as caught:
        read_yaml(path)
    assert (caught.value.line, caught.value.problem) == (line, problem)
