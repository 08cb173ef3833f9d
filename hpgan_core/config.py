"""Every setting of a training run, its unit and its range, and the presets that fix them all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hpgan_core.errors import BadInput

# The losses an arm may combine on top of WGAN-GP; a setting ``<loss>_weight`` belongs to each.
LOSS_NAMES = ("gt", "consistency", "bone")


@dataclass(frozen=True)
class TrainingConfig:
    """One configuration of HP-GAN training, the same for every member of a population.

    The defaults are the preset ``recommended``; ``presets.py`` sets them beside the original's and the report's.

    Attributes:
        losses: losses added to the adversarial one, out of ``LOSS_NAMES``.
        gt_weight: weight of the ground-truth loss.
        consistency_weight: weight of the consistency loss.
        consistency_form: ``mean`` over poses, or ``literal``: the original's norm over a whole batch.
        bone_weight: weight of the bone loss.
        bone_form: ``mean`` over bones, or ``literal``: the original's sum over its own list of bones.
        bone_space: where bones are measured, in ``metres`` or in ``normalised`` coordinates.
        critic_iterations: critic updates before each generator update.
        generator_iterations: generator updates in a step.
        resample_z: every update of a step has a z of its own; otherwise all of them share one.
        lambda_gp: weight of the gradient penalty.
        gp_alpha: one interpolation factor for each ``sample`` or one for the whole ``batch``.
        gp_norm: the penalised gradient is that of the whole ``sequence`` or of each ``frame``.
        decoder: ``hpgan``, hidden states read by a linear head, or ``report``, states that are themselves poses.
        residual: the decoder gives changes from pose to pose, from the last observed one on, instead of poses.
        hidden_size: width of the encoder's GRU layers, and of the decoder ``hpgan``'s.
        generator_layers: GRU layers of the encoder and of the decoder.
        embedding_size: width of what the decoder ``hpgan`` and its encoder feed their first layer with.
        z_size: length of the random vector.
        z_distribution: ``uniform`` draws from U(-0.1, 0.1), ``normal`` from N(0, 1).
        critic_embedding_size: width of a linear map of each frame before the critic's first layer; 0 is none.
        critic_size: width of the critic's and the discriminator's hidden layers.
        critic_layers: how many of them.
        critic_slope: slope of their activation below zero; 0 is ReLU.
        initialisation: ``torch``'s defaults, the same but for a ``small_head``, or the ``original``'s.
        normalisation: ``root_centred``, ``per_joint`` or ``none``; see ``normalise.py``.
        crop: an epoch's window of each clip is at a ``random`` place or in the ``centre``.
        reshuffle: clips come in another order every epoch.
        drop_last: an epoch leaves out the clips that do not fill a batch.
        batch_size: windows a step.
        generator_learning_rate: Adam's, for the generator.
        critic_learning_rate: Adam's, for the critic.
        discriminator_learning_rate: Adam's, for the discriminator, which only judges.
        discriminator_loss: the ``sum`` of the cross-entropies of real and predicted motion, or their ``mean``.
        weight_decay: L2 penalty in the gradients of the critic's and the discriminator's weights, not of their biases.
        adam_beta1: decay of the mean of gradients.
        adam_beta2: decay of the mean of squared gradients.
        averaging: decay a step of the averaged generator weights that are evaluated; 0 evaluates the weights
            themselves.
        epochs: passes over the training clips, one window of each clip a pass.
        evaluation_samples: futures drawn for each past while training (K of the best-of-K metrics).
        evaluation_windows: at most so many validation windows are evaluated each epoch.
        final_samples: K for the test split.
        final_windows: at most so many test windows are evaluated, once.
    """

    losses: tuple[str, ...] = ("consistency", "bone")
    gt_weight: float = 1.0
    consistency_weight: float = 0.001
    consistency_form: Literal["mean", "literal"] = "mean"
    bone_weight: float = 0.01
    bone_form: Literal["mean", "literal"] = "mean"
    bone_space: Literal["metres", "normalised"] = "metres"

    critic_iterations: int = 10
    generator_iterations: int = 1
    resample_z: bool = True
    lambda_gp: float = 10.0
    gp_alpha: Literal["sample", "batch"] = "sample"
    gp_norm: Literal["sequence", "frame"] = "sequence"

    decoder: Literal["hpgan", "report"] = "hpgan"
    residual: bool = True
    hidden_size: int = 128
    generator_layers: int = 2
    embedding_size: int = 128
    z_size: int = 32
    z_distribution: Literal["uniform", "normal"] = "normal"
    critic_embedding_size: int = 0
    critic_size: int = 256
    critic_layers: int = 3
    critic_slope: float = 0.01
    initialisation: Literal["torch", "small_head", "original"] = "small_head"

    normalisation: Literal["root_centred", "per_joint", "none"] = "root_centred"
    crop: Literal["random", "centre"] = "random"
    reshuffle: bool = True
    drop_last: bool = True
    batch_size: int = 64

    generator_learning_rate: float = 1e-3
    critic_learning_rate: float = 1e-3
    discriminator_learning_rate: float = 5e-4
    discriminator_loss: Literal["sum", "mean"] = "sum"
    weight_decay: float = 0.0
    adam_beta1: float = 0.5
    adam_beta2: float = 0.9
    averaging: float = 0.95

    epochs: int = 30
    evaluation_samples: int = 10
    evaluation_windows: int = 96
    final_samples: int = 50
    final_windows: int = 400

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {getattr(self, name)!r} is outside {low} to {high}"
            for name, (low, high) in RANGES.items()
            if not low <= getattr(self, name) <= high
        ]
        problems += [
            unknown_name(name, getattr(self, name), known)
            for name, known in CHOICES.items()
            if getattr(self, name) not in known
        ]
        problems += [unknown_name("loss", loss, LOSS_NAMES) for loss in self.losses if loss not in LOSS_NAMES]
        if len(set(self.losses)) != len(self.losses):
            problems.append(f"losses = {list(self.losses)} names a loss twice")
        if problems:
            raise BadInput("; ".join(problems))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "TrainingConfig":
        """Build a configuration from plain values, as they come from YAML, JSON or a sampler.

        ``preset`` (default ``recommended``) names the preset that gives what ``settings`` does not.

        Raises:
            BadInput: unknown settings, values of a wrong type or out of range; all of them at once.
        """
        from hpgan_core.presets import PRESETS

        given = dict(settings)
        preset = str(given.pop("preset", "recommended"))
        problems, values = [], {}
        if preset not in PRESETS:
            problems.append(unknown_name("preset", preset, PRESETS))
        for name, value in given.items():
            if name not in SETTINGS:
                problems.append(unknown_name("setting", name, SETTINGS))
            elif (converted := convert_setting(name, value)) is None:
                problems.append(f"{name} must be {SETTINGS[name].__name__}, found {value!r}")
            else:
                values[name] = converted
        try:
            config = replace(PRESETS.get(preset, cls()), **values)
        except BadInput as out_of_range:
            problems.append(str(out_of_range))
        if problems:
            raise BadInput("; ".join(problems))
        return config

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that ``from_mapping`` turns into an equal configuration."""
        return asdict(self) | {"losses": list(self.losses)}


# Inclusive bounds. A setting that is not here is a word or a flag.
RANGES: dict[str, tuple[float, float]] = {
    "gt_weight": (0.0, 1e6),
    "consistency_weight": (0.0, 1e6),
    "bone_weight": (0.0, 1e6),
    "critic_iterations": (1, 1000),
    "generator_iterations": (1, 1000),
    "lambda_gp": (0.0, 1e6),
    "hidden_size": (1, 8192),
    "generator_layers": (1, 8),
    "embedding_size": (1, 8192),
    "z_size": (1, 8192),
    "critic_embedding_size": (0, 8192),
    "critic_size": (1, 8192),
    "critic_layers": (1, 8),
    "critic_slope": (0.0, 1.0),
    "batch_size": (1, 65536),
    "generator_learning_rate": (0.0, 1.0),
    "critic_learning_rate": (0.0, 1.0),
    "discriminator_learning_rate": (0.0, 1.0),
    "weight_decay": (0.0, 1.0),
    "adam_beta1": (0.0, 0.9999999),
    "adam_beta2": (0.0, 0.9999999),
    "averaging": (0.0, 0.9999999),
    "epochs": (1, 1_000_000),
    "evaluation_samples": (2, 1000),
    "evaluation_windows": (1, 1_000_000),
    "final_samples": (2, 1000),
    "final_windows": (1, 1_000_000),
}


def _setting_types() -> dict[str, type]:
    hints = get_type_hints(TrainingConfig)
    origins = {field.name: get_origin(hints[field.name]) or hints[field.name] for field in fields(TrainingConfig)}
    return {name: str if origin is Literal else origin for name, origin in origins.items()}


def _setting_choices() -> dict[str, tuple[str, ...]]:
    hints = get_type_hints(TrainingConfig)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


# Name of every setting and the Python type of its value.
SETTINGS: dict[str, type] = _setting_types()
# The words that a setting accepts, where it is one of a few.
CHOICES: dict[str, tuple[str, ...]] = _setting_choices()


def convert_setting(name: str, value: Any) -> Any | None:
    """``value`` as the type of setting ``name``, or None where that would change its meaning (``True`` is not 1)."""
    wanted = SETTINGS[name]
    if wanted is tuple:
        return tuple(value) if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value) else None
    if isinstance(value, bool) or wanted is bool:
        return value if isinstance(value, bool) and wanted is bool else None
    if wanted is float and isinstance(value, int):
        return float(value)
    if wanted is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, wanted) else None


def unknown_name(kind: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """One sentence for a name that no table has: what it is, the nearest one, all there are."""
    close = get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{kind} {name!r} is unknown{hint} (known: {', '.join(known)})"
