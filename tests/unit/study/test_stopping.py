"""Ctrl-C, SIGTERM and `study stop`, once and twice."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.paths import StudyPaths
from study.stopping import Stopping, ask_to_stop


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def stopping(tmp_path: Path, told: list[str]) -> Iterator[Stopping]:
    """One that listens."""
    paths = StudyPaths(tmp_path, "small")
    paths.folder.mkdir()
    found = Stopping(paths, told.append)
    with found.listening():
        yield found


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_while_trials_train_the_first_signal_asks_and_the_second_ends(
    stopping: Stopping, told: list[str], first: signal.Signals, second: signal.Signals
) -> None:
    with stopping.draining():
        assert not stopping.is_requested()
        send(first)
        assert stopping.is_requested()
        assert not stopping.at_once
        assert json.loads(stopping.paths.stop.read_text()) == {"now": False}
        assert told == ["Stopping: trials in training write a checkpoint first. Once more stops at once."]
        with pytest.raises(KeyboardInterrupt):
            send(second)
    assert stopping.at_once


def test_where_nothing_trains_the_first_signal_ends(stopping: Stopping) -> None:
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)
    assert (stopping.requested, stopping.at_once) == (True, False)
    assert not stopping.paths.stop.exists()
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
    assert stopping.at_once


def test_a_request_from_another_terminal_is_seen_and_told_once(stopping: Stopping, told: list[str]) -> None:
    with stopping.draining():
        ask_to_stop(stopping.paths, now=False)
        assert stopping.is_requested()
        assert stopping.is_requested()
        assert len(told) == 1
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert stopping.at_once


def test_a_request_from_another_terminal_before_anything_trains_ends_in_good_order(stopping: Stopping) -> None:
    ask_to_stop(stopping.paths, now=False)
    with pytest.raises(KeyboardInterrupt):
        stopping.look()
    assert (stopping.requested, stopping.at_once) == (True, False)


@pytest.mark.parametrize("asked_before", [False, True])
def test_from_another_terminal_now_waits_for_nothing(stopping: Stopping, asked_before: bool) -> None:
    with stopping.draining():
        if asked_before:
            send(signal.SIGINT)
        ask_to_stop(stopping.paths, now=True)
        with pytest.raises(KeyboardInterrupt):
            stopping.look()
    assert stopping.at_once


def test_a_lost_lease_ends_at_once(stopping: Stopping) -> None:
    with stopping.draining(), pytest.raises(KeyboardInterrupt):
        stopping.lose()
    assert stopping.lost


def test_without_a_file_for_the_trials_the_first_signal_ends(
    stopping: Stopping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk nobody would be asked."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with stopping.draining(), pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
    assert not stopping.at_once


@pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
def test_an_unreadable_request_is_none(stopping: Stopping, content: str) -> None:
    stopping.paths.stop.write_text(content)
    with stopping.draining():
        assert not stopping.is_requested()
    stopping.clear()
    assert not stopping.paths.stop.exists()


def test_the_handlers_before_come_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Stopping(StudyPaths(tmp_path, "small"), print).listening():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
