"""How much each parameter matters inside one arm."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from study.search.distributions import shown_distribution
from study.sections import Value
from study.space import Parameter

# Below it the trees of fANOVA, which split in halves, have next to nothing to learn from.
ENOUGH_TRIALS = 8
# What fANOVA takes grows with their square.
MOST_TRIALS = 200


def parameter_importances(
    parameters: Mapping[str, Parameter], trials: Sequence[tuple[Mapping[str, Value], float]]
) -> dict[str, float]:
    """The share of the objective's variance that each parameter explains by itself, the greatest first.

    Arms are never pooled: what matters in one need not in another.

    Args:
        parameters: the arm's.
        trials: values and objective of its complete trials. Pruned ones are left out: theirs is that of an early epoch.
            Of more than ``MOST_TRIALS`` so many are taken, from the first to the last at equal distances.

    Returns:
        Shares that add up to 1; empty for fewer than ``ENOUGH_TRIALS``, for trials that do not differ, and without
        parameters.

    Source:
        fANOVA, Hutter et al. 2014, as in Optuna, with a fixed seed.
    """
    if len(trials) < ENOUGH_TRIALS or not parameters or len({objective for _, objective in trials}) < 2:
        return {}
    taken = min(len(trials), MOST_TRIALS)
    study = optuna.create_study()
    distributions = {name: shown_distribution(parameter) for name, parameter in parameters.items()}
    for values, objective in (trials[place * len(trials) // taken] for place in range(taken)):
        study.add_trial(create_trial(params=dict(values), distributions=distributions, value=objective))
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
