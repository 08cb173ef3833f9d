"""From YAML to a checked StudyFile, and every way in which that ends in a message."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hpgan_core import metrics
from hpgan_core.data.split import BY_SUBJECT
from study.errors import BadStudyInput
from study.reading import read_study_file
from study.space import Space, first_values
from study.study_file import NoPruning, Split, StudyFile, SuccessiveHalving

METRICS = {name: metrics.METRICS[name] for name in ("ade", "fde", "apd", "bone_error", "jerk_ratio", "score")}
SHORT = "parameters:\n  hidden_size: {type: int, min: 8, max: 64, default: 16}\n"
# Arms, reference and a parameter: what most tests build on.
BASE = SHORT + "arms: {none: [], gt: [gt], paper: [consistency, bone]}\nreference: paper\n"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "s.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def problems(path: Path, *overrides: str, data_root: Path | None = None) -> list[str]:
    """What is wrong with a file, without the folder of the test."""
    with pytest.raises(BadStudyInput) as caught:
        read_study_file(path, overrides, data_root, METRICS)
    return [problem.replace(f"{path.parent}{os.sep}", "") for problem in caught.value.problems]


class TestReading:
    def test_short_file_is_a_one_arm_study_named_after_its_file(self, write: Write) -> None:
        study_file = read_study_file(write(SHORT + "objective: {metric: val/ade}\nbudget: {trials: 20}\n"))
        assert study_file.name == "s"
        assert study_file.arms == {"paper": ("consistency", "bone")}
        assert study_file.trials_per_arm() == study_file.n_trials() == 20
        assert study_file.data.dataset == "synthetic"
        assert study_file.objective.goal == "minimize"

    def test_counts_follow_from_the_sections(self, write: Write) -> None:
        study_file = read_study_file(
            write(BASE + "search: {trials_per_arm: 4, members: 3, epochs: 10}\nconfirm: {members: 6, epochs: 20}\n")
        )
        assert study_file.trials_per_arm() == 4
        assert study_file.n_trials() == 12
        assert study_file.search_member_epochs() == 12 * 3 * 10
        assert study_file.confirm_epochs() == 20
        assert study_file.confirm_member_epochs() == 3 * 6 * 20

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", 10),
            ("budget: {trials: 11}", 3),
            ("budget: {trials: 11}\nsearch: {trials_per_arm: 2}", 2),
            ("budget: {trials: 11}\nsearch: {trials_per_arm: 9}", 3),
        ],
    )
    def test_arms_share_the_budget_equally_and_never_exceed_it(self, write: Write, text: str, expected: int) -> None:
        assert read_study_file(write(BASE + text)).trials_per_arm() == expected

    def test_confirm_is_as_long_as_the_search_unless_said_otherwise(self, write: Write) -> None:
        assert read_study_file(write(BASE + "search: {epochs: 7}")).confirm_epochs() == 7

    def test_confirm_can_be_left_out(self, write: Write) -> None:
        study_file = read_study_file(write(BASE + "confirm: null"))
        assert study_file.confirm is None
        assert study_file.confirm_epochs() == study_file.confirm_member_epochs() == 0

    def test_pruner_is_read_by_its_name(self, write: Write) -> None:
        text = "search: {pruner: {name: successive_halving, grace_epochs: 2, reduction_factor: 4}}"
        pruner = read_study_file(write(BASE + text)).search.pruner
        assert pruner == SuccessiveHalving(name="successive_halving", grace_epochs=2, reduction_factor=4)
        assert isinstance(read_study_file(write(BASE + "search: {pruner: {name: none}}")).search.pruner, NoPruning)

    def test_claim_takes_reference_and_gate_from_the_study(self, write: Write) -> None:
        study_file = read_study_file(write(BASE + "claims: [{name: a, candidate: gt, metrics: [ade]}]"))
        (claim,) = study_file.claims
        assert (claim.keep, claim.margin, claim.alpha) == (0.5, None, 0.05)
        assert (claim.guardrails.diversity, claim.guardrails.diverged) == (0.8, 0.2)
        assert (study_file.reference_of(claim), study_file.gate_of(claim)) == ("paper", "none")

    def test_claim_may_name_its_own_reference_and_gate(self, write: Write) -> None:
        arms = "arms: {none: [], gt: [gt], bone: [bone], paper: [consistency, bone]}\nreference: paper\n"
        claims = "claims: [{name: a, candidate: bone, reference: paper, gate: gt, metrics: [ade]}]"
        study_file = read_study_file(write(SHORT + arms + claims))
        assert study_file.gate_of(study_file.claims[0]) == "gt"

    def test_study_file_cannot_be_changed(self, write: Write) -> None:
        study_file = read_study_file(write(BASE))
        with pytest.raises(ValueError, match="frozen"):
            study_file.name = "other"  # type: ignore[misc]

    def test_canonical_form_survives_json_and_writes_defaults_out(self, write: Write) -> None:
        study_file = read_study_file(write(BASE + "data: {dataset: ntu_rgbd, root: here, max_action: null}"))
        canonical = study_file.canonical()
        assert StudyFile.from_canonical(json.loads(json.dumps(canonical))) == study_file
        assert canonical["search"]["epochs"] == 30
        assert canonical["data"]["max_action"] is None
        assert list(canonical["arms"]) == ["none", "gt", "paper"]

    def test_changed_canonical_form_is_refused_by_its_keys(self, write: Write) -> None:
        canonical = read_study_file(write(BASE)).canonical()
        canonical["search"]["epoch"] = canonical["search"].pop("epochs")
        with pytest.raises(BadStudyInput, match=r"^search\.epoch: key 'epoch' is unknown; did you mean 'epochs'\?"):
            StudyFile.from_canonical(canonical)

    def test_reading_needs_neither_torch_nor_ray_nor_a_reader_at_import(self) -> None:
        program = "import sys, study.reading; print({'torch', 'ray', 'optuna', 'mlflow', 'numpy'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


class TestProblems:
    def test_all_problems_of_a_file_are_told_at_once(self, write: Write) -> None:
        path = write("""\
            name: bad name
            question: 3
            preset: recommnded
            data: {dataset: synthetic, pepole: 3}
            arms:
              none: []
              gt: [gtt]
              paper: [consistency, bone]
              original: [bone, consistency]
              Paper: [bone]
            reference: papr
            training: {batch_siz: 3, epochs: 3, hidden_size: 16, lambda_gp: yes, batch_size: 0, gt_weight: 2}
            parameters:
              critic_iterations: {type: int, min: 1, max: 10, default: 11}
              hidden_size: {type: categorical, values: [64, 128, 64], default: 32}
              lambda_g: {type: float, min: 0.1, max: 1, default: 0.5}
              critic_size: {type: float, min: 8, max: 16, default: 8}
              adam_beta1: {type: float, min: 0, max: 1, log: true, default: 0.5, values: 3}
              z_size: {min: 3}
              z_distribution: {type: categorical, values: [uniform, norml], default: uniform}
              bone_weight: {type: float, min: 1, max: 1e9, default: 1e8, when: gt}
              averaging: {type: floot}
              epochs: {type: int, min: 1, max: 9, default: 3}
            search: {trails_per_arm: 3, sampler: {name: tpee}, epochs: "30"}
            confirm: {members: 0}
            objective: {metric: val/scor}
            claims:
              - {name: a, candidate: gtx, metrics: []}
              - {name: b, candidate: nope, metrics: [ade, adee], foo: 3}
              - {name: b, candidate: none, reference: paper, metrics: [ade, ade]}
            budget: {trials: 2}
            resources: {gpus_per_trial: 1.5}
            tracking: {uri: "http://me:secret@host/"}  # pragma: allowlist secret
            search: {}
            """)
        found = problems(path, "confirm.members=-1", "serch.epochs=3")
        # What is known follows each unknown name; a test below looks at it.
        assert [problem.partition(" (known: ")[0] for problem in found] == [
            "--set confirm.members=-1: confirm.members: must be 1 or more, found -1",
            "--set serch.epochs=3: serch: key 'serch' is unknown; did you mean 'search'?",
            "s.yaml:1: name: must be 1 to 64 letters, digits, _ . or -, the first a letter or digit, found 'bad name'",
            "s.yaml:2: question: must be text, found 3",
            "s.yaml:3: preset: preset 'recommnded' is unknown; did you mean 'recommended'?",
            "s.yaml:4: data.pepole: option of synthetic 'pepole' is unknown; did you mean 'people'?",
            "s.yaml:7: arms.gt.0: loss 'gtt' is unknown; did you mean 'gt'?",
            "s.yaml:9: arms.original: must differ from every other arm, found the losses of 'paper'",
            "s.yaml:10: arms.Paper: must differ from 'paper' in more than case, since arms become folders",
            "s.yaml:11: reference: arm 'papr' is unknown; did you mean 'paper'?",
            "s.yaml:12: training.batch_siz: setting 'batch_siz' is unknown; did you mean 'batch_size'?",
            "s.yaml:12: training.batch_size: must be from 1 to 65536, found 0",
            "s.yaml:12: training.epochs: is no fixed setting: search.epochs and confirm.epochs give it",
            "s.yaml:12: training.lambda_gp: must be a number, found 'yes'",
            "s.yaml:14: parameters.critic_iterations.default: must be a whole number from 1 to 10, found 11",
            "s.yaml:15: parameters.hidden_size.default: must be one of 64, 128, 64, found 32",
            "s.yaml:15: parameters.hidden_size.values.2: must be listed once, found 64 again",
            "s.yaml:16: parameters.lambda_g: setting 'lambda_g' is unknown; did you mean 'lambda_gp'?",
            "s.yaml:17: parameters.critic_size.type: must be int or categorical, since critic_size is a whole number, "
            "found float",
            "s.yaml:18: parameters.adam_beta1.min: must be above 0, since log is true, found 0.0",
            "s.yaml:18: parameters.adam_beta1.values: key 'values' is unknown",
            "s.yaml:19: parameters.z_size.type: is required",
            "s.yaml:20: parameters.z_distribution.values.1: z_distribution 'norml' is unknown; did you mean 'normal'?",
            "s.yaml:21: parameters.bone_weight.default: must be from 0.0 to 1000000.0, found 100000000.0",
            "s.yaml:21: parameters.bone_weight.max: must be from 0.0 to 1000000.0, found 1000000000.0",
            "s.yaml:21: parameters.bone_weight.when: must be bone, the loss that bone_weight belongs to, found gt",
            "s.yaml:22: parameters.averaging.type: type 'floot' is unknown; did you mean 'float'?",
            "s.yaml:23: parameters.epochs: is no parameter: set search.epochs and confirm.epochs",
            "s.yaml:26: objective.metric: metric 'scor' is unknown; did you mean 'score'?",
            "s.yaml:28: claims.0.metrics: must not be empty",
            "s.yaml:29: claims.1.candidate: arm 'nope' is unknown; did you mean 'none'?",
            "s.yaml:29: claims.1.foo: key 'foo' is unknown",
            "s.yaml:29: claims.1.metrics.1: metric 'adee' is unknown; did you mean 'ade'?",
            "s.yaml:30: claims.2.metrics.1: must be named once, found 'ade' again",
            "s.yaml:30: claims.2.name: must differ between claims, found 'b' again",
            "s.yaml:30: claims.2: must name three arms, found candidate 'none', reference 'paper', gate 'none'",
            "s.yaml:31: budget.trials: must be 5 or more, one an arm, found 2",
            "s.yaml:32: resources.gpus_per_trial: must be whole above 1, found 1.5",
            "s.yaml:33: tracking.uri: must hold no password or token, which would end up in the record: "
            "use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, found 'http://***@host/'",
            "s.yaml:34: search: repeats the key of line 24",
        ]

    def test_unknown_names_of_the_search_are_told_with_the_known_ones(self, write: Write) -> None:
        text = """\
            search:
              trails_per_arm: 3
              sampler: {name: tpee}
              pruner: {name: median, reduction_factor: 3}
              epochs: "30"
              members: 2.0
            """
        assert problems(write(BASE + textwrap.dedent(text))) == [
            "s.yaml:6: search.trails_per_arm: key 'trails_per_arm' is unknown; did you mean 'trials_per_arm'? "
            "(known: trials_per_arm, members, epochs, sampler, pruner, enqueue, warm_start)",
            "s.yaml:7: search.sampler.name: sampler 'tpee' is unknown; did you mean 'tpe'? "
            "(known: tpe, random, qmc, gp, cmaes, grid)",
            "s.yaml:8: search.pruner.reduction_factor: key 'reduction_factor' is unknown (known: name, grace_epochs)",
            "s.yaml:9: search.epochs: must be a whole number, found '30'",
            "s.yaml:10: search.members: must be a whole number, found 2.0",
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "search: {pruner: {grace_epochs: 3}}",
                "pruner.name: is required (known: successive_halving, hyperband, median, wilcoxon, none)",
            ),
            (
                "search: {pruner: {name: asha}}",
                "pruner 'asha' is unknown (known: successive_halving, hyperband, median, wilcoxon, none)",
            ),
            ("search: {pruner: none}", "search.pruner: must be a mapping, found 'none'"),
            ("search:", "search: must be a mapping, found nothing"),
            ("search: {sampler: {seed: 4294967296}}", "sampler.seed: must be below 4294967296, found 4294967296"),
            ("confirm: {members: true}", "confirm.members: must be a whole number, found true"),
            ("confirm: {epochs: 9999999}", "confirm.epochs: must be 1000000 or less, found 9999999"),
            ("budget: {wall_time_s: .inf}", "budget.wall_time_s: must be a finite number, found inf"),
            ("budget: {trials: 2}", "budget.trials: must be 3 or more, one an arm, found 2"),
            ("objective: {goal: minimise}", "goal 'minimise' is unknown; did you mean 'minimize'?"),
            ("objective: {metric: ade}", "must be val/ and the name of a metric, such as val/score, found 'ade'"),
            ("objective: {metric: test/ade}", "must be val/ and the name of a metric, such as val/score"),
            ("data: {dataset: ntu}", "data.dataset: data set 'ntu' is unknown"),
            ("data: {dataset: ntu_rgbd}", "data.dataset: ntu_rgbd needs the option 'root'"),
            ("data: {people: many}", "data.people: option 'people' of synthetic must be a whole number, found 'many'"),
            ("data: {people: [1]}", "data.people: must be a finite number, text, true or false, found a list"),
            ("data: {split: {validation: 0.5, test: 0.5}}", "split.test: must leave people to train on"),
            (
                "data: {split: {validation: 0.8}}",
                "split.test: must leave people to train on: validation and test make 1",
            ),
            ("data: {split: {test: 0}}", "data.split.test: must be above 0.0, found 0"),
            (
                "data: {split: {protocol: ntu60_cross_subjct}}",
                "data.split.protocol: protocol 'ntu60_cross_subjct' is unknown; did you mean 'ntu60_cross_subject'?",
            ),
            (
                "data: {split: {protocol: human36m, test: 0.2}}",
                "data.split.test: must be left out, since human36m says who tests",
            ),
            ("training: {losses: [gt]}", "training.losses: is no fixed setting: arms give it"),
            ("training: {hidden_size: 4}", "training.hidden_size: is searched as well, under parameters"),
            ("training: {batch_size: [4]}", "training.batch_size: must be a whole number, found [4]"),
            ("claims: [{name: '', candidate: gt, metrics: [ade]}]", "claims.0.name: must not be empty"),
            ("claims: [{name: a, metrics: [ade]}]", "claims.0.candidate: is required"),
            ("claims: {name: a}", "claims: must be a list, found a mapping"),
            (
                "claims: [{name: a, candidate: gt, metrics: [ade], keep: 1}]",
                "claims.0.keep: must be below 1.0, found 1",
            ),
            (
                "claims: [{name: a, candidate: gt, metrics: [ade], keep: 0.5, margin: 0.1}]",
                "claims.0.keep: must be given, or `margin`, one of the two, found both",
            ),
            (
                "claims: [{name: a, candidate: gt, metrics: [ade], keep: null}]",
                "claims.0.keep: must be given, or `margin`, one of the two, found neither",
            ),
            (
                "claims: [{name: a, candidate: gt, metrics: [ade], margin: 0}]",
                "claims.0.margin: must be above 0.0, found 0",
            ),
            (
                "claims: [{name: a, candidate: gt, metrics: [ade], guardrails: {diversity: 1.5}}]",
                "claims.0.guardrails.diversity: must be below 1.0, found 1.5",
            ),
            (
                "claims: [{name: a, candidate: gt, metrics: [ade], guardrails: {apd: 0.8}}]",
                "claims.0.guardrails.apd: key 'apd' is unknown",
            ),
            ("confirm: null\nclaims: [{name: a, candidate: gt, metrics: [ade]}]", "confirm: must not be null"),
            ("tracking: {experiment: ''}", "tracking.experiment: must not be empty"),
            (f"question: [{'x' * 100}]", "question: must be text, found a list"),
            (f"reference: {'x' * 100}", "reference: arm 'xxx"),
        ],
    )
    def test_each_value_says_what_must_hold(self, write: Write, text: str, expected: str) -> None:
        base = BASE.replace("reference: paper\n", "") if text.startswith("reference") else BASE
        (found,) = problems(write(base + text))
        assert expected in found
        assert found.startswith("s.yaml:")

    @pytest.mark.parametrize(
        ("arms", "expected"),
        [
            ("{}", "arms: must not be empty"),
            ("{../up: []}", "arms.../up: must be 1 to 64 letters, digits, _ + . or -"),
            ("{.: []}", "arms..: must be 1 to 64"),
            ("{'': []}", "arms.: must be 1 to 64"),
            ("{a: gt}", "arms.a: must be a list, found 'gt'"),
            ("{a: [gt, gt]}", "arms.a.1: must be named once, found 'gt' again"),
            ("{a: [3]}", "arms.a.0: must be text, found 3"),
        ],
    )
    def test_arms_are_folders_of_known_losses(self, write: Write, arms: str, expected: str) -> None:
        (found,) = problems(write(SHORT + f"arms: {arms}"))
        assert expected in found

    @pytest.mark.parametrize(
        ("claim", "expected"),
        [
            ("candidate: gt", "claims.0.reference: is required, since the study names no reference either"),
            ("candidate: gt, reference: bone", "claims.0.gate: is required, since there is no arm without losses"),
            ("candidate: gt, reference: bone, gate: both", "must be an arm without the losses of 'bone', found 'both'"),
            ("candidate: bone, reference: bone, gate: gt", "claims.0: must name three arms, found candidate 'bone'"),
            ("candidate: gt, reference: bone, gate: nun", "claims.0.gate: arm 'nun' is unknown"),
        ],
    )
    def test_claim_needs_a_reference_and_a_gate_without_its_losses(
        self, write: Write, claim: str, expected: str
    ) -> None:
        arms = "arms: {gt: [gt], bone: [bone], both: [gt, bone]}\n"
        found = problems(write(SHORT + arms + f"claims: [{{name: a, metrics: [ade], {claim}}}]"))
        assert any(expected in problem for problem in found)

    @pytest.mark.parametrize(
        "weight", ["training: {gt_weight: 1}", "parameters: {gt_weight: {type: float, min: 1, max: 2, default: 1}}"]
    )
    def test_weight_of_a_loss_that_no_arm_has_is_refused(self, write: Write, weight: str) -> None:
        base = SHORT if weight.startswith("training") else ""
        (found,) = problems(write(base + "arms: {bone: [bone]}\n" + weight))
        assert "gt_weight: has no effect, since no arm has the loss 'gt': remove it" in found

    def test_weight_is_not_to_be_removed_because_of_a_misspelt_loss(self, write: Write) -> None:
        (found,) = problems(write(SHORT + "arms: {none: [], bone: [bnoe]}\ntraining: {bone_weight: 1}"))
        assert "did you mean 'bone'?" in found

    def test_study_without_parameters_needs_one_trial_an_arm(self, write: Write) -> None:
        assert problems(write("question: nothing to search\n")) == [
            "s.yaml: search.trials_per_arm: must be 1 without parameters, or the 10 trials of an arm are all the same"
        ]
        assert read_study_file(write("search: {trials_per_arm: 1}")).n_trials() == 1

    def test_an_arm_without_parameters_repeats_no_trial(self, write: Write) -> None:
        text = "arms:\n  none: []\n  gt: [gt]\nparameters:\n"
        text += "  gt_weight: {type: float, min: 1, max: 3, step: 1, default: 1}\n"
        assert problems(write(text + "search: {trials_per_arm: 12}")) == [
            "s.yaml:2: arms.none: must have a parameter, or its 12 trials are all the same: search a setting that "
            "every arm has, or take the sampler grid, which runs each combination once"
        ]
        assert read_study_file(write(text + "search: {trials_per_arm: 1}")).n_trials() == 2
        assert read_study_file(write(text + "search: {sampler: {name: grid}}")).n_trials() == 4

    def test_broken_arm_does_not_make_a_sound_claim_look_wrong(self, write: Write) -> None:
        arms = "arms: {none: [], gt: 3, paper: [bone]}\nreference: gt\n"
        claim = "claims: [{name: a, candidate: gt, reference: paper, metrics: [ade]}]\n"
        assert problems(write(SHORT + arms + claim)) == ["s.yaml:3: arms.gt: must be a list, found 3"]

    def test_an_objective_has_the_goal_of_its_metric(self, write: Write) -> None:
        for metric, goal in (("val/ade", "minimize"), ("val/apd", "maximize")):
            for text in (f"{{metric: {metric}}}", f"{{metric: {metric}, goal: {goal}}}"):
                read = read_study_file(write(BASE + f"objective: {text}"), metrics=METRICS)
                assert (read.objective.metric, read.objective.goal) == (metric, goal)
        both = read_study_file(write(BASE + "objectives: [{metric: val/ade}, {metric: val/apd}]"), metrics=METRICS)
        assert [objective.goal for objective in both.objectives] == ["minimize", "maximize"]

    def test_an_objective_that_makes_its_metric_worse_is_refused(self, write: Write) -> None:
        text = "objectives:\n  - {metric: val/ade, goal: maximize}\n  - {metric: val/apd, goal: minimize}\n"
        assert problems(write(BASE + text + "objective: {metric: val/jerk_ratio}")) == [
            "s.yaml:6: objectives.0.goal: must be minimize, since less of val/ade is better, found maximize",
            "s.yaml:7: objectives.1.goal: must be maximize, since more of val/apd is better, found minimize",
            "s.yaml:8: objective.metric: must be one of which less or more is better: val/jerk_ratio is best at 1, "
            "as val/score takes it into account",
        ]

    def test_one_metric_has_one_goal(self, write: Write) -> None:
        text = "objectives: [{metric: val/own, goal: maximize}, {metric: val/ade}]\nobjective: {metric: val/own}"
        with pytest.raises(
            BadStudyInput, match=r"objectives\.0\.goal: must be minimize, as of the objective, which has"
        ):
            read_study_file(write(BASE + text))

    def test_metrics_are_not_checked_without_their_names(self, write: Write) -> None:
        assert read_study_file(write(BASE + "objective: {metric: val/anything}")).objective.metric == "val/anything"

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("", "s.yaml: must be a mapping of keys to values, found nothing"),
            ("- a\n", "s.yaml: must be a mapping of keys to values, found a list"),
            ("just text\n", "s.yaml: must be a mapping of keys to values, found 'just text'"),
            ("a: [\n", "s.yaml:2: is not valid YAML: expected the node content, but found '<stream end>'"),
            ("a: 1\nb: *x\n", "s.yaml:2: anchors (&) and aliases (*) are not supported: write the value itself"),
        ],
    )
    def test_what_is_no_mapping_is_one_problem(self, write: Write, content: str, expected: str) -> None:
        assert problems(write(content)) == [expected]

    def test_missing_file_and_folder_are_named(self, tmp_path: Path) -> None:
        assert problems(tmp_path / "no.yaml") == [
            "no.yaml: cannot be read: No such file or directory; give the path of a study file, "
            "or one of gt_loss, ntu60, quick, which come along"
        ]
        (folder,) = problems(tmp_path)
        assert folder.endswith(
            "cannot be read: Is a directory; give the path of a study file, "
            "or one of gt_loss, ntu60, quick, which come along"
        )

    def test_file_whose_name_is_no_study_name_must_say_its_own(self, tmp_path: Path) -> None:
        path = tmp_path / "my s.yaml"
        path.write_text(SHORT)
        (found,) = problems(path)
        assert found.startswith("my s.yaml: name: must be 1 to 64 letters, digits")


SPACE = """\
arms: {none: [], gt: [gt], bone: [bone]}
parameters:
  hidden_size: {type: categorical, values: [16, 32, 64], default: 32, ordered: true}
  critic_iterations: {type: int, min: 1, max: 10, default: 5}
  lambda_gp: {type: float, min: 0.1, max: 100, log: true, default: 10}
  gt_weight: {type: float, min: 0.5, max: 2, step: 0.5, default: 1}
  bone_weight: {type: float, min: 0, max: 1, default: 0.5}
"""


class TestSearch:
    def test_constraints_and_points_are_about_the_arms_that_have_their_parameters(self, write: Write) -> None:
        text = """\
            constraints:
              - hidden_size * critic_iterations <= 320 and not gt_weight > 1
              - max(hidden_size, 8) / critic_iterations >= 2
            search:
              enqueue: [{hidden_size: 64, critic_iterations: 2}, {gt_weight: 0.5}, {}]
            """
        study_file = read_study_file(write(SPACE + textwrap.dedent(text)))
        assert [len(Space.of(study_file, arm).constraints) for arm in study_file.arms] == [1, 2, 1]
        assert [len(first_values(study_file, arm)) for arm in study_file.arms] == [2, 3, 2]

    def test_problems_of_the_search_are_told_at_their_lines(self, write: Write) -> None:
        text = """\
            constraints:
              - hidden_size <=
              - hidden_size * lambda_g <= 3
              - gt_weight < bone_weight
              - hidden_size * critic_iterations <= 100
              - __import__("os").getpid() > 0
              - hidden_size
              - 1 < 2
              - lambda_gp.real > 3
            search:
              trials_per_arm: 2
              members: 3
              sampler: {name: grid}
              pruner: {name: wilcoxon}
              warm_start: earlier
              enqueue:
                - {hidden_siz: 16}
                - {hidden_size: 48, critic_iterations: 11, gt_weight: 0.6}
                - {gt_weight: 1, bone_weight: 1}
                - [3]
                - {hidden_size: [3]}
            """
        found = problems(write(SPACE + textwrap.dedent(text)))
        assert [problem.partition(" (known: ")[0] for problem in found] == [
            "s.yaml:9: constraints.0: must be a comparison, as in `hidden_size * layers <= 4096`, "
            "found 'hidden_size <='",
            "s.yaml:13: constraints.4: \"__import__('os').getpid()\" is not supported",
            "s.yaml:14: constraints.5: must compare, as in `hidden_size <= 128`, found 'hidden_size'",
            "s.yaml:15: constraints.6: must be about a parameter, found '1 < 2'",
            "s.yaml:16: constraints.7: 'lambda_gp.real' is not supported",
            "s.yaml:27: search.enqueue.3: must be a mapping, found a list",
            "s.yaml:28: search.enqueue.4.hidden_size: must be a finite number, text, true or false, found a list",
        ]
        malformed = ("- hidden_size <=\n", "__import__", "- hidden_size\n", "1 < 2", ".real", "[3]")
        lines = textwrap.dedent(text).splitlines(keepends=True)
        sound = "".join(line for line in lines if not any(part in line for part in malformed))
        found = problems(write(SPACE + sound))
        assert [problem.partition(" (known: ")[0] for problem in found] == [
            "s.yaml:5: parameters.lambda_gp.step: is required, since the sampler grid tries every value",
            "s.yaml:7: parameters.bone_weight.step: is required, since the sampler grid tries every value",
            "s.yaml:9: constraints.0: parameter 'lambda_g' is unknown; did you mean 'lambda_gp'?",
            "s.yaml:10: constraints.1: has no effect, since no arm has gt_weight and bone_weight: remove it",
            "s.yaml:11: constraints.2: must hold for the defaults, found hidden_size = 32, critic_iterations = 5",
            "s.yaml:14: search.members: must be 4 or more, or the pruner wilcoxon can never reach its p_threshold, "
            "found 3",
            "s.yaml:17: search.warm_start: has no effect, since the sampler grid does not learn: remove it",
            "s.yaml:19: search.enqueue.0.hidden_siz: parameter 'hidden_siz' is unknown; did you mean 'hidden_size'?",
            "s.yaml:20: search.enqueue.1.critic_iterations: must be a whole number from 1 to 10, found 11",
            "s.yaml:20: search.enqueue.1.gt_weight: must be from 0.5 to 2.0 in steps of 0.5, found 0.6",
            "s.yaml:20: search.enqueue.1.hidden_size: must be one of 16, 32, 64, found 48",
            "s.yaml:21: search.enqueue.2: has no effect, since no arm has gt_weight and bone_weight: remove it",
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "constraints: [hidden_size * critic_iterations <= 320]\n"
                "search: {enqueue: [{hidden_size: 64, critic_iterations: 6}]}",
                "s.yaml:9: search.enqueue.0: must satisfy `hidden_size * critic_iterations <= 320`, "
                "found hidden_size = 64, critic_iterations = 6",
            ),
            (
                "constraints: [lambda_gp == 10]",
                "must be satisfied by 10 or more of 10000 random points, found fewer in none, gt, bone: narrow",
            ),
            (
                "search: {sampler: {name: qmc}}\nconstraints: [gt_weight * lambda_gp < 11, bone_weight == 0.5]",
                "found fewer in bone, all arms together",
            ),
            (
                "search: {trials_per_arm: 2, enqueue: [{hidden_size: 16}, {hidden_size: 64}]}",
                "s.yaml:8: search.enqueue: must fit into the 2 trials of an arm, found 3 with the defaults",
            ),
            (
                "constraints: [hidden_size > 0]\nsearch: {sampler: {name: gp}}",
                "s.yaml:9: search.sampler.name: must be another one than gp, which proposes the same point again",
            ),
            (
                "objectives: [{metric: val/ade}, {metric: val/fde}]\nsearch: {sampler: {name: cmaes}}",
                "s.yaml:9: search.sampler.name: must be another one than cmaes, which has one objective",
            ),
            (
                "objectives: [{metric: val/ade}, {metric: val/fde}]\nsearch: {pruner: {name: median}}",
                "s.yaml:9: search.pruner.name: must be none, since with several objectives no trial is worse",
            ),
            (
                "objectives: [{metric: val/ade}]",
                "s.yaml:8: objectives: must be two or more; one alone is the `objective`",
            ),
            (
                "objectives: [{metric: val/ade}, {metric: val/ade}, {metric: val/adee}]",
                "s.yaml:8: objectives.1.metric: must be named once, found 'val/ade' again",
            ),
            ("search: {warm_start: s}", "s.yaml:8: search.warm_start: must name another study, found this one"),
            (
                "storage: {url: 'postgresql+psycopg://me:secret@host/db'}",  # pragma: allowlist secret
                "s.yaml:8: storage.url: must hold no password, which would end up in the record: use PGPASSWORD",
            ),
            (
                "storage: {url: 'postgresql+psycopg://[::1/db'}",
                "storage.url: 'postgresql+psycopg://[::1/db' is no address",
            ),
            ("storage: {url: 'postgresql+psycopg://me@host:x/db'}", "is no address: Port could not be cast"),
            (
                "tracking: {uri: nonsense}",
                "s.yaml:8: tracking.uri: 'nonsense' must begin with http://, https:// or the",
            ),
            ("tracking: {uri: 'file:///mlruns'}", "tracking.uri: 'file:///mlruns' must begin with http://, https://"),
            ("name: mlflow.db", "s.yaml:8: name: must be another one: mlflow.db is MLflow's own beside the studies"),
            (
                "name: MLartifacts",
                "s.yaml:8: name: must be another one: MLartifacts is MLflow's own beside the studies",
            ),
            (
                "resources: {gpus_per_trial: 0.00004}",
                "s.yaml:8: resources.gpus_per_trial: must be 0, or 0.0001 or more, the least share that Ray counts, "
                "found 4e-05",
            ),
            (
                "search: {enqueue: [{critic_iterations: 2.0}]}",
                "critic_iterations: must be a whole number from 1 to 10, found 2.0",
            ),
            ("tracking: {uri: 'http://'}", "tracking.uri: 'http://' names no host"),
            ("tracking: {uri: 'http://host:fifty'}", "tracking.uri: 'http://host:fifty' is no address: Port could not"),
            ("storage: {url: 'postgresql+psycopg://me@host/db?password=secret'}", "storage.url: must hold no password"),
            (
                "storage: {url: 'postgresql://me:secret@host/db'}",  # pragma: allowlist secret
                "must be postgresql+psycopg://USER@HOST/DATABASE, found 'postgresql://***@host/db'",
            ),
        ],
    )
    def test_each_problem_of_the_search_names_its_line(self, write: Write, text: str, expected: str) -> None:
        found = problems(write(SPACE + text))
        assert expected in found[0]
        assert "secret" not in found[0]

    def test_a_grid_is_run_through_once_in_every_arm(self, write: Write) -> None:
        grid = (
            "arms: {none: [], gt: [gt]}\nsearch: {sampler: {name: grid}}\nparameters:\n"
            "  hidden_size: {type: categorical, values: [16, 32, 64], default: 32}\n"
            "  gt_weight: {type: float, min: 0.5, max: 2, step: 0.5, default: 1}\n"
        )
        study_file = read_study_file(write(grid))
        assert [study_file.trials_of(arm) for arm in study_file.arms] == [3, 12]
        assert (study_file.trials_per_arm(), study_file.n_trials()) == (12, 15)
        part = read_study_file(write(grid + "budget: {trials: 10}"))
        assert [part.trials_of(arm) for arm in part.arms] == [3, 5]
        (found,) = problems(write(grid + "  z_size: {type: int, min: 1, max: 4000, default: 3}\n"))
        assert "search.sampler.name: must be another one than grid, or an arm has 10000 combinations or less" in found

    def test_several_objectives_are_traded_off_and_the_one_picks_the_winner(self, write: Write) -> None:
        text = "objectives: [{metric: val/ade}, {metric: val/apd, goal: maximize}]"
        study_file = read_study_file(write(SPACE + text))
        assert [goal.metric for goal in study_file.goals()] == ["val/ade", "val/apd"]
        assert study_file.objective.metric == "val/score"
        assert isinstance(study_file.pruner(), NoPruning)
        assert StudyFile.from_canonical(study_file.canonical()) == study_file

    def test_one_objective_is_the_goal_and_is_pruned_by(self, write: Write) -> None:
        study_file = read_study_file(write(SPACE))
        assert study_file.goals() == (study_file.objective,)
        assert isinstance(study_file.pruner(), SuccessiveHalving)


class TestOverrides:
    def test_override_is_yaml_and_applied_before_the_check(self, write: Write) -> None:
        overrides = ["search.trials_per_arm=3", "search.pruner={name: none}", "budget.wall_time_s=1e2", "question=a: b"]
        with pytest.raises(BadStudyInput, match="question"):
            read_study_file(write(BASE), overrides)
        study_file = read_study_file(write(BASE), [*overrides[:3], "question=a"])
        assert study_file.search.trials_per_arm == 3
        assert isinstance(study_file.search.pruner, NoPruning)
        assert study_file.budget.wall_time_s == 100.0
        assert study_file.question == "a"

    def test_everything_after_arms_is_the_name_of_an_arm(self, write: Write) -> None:
        study_file = read_study_file(write(BASE), ["arms.gt+bone.v2=[gt, bone]", "arms.gt=[gt, consistency]"])
        assert study_file.arms["gt+bone.v2"] == ("gt", "bone")
        assert study_file.arms["gt"] == ("gt", "consistency")

    def test_a_margin_takes_the_place_of_a_share_to_keep(self, write: Write) -> None:
        claims = "claims: [{name: a, candidate: gt, metrics: [ade], margin: 0.05, guardrails: {diversity: null}}]"
        study_file = read_study_file(write(BASE + claims))
        (claim,) = study_file.claims
        assert (claim.keep, claim.margin, claim.guardrails.diversity) == (None, 0.05, None)
        assert StudyFile.from_canonical(study_file.canonical()) == study_file

    def test_items_of_a_list_are_counted(self, write: Write) -> None:
        claims = "claims: [{name: a, candidate: gt, metrics: [ade]}, {name: b, candidate: gt, metrics: [fde]}]"
        study_file = read_study_file(write(BASE + claims), ["claims.1.keep=0.25", "claims.1.metrics.0=ade"])
        assert [(claim.keep, claim.metrics) for claim in study_file.claims] == [(0.5, ("ade",)), (0.25, ("ade",))]

    def test_override_reopens_a_section_that_the_file_closed(self, write: Write) -> None:
        confirm = read_study_file(write(BASE + "confirm: null"), ["confirm.members=3"]).confirm
        assert confirm is not None
        assert confirm.members == 3

    def test_empty_override_is_null(self, write: Write) -> None:
        assert read_study_file(write(BASE), ["confirm="]).confirm is None

    def test_later_override_wins(self, write: Write) -> None:
        assert read_study_file(write(BASE), ["search.epochs=3", "search.epochs=4"]).search.epochs == 4

    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("search.epoch=3", "--set search.epoch=3: search.epoch: key 'epoch' is unknown; did you mean 'epochs'?"),
            ("search.epochs=many", "--set search.epochs=many: search.epochs: must be a whole number, found 'many'"),
            ("search={epochs: 0}", "--set search={epochs: 0}: search.epochs: must be 1 or more, found 0"),
            ("search.epochs.x=3", "--set search.epochs.x=3: search.epochs has no 'x', it is 5"),
            ("claims.0.keep=1", "--set claims.0.keep=1: claims has no '0', it is an empty list"),
            ("arms.new=[gtt]", "--set arms.new=[gtt]: arms.new.0: loss 'gtt' is unknown; did you mean 'gt'?"),
            ("training.batch_siz=3", "--set training.batch_siz=3: training.batch_siz: setting 'batch_siz' is unknown"),
            ("search.epochs", "--set search.epochs: must be key=value, as in search.trials_per_arm=3"),
            ("=3", "--set =3: must be key=value"),
            ("search..epochs=3", "--set search..epochs=3: must be key=value"),
            ("arms.=[gt]", "--set arms.=[gt]: must be key=value"),
            ("arms.gt=[gt", "--set arms.gt=[gt: the value is not valid YAML"),
            ("search={epochs: 1, epochs: 2}", "the value repeats the key 'epochs'"),
            (f"claims.{'9' * 5000}.keep=1", "claims has no '999"),
        ],
    )
    def test_wrong_override_is_reported_as_the_option_it_is(self, write: Write, override: str, expected: str) -> None:
        (found,) = problems(write(BASE + "search: {epochs: 5}\nclaims: []\n"), override)
        assert expected in found


class TestData:
    @pytest.fixture
    def motions(self, tmp_path: Path) -> Path:
        """A folder of recordings beside the study file."""
        (tmp_path / "motions").mkdir()
        (tmp_path / "motions" / "S001C001P001R001A001.skeleton").write_text("0\n")
        return tmp_path / "motions"

    def test_relative_root_in_the_file_starts_at_the_file(self, write: Write, tmp_path: Path) -> None:
        study_file = read_study_file(write(BASE + "data: {dataset: ntu_rgbd, root: ../motions}"))
        assert study_file.data.options == {"root": str(tmp_path.parent / "motions")}

    def test_relative_path_of_an_archive_starts_at_the_file(self, write: Write, tmp_path: Path) -> None:
        study_file = read_study_file(write(BASE + "data: {dataset: archive, path: motion.h5}"))
        assert study_file.data.options == {"path": str(tmp_path / "motion.h5")}

    def test_relative_root_on_the_command_line_starts_at_the_working_directory(
        self, write: Write, motions: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = motions.parent / "elsewhere"
        elsewhere.mkdir()
        motions = motions.rename(elsewhere / "motions")
        monkeypatch.chdir(elsewhere)
        path = write(BASE)
        for overrides, data_root in (
            (["data={dataset: ntu_rgbd, root: motions}"], None),
            (["data.dataset=ntu_rgbd", "data.root=motions"], None),
            ([], Path("motions")),
        ):
            study_file = read_study_file(path, overrides, data_root)
            assert study_file.data.dataset == "ntu_rgbd"
            assert study_file.data.options == {"root": str(motions)}

    def test_home_is_expanded(self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        study_file = read_study_file(write(BASE + "data: {dataset: ntu_rgbd, root: ~/motions}"))
        assert study_file.data.options == {"root": str(tmp_path / "motions")}

    def test_folder_replaces_a_data_set_that_reads_none_but_not_the_split(self, write: Write, motions: Path) -> None:
        path = write(BASE + "data: {dataset: synthetic, people: 3, split: {seed: 5}}")
        data = read_study_file(path, data_root=motions).data
        assert (data.dataset, data.options, data.split.seed) == ("ntu_rgbd", {"root": str(motions)}, 5)

    def test_folder_replaces_only_the_root_of_a_data_set_of_its_kind(self, write: Write, motions: Path) -> None:
        path = write(BASE + "data: {dataset: ntu_rgbd, root: /old, min_frames: 30}")
        data = read_study_file(path, data_root=motions).data
        assert data.options == {"root": str(motions), "min_frames": 30}

    @pytest.mark.parametrize(
        ("place", "dataset", "option"),
        [("h36m", "human36m", "root"), ("motion.h5", "archive", "path")],
    )
    def test_the_kind_of_data_is_recognised(
        self, write: Write, tmp_path: Path, place: str, dataset: str, option: str
    ) -> None:
        (tmp_path / "h36m" / "S1").mkdir(parents=True)
        (tmp_path / "h36m" / "S1" / "Walking.h5").write_text("")
        (tmp_path / "motion.h5").write_text("hpgan motion archive 1")
        path = write(BASE + "data: {dataset: ntu_rgbd, root: /old, max_action: 30}")
        data = read_study_file(path, data_root=tmp_path / place).data
        assert (data.dataset, data.options) == (dataset, {option: str(tmp_path / place)})

    def test_a_place_without_recordings_is_told_with_all_else(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        path = write(BASE + "data: {split: {test: 0}}")
        assert problems(path, data_root=tmp_path / "empty") == [
            "--data empty: empty holds no recordings (NTU RGB+D's .skeleton or Human3.6M's .h5 files), at any depth",
            "s.yaml:5: data.split.test: must be above 0.0, found 0",
        ]

    def test_folder_does_not_hide_a_misspelt_data_set(self, write: Write, motions: Path) -> None:
        (found,) = problems(write(BASE + "data: {dataset: ntu_rgdb}"), data_root=motions)
        assert "data set 'ntu_rgdb' is unknown; did you mean 'ntu_rgbd'?" in found

    def test_data_that_is_no_mapping_gives_way_to_the_folder(self, write: Write, motions: Path) -> None:
        data = read_study_file(write(BASE + "data: synthetic"), data_root=motions).data
        assert (data.dataset, data.options) == ("ntu_rgbd", {"root": str(motions)})

    def test_unknown_option_beside_the_folder_keeps_its_line(self, write: Write, motions: Path) -> None:
        (found,) = problems(write(BASE + "data:\n  dataset: ntu_rgbd\n  min_frame: 3\n"), data_root=motions)
        assert found.startswith("s.yaml:7: data.min_frame: option of ntu_rgbd 'min_frame' is unknown")

    def test_shares_of_people_are_the_protocols_or_ours(self, write: Write) -> None:
        for split, share in (("{}", 0.2), ("{test: 0.3}", 0.3), ("{protocol: ntu60_cross_view}", None)):
            read = read_study_file(write(BASE + f"data: {{split: {split}}}")).data.split
            assert read.test_share() == share
            assert Split.model_validate(read.model_dump()) == read

    def test_the_protocol_of_every_data_set_is_the_cores(self) -> None:
        assert Split().protocol == BY_SUBJECT
