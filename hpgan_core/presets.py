"""Named configurations, side by side: the original's code, the report's, and what we recommend.

Every choice that shapes a result is a row, so that no preset leaves anything to a default. What a row means is told in
``TrainingConfig``; how much is evaluated is no preset's business.

Where the two presets that follow others do not follow them:
    Statistics for normalisation come from training people only; the original's include its test clips.
        They are of windows at even distances, frames in the middle of a clip counting more often, and no deviation is
        taken for less than a millimetre.
    Splits divide people; the original and the report divide clips, so that people are on both sides.
    What is read is the data's business: of NTU RGB+D the person who moves most and the longest run without an empty
        frame, without the clips on the lists of missing skeletons, where the original takes the first body of each
        frame and no clip with an empty one; of Human3.6M 17 joints, unless ``joints`` asks for the original's 32.
    The original's GRU applies the reset gate before its matrix product, torch's after it.
    Windows are cut from the centre of clips of every data set, as the original cuts those of NTU RGB+D; those of
        Human3.6M it cuts at random, which ``crop`` can be set to.
    No epoch's weights are kept for being the best: the last ones count, as in the report. After epoch 20 the original
        saves them whenever its discriminator takes as many of ten fixed z on one training past for real as ever or
        more, or the generator's loss over an epoch is at its lowest, or at its lowest above zero. A study compares
        trials by their metrics on validation people instead.
    Predictions are detached while the critic trains, and z does not have to be as long as a hidden state is wide.
"""

from typing import Any

from hpgan_core.config import TrainingConfig

# fmt: off
TABLE: dict[str, tuple[Any, Any, Any]] = {
    #                            original                 report          recommended
    "losses":                   (("consistency", "bone"), ("gt",),        ("consistency", "bone")),
    "gt_weight":                (1.0,                     1.0,            1.0),
    "consistency_weight":       (0.001,                   0.001,          0.001),
    "consistency_form":         ("literal",               "literal",      "mean"),
    "bone_weight":              (0.01,                    0.01,           0.01),
    "bone_form":                ("literal",               "literal",      "mean"),
    "bone_space":               ("normalised",            "normalised",   "metres"),

    "critic_iterations":        (9,                       10,             10),
    "generator_iterations":     (2,                       1,              1),
    "resample_z":               (False,                   False,          True),
    "lambda_gp":                (10.0,                    10.0,           10.0),
    "gp_alpha":                 ("batch",                 "sample",       "sample"),
    "gp_norm":                  ("frame",                 "sequence",     "sequence"),

    "decoder":                  ("hpgan",                 "report",       "hpgan"),
    "residual":                 (False,                   False,          True),
    "hidden_size":              (1024,                    128,            128),
    "generator_layers":         (2,                       2,              2),
    "embedding_size":           (128,                     128,            128),
    "z_size":                   (128,                     128,            32),
    "z_distribution":           ("uniform",               "uniform",      "normal"),
    "critic_embedding_size":    (128,                     0,              0),
    "critic_size":              (512,                     128,            256),
    "critic_layers":            (3,                       2,              3),
    "critic_slope":             (0.0,                     0.01,           0.01),
    "initialisation":           ("original",              "torch",        "small_head"),

    "normalisation":            ("per_joint",             "none",         "root_centred"),
    "crop":                     ("centre",                "centre",       "random"),
    "reshuffle":                (False,                   False,          True),
    "drop_last":                (True,                    False,          True),
    "batch_size":               (16,                      16,             64),

    "generator_learning_rate":  (5e-5,                    5e-5,           1e-3),
    "critic_learning_rate":     (5e-5,                    5e-5,           1e-3),
    "discriminator_learning_rate": (2.5e-5,               5e-5,           5e-4),
    "discriminator_loss":       ("sum",                   "mean",         "sum"),
    "weight_decay":             (1e-3,                    0.0,            0.0),
    "adam_beta1":               (0.9,                     0.9,            0.5),
    "adam_beta2":               (0.999,                   0.999,          0.9),
    "averaging":                (0.0,                     0.0,            0.95),
    "epochs":                   (300,                     1000,           30),
}
# fmt: on

PRESETS: dict[str, TrainingConfig] = {
    name: TrainingConfig(**{setting: row[column] for setting, row in TABLE.items()})
    for column, name in enumerate(("original", "report", "recommended"))
}
