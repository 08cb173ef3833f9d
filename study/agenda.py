"""What a study still has to do, told from its record alone."""

from dataclasses import replace

from study.record import CONFIRM, Record, Request, Trial

# Seeds of the confirm phase; the search phase counts from 0. Fresh, and the same in every arm.
FIRST_CONFIRM_SEED = 1_000_000


def planned_trials(record: Record, arm: str) -> int:
    """Search trials that this arm is to run: the plan's, those that were added, and one for each to be retried."""
    retried = sum(
        trial.request.phase == "search" and trial.key in record.amendments.retried for trial in record.trials(arm)
    )
    return record.study_file.trials_of(arm) + record.amendments.trials + retried


def waiting_retries(record: Record, arm: str) -> list[Trial]:
    """Failed search trials that are to be run again and have not been begun again."""
    trials = record.trials(arm, "search")
    begun = {trial.request.retry_of for trial in trials}
    return [trial for trial in trials if trial.key in record.amendments.retried and trial.request.trial not in begun]


def confirm_members(record: Record) -> int:
    """Members, of one fresh seed each, that every arm's winner is to have; 0 without a confirm phase."""
    confirm = record.study_file.confirm
    return confirm.members + record.amendments.members if confirm else 0


def confirm_request(record: Record, arm: str) -> Request | None:
    """The trial that confirms the arm's present winner on the seeds that it lacks; None where it lacks none.

    A failed confirmation has used its seeds up until it is to be retried.
    """
    winner = record.winner(arm)
    if winner is None:
        return None
    trials = record.trials(arm, "confirm")
    of_winner = [trial.request for trial in trials if trial.request.number == winner.request.number]
    retried = [request for request in of_winner if request.key in record.amendments.retried]
    used = {seed for request in of_winner if request not in retried for seed in request.seeds}
    wanted = range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + confirm_members(record))
    lacking = [seed for seed in wanted if seed not in used]
    if not lacking:
        return None
    again = [request.trial for request in retried if set(request.seeds) & set(lacking)]
    return replace(
        winner.request,
        trial=f"{CONFIRM}-{len(trials) + 1}" if trials else CONFIRM,
        phase="confirm",
        settings=winner.request.settings | {"epochs": record.study_file.confirm_epochs()},
        seeds=lacking,
        started_at=record.now(),
        retry_of=again[-1] if again else None,
    )


def is_superseded(record: Record, trial: Trial) -> bool:
    """Whether a confirm trial is of a configuration that is no longer its arm's best."""
    winner = record.winner(trial.request.arm)
    return trial.request.phase == "confirm" and (winner is None or winner.request.number != trial.request.number)


def retriable(record: Record) -> list[Trial]:
    """Failed trials that might not fail again; one that diverged would, with the same configuration and seeds."""
    return [
        trial
        for trial in record.trials()
        if (outcome := trial.outcome)
        and outcome.state == "failed"
        and outcome.kind != "diverged"
        and trial.key not in record.amendments.retried
        and not is_superseded(record, trial)
    ]
