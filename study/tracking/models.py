"""The winners of a study as MLflow models: one of each arm, registered under the names of study and arm."""

import hashlib
import warnings
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from hpgan_core.checkpoint import newest_checkpoint
from hpgan_core.predictor import Predictor
from study.errors import StudyError
from study.record import Record, Trial
from study.tracking.address import Address

ALIAS = "confirmed"
# By what a model is known: a second publication of the same weights makes nothing.
WEIGHTS = "study.weights"
# The logged model that a registered version is of: what was registered does not say.
MODEL = "study.model"


@dataclass(frozen=True)
class Representative:
    """The member that stands for an arm.

    Attributes:
        trial: the confirmation that trained it.
        member: its place there, 0-based.
        checkpoint: the file that holds its weights.
    """

    trial: Trial
    member: int
    checkpoint: Path

    @property
    def weights(self) -> str:
        """Which weights these are: of a checkpoint's name, which is a digest of its content, and the member."""
        return hashlib.sha256(f"{self.checkpoint.name} {self.member}".encode()).hexdigest()[:16]


def model_name(record: Record, arm: str) -> str:
    """``NAME.ARM``: MLflow takes no slash in the name of a registered model."""
    return f"{record.paths.name}.{arm}"


def representative(record: Record, arm: str) -> Representative | None:
    """The median member of the arm's confirmation by the objective, the better of two in the middle.

    The best one would show what luck with a seed gives, not what the arm gives. The validation split chooses, so that
    nothing is chosen by what the test split says. None where no member is sound or the weights are gone.
    """
    objective = record.study_file.objective
    sound = []
    for trial in record.confirmations(arm):
        last = trial.epochs()[-1]
        values, outcomes = last["members"][objective.metric], last["outcomes"]
        sound += [
            (objective.cost(value), trial, member)
            for member, (value, outcome) in enumerate(zip(values, outcomes, strict=True))
            if outcome != "diverged"
        ]
    if not sound:
        return None
    _, trial, member = sorted(sound, key=itemgetter(0))[(len(sound) - 1) // 2]
    checkpoint = newest_checkpoint(trial.paths.checkpoints)
    return Representative(trial, member, checkpoint) if checkpoint else None


class Models:
    """The models of one study in MLflow.

    Args:
        client, address: of the MLflow that they go to.
        record: where they come from.
        experiment_id: of the study.
    """

    def __init__(self, client: MlflowClient, address: Address, record: Record, experiment_id: str) -> None:
        self.client, self.address, self.record, self.experiment_id = client, address, record, experiment_id

    def publish(self, chosen: Representative, run_id: str) -> bool:
        """Register the model of an arm and point the alias at it; whether it had to be sent.

        Args:
            chosen: the member that stands for the arm.
            run_id: of the confirmation that trained it.

        Raises:
            StudyError: its weights are not those of its last epoch.
        """
        name, weights = model_name(self.record, chosen.trial.request.arm), chosen.weights
        version = self._find_version(name, weights)
        if made := version is None:
            model = self._find_model(name, weights) or self._log(name, chosen, run_id)
            version = self._register(name, model, weights, run_id)
        if self._aliased(name) != version.version:
            self.client.set_registered_model_alias(name, ALIAS, version.version)
        return made

    def _find_version(self, name: str, weights: str) -> ModelVersion | None:
        for version in self.client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(WEIGHTS) == weights:
                # Its model may have been deleted with an experiment.
                with suppress(MlflowException):
                    self.client.get_logged_model(version.tags[MODEL])
                    return version
        return None

    def _find_model(self, name: str, weights: str) -> LoggedModel | None:
        """A whole one that a publication before has not come to register."""
        for model in self.client.search_logged_models([self.experiment_id], f"name = '{_logged_name(name)}'"):
            if model.tags.get(WEIGHTS) == weights:
                if model.status == LoggedModelStatus.READY:
                    return model
                self.client.delete_logged_model(model.model_id)
        return None

    def _aliased(self, name: str) -> str | None:
        with suppress(MlflowException):
            return str(self.client.get_model_version_by_alias(name, ALIAS).version)
        return None

    def _log(self, name: str, chosen: Representative, run_id: str) -> LoggedModel:
        # What MLflow makes models with takes a second to import, and warns of annotations of its own.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from study.tracking.model_files import write_model

        trial = chosen.trial
        predictor = Predictor.read(trial.paths.checkpoints, chosen.member)
        if predictor.epochs != trial.last_epoch():
            # A damaged checkpoint is passed over for the one before.
            raise StudyError(f"{trial.paths.checkpoints}: the checkpoint of epoch {trial.last_epoch()} is damaged")
        origin = {"study.arm": trial.request.arm, "study.trial": trial.key, "study.seed": str(predictor.seed)}
        tags, params = self._tags(chosen.weights) | origin, self.client.get_run(run_id).data.params
        model = self.client.create_logged_model(
            self.experiment_id, _logged_name(name), run_id, tags, params, "HP-GAN generator"
        )
        self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        with TemporaryDirectory() as folder:
            write_model(Path(folder) / "model", predictor, self.record.references(), model, run_id)
            self.client.log_model_artifacts(model.model_id, f"{folder}/model")
        return self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)

    def _register(self, name: str, model: LoggedModel, weights: str, run_id: str) -> ModelVersion:
        try:
            self.client.get_registered_model(name)
        except MlflowException:
            question = self.record.study_file.question or self.record.paths.name
            self.client.create_registered_model(name, description=f"{question} The median member of the arm's winner.")
        tags = self._tags(weights) | {MODEL: model.model_id}
        # A server takes a logged model's name for it; without one MLflow looks the name up in its default database.
        source = f"models:/{model.model_id}" if self.address.is_server else model.artifact_location
        return self.client.create_model_version(name, source, run_id, tags, model_id=model.model_id)

    def _tags(self, weights: str) -> dict[str, str]:
        return {WEIGHTS: weights, "study.id": self.record.plan["id"], "study.name": self.record.paths.name}


def _logged_name(name: str) -> str:
    """A model that is not registered yet may have no dot in its name."""
    return name.replace(".", "_")
