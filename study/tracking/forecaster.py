"""What MLflow runs for a model of a study.

A copy of this file lies in each model, beside the program of its generator. It must import nothing of this project:
whoever loads or serves a model has its requirements alone.
"""

from typing import Any, cast

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Forecaster(PythonModel):
    """``{"past": (N, T_past, J, 3) metres, "z": (N, Z)}`` to ``(N, T, J, 3)`` metres, float32 all."""

    def load_context(self, context: Any) -> None:
        self.program = torch.export.load(context.artifacts["program"]).module()  # noqa: TID251 - as this file, a part of the model

    # MLflow warns of what has no annotation, and of any but a few: arrays by their names are none of these.
    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        by_name = cast(dict[str, Any], model_input)
        past, z = (torch.from_numpy(np.asarray(by_name[name], dtype=np.float32)) for name in ("past", "z"))
        if len(past) != len(z):
            raise ValueError(f"every past needs one z: found {len(past)} pasts and {len(z)} z")
        with torch.inference_mode():
            futures: np.ndarray = self.program(past, z).numpy()
        return futures


set_model(Forecaster())
