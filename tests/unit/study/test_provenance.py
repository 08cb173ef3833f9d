"""What is recorded beside the plan."""

import json
import re

import torch

from study.provenance import code_digest, differences, environment, training_environment


def test_the_environment_is_plain_and_complete() -> None:
    here = environment()
    assert json.loads(json.dumps(here)) == here
    assert here["torch"] == torch.__version__
    assert {"python", "numpy", "ray", "optuna", "mlflow", "hpgan-study", "processor", "cores"} <= here.keys()
    assert re.fullmatch(r"[0-9a-f]{64}", here["code"])


def test_a_training_process_adds_its_threads_and_its_device() -> None:
    here = training_environment(3, gpu=True)
    assert here == environment() | {"threads": 3, "device": here["device"]}
    assert torch.cuda.is_available() or here["device"] == "cpu"


def test_the_code_digest_is_the_same_every_time() -> None:
    assert code_digest() == code_digest()


def test_differences_are_named_on_both_sides() -> None:
    recorded, current = {"torch": "2.13.0", "cores": 2, "gone": 1}, {"torch": "2.14.0", "cores": 2, "new": 3}
    assert differences(recorded, current) == [
        "gone: 1 when recorded, None now",
        "new: None when recorded, 3 now",
        "torch: 2.13.0 when recorded, 2.14.0 now",
    ]
    assert differences(current, current) == []
