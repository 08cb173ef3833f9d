"""What a study still has to do, told from its record alone."""

from dataclasses import replace

from study.record import CONFIRM, Phase, Record, Request, Trial

# Where the seeds of a phase begin; the search phase counts from 0. New in each phase, and the same in every arm.
FIRST_SHORTLIST_SEED, FIRST_CONFIRM_SEED = 500_000, 1_000_000


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


def shortlisted(record: Record, arm: str) -> int:
    """Trials on the arm's shortlist, if as many complete."""
    return record.study_file.shortlist_of(planned_trials(record, arm))


def confirm_members(record: Record) -> int:
    """Members, of one fresh seed each, that every arm's winner is to have; 0 without a confirm phase."""
    confirm = record.study_file.confirm
    return confirm.members + record.amendments.members if confirm else 0


def lacking_requests(record: Record, phase: Phase) -> list[Request]:
    """The trials that a phase after the search still has to begin."""
    arms = record.study_file.arms
    if phase == "confirm":
        return [request for arm in arms if (request := confirm_request(record, arm))]
    return [request for arm in arms for request in shortlist_requests(record, arm)]


def shortlist_requests(record: Record, arm: str) -> list[Request]:
    """The trials that train the arm's present candidates on the shortlist's seeds, where they have not been."""
    shortlist, candidates = record.study_file.shortlist(), record.candidates(arm)
    if shortlist is None or len(candidates) < 2:
        return []
    seeds = range(FIRST_SHORTLIST_SEED, FIRST_SHORTLIST_SEED + shortlist.members)
    found = (_repeat(record, one, "shortlist", f"shortlist-{one.request.trial}", seeds) for one in candidates)
    return [request for request in found if request]


def confirm_request(record: Record, arm: str) -> Request | None:
    """The trial that confirms the arm's present winner on the seeds that it lacks; None where it lacks none."""
    winner = record.winner(arm)
    seeds = range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + confirm_members(record))
    return _repeat(record, winner, "confirm", CONFIRM, seeds) if winner else None


def _repeat(record: Record, searched: Trial, phase: Phase, name: str, seeds: range) -> Request | None:
    """A search trial again, on those of ``seeds`` that it lacks in this phase; None where it lacks none.

    A failed trial has used its seeds up until it is to be retried.
    """
    trials = record.trials(searched.request.arm, phase)
    same = [trial.request for trial in trials if trial.request.number == searched.request.number]
    retried = [request for request in same if request.key in record.amendments.retried]
    used = {seed for request in same if request not in retried for seed in request.seeds}
    lacking = [seed for seed in seeds if seed not in used]
    if not lacking:
        return None
    again = [request.trial for request in retried if set(request.seeds) & set(lacking)]
    # Winners change, and share the name of the phase; a candidate's name is its own.
    number = len(trials if phase == "confirm" else same) + 1
    return replace(
        searched.request,
        trial=name if number == 1 else f"{name}-{number}",
        phase=phase,
        settings=searched.request.settings | {"epochs": record.study_file.confirm_epochs()},
        seeds=lacking,
        started_at=record.now(),
        retry_of=again[-1] if again else None,
    )


def is_superseded(record: Record, trial: Trial) -> bool:
    """Whether a trial after the search is of a configuration that is no longer its arm's best, or among the best."""
    request = trial.request
    if request.phase == "search":
        return False
    winner = record.winner(request.arm)
    wanted = ([winner] if winner else []) if request.phase == "confirm" else record.candidates(request.arm)
    return request.number not in {trial.request.number for trial in wanted}


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
