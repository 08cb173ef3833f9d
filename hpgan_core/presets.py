"""Named configurations. Each is one row of choices; what a row leaves out is ``TrainingConfig``'s default."""

from hpgan_core.config import TrainingConfig

PRESETS: dict[str, TrainingConfig] = {
    # The paper's numbers on our data path: needs hundreds of epochs at this learning rate.
    "paper": TrainingConfig(),
    # What learns within a study's budget; benchmarks/learning.py measures it.
    "recommended": TrainingConfig(
        residual=True,
        z_distribution="normal",
        z_size=32,
        critic_size=256,
        critic_layers=3,
        batch_size=64,
        generator_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        discriminator_learning_rate=5e-4,
        adam_beta1=0.5,
        adam_beta2=0.9,
        averaging=0.95,
    ),
}
