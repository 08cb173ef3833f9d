"""The words of a verdict at their boundaries, on members made for the purpose."""

import gc
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from study.judge import judge
from study.power import seeds_needed
from study.sentences import about_claim, about_metric, as_change, as_p, metric_name
from study.stats import UNKNOWN
from study.study_file import StudyFile
from study.verdict import ClaimVerdict, badness

StudyWith = Callable[..., StudyFile]
# Symmetric about 0: an exact mean of 0 and a known spread.
NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
GATE_RATIO = math.exp(1.0)
CLAIM: dict[str, Any] = {"name": "c", "candidate": "gt", "metrics": ["ade"]}


@pytest.fixture(scope="module", autouse=True)
def little_garbage() -> Iterator[None]:
    """statsmodels collects garbage with each correction; of what has been imported there is much to look at."""
    gc.freeze()
    yield
    gc.unfreeze()


def members(
    metric: str = "ade", *, worse_by: float, noise: np.ndarray = NOISE, diversity: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Three arms: the gate is 1 worse than the reference in log badness, the candidate ``worse_by``."""
    reference, apd = np.full(len(noise), 0.5), np.full(len(noise), 2.0)
    return {
        "paper": {f"test/{metric}": tuple(reference), "test/apd": tuple(apd)},
        "none": {f"test/{metric}": tuple(reference * GATE_RATIO), "test/apd": tuple(apd)},
        "gt": {
            f"test/{metric}": tuple(reference * np.exp(worse_by + noise)),
            "test/apd": tuple(apd * diversity * np.exp(noise)),
        },
    }


def verdicts(study_file: StudyFile, of: dict[str, dict[str, Any]], n_diverged: int = 0) -> list[ClaimVerdict]:
    return judge(study_file, of, {arm: (n_diverged, len(next(iter(of[arm].values())))) for arm in of})


def verdict(study_file: StudyFile, of: dict[str, dict[str, Any]], n_diverged: int = 0) -> ClaimVerdict:
    (only,) = verdicts(study_file, of, n_diverged)
    return only


# With keep = 0.5 and an effect of exactly 1 the margin is 0.5; a one-sided bound reaches t(0.95, 4) * s / sqrt(5).
REACH = 2.131847 * 0.0158114 / math.sqrt(5)
HAIR = 1e-4


@pytest.mark.parametrize(
    ("worse_by", "word"),
    [
        (-REACH - HAIR, "superior"),
        (-REACH + HAIR, "non-inferior"),
        (0.0, "non-inferior"),
        (0.5 - REACH - HAIR, "non-inferior"),
        (0.5 - REACH + HAIR, "inconclusive"),
        (0.5 + REACH - HAIR, "inconclusive"),
        (0.5 + REACH + HAIR, "inferior"),
    ],
)
def test_each_word_begins_where_its_bound_crosses(study_with: StudyWith, worse_by: float, word: str) -> None:
    found = verdict(study_with(), members(worse_by=worse_by))
    assert found.word == word
    (metric,) = found.metrics
    assert metric.difference == pytest.approx(worse_by)
    assert metric.bound == pytest.approx(worse_by + REACH, abs=1e-6)
    assert metric.margin == pytest.approx(0.5)
    assert metric.n_seeds == 5


def test_a_verdict_repeats_what_was_asked(study_with: StudyWith) -> None:
    found = verdict(study_with(), members(worse_by=0.0))
    assert (found.claim, found.candidate, found.reference, found.gate) == ("gt replaces both", "gt", "paper", "none")
    assert (found.keep, found.margin, found.alpha, found.level, found.warning) == (0.5, None, 0.05, 0.05, None)


def test_a_verdict_repeats_an_absolute_margin(study_with: StudyWith) -> None:
    found = verdict(study_with(claims=[CLAIM | {"margin": 0.1, "keep": None}]), members(worse_by=0.0))
    assert (found.keep, found.margin) == (None, 0.1)


def test_the_same_members_give_the_same_numbers(study_with: StudyWith) -> None:
    many = members(worse_by=0.45, noise=np.random.default_rng(0).normal(0.0, 0.3, 20))
    first, second = (verdict(study_with(), many).metrics[0] for _ in range(2))
    for name in ("p_permutation", "bootstrap_bound", "interquartile_difference"):
        assert getattr(first, name) == getattr(second, name)


def test_identical_arms_are_non_inferior(study_with: StudyWith) -> None:
    assert verdict(study_with(), members(worse_by=0.0, noise=np.zeros(5))).word == "non-inferior"


def test_swapping_candidate_and_reference_turns_the_difference_round(study_with: StudyWith) -> None:
    claim = {"name": "c", "candidate": "gt", "metrics": ["ade"], "reference": "paper"}
    swapped = claim | {"candidate": "paper", "reference": "gt"}
    of = members(worse_by=0.1)
    there = verdict(study_with(claims=[claim]), of).metrics[0]
    back = verdict(study_with(claims=[swapped]), of).metrics[0]
    assert (back.difference, back.lower, back.bound) == pytest.approx((-there.difference, -there.bound, -there.lower))
    assert back.improvement.value == pytest.approx(1 - there.improvement.value)
    middle = there.interquartile_difference, back.interquartile_difference
    assert middle[1].value == pytest.approx(-middle[0].value)
    assert (middle[1].low, middle[1].high) == pytest.approx((-middle[0].high, -middle[0].low), abs=2e-3)


def test_the_order_of_arms_does_not_matter(study_with: StudyWith) -> None:
    of = members(worse_by=0.1)
    backwards = dict(reversed(of.items()))
    arms = {"paper": ["consistency", "bone"], "gt": ["gt"], "none": []}
    assert verdicts(study_with(), of) == verdicts(study_with(arms=arms), backwards)


def test_the_order_of_seeds_does_not_matter(study_with: StudyWith) -> None:
    of = members(worse_by=0.1)
    backwards = {arm: {name: values[::-1] for name, values in metrics.items()} for arm, metrics in of.items()}
    one, other = verdict(study_with(), of).metrics[0], verdict(study_with(), backwards).metrics[0]
    assert one.differences == pytest.approx(other.differences[::-1])
    for name in ("difference", "bound", "lower", "p", "p_permutation", "bootstrap_bound"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12), name
    assert one.interquartile_difference == other.interquartile_difference
    assert one.improvement == other.improvement


@pytest.mark.parametrize("seeds", [0, 1, 2])
def test_too_few_seeds_never_decide(study_with: StudyWith, seeds: int) -> None:
    noise = np.full(5, math.nan)
    noise[:seeds] = 0.0
    found = verdict(study_with(), members(worse_by=-3.0, noise=noise))
    assert found.word == "inconclusive"
    (metric,) = found.metrics
    assert metric.n_seeds == seeds
    numbers = ("difference", "lower", "bound", "sd", "p", "p_superior", "p_permutation", "bootstrap_bound")
    assert [name for name in numbers if not math.isnan(getattr(metric, name))] == []
    assert (metric.interquartile_difference, metric.improvement, metric.seeds_needed) == (UNKNOWN, UNKNOWN, None)
    diversity = found.guardrails[0]
    assert math.isnan(diversity.p)
    assert math.isnan(diversity.share.value)


@pytest.mark.parametrize(("seeds", "known"), [(2, False), (3, True)])
def test_an_effect_is_known_from_three_seeds_on(study_with: StudyWith, seeds: int, known: bool) -> None:
    of = members(worse_by=0.0)
    of["none"]["test/ade"] = (*of["none"]["test/ade"][:seeds], *[math.nan] * (5 - seeds))
    (metric,) = verdict(study_with(), of).metrics
    missing = [math.isnan(number) for number in (metric.effect, metric.effect_lower, metric.margin)]
    assert missing == [not known] * 3
    assert metric.word == ("non-inferior" if known else "inconclusive")


@pytest.mark.parametrize(("seeds", "warned"), [(3, True), (4, True), (5, False)])
def test_few_seeds_are_warned_of(study_with: StudyWith, seeds: int, warned: bool) -> None:
    found = verdict(study_with(), members(worse_by=0.0, noise=np.zeros(seeds)))
    assert (found.warning is not None) == warned


def test_a_reference_that_does_not_beat_the_gate_decides_nothing(study_with: StudyWith) -> None:
    of = members(worse_by=-1.0)
    of["none"]["test/ade"] = tuple(np.array(of["paper"]["test/ade"]) * np.exp([0.3, -0.3, 0.2, -0.2, 0.0]))
    found = verdict(study_with(), of)
    assert found.word == "gate failed"
    assert math.isnan(found.metrics[0].margin)


def test_members_that_diverged_in_the_gate_leave_the_other_pairs_alone(study_with: StudyWith) -> None:
    of = members(worse_by=0.1)
    of["none"]["test/ade"] = (math.nan, *of["none"]["test/ade"][1:])
    assert verdict(study_with(), of).metrics[0].n_seeds == 5


def test_all_metrics_of_a_claim_must_pass(study_with: StudyWith) -> None:
    claim = {"name": "c", "candidate": "gt", "metrics": ["ade", "bone_error"]}
    good, bad = members("ade", worse_by=-0.5), members("bone_error", worse_by=0.9)
    both = {arm: good[arm] | bad[arm] for arm in good}
    found = verdict(study_with(claims=[claim]), both)
    assert [metric.word for metric in found.metrics] == ["superior", "inferior"]
    assert found.word == "inferior"


@pytest.mark.parametrize(
    ("metric", "favour"),
    [("ade", "favoured"), ("bone_error", "conservative"), ("jerk_ratio", "conservative"), ("apd", None)],
)
def test_metrics_that_a_loss_trains_on_are_marked(study_with: StudyWith, metric: str, favour: str | None) -> None:
    claim = {"name": "c", "candidate": "gt", "metrics": [metric]}
    found = verdict(study_with(claims=[claim]), members(metric, worse_by=0.0))
    assert found.metrics[0].favour == favour


def test_a_claim_waits_for_its_three_arms(study_with: StudyWith) -> None:
    of = members(worse_by=0.0)
    del of["none"]
    assert verdicts(study_with(), of) == []


def test_a_margin_may_be_a_number(study_with: StudyWith) -> None:
    absolute = study_with(claims=[CLAIM | {"margin": 0.05}])
    assert absolute.claims[0].keep is None
    assert verdict(absolute, members(worse_by=0.05 - REACH - HAIR)).word == "non-inferior"
    assert verdict(absolute, members(worse_by=0.05 - REACH + HAIR)).word == "inconclusive"


def test_the_gate_is_asked_for_a_margin_in_numbers_as_well(study_with: StudyWith) -> None:
    of = members(worse_by=-1.0)
    of["none"] = of["paper"]
    assert verdict(study_with(claims=[CLAIM | {"margin": 0.05}]), of).word == "gate failed"


class TestBesideTheBound:
    def test_every_number_is_the_one_that_scipy_gives(self, study_with: StudyWith) -> None:
        metric = verdict(study_with(), members(worse_by=0.49)).metrics[0]
        differences = 0.49 + NOISE
        assert metric.differences == pytest.approx(tuple(differences))
        assert metric.p == pytest.approx(stats.ttest_1samp(differences, 0.5, alternative="less").pvalue)
        assert metric.p_superior == pytest.approx(stats.ttest_1samp(differences, 0.0, alternative="less").pvalue)
        assert metric.sd == pytest.approx(differences.std(ddof=1))
        assert (metric.effect, metric.effect_lower) == pytest.approx((1.0, 1.0))
        # The mean of 0.49 +- noise is 0.01 below the margin: 6 of the 32 ways to flip signs give no more.
        assert metric.p_permutation == pytest.approx(
            np.mean([np.dot(signs, differences - 0.5) <= -0.05 + 1e-12 for signs in _all_signs(5)])
        )

    def test_the_bootstrap_bound_is_nearer_than_the_t_bound_of_few_seeds(self, study_with: StudyWith) -> None:
        metric = verdict(study_with(), members(worse_by=0.1)).metrics[0]
        assert metric.difference < metric.bootstrap_bound < metric.bound

    def test_what_is_not_there_is_counted(self, study_with: StudyWith) -> None:
        noise = np.append(NOISE, [math.nan, math.nan])
        metric = verdict(study_with(), members(worse_by=0.1, noise=noise)).metrics[0]
        assert (metric.n_seeds, metric.n_missing) == (5, 2)
        assert sum(map(math.isnan, metric.differences)) == 2

    def test_an_inconclusive_metric_says_how_many_seeds_would_decide(self, study_with: StudyWith) -> None:
        sd = 0.5
        noise = stats.norm.ppf((np.arange(5) + 0.5) / 5)
        noise *= sd / noise.std(ddof=1)
        claim = study_with(claims=[CLAIM | {"guardrails": {"diversity": None}}])
        found = verdict(claim, members(worse_by=0.25, noise=noise))
        assert found.word == "inconclusive"
        # The margin is one SD: 8 seeds by the table of docs/structure.md.
        assert (found.metrics[0].seeds_needed, found.seeds_needed) == (8, 8)

    def test_a_claim_needs_as_many_seeds_as_what_needs_most(self, study_with: StudyWith) -> None:
        noise = NOISE * 0.5 / NOISE.std(ddof=1)
        found = verdict(study_with(), members(worse_by=0.25, noise=noise))
        diversity = seeds_needed(-math.log(0.8) / 0.5, 0.05)
        assert (found.metrics[0].seeds_needed, found.guardrails[0].seeds_needed) == (8, diversity)
        assert found.seeds_needed == diversity
        # No number of seeds is known to tell how many will diverge.
        assert verdict(study_with(), members(worse_by=0.25, noise=noise), n_diverged=2).seeds_needed is None

    @pytest.mark.parametrize(("lost", "greatest"), [(0.0, "bone_error"), (0.2131, "diversity")])
    def test_the_p_of_a_claim_is_the_greatest_that_must_pass(
        self, study_with: StudyWith, lost: float, greatest: str
    ) -> None:
        claim = study_with(claims=[CLAIM | {"metrics": ["ade", "bone_error"]}])
        ade, bones = members("ade", worse_by=0.47), members("bone_error", worse_by=0.48, diversity=math.exp(-lost))
        found = verdict(claim, {arm: ade[arm] | bones[arm] for arm in ade})
        ps = {metric.metric: metric.p for metric in found.metrics} | {"diversity": found.guardrails[0].p}
        assert ps == pytest.approx(
            {
                "ade": stats.ttest_1samp(0.47 + NOISE, 0.5, alternative="less").pvalue,
                "bone_error": stats.ttest_1samp(0.48 + NOISE, 0.5, alternative="less").pvalue,
                "diversity": stats.ttest_1samp(lost + NOISE, -math.log(0.8), alternative="less").pvalue,
            }
        )
        assert found.p == found.p_adjusted == ps[greatest] == max(ps.values())

    def test_a_decided_metric_needs_no_more_seeds(self, study_with: StudyWith) -> None:
        found = verdict(study_with(), members(worse_by=0.0))
        assert (found.metrics[0].seeds_needed, found.seeds_needed) == (None, None)


def _all_signs(n: int) -> np.ndarray:
    return np.array([[1 - 2 * (number >> bit & 1) for bit in range(n)] for number in range(2**n)])


class TestGuardrails:
    def test_a_candidate_that_loses_its_diversity_is_inferior_whatever_else(self, study_with: StudyWith) -> None:
        found = verdict(study_with(), members(worse_by=-1.0, diversity=0.3))
        assert [metric.word for metric in found.metrics] == ["superior"]
        assert found.word == "inferior"
        diversity = found.guardrails[0]
        assert diversity.share.value == pytest.approx(0.3)
        assert (diversity.share.low, diversity.share.high) == pytest.approx(
            (0.3 * math.exp(-REACH), 0.3 * math.exp(REACH)), rel=1e-6
        )
        assert [(one.guardrail, one.limit) for one in found.guardrails] == [("diversity", 0.8), ("diverged", 0.2)]
        assert "30%" in about_claim(found)

    @pytest.mark.parametrize(
        ("diversity", "word"),
        [
            (0.8 * math.exp(REACH + HAIR), "non-inferior"),
            (0.8 * math.exp(REACH - HAIR), "inconclusive"),
            (0.8 * math.exp(-REACH + HAIR), "inconclusive"),
            (0.8 * math.exp(-REACH - HAIR), "inferior"),
            (3.0, "non-inferior"),
        ],
    )
    def test_diversity_is_judged_by_its_bounds(self, study_with: StudyWith, diversity: float, word: str) -> None:
        found = verdict(study_with(), members(worse_by=0.0, diversity=diversity))
        assert found.guardrails[0].word == word
        assert found.word == word

    def test_more_diversity_makes_nothing_superior_nor_less_so(self, study_with: StudyWith) -> None:
        assert verdict(study_with(), members(worse_by=-1.0, diversity=3.0)).word == "superior"

    @pytest.mark.parametrize(
        ("n_diverged", "word"), [(0, "non-inferior"), (1, "non-inferior"), (2, "inconclusive"), (5, "inferior")]
    )
    def test_members_that_diverged_are_counted(self, study_with: StudyWith, n_diverged: int, word: str) -> None:
        found = verdict(study_with(), members(worse_by=0.0), n_diverged)
        assert found.guardrails[1].word == word
        assert found.guardrails[1].share.value == n_diverged / 5
        assert found.word == word

    @pytest.mark.parametrize(("seeds", "word"), [(2, "inconclusive"), (3, "non-inferior")])
    def test_divergence_is_judged_from_three_members_on(self, study_with: StudyWith, seeds: int, word: str) -> None:
        found = verdict(study_with(), members(worse_by=0.0, noise=np.zeros(seeds)))
        assert found.guardrails[1].word == word
        assert math.isnan(found.guardrails[1].p)
        assert found.guardrails[1].seeds_needed is None

    def test_null_takes_them_away(self, study_with: StudyWith) -> None:
        study_file = study_with(claims=[CLAIM | {"guardrails": {"diversity": None, "diverged": None}}])
        found = verdict(study_file, members(worse_by=0.0, diversity=0.01), n_diverged=5)
        assert (found.word, found.guardrails) == ("non-inferior", ())


FOUR_ARMS = {"none": [], "gt": ["gt"], "paper": ["consistency", "bone"], "gt+bone": ["gt", "bone"]}


class TestSeveralClaims:
    def both(self, study_with: StudyWith, first: float, second: float) -> list[ClaimVerdict]:
        """Two claims whose candidates stand so many standard errors under the margin."""
        error = REACH / stats.t.ppf(0.95, 4)
        of = members(worse_by=0.5 - first * error)
        of["gt+bone"] = members(worse_by=0.5 - second * error)["gt"]
        claims = [CLAIM, CLAIM | {"name": "d", "candidate": "gt+bone"}]
        return verdicts(study_with(arms=FOUR_ARMS, claims=claims), of)

    def test_a_claim_that_would_hold_alone_may_not_among_others(self, study_with: StudyWith) -> None:
        enough_alone = stats.t.ppf(0.96, 4)
        first, _ = self.both(study_with, enough_alone, 0.0)
        assert first.p == pytest.approx(0.04, rel=1e-4)
        assert first.p_adjusted == pytest.approx(2 * first.p)
        assert first.word == "inconclusive"
        assert first.level == pytest.approx(0.025)

    def test_once_one_is_shown_the_other_has_the_whole_alpha(self, study_with: StudyWith) -> None:
        first, second = self.both(study_with, stats.t.ppf(0.96, 4), 10.0)
        assert (first.word, second.word) == ("non-inferior", "non-inferior")
        assert (first.level, second.level) == pytest.approx((0.05, 0.025))

    def test_a_claim_that_waits_counts(self, study_with: StudyWith) -> None:
        claims = [CLAIM, CLAIM | {"name": "d", "candidate": "gt+bone"}]
        (only,) = verdicts(study_with(arms=FOUR_ARMS, claims=claims), members(worse_by=0.0))
        assert only.level == pytest.approx(0.025)

    @pytest.mark.parametrize("seed", range(6))
    def test_bounds_and_adjusted_p_say_the_same(self, study_with: StudyWith, seed: int) -> None:
        generator = np.random.default_rng(seed)
        for claim in self.both(study_with, *generator.normal(2.0, 1.5, 2)):
            assert (claim.p_adjusted < claim.alpha) == claim.holds
            assert (claim.metrics[0].bound < claim.metrics[0].margin) == claim.holds


class TestWords:
    @pytest.mark.parametrize(
        ("worse_by", "says"),
        [
            (-0.1, "superior. gt is better than paper in ADE."),
            (0.1, "non-inferior. gt keeps at least 50% of what paper gains over none in ADE."),
            (0.9, "inferior. gt loses more than the margin against paper in ADE."),
            (0.5, "inconclusive. These seeds cannot tell whether gt loses more than the margin in ADE."),
        ],
    )
    def test_a_verdict_is_a_sentence(self, study_with: StudyWith, worse_by: float, says: str) -> None:
        assert says in about_claim(verdict(study_with(), members(worse_by=worse_by)))

    def test_a_failed_gate_says_what_did_not_beat_what(self, study_with: StudyWith) -> None:
        of = members(worse_by=0.0)
        of["none"] = of["paper"]
        assert "paper does not clearly beat none in ADE" in about_claim(verdict(study_with(), of))

    def test_a_failed_gate_does_not_hide_what_is_refuted(self, study_with: StudyWith) -> None:
        claim = study_with(claims=[CLAIM | {"metrics": ["ade", "bone_error"]}])
        ade, bones = members("ade", worse_by=0.0), members("bone_error", worse_by=0.9, diversity=0.3)
        ade["none"] = ade["paper"]
        found = verdict(claim, {arm: bones[arm] | ade[arm] for arm in ade} | {"gt": ade["gt"] | bones["gt"]})
        assert found.word == "gate failed"
        said = about_claim(found)
        assert "Whatever the gate, gt loses more than the margin against paper in bone error." in said
        assert "Guardrail: gt must keep 80% of the diversity of paper. It has 30%" in said

    def test_what_the_candidate_trains_on_is_told_where_the_claim_holds(self, study_with: StudyWith) -> None:
        assert "Only gt trains on ADE." in about_claim(verdict(study_with(), members(worse_by=0.0)))
        assert "Only gt" not in about_claim(verdict(study_with(), members(worse_by=0.9)))

    def test_a_metric_has_interval_margin_and_p_on_one_line(self, study_with: StudyWith) -> None:
        found = verdict(study_with(), members(worse_by=0.1))
        assert about_metric(found, found.metrics[0]) == (
            "gt replaces both, ADE: non-inferior (+11% [+8.9%, +12%] against paper, margin +65%, p <0.001, "
            "5 pairs of seeds, favoured)."
        )

    @pytest.mark.parametrize(
        ("difference", "text"),
        [
            (0.0, "+0.0%"),
            (-1e-5, "+0.0%"),
            (math.log(1.05), "+5.0%"),
            (-math.log(2), "-50%"),
            (math.nan, "-"),
            (99.0, "+99900%"),
        ],
    )
    def test_a_difference_is_told_as_a_change(self, difference: float, text: str) -> None:
        assert as_change(difference) == text

    def test_names_and_ps_are_told_as_people_say_them(self) -> None:
        assert [metric_name(metric) for metric in ("ade", "bone_error")] == ["ADE", "bone error"]
        assert [as_p(p) for p in (0.0004, 0.0415, math.nan)] == ["<0.001", "0.042", "-"]


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [("ade", 0.1, 0.2), ("apd", 2.0, 1.0), ("jerk_ratio", 0.9, 2.0), ("score", -1.0, -0.5)],
)
def test_more_badness_is_worse_for_every_goal(metric: str, better: float, worse: float) -> None:
    assert badness(metric, better) < badness(metric, worse)


def test_jerk_is_as_bad_at_half_as_at_twice_the_truths() -> None:
    assert badness("jerk_ratio", 0.5) == pytest.approx(badness("jerk_ratio", 2.0))


def test_a_score_is_a_logarithm_already() -> None:
    assert badness("score", 0.3) - badness("score", -0.2) == pytest.approx(0.5)


def test_a_perfect_zero_is_finite_and_a_divergence_is_not() -> None:
    assert math.isfinite(badness("bone_error", 0.0))
    assert math.isnan(badness("ade", math.inf))
