"""Measure speed, print a line a result, and write all of them to ``latest.json`` as flat numeric keys.

``python -m benchmarks`` measures everything, ``python -m benchmarks step publish`` those parts; the others' results
stay as they are.
"""

import json
import sys
from importlib import import_module

from benchmarks import LATEST
from hpgan_core.trainable import configure_torch

PARTS = ("parse", "metrics", "step", "products", "suggest", "publish", "trials", "ray_tests", "scale")


def main(parts: list[str]) -> None:
    if unknown := [part for part in parts if part not in PARTS]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    configure_torch(threads=1)
    results = json.loads(LATEST.read_text()) if parts and LATEST.exists() else {}
    for part in parts or PARTS:
        for key, value in import_module(f"benchmarks.{part}").measurements():
            results[key] = round(value, 3)
            print(f"{key:<44} {value:10.2f}", flush=True)
    LATEST.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {LATEST}")


if __name__ == "__main__":
    main(sys.argv[1:])
