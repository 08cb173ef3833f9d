"""One arm's search: ask for a configuration, report its epochs, tell how it ended."""

from collections.abc import Mapping, Sequence

from optuna.study import Study
from optuna.trial import TrialState

from study.search.pruners import build_rungs
from study.search.samplers import SAMPLERS, Values
from study.search.storage import ArmTable, Tables
from study.sections import Value
from study.space import Parameter
from study.study_file import StudyFile

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class ArmSearch:
    """Suggestions and pruning for one arm.

    Sampler and pruner work on what this process has in memory. The tables are written along and read once, at the
    start: what a suggestion costs does not depend on them.

    Args:
        tables: where Optuna keeps it.
        study_file: sampler, pruner, goals and names.
        arm: which arm.
        parameters: the arm's active parameters.
        position: the arm's place in the study file; arms draw different points from one sampler seed, but for ``qmc``.
        learn_from: values and results of an earlier study's complete trials, in a fixed order. The sampler learns from
            them; they are in no table, never asked for, and compared with nothing.
    """

    def __init__(
        self,
        tables: Tables,
        study_file: StudyFile,
        arm: str,
        parameters: Mapping[str, Parameter],
        position: int,
        learn_from: Sequence[tuple[Mapping[str, Value], Sequence[float]]] = (),
    ) -> None:
        self.sampler = SAMPLERS[study_file.search.sampler.name](study_file, arm, position)
        self.sampler.take_over(learn_from)
        self.rungs = build_rungs(study_file)
        self.table = ArmTable(tables, study_file.name, arm, parameters, [goal.goal for goal in study_file.goals()])
        self._asked = 0
        self._open: dict[int, Values] = {}
        self._last: dict[int, tuple[int, float]] = {}
        self._in_rungs: set[int] = set()
        for trial in self.table.trials():
            self._enter(trial.params)
            if (epoch := trial.last_step) is not None:
                self._last[trial.number] = epoch, trial.intermediate_values[epoch]
            if trial.state.is_finished():
                self._forget(trial.number, trial.state, trial.values)

    @property
    def study(self) -> Study:
        """The arm as ``optuna.load_study`` gives it to anybody."""
        return self.table.study

    @property
    def exhausted(self) -> bool:
        """Whether every configuration that there is has been asked for, as only a grid's can be."""
        return self.sampler.exhausted

    def asked(self) -> int:
        """How many trials have been asked for, in whatever state."""
        return self._asked

    def open_trials(self) -> dict[int, Values]:
        """Number and values of the trials that have no outcome yet."""
        return dict(self._open)

    def has_results(self, number: int) -> bool:
        """Whether more than the values of a trial is known: an epoch, or how it ended."""
        return number not in self._open or number in self._last

    def ask(self) -> tuple[int, Values]:
        """The next trial's number and parameter values; the first has every parameter's default.

        Raises:
            StudyError: the database has been away for too long. Nothing has changed then.
        """
        number = self._asked
        values = self.sampler.values(number)
        self.table.add(number, values)
        self._enter(values)
        return number, values

    def adopt(self, number: int, values: Mapping[str, Value]) -> None:
        """Take up a trial that the record has and the tables may lack, in the order of numbers.

        The tables may be new or have been lost, and a failed trial may run once more: the sampler's next configuration
        waits for the next ``ask`` then.
        """
        if number == self._asked:
            self.table.add(number, values)
            self._enter(values)

    def wait(self, number: int) -> None:
        """Nobody trains this trial until it is gone on with; the tables say so, and nothing else changes."""
        if number in self._open:
            self.table.move(number, TrialState.WAITING)

    def go_on(self, number: int) -> None:
        """A trial that waited is about to be trained."""
        if number in self._open:
            self.table.move(number, TrialState.RUNNING)

    def report(self, number: int, epoch: int, objective: float, members: Sequence[float] = ()) -> bool:
        """Record an intermediate value; True when the pruner wants the trial stopped.

        A resumed search is told everything once more, in the order of time: of what is stored already nothing changes.

        Args:
            number: of the trial.
            epoch: from 1.
            objective: the mean over the members.
            members: the objective of each, in the order of seeds; the pruner ``wilcoxon`` compares them.
        """
        if number in self._open and epoch > self._last.get(number, (0, 0.0))[0]:
            self.table.report(number, epoch, objective)
            self._last[number] = epoch, objective
        return self.rungs is not None and self.rungs.report(number, epoch, objective, members)

    def tell(
        self, number: int, state: str, objective: float | Sequence[float] | None, cause: str | None = None
    ) -> None:
        """Close a trial; one that is closed stays as it is.

        Args:
            number: of the trial.
            state: ``complete``, ``pruned`` or ``failed``.
            objective: of a complete trial; one value for each of ``objectives``, where the study file has them.
            cause: why it failed.
        """
        results: Sequence[float] | None = None
        if state == "complete" and objective is not None:
            results = [objective] if isinstance(objective, (int, float)) else list(objective)
        if number in self._in_rungs and self.rungs is not None:
            self._in_rungs.remove(number)
            self.rungs.tell(number, STATES[state], results)
        if number in self._open:
            if state == "pruned" and number in self._last:
                results = [self._last[number][1]]  # as Optuna itself does
            self.table.close(number, STATES[state], results, cause)
            self._forget(number, STATES[state], results)

    def _enter(self, values: Mapping[str, Value]) -> None:
        number = self._asked
        self.sampler.enter(number, values)
        if self.rungs is not None:
            self.rungs.enter()
            self._in_rungs.add(number)
        self._open[number] = dict(values)
        self._asked += 1

    def _forget(self, number: int, state: TrialState, results: Sequence[float] | None) -> None:
        """The trial has ended: all that is left of it is what the sampler learns."""
        del self._open[number]
        self.sampler.learn(number, state, results, self._last.pop(number, (0, 0.0))[0])
