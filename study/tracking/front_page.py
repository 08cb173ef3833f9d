"""What a person sees first of a study in MLflow: its experiment's note, and views saved there."""

from contextlib import suppress
from functools import cached_property

import mlflow
import requests
from mlflow import MlflowClient
from packaging.version import InvalidVersion, Version

from study.comparison import compare
from study.record import Record
from study.sentences import literally
from study.tracking.address import Address
from study.tracking.entries import REPORT, milliseconds
from study.tracking.views import views

NOTE = "mlflow.note.content"
# Of a server, which may be older than this MLflow.
SAVED_VIEWS_SINCE, VERSION_TIMEOUT_S = Version("3.17"), 5.0


class FrontPage:
    """Written into the experiment's tags.

    Args:
        client, address: of one MLflow.
        record: of the study.
    """

    def __init__(self, client: MlflowClient, address: Address, record: Record) -> None:
        self.client, self.address, self.record = client, address, record
        self.views = views(record)

    def install_views(self, experiment_id: str) -> None:
        """Where MLflow's page knows them; a view that somebody has deleted comes back."""
        if not self._knows_views:
            return
        there = self.client.get_experiment(experiment_id).tags
        for view in self.views:
            if (value := view.value(milliseconds(self.record.plan["created_at"]))) != there.get(view.tag):
                self.client.set_experiment_tag(experiment_id, view.tag, value)

    def write_note(self, experiment_id: str, compare_path: str, study_run: str | None) -> None:
        """Question, verdict and where to look.

        Args:
            experiment_id: of the study.
            compare_path: the page of all arms side by side.
            study_run: holds the report of a study that has ended.
        """
        name, study_file = self.record.paths.name, self.record.study_file
        lines = [literally(study_file.question) or name, "", compare(self.record).markdown(), "", "Where to look:", ""]
        for view in self.views:
            path = view.path(experiment_id) if self._knows_views else view.plain_path(experiment_id)
            lines.append(f"- [{view.name}]({path}): {view.about}")
        lines.append(f"- [{name}: arms, parameter by parameter]({compare_path})")
        if study_run is not None:
            path = f"#/experiments/{experiment_id}/runs/{study_run}/artifacts/{REPORT}/report.html"
            lines.append(f"- [{name}: report]({path}): verdicts, figures, the skeletons moving")
        if study_file.tracking.models:
            lines.append(
                f"- [models](#/models) `{name}.ARM`, alias `confirmed`: the median member of each arm's winner"
            )
        lines += ["", f"`study report {name}` writes the report, `study reproduce {name}` trains the best trial again."]
        self.client.set_experiment_tag(experiment_id, NOTE, "\n".join(lines))

    @cached_property
    def _knows_views(self) -> bool:
        version = mlflow.__version__
        if self.address.is_server:
            with suppress(requests.RequestException):
                version = requests.get(f"{self.address.uri}/version", timeout=VERSION_TIMEOUT_S).text
        with suppress(InvalidVersion):
            return Version(version) >= SAVED_VIEWS_SINCE
        return False
