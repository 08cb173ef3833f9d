"""Where Optuna's tables are: the study file, the environment, or the study's folder."""

import pytest

from study.errors import BadStudyInput
from study.search import database_url
from study.sections import Storage

HERE, THERE = "postgresql+psycopg://optuna@here/optuna", "postgresql+psycopg://optuna@there/optuna"


def test_the_study_file_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", THERE)
    assert database_url(Storage(url=HERE)) == HERE
    assert database_url(Storage()) == THERE


@pytest.mark.parametrize("value", [None, ""])
def test_without_either_it_is_the_studys_folder(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    if value is not None:
        monkeypatch.setenv("OPTUNA_STORAGE", value)
    assert database_url(Storage()) is None


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("sqlite:///optuna.db", r"must be postgresql\+psycopg://"),
        ("postgresql://optuna@here/optuna", r"must be postgresql\+psycopg://"),
        ("postgresql+psycopg://optuna:pass-word@here/optuna", "must hold no password"),  # pragma: allowlist secret
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_password(
    url: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", url)
    with pytest.raises(BadStudyInput, match=f"^OPTUNA_STORAGE {complaint}") as caught:
        database_url(Storage())
    assert "pass-word" not in str(caught.value)
