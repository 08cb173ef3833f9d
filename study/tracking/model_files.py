"""A generator as the files of an MLflow model: program, code, signature, example, requirements."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import torch
from mlflow.entities import LoggedModel
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from packaging.version import Version

from hpgan_core.predictor import UNIFORM_Z, Predictor
from study.record import References

# Copied, never imported: see there.
FORECASTER = Path(__file__).with_name("forecaster.py")


def write_model(folder: Path, predictor: Predictor, references: References, model: LoggedModel, run_id: str) -> None:
    """Write a model that MLflow loads and serves where this project is not.

    Args:
        folder: to make; the program is put beside it.
        predictor: the generator of one member.
        references: past poses for the example.
        model: what MLflow knows it by.
        run_id: of the confirmation that trained it.
    """
    program = folder.with_name("generator.pt2")
    program.write_bytes(predictor.export())
    past = references.past.astype(np.float32)
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(FORECASTER),
        artifacts={"program": str(program)},
        signature=_signature(predictor),
        input_example={"past": past, "z": predictor.sample_z(len(past)).numpy()},
        pip_requirements=[f"torch=={Version(torch.__version__).public}", f"numpy=={np.__version__}"],
        metadata=_metadata(predictor, references.skeleton),
        mlflow_model=Model(
            artifact_path=model.artifact_location, run_id=run_id, model_uuid=model.model_id, model_id=model.model_id
        ),
    )


def _metadata(predictor: Predictor, skeleton: str) -> dict[str, Any]:
    config = predictor.config
    return {
        "losses": list(config.losses),
        "seed": predictor.seed,
        "skeleton": skeleton,
        "units": "metres",
        "z": "standard normal" if config.z_distribution == "normal" else f"uniform in [-{UNIFORM_Z}, {UNIFORM_Z})",
    }


def _signature(predictor: Predictor) -> ModelSignature:
    """Shapes and types of what goes in and comes out; -1 is any number of windows."""
    pose, number = (predictor.joints, 3), np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema(
            [
                TensorSpec(number, (-1, predictor.past_frames, *pose), "past"),
                TensorSpec(number, (-1, predictor.config.z_size), "z"),
            ]
        ),
        outputs=Schema([TensorSpec(number, (-1, predictor.future_frames, *pose))]),
    )
