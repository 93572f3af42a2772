"""The methods that may stand beside the model in a report: their names in the tables, in that order."""

from __future__ import annotations

from AMDiffLib.evaluation.filters import FAMILIES
from AMDiffLib.evaluation.scores import LOW_COUNT, MODEL
from AMDiffLib.training.ablations import ABLATIONS
from AMDiffLib.training.comparators import WITHOUT

DENOISERS = {
    LOW_COUNT: "low-count",
    **{family.best: family.title for family in FAMILIES},
    "unet": "U-Net, L1",
    "med-ddpm": "DDPM",
    "denoiser": "denoiser alone",
    MODEL: "**AMDiff**",
}
SEGMENTERS = {
    "nnmamba": "nnMamba alone",
    "swin-unetr": "SwinUNETR",
    "residual-unet": "residual U-Net",
    MODEL: "**AMDiff**",
}
WITHOUT_PARTS = {WITHOUT + name: f"w/o {name.replace('-', ' ')}" for name in ABLATIONS}
TITLES = DENOISERS | SEGMENTERS | WITHOUT_PARTS
