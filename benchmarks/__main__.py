"""Measure speed, print a line a result, and write all of them to ``latest.json`` as flat numeric keys."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks import metrics, parse, step
from hpgan_core.trainable import configure_torch

LATEST = Path(__file__).with_name("latest.json")


def measurements() -> Iterator[tuple[str, float]]:
    yield from parse.measurements()
    yield from metrics.measurements()
    yield from step.measurements()


def main() -> None:
    configure_torch(threads=1)
    results = {}
    for key, value in measurements():
        results[key] = round(value, 3)
        print(f"{key:<44} {value:10.2f}", flush=True)
    LATEST.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {LATEST}")


if __name__ == "__main__":
    main()
