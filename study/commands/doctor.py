"""``study doctor``: whether a launch would work here, and what to do where it would not."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hpgan_core.metrics import METRICS
from study.errors import StudyError
from study.health import Finding, examine
from study.packaged import CONSTRAINTS, packaged
from study.reading import read_study_file

STYLES = {"good": "green", "warning": "yellow", "bad": "red"}


def run(
    file: Path | None,
    *,
    overrides: Sequence[str],
    data_root: Path | None,
    studies: Path,
    address: str | None,
    as_json: bool,
    console: Console,
) -> None:
    """Print a line for everything that was looked at, each with its fix where one is needed.

    Args:
        file: the study file that is to be launched, if any.
        overrides: changes to it.
        data_root: other recordings.
        studies: folder of all studies.
        address: the Ray cluster to be joined.
        as_json: print JSON.
        console: where to tell.

    Raises:
        BadStudyInput: the file cannot be used.
        StudyError: something is bad.
    """
    study_file = read_study_file(file, overrides, data_root, METRICS) if file else None
    findings: list[Finding] = []
    for finding in examine(studies, study_file, address, _tested_versions()):
        findings.append(finding)
        if not as_json:
            console.print(Text.assemble((f"{finding.verdict:<8}", STYLES[finding.verdict]), _line(finding)))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    if bad := [finding.about for finding in findings if finding.verdict == "bad"]:
        raise StudyError(f"a launch would fail here: {', '.join(bad)}")


def _line(finding: Finding) -> str:
    return f"{finding.about:<15} {finding.says}" + (f"\n{'':24}-> {finding.fix}" if finding.fix else "")


def _tested_versions() -> dict[str, str]:
    """What ``constraints.txt`` pins, by distribution."""
    source = packaged(CONSTRAINTS)
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", source.read_text(), flags=re.MULTILINE)) if source else {}
