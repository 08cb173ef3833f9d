"""One member taken out of a checkpoint, and as a program that needs torch alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hpgan_core.checkpoint import read_newest_checkpoint, write_checkpoint
from hpgan_core.config import TrainingConfig
from hpgan_core.errors import BadInput
from hpgan_core.predictor import Predictor
from hpgan_core.trainable import showcase, train
from hpgan_core.training import Population
from hpgan_core.windows import MotionData

SEEDS = (3, 8)
# What changes the way from past to future.
KINDS = [
    {},
    {"decoder": "report", "normalisation": "none", "residual": False},
    {"normalisation": "per_joint", "z_distribution": "uniform", "residual": False},
]


def trained(config: TrainingConfig, data: MotionData, folder: Path) -> Population:
    return train(config, data, SEEDS, lambda report: None, folder).first()


@pytest.mark.parametrize("settings", KINDS)
def test_it_predicts_what_the_population_predicts(
    settings: dict[str, object], tiny: TrainingConfig, motion: MotionData, tmp_path: Path
) -> None:
    config = TrainingConfig.from_mapping(tiny.to_mapping() | settings)
    population, past = trained(config, motion, tmp_path), torch.tensor(showcase(motion)[0])
    for member, seed in enumerate(SEEDS):
        predictor = Predictor.read(tmp_path, member)
        assert predictor.seed == seed
        z = predictor.sample_z(len(past))
        # Other members get another z: none of it may come through.
        theirs = torch.stack([z if one == member else z + 1 for one in range(len(SEEDS))])
        expected = population.predict(past, theirs.unsqueeze(2))[member, :, 0]
        torch.testing.assert_close(predictor(past, z), expected, rtol=0, atol=1e-6)
        assert predictor(past, z).shape == (len(past), 20, motion.skeleton.n_joints, 3)


@pytest.mark.parametrize("settings", KINDS)
def test_its_program_runs_where_this_package_is_not(
    settings: dict[str, object], tiny: TrainingConfig, motion: MotionData, tmp_path: Path
) -> None:
    trained(TrainingConfig.from_mapping(tiny.to_mapping() | settings), motion, tmp_path / "checkpoints")
    predictor = Predictor.read(tmp_path / "checkpoints", 1)
    (tmp_path / "program.pt2").write_bytes(predictor.export())
    past = torch.tensor(motion.train.frames[:30]).view(3, 10, -1, 3)
    np.savez(tmp_path / "inputs.npz", past=past, z=predictor.sample_z(3))
    code = """
import sys
sys.modules["hpgan_core"] = None
import numpy, torch
inputs = numpy.load("inputs.npz")
program = torch.export.load("program.pt2").module()
for windows in (1, 2, 3):
    past, z = (torch.from_numpy(inputs[name][:windows]) for name in ("past", "z"))
    numpy.save(f"{windows}.npy", program(past, z).numpy())
"""
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=300)
    for windows in (1, 2, 3):
        expected = predictor(past[:windows], predictor.sample_z(3)[:windows]).numpy()
        np.testing.assert_allclose(np.load(tmp_path / f"{windows}.npy"), expected, rtol=0, atol=1e-5)


def test_another_z_is_another_future(tiny: TrainingConfig, motion: MotionData, tmp_path: Path) -> None:
    trained(tiny, motion, tmp_path)
    predictor, past = Predictor.read(tmp_path, 0), torch.tensor(showcase(motion)[0])
    one, other = (predictor(past, predictor.sample_z(len(past), seed)) for seed in (0, 1))
    assert not torch.allclose(one, other)


def test_a_folder_without_a_usable_checkpoint_is_bad_input(
    tiny: TrainingConfig, motion: MotionData, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="holds no whole checkpoint"):
        Predictor.read(tmp_path, 0)
    trained(tiny, motion, tmp_path)
    content = read_newest_checkpoint(tmp_path)
    assert content is not None
    del content["view"]
    write_checkpoint(tmp_path / "old", 1, content)
    with pytest.raises(BadInput, match="does not say how poses were normalised; train again"):
        Predictor.read(tmp_path / "old", 0)
