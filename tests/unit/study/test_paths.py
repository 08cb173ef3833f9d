"""The study folder's layout, which people and other programs read."""

from pathlib import Path

from study.paths import StudyPaths


def test_everything_of_a_study_lies_in_its_folder_and_mlflow_beside_all_studies() -> None:
    paths = StudyPaths(Path("studies"), "quick")
    own = (paths.plan, paths.source, paths.lock, paths.lease, paths.stop, paths.log, paths.amendments, paths.optuna)
    assert {
        path.parent
        for path in (
            *own,
            paths.references,
            paths.baselines,
            paths.conclusion,
            paths.warm_start,
            paths.ray,
            paths.trials,
        )
    } == {paths.folder}
    assert {path.parent for path in (paths.mlflow_database, paths.mlflow_artifacts, paths.folder)} == {Path("studies")}


def test_trials_are_found_by_arm_and_name() -> None:
    trial = StudyPaths(Path("studies"), "quick").trial("gt+bone", "t07")
    assert trial.folder == Path("studies/quick/trials/gt+bone/t07")
    assert trial.gif(1) != trial.gif(2)
