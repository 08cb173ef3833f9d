"""Every file name of a study folder, in one place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrialPaths:
    """The folder of one trial: what it was asked to do, what it said, how it ended, what it drew."""

    folder: Path

    @property
    def request(self) -> Path:
        return self.folder / "trial.json"

    @property
    def epochs(self) -> Path:
        return self.folder / "epochs.jsonl"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def motions(self) -> Path:
        return self.folder / "motions.npz"

    def gif(self, clip: int) -> Path:
        """Animation of the first, second, ... window that every picture shows."""
        return self.folder / f"clip{clip}.gif"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"


@dataclass(frozen=True)
class StudyPaths:
    """``STUDIES/NAME`` and, beside it, what all studies share."""

    studies: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.studies / self.name

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def source(self) -> Path:
        """The study file as it was given, for people; ``plan`` is what counts."""
        return self.folder / "study.yaml"

    @property
    def lock(self) -> Path:
        return self.folder / "driver.lock"

    @property
    def holder(self) -> Path:
        return self.folder / "driver.json"

    @property
    def optuna(self) -> Path:
        return self.folder / "optuna.db"

    @property
    def references(self) -> Path:
        """Past and true future of the windows that every picture shows."""
        return self.folder / "references.npz"

    @property
    def baselines(self) -> Path:
        return self.folder / "baselines.json"

    @property
    def conclusion(self) -> Path:
        return self.folder / "conclusion.json"

    @property
    def ray(self) -> Path:
        """Scratch of Ray Tune; nothing in it is ever read again."""
        return self.folder / "ray"

    def gif(self, clip: int) -> Path:
        """Animation of the arms side by side on the first, second, ... window that every picture shows."""
        return self.folder / f"arms_clip{clip}.gif"

    @property
    def trials(self) -> Path:
        return self.folder / "trials"

    @property
    def mlflow_database(self) -> Path:
        return self.studies / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.studies / "mlartifacts"

    def trial(self, arm: str, trial: str) -> TrialPaths:
        return TrialPaths(self.trials / arm / trial)
