"""Every file name of a study folder, in one place."""

from contextlib import suppress
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
    def attempts(self) -> Path:
        return self.folder / "attempts.jsonl"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def log(self) -> Path:
        """What the training processes of this trial have to say."""
        return self.folder / "log.txt"

    @property
    def motions(self) -> Path:
        return self.folder / "motions.npz"

    def gif(self, clip: int) -> Path:
        """Animation of the first, second, ... window that every picture shows."""
        return self.folder / f"clip{clip}.gif"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"


# MLflow's own, beside the studies.
MLFLOW_DATABASE, MLFLOW_ARTIFACTS = "mlflow.db", "mlartifacts"
RESERVED_NAMES = (MLFLOW_ARTIFACTS, *(f"{MLFLOW_DATABASE}{ending}" for ending in ("", "-wal", "-shm", "-journal")))


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
    def warm_start(self) -> Path:
        """What the search has learned from an earlier study."""
        return self.folder / "warm_start.json"

    @property
    def amendments(self) -> Path:
        """What has been changed or added since the plan was locked."""
        return self.folder / "amendments.jsonl"

    @property
    def openings(self) -> Path:
        """When the test split was opened, by whom, for which winners."""
        return self.folder / "test_split.jsonl"

    @property
    def lock(self) -> Path:
        return self.folder / "driver.lock"

    @property
    def lease(self) -> Path:
        """Folder of the leases; the one of the greatest number says who writes here."""
        return self.folder / "lease"

    @property
    def stop(self) -> Path:
        """Is there while the study is to stop; its training processes look for it."""
        return self.folder / "stop.json"

    @property
    def log(self) -> Path:
        """What the drivers of this study have to say."""
        return self.folder / "driver.log"

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
    def report(self) -> Path:
        """Folder of the report; `study report` makes it anew at any time."""
        return self.folder / "report"

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
        return self.studies / MLFLOW_DATABASE

    @property
    def mlflow_artifacts(self) -> Path:
        return self.studies / MLFLOW_ARTIFACTS

    def trial(self, arm: str, trial: str) -> TrialPaths:
        return TrialPaths(self.trials / arm / trial)


def names_of_studies(studies: Path) -> list[str]:
    """Every study of a folder, sorted; hidden ones are on their way in or out."""
    return sorted(plan.parent.name for plan in studies.glob("[!.]*/plan.json"))


def folder_bytes(folder: Path) -> int:
    """Of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += 0 if path.is_dir() else path.lstat().st_size
    return total
