"""Optuna: one study an arm, asked and told by us; nothing else in this package knows it.

Arms are strata, never a sampled parameter: each has its own sampler, its own rungs and the same number of trials.
"""

from study.search.arm import ArmSearch
from study.search.importances import ENOUGH_TRIALS, MOST_TRIALS, parameter_importances
from study.search.storage import Tables, database_url, open_storage, reach

__all__ = [
    "ENOUGH_TRIALS",
    "MOST_TRIALS",
    "ArmSearch",
    "Tables",
    "database_url",
    "open_storage",
    "parameter_importances",
    "reach",
]
