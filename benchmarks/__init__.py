"""How fast the core is on this machine: ``python -m benchmarks``."""
