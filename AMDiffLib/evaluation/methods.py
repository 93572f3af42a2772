"""The methods that may stand beside the model in a report: their names in the tables, in that order."""

from __future__ import annotations

from AMDiffLib.evaluation.filters import FAMILIES
from AMDiffLib.evaluation.scores import LOW_COUNT, MODEL
from AMDiffLib.training.ablations import ABLATIONS
from AMDiffLib.training.comparators import DDPM, DENOISER, REGRESSION, STEPS, WITHOUT

DENOISERS = {
    LOW_COUNT: "low-count",
    **{family.best: family.title for family in FAMILIES},
    REGRESSION: "U-Net, L1",
    DDPM: "DDPM",
    DENOISER: "denoiser alone",
    MODEL: "**AMDiff**",
}
SEGMENTERS = {
    "nnmamba": "nnMamba alone",
    "swin-unetr": "SwinUNETR",
    "residual-unet": "residual U-Net",
    MODEL: "**AMDiff**",
}
WITHOUT_PARTS = {WITHOUT + name: f"w/o {name.replace('-', ' ')}" for name in ABLATIONS}
BY_PASSES = {
    REGRESSION: "regression, no noise",
    DENOISER: "from the low-count image",
    **dict.fromkeys(STEPS, "from the low-count image"),
    DDPM: "from noise",
}
"""The denoiser's network alone, with as many passes of it as each method makes."""
TITLES = DENOISERS | SEGMENTERS | WITHOUT_PARTS
