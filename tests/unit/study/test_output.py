"""Output whose reader goes away."""

import os
import sys

import pytest
from rich.console import Console

from study.output import lasting_output


def test_a_pipe_without_a_reader_is_written_to_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output():
            console = Console()
            console.print("before")
            assert os.read(reading, 100) == b"before\n"
            os.close(reading)
            console.print("after")
            print("by other means", flush=True)
        assert sys.stdout is stream
        print("and later, without", flush=True)


def test_output_that_is_read_is_as_ever(capfd: pytest.CaptureFixture[str]) -> None:
    with lasting_output():
        print("said")
        print("complained", file=sys.stderr)
        assert sys.stdout.isatty() is False
    assert capfd.readouterr() == ("said\n", "complained\n")
