"""What a report says, from records written by hand; how it looks is for tests/e2e."""

import base64
import csv
import hashlib
import html
import json
import math
import re
import typing
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from study import cli
from study.comparison import compare
from study.record import Record, References, Trial
from study.report import write_report
from study.report.content import Answer, Content, build_content
from study.report.figures import SIZES_TOLD, Figure, build_figures
from study.report.motions import NOT_FINITE, Motions, packed
from study.report.page import SCRIPTS, asset
from study.report.plots import draw_pareto, draw_verdicts, frame
from study.report.words import ENGLISH, ITALIAN, LANGUAGES, Words
from study.search import ENOUGH_TRIALS, MOST_TRIALS, parameter_importances
from study.space import FloatParameter
from study.stats import Estimate
from study.verdict import GuardrailVerdict

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]
REPORT = Path(__file__).parents[3] / "study" / "report"
METRICS = ("ade", "fde", "apd", "joint_error_mm", "bone_error", "jerk_ratio")
SEEDS = (0.97, 1.01, 1.02)
# The same word in both languages.
SHARED = {
    "answer_inferior", "col_n", "col_ade", "col_fde", "col_apd", "col_jerk_ratio", "name_ade", "name_fde", "env_python",
}  # fmt: skip


def confirmed(record: Record, add_trial: AddTrial, arm: str, ade: float, spread: float = 1.0, apd: float = 1.0) -> None:
    """An arm's winner on three fresh seeds that differ in part by what all arms share."""
    trial = add_trial(record, arm, "confirm", [], state=None)
    own = np.random.default_rng(sum(map(ord, arm))).normal(0, 0.01 * spread, len(SEEDS))
    values = [ade * seed * math.exp(noise) for seed, noise in zip(SEEDS, own, strict=True)]
    members = {"val/score": [0.2] * len(SEEDS)} | {f"test/{name}": values for name in METRICS}
    members["test/apd"] = [apd * seed * math.exp(noise / spread) for seed, noise in zip(SEEDS, own, strict=True)]
    mean = {name: sum(of) / len(of) for name, of in members.items()}
    line = {"epoch": 1, "members": members, "mean": mean, "spread": {}, "diverged": 0}
    trial.append_epoch(line | {"seconds": 2.0, "time": 0.0})
    trial.close("complete", mean["val/score"])


NewStudy = Callable[..., Record]


@pytest.fixture
def new_study(new_record: NewRecord, add_trial: AddTrial) -> NewStudy:
    """A finished study in which `none` has ADE 1, `paper` one half, and `gt` what is asked for."""

    def make(gt: float, none: float = 1.0, spread: float = 1.0, diversity: float = 1.0) -> Record:
        record = new_record()
        for arm, ade in (("none", none), ("gt", gt), ("paper", 0.5)):
            add_trial(record, arm, "t00", [0.3] * 4)
            confirmed(record, add_trial, arm, ade, *((spread, diversity) if arm == "gt" else ()))
        record.write_baselines({"zero_velocity": dict.fromkeys(METRICS, 0.9)})
        record.conclude("finished", None)
        return record

    return make


def content_of(record: Record, language: str = "en") -> Content:
    comparison = compare(record)
    return build_content(record, comparison, build_figures(record, comparison, None), Words(language))


def answer_of(record: Record, language: str = "en") -> Answer:
    [answer] = content_of(record, language).answers
    return answer


@pytest.mark.parametrize(
    ("gt", "none", "spread", "word", "english", "italian"),
    [
        (0.4, 1.0, 1, "superior", "Yes. “gt” is better than “paper” in ADE.", "Sì. «gt» è migliore di «paper» in ADE."),
        (
            0.52,
            1.0,
            1,
            "non-inferior",
            "Yes. “gt” keeps at least half of what “paper” gains over “none”, in ADE.",
            "Sì. «gt» conserva almeno la metà di quanto «paper» guadagna su «none», in ADE.",
        ),
        (
            0.9,
            1.0,
            1,
            "inferior",
            "No. “gt” loses more than the margin against “paper” in ADE.",
            "No. «gt» perde più del margine rispetto a «paper» in ADE.",
        ),
        (0.6, 1.0, 40, "inconclusive", "Undecided. In ADE the interval", "Non deciso. In ADE l'intervallo"),
        (
            0.5,
            0.5,
            1,
            "gate failed",
            "This study cannot tell. “paper” itself",
            "Questo studio non può dirlo. Lo stesso",
        ),
    ],
)
def test_every_verdict_has_its_sentence_in_both_languages(
    new_study: NewStudy, gt: float, none: float, spread: float, word: str, english: str, italian: str
) -> None:
    record = new_study(gt, none, spread)
    answer = answer_of(record)
    assert (answer.word, answer.title) == (word, word)
    assert answer.sentence.startswith(english)
    assert answer_of(record, "it").sentence.startswith(italian)


def test_differences_are_told_as_shares_of_the_reference(new_study: NewStudy) -> None:
    record = new_study(gt=0.4)
    detail, comparison = answer_of(record).details[0], compare(record)
    assert (detail.name, detail.title) == ("ADE", "superior")
    change = -100 * math.expm1(comparison.claims[0].metrics[0].difference)
    assert detail.text.startswith(f"{change:.0f} % better than “paper”")
    assert "Favoured: only the candidate trains on this metric." in detail.text


@pytest.mark.parametrize(("language", "word", "search"), [("en", "worse", "search"), ("it", "peggiore", "ricerca")])
def test_an_effect_says_how_a_metric_itself_changes_and_whether_that_is_better(
    new_study: NewStudy, language: str, word: str, search: str
) -> None:
    # All arms but gt have a diversity of 1.
    content = content_of(new_study(gt=0.4, diversity=0.5), language)
    row = next(cells for cells in content.effects if cells[0] == "gt")
    [diversity] = [cell for cell, name in zip(row, content.effect_headings, strict=True) if "APD" in name]
    assert re.fullmatch(rf"−[45]\d % \[−[45]\d, −[45]\d\] {word}", diversity)
    caption = Words(language)("effects_caption")
    assert word in caption
    assert search in caption


def test_a_guardrail_that_breaks_is_named(new_study: NewStudy) -> None:
    answer = answer_of(new_study(gt=0.4, diversity=0.5))
    assert answer.word == "inferior"
    assert re.fullmatch(r"No\. “gt” keeps 5\d % of the diversity of “paper”, where 80 % is required\.", answer.sentence)
    guardrail = answer.details[1]
    assert (guardrail.name, guardrail.title) == ("Guardrail", "broken")
    assert re.search(r"5\d % of the diversity \(APD\) of “paper”, .* at least 80 % is required", guardrail.text)


def lost(record: Record, add_trial: AddTrial, arm: str, n_diverged: int) -> None:
    """An arm's winner of whose three fresh members so many diverged."""
    trial = add_trial(record, arm, "confirm", [], state=None)
    values = [math.nan] * n_diverged + [0.4, 0.41, 0.42][n_diverged:]
    members = {"val/score": values} | ({f"test/{name}": values for name in METRICS} if n_diverged < 3 else {})
    mean = {} if n_diverged == 3 else {name: float(np.nanmean(of)) for name, of in members.items()}
    line = {"epoch": 1, "members": members, "mean": mean, "spread": {}, "diverged": n_diverged}
    trial.append_epoch(line | {"seconds": 2.0, "time": 0.0})
    if n_diverged == 3:
        trial.close("failed", None, "every member diverged by epoch 1", "diverged")
    else:
        trial.close("complete", mean["val/score"])


@pytest.mark.parametrize(
    ("n_diverged", "word", "english", "italian", "warning"),
    [
        (
            3,
            "inferior",
            "No. 100 % of the members of “gt” diverged, where at most 20 % may.",
            "No. Il 100 % dei membri di «gt» è divergente, dove è ammesso al massimo il 20 %.",
            "Pairs of seeds of which both members are there: 0. That is too few for an interval.",
        ),
        (
            1,
            "inconclusive",
            "Undecided. Too few pairs of seeds for any verdict: 2, and it needs 3.",
            "Non deciso. Troppo poche coppie di semi per qualunque verdetto: 2, e ne servono 3.",
            "Pairs of seeds of which both members are there: 2. That is too few for an interval.",
        ),
    ],
)
def test_members_that_diverged_are_told_as_what_they_are(
    new_record: NewRecord,
    add_trial: AddTrial,
    n_diverged: int,
    word: str,
    english: str,
    italian: str,
    warning: str,
) -> None:
    record = new_record()
    for arm, ade in (("none", 1.0), ("paper", 0.5)):
        add_trial(record, arm, "t00", [0.3] * 4)
        confirmed(record, add_trial, arm, ade)
    add_trial(record, "gt", "t00", [0.3] * 4)
    lost(record, add_trial, "gt", n_diverged)
    answer = answer_of(record)
    assert (answer.word, answer.sentence, answer.warning) == (word, english, warning)
    assert answer_of(record, "it").sentence == italian


def test_a_share_of_diverged_members_that_may_be_chance_is_no_interval_across_a_margin(new_study: NewStudy) -> None:
    record = new_study(gt=0.5)
    verdict = compare(record).claims[0]
    open_one = GuardrailVerdict("diverged", "inconclusive", Estimate(0.4, 0.12, 0.77), 0.2, math.nan, None)
    some_diverged = replace(verdict, word="inconclusive", guardrails=(verdict.guardrails[0], open_one))
    figures = build_figures(record, compare(record), None)
    said = [
        build_content(record, replace(compare(record), claims=[some_diverged]), figures, Words(language))
        .answers[0]
        .sentence
        for language in LANGUAGES
    ]
    assert said == [
        "Undecided. 40 % of the members of “gt” diverged: these seeds cannot tell whether more than 20 % do.",
        "Non deciso. Il 40 % dei membri di «gt» è divergente: questi semi non bastano a dire se lo sia più del 20 %.",
    ]


def test_a_failed_gate_does_not_hide_what_is_refuted(new_study: NewStudy) -> None:
    record = new_study(gt=0.5, none=0.5, diversity=0.5)
    answer, italian = answer_of(record), answer_of(record, "it")
    assert answer.word == "gate failed"
    assert re.search(
        r"Whatever the gate: “gt” keeps 5\d % of the diversity of “paper”, where 80 % is required\.$", answer.sentence
    )
    assert re.search(
        r"Comunque sia la premessa: «gt» conserva il 5\d % della diversità di «paper», dove è richiesto il 80 %\.$",
        italian.sentence,
    )


def test_every_bullet_of_the_answer_has_its_word(new_study: NewStudy, tmp_path: Path) -> None:
    record = new_study(gt=0.4, diversity=0.5)
    for language, bullets in (
        ("en", ["- ADE: *superior*. ", "- Guardrail: *broken*. ", "- Guardrail: *kept*. "]),
        ("it", ["- ADE: *superiore*. ", "- Salvaguardia: *violata*. ", "- Salvaguardia: *rispettata*. "]),
    ):
        write_report(record, language, tmp_path / language)
        text = (tmp_path / language / "report.md").read_text()
        found = re.findall(r"^- [^:\n]+: \*[^*]+\*\. ", text, re.MULTILINE)
        assert found == bullets
        assert Words(language)("forest_picture") in text


@pytest.mark.parametrize(
    ("language", "label"), [("en", "ADE: superior (favoured)"), ("it", "ADE: superiore (favorita)")]
)
def test_a_forest_plot_marks_what_is_favoured(new_study: NewStudy, language: str, label: str) -> None:
    record = new_study(gt=0.4)
    axes = Canvas().add_subplot()
    draw_verdicts(axes, frame(build_figures(record, compare(record), None)["forest"]), Words(language))
    assert label in [one.get_text() for one in axes.get_yticklabels()]


@pytest.mark.parametrize(("language", "state"), [("en", "Arms: 1, trials: 0."), ("it", "Bracci: 1, prove: 0.")])
def test_a_study_without_claims_offers_no_data_of_a_figure_that_is_not_there(
    new_record: NewRecord, tmp_path: Path, language: str, state: str
) -> None:
    write_report(new_record(claims=[], arms={"gt": ["gt"]}, reference="gt"), language, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "`forest.csv`" not in text
    assert state in text


def test_a_name_that_the_font_of_the_pictures_lacks_is_no_warning(
    new_record: NewRecord, add_trial: AddTrial, tmp_path: Path
) -> None:
    record = new_record(claims=[{"name": "替换", "candidate": "gt", "metrics": ["ade"]}])
    for arm, ade in (("none", 1.0), ("gt", 0.5), ("paper", 0.5)):
        add_trial(record, arm, "t00", [0.3] * 4)
        confirmed(record, add_trial, arm, ade)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(record, "en", tmp_path)
    assert (tmp_path / "forest.png").exists()
    assert "替换" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("language", "score"), [("en", "mean of three logarithms"), ("it", "media di tre logaritmi")])
def test_the_plan_is_shown_as_it_was_locked_and_the_score_and_digest_are_explained(
    new_record: NewRecord, tmp_path: Path, language: str, score: str
) -> None:
    # What was given says nothing of the data, which came from the command line.
    record = new_record(data={"dataset": "synthetic", "people": 7})
    page = write_report(record, language, tmp_path)
    for text in (html.unescape(page.read_text()), (tmp_path / "report.md").read_text()):
        assert "name: small\n" in text
        assert re.search(r"^data:\n(  .*\n)*?  people: 7$", text, re.MULTILINE)
        assert score in text
        assert "(study data describe " in text


def test_another_objective_than_the_score_has_no_note_on_it(new_record: NewRecord) -> None:
    assert content_of(new_record(objective={"metric": "val/ade"})).objective_note is None


def test_a_study_without_a_trial_has_a_report_too(new_record: NewRecord, tmp_path: Path) -> None:
    for language in LANGUAGES:
        page = write_report(new_record(), language, tmp_path / language)
        assert Words(language)("motion_none") in page.read_text()
        assert Words(language)("no_verdict_yet", arms=Words(language).arms(["gt", "paper", "none"])) in page.read_text()


def test_page_and_markdown_say_the_same(new_study: NewStudy, tmp_path: Path) -> None:
    record = new_study(gt=0.4)
    page, content = write_report(record, "en", tmp_path), content_of(record)
    texts = (html.unescape(page.read_text()), (tmp_path / "report.md").read_text())
    sentences = [answer.sentence for answer in content.answers] + content.findings
    sentences += [detail.text for detail in content.answers[0].details]
    assert len(sentences) > 2
    for text in texts:
        assert all(sentence in text for sentence in sentences)
        assert record.plan["data_digest"] in text
        assert record.plan_digest() in text


def test_the_facts_tell_how_many_people_and_clips_each_split_has(new_record: NewRecord) -> None:
    record = new_record(people_tested=1)
    assert ("test split", "people 1, clips 2, windows 9") in content_of(record).facts
    assert ("insieme di test", "persone 1, sequenze 2, finestre 9") in content_of(record, "it").facts


def test_text_of_the_record_cannot_become_part_of_the_page(
    new_record: NewRecord, add_trial: AddTrial, tmp_path: Path
) -> None:
    record = new_record(question="</script><script>alert(1)</script> a | b")
    add_trial(record, "gt", "t00", [], state=None).close("failed", None, "</script><b>torn | apart</b>", "crashed")
    page = write_report(record, "en", tmp_path).read_text()
    assert "<script>alert(1)" not in page
    assert "<b>torn" not in page
    markdown = (tmp_path / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if "torn" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "&lt;b&gt;torn" in row
    assert markdown.splitlines()[0] == "# &lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; a | b"


def test_a_question_of_several_lines_is_one_heading_and_its_marks_are_letters(
    new_record: NewRecord, tmp_path: Path
) -> None:
    claim = {"name": "`gt` *really* & <i>truly</i>", "candidate": "gt", "metrics": ["ade"]}
    record = new_record(question="Can\n# gt *replace* both?\n", claims=[claim])
    write_report(record, "en", tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == r"# Can # gt \*replace\* both?"
    assert r"### \`gt\` \*really\* &amp; &lt;i&gt;truly&lt;/i&gt;" in lines
    assert r"- \`gt\` \*really\* &amp; &lt;i&gt;truly&lt;/i&gt;: no verdict yet" in compare(record).markdown()


def test_a_study_file_with_fences_of_its_own_stays_one_block(new_record: NewRecord, tmp_path: Path) -> None:
    record = new_record()
    record.paths.source.write_text("# ```\n# <b>a comment</b>\n# ````\nname: small\n")
    write_report(record, "en", tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "`````yaml\n# ```\n# <b>a comment</b>\n# ````\nname: small\n`````\n" in text
    # The plan below has none, and keeps the usual ones.
    assert text.count("\n```yaml\n") == 1


def test_an_error_of_zero_of_who_stands_still_is_nothing_to_compare_with(new_study: NewStudy, tmp_path: Path) -> None:
    """Recordings in which nobody moves."""
    record = new_study(gt=0.4)
    record.write_baselines({"zero_velocity": dict.fromkeys(METRICS, 0.0)})
    comparison = compare(record)
    assert {arm.beats(comparison.baselines["zero_velocity"]) for arm in comparison.arms.values()} == {None}
    assert [row[-1] for row in comparison.rows()] == ["-", "-", "-", ""]
    write_report(record, "en", tmp_path)
    assert [row.against for row in content_of(record).arms] == ["–", "–", "–", ""]


def test_no_claim_and_no_curve_are_drawn_without_a_warning(new_record: NewRecord) -> None:
    record = new_record(claims=[])
    figures = build_figures(record, compare(record), None)
    draw_verdicts(Canvas().add_subplot(), frame(figures["forest"]), Words("en"))
    draw_pareto(Canvas().add_subplot(), frame(figures["pareto"]), Words("en"))


def test_every_figure_has_a_csv_with_every_digit(new_study: NewStudy, tmp_path: Path) -> None:
    record = new_study(gt=0.4)
    write_report(record, "it", tmp_path)
    comparison = compare(record)
    names = set(build_figures(record, comparison, None))
    assert {path.stem for path in tmp_path.glob("*.csv")} == names
    with (tmp_path / "arms_members.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["arm"], row["metric"]) == ("gt", "test/ade")]
    assert [float(row["value"]) for row in rows] == list(comparison.arms["gt"].metrics["test/ade"].members)
    with (tmp_path / "forest_seeds.csv").open() as file:
        differences = [float(row["difference"]) for row in csv.DictReader(file)]
    assert sum(differences) / 3 == pytest.approx(comparison.claims[0].metrics[0].difference)


def test_numbers_that_do_not_exist_are_empty_cells_and_null() -> None:
    figure = Figure("some", ("name", "number"), [("one", math.nan), ("two", None), ("three", 0.1234567)])
    assert figure.csv() == "name,number\none,\ntwo,\nthree,0.1234567\n"
    assert json.dumps(figure.to_json()["rows"], allow_nan=False) == '[["one", null], ["two", null], ["three", 0.12346]]'


def test_failures_are_counted_by_arm_and_cause(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for trial in ("t00", "t01"):
        add_trial(record, "gt", trial, [], state=None).close("failed", None, "killed by signal 9", "crashed")
    figures = build_figures(record, compare(record), None)
    assert [tuple(row) for row in figures["failures"].rows] == [
        ("gt", "fail_trial", "crashed", 2, "gt/t00: killed by signal 9")
    ]
    assert content_of(record).failures == [["gt", "trial failed: process crashed", "2", "gt/t00: killed by signal 9"]]
    assert content_of(record, "it").failures[0][1] == "prova fallita: processo caduto"


def test_the_parameter_that_decides_is_the_most_important() -> None:
    generator = np.random.default_rng(0)
    parameters = {name: FloatParameter(type="float", min=0.0, max=1.0, default=0.5) for name in ("idle", "decisive")}
    points = [{name: float(generator.random()) for name in parameters} for _ in range(30)]
    shares = parameter_importances(parameters, [(point, point["decisive"] ** 2) for point in points])
    assert list(shares) == ["decisive", "idle"]
    assert shares["decisive"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_importances_of_many_trials_are_of_some_from_the_first_to_the_last() -> None:
    generator = np.random.default_rng(0)
    parameters = {name: FloatParameter(type="float", min=0.0, max=1.0, default=0.5) for name in ("idle", "decisive")}
    points = [{name: float(generator.random()) for name in parameters} for _ in range(3 * MOST_TRIALS)]
    trials = [(point, point["decisive"] ** 2) for point in points]
    assert parameter_importances(parameters, trials) == parameter_importances(parameters, trials[::3])
    assert parameter_importances(parameters, trials) != parameter_importances(parameters, trials[:MOST_TRIALS])


def test_few_or_equal_trials_have_no_importances() -> None:
    parameters = {"one": FloatParameter(type="float", min=0.0, max=1.0, default=0.5)}
    trials = [({"one": index / 10}, float(index)) for index in range(ENOUGH_TRIALS)]
    assert parameter_importances(parameters, trials) == {"one": 1.0}
    assert parameter_importances(parameters, trials[1:]) == {}
    assert parameter_importances(parameters, [(point, 1.0) for point, _ in trials]) == {}
    assert parameter_importances({}, [({}, objective) for _, objective in trials]) == {}


def test_motions_travel_in_millimetres_and_mark_what_is_not_finite() -> None:
    motion = np.array([[0.0004, -1.2345, 2.0], [math.nan, math.inf, 99.0]])
    back = np.frombuffer(base64.b64decode(packed(motion)), "<i2").reshape(2, 3)
    assert back.tolist() == [[0, -1234, 2000], [NOT_FINITE, NOT_FINITE, 32767]]


def test_stretch_is_measured_against_the_last_observed_pose() -> None:
    pose = np.random.default_rng(1).normal(size=(25, 3))
    past = np.stack([pose * 3, pose])[None]
    longer = np.stack([pose, pose * 1.1])[None, None]
    motions = Motions(References(past, longer[:, 0], "kinect_v2", 10.0), {"gt": longer})
    rows = [row for row in motions.stretch() if row[0] == "gt"]
    assert [row[:5] for row in rows] == [("gt", 1, 1, 1, 0.1), ("gt", 1, 1, 2, 0.2)]
    assert np.array(rows)[:, 5:].astype(float) == pytest.approx(np.array([[0, 0], [0.1, 0.1]]))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    assert ENGLISH.keys() == ITALIAN.keys()
    assert {key for key in ENGLISH if placeholders(ENGLISH[key]) != placeholders(ITALIAN[key])} == set()
    same = {key for key in ENGLISH if ENGLISH[key] == ITALIAN[key]}
    assert same <= SHARED


def test_the_command_offers_the_languages_that_there_are() -> None:
    annotation = typing.get_type_hints(cli.report)["lang"]
    assert set(typing.get_args(annotation)) == set(LANGUAGES)


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    templates = [path.read_text() for path in sorted((REPORT / "templates").glob("*.j2"))]
    sources = [path.read_text() for path in sorted(REPORT.glob("*.py")) if path.name != "words.py"]
    assert (len(templates), len(sources)) == (2, 6)
    scripts = [asset(name) for name in SCRIPTS]
    everything = "\n".join([*templates, *sources, *scripts])
    named = set(re.findall(r'(?:words|say)\(\s*"(\w+)"\s*[,)]', everything)) | set(
        re.findall(r"\bwords\.(\w+)\b(?!\()", "\n".join(scripts))
    )
    assert len(named) > 60
    assert named <= ENGLISH.keys()
    quoted = set(re.findall(r'"(\w+)"', everything)) | named
    prefixes = tuple(re.findall(r'"(\w+_)"', everything)) + tuple(re.findall(r'"(\w+_)\{', everything))
    own = {"and"}  # spoken by Words itself
    assert {key for key in ENGLISH if key not in quoted | own and not key.startswith(prefixes)} == set()


def test_templates_hold_no_words_of_their_own() -> None:
    for path in sorted((REPORT / "templates").glob("*.j2")):
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(), flags=re.DOTALL)
        text = re.sub(r"<(?:[^<>]|\n)*>|```yaml|\.csv|\(\w+\.png\)|`[\w.]+`|[−+]25 %", "", text)
        assert set(re.findall(r"[^\W\d_]+", text)) <= {"z"}, path.name


def test_numbers_are_written_as_each_language_does() -> None:
    assert Words("en").percent(-0.0123) == "−1.2 %"
    assert Words("it").percent(0.5) == "50 %"
    assert Words("it").number(1234.5, ".1f") == "1234,5"
    assert Words("it").listed(["a", "b", "c"]) == "a, b e c"
    assert Words("en").listed(["a"]) == "a"


def test_vendored_libraries_are_the_ones_that_their_readme_names() -> None:
    readme = (REPORT / "vendor" / "README.md").read_text()
    rows = re.findall(r"\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|", readme)
    assert {name for name, _ in rows} == {path.name for path in (REPORT / "vendor").glob("*.js")}
    for name, digest in rows:
        assert hashlib.sha256((REPORT / "vendor" / name).read_bytes()).hexdigest() == digest
        assert (REPORT / "vendor" / f"{name.split('.')[0]}.LICENSE").exists()


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_the_expected_best_of_n_is_told_where_trials_are_independent(
    new_record: Callable[..., Record], add_trial: Callable[..., Trial], goal: str
) -> None:
    search = {"trials_per_arm": 4, "members": 2, "epochs": 4, "pruner": {"name": "none"}}
    record = new_record(
        search=search | {"sampler": {"name": "random"}}, objective={"metric": "val/score", "goal": goal}
    )
    for number, value in enumerate((9.0, 0.5, 0.3, 0.7)):
        add_trial(record, "gt", f"t{number:02d}", [value])
    rows = build_figures(record, compare(record), None)["best_of_n"].rows
    best = (
        {1: 0.5, 2: (0.3 + 0.3 + 0.5) / 3, 3: 0.3} if goal == "minimize" else {1: 0.5, 2: (0.5 + 0.7 + 0.7) / 3, 3: 0.7}
    )
    # The first trial is the default, which nobody has drawn.
    assert [(arm, n, pytest.approx(value)) for arm, n, value in rows] == [("gt", n, best[n]) for n in (1, 2, 3)]


def test_the_expected_best_of_thousands_is_told_at_some_sizes_from_one_to_all(
    new_record: Callable[..., Record], add_trial: Callable[..., Trial]
) -> None:
    search = {"trials_per_arm": 1, "members": 2, "epochs": 4, "pruner": {"name": "none"}}
    sampled = {"hidden_size": {"type": "int", "min": 8, "max": 32, "default": 16}}
    record = new_record(search=search | {"sampler": {"name": "random"}}, parameters=sampled)
    for number in range(3 * SIZES_TOLD):
        add_trial(record, "gt", f"t{number:02d}", [1 / (1 + number)])
    rows = build_figures(record, compare(record), None)["best_of_n"].rows
    sizes, best = [row[1] for row in rows], [row[2] for row in rows]
    assert sizes[:3] == [1, 2, 3]
    assert sizes[-1] == 3 * SIZES_TOLD - 1
    assert len(sizes) <= SIZES_TOLD
    assert best == sorted(best, reverse=True)
    assert best[-1] == pytest.approx(1 / (3 * SIZES_TOLD))


def test_trials_that_a_sampler_chose_by_results_have_no_expected_best(
    new_record: Callable[..., Record], add_trial: Callable[..., Trial]
) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    add_trial(record, "gt", "t01", [0.4])
    assert not build_figures(record, compare(record), None)["best_of_n"].rows
