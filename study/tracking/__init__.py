"""MLflow: a projection of the record, written in batches off the training path; nothing else in this package knows it.

Whatever is there can be rebuilt from the record alone. Runs are flat and found by their ``study.*`` tags; publishing
twice changes nothing, since every run, point and file is sent under the name and time that the record gives it.
"""

import logging
import os

# Before MLflow is imported. A call fails in seconds and is not repeated: the default client blocks for minutes, and a
# repeated "create run" makes two. We repeat ourselves, after looking what has arrived. Nothing is sent to its makers,
# and it prints nothing of its own.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from study.tracking.fetch import fetch_trial
from study.tracking.publisher import Publisher
from study.tracking.reach import reach
from study.tracking.tracker import Published, Tracker, Unreachable

__all__ = ["Published", "Publisher", "Tracker", "Unreachable", "fetch_trial", "reach"]

# MLflow reads its level once, when first imported, which a notebook may have done before.
logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
