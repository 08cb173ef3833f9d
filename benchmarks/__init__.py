"""How fast the core is on this machine: ``python -m benchmarks``."""

from pathlib import Path

LATEST = Path(__file__).with_name("latest.json")
