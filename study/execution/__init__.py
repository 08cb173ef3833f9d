"""Ray Tune as a disposable executor: jobs in, epoch reports out; nothing else in this package knows Ray.

Tune decides nothing. What to run next, when to stop a trial and what it all means is the ``Foreman``'s; Tune starts
processes where there are free processors, brings their reports, and notices when they die.
"""

import logging
import os

# Before Ray is imported: no usage report leaves the machine; signals, and a metric that a trial lacks, are our business
# and no reason to end the study; and no snapshot is taken of what the record holds already.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "120")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(10**9))
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

from study.execution.adapter import Foreman
from study.execution.cluster import Resources, cluster, slots, slots_once_joined
from study.execution.run import run

__all__ = ["Foreman", "Resources", "cluster", "run", "slots", "slots_once_joined"]

# The cause of a failed trial stands in the record; Tune would print every traceback and the list of such trials.
logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
