"""Uptake that varies within organs."""

from __future__ import annotations

import numpy as np
import torch

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.tissue import BONES, LUNG_LOBES, MUSCLES

# Relative SD within the organ. The reference read-outs hold the scanner's noise, about what the aorta's blood
# shows (15 %); what they show beyond it, in quadrature, is the organ's own.
_RELATIVE_SD = {
    "liver": 0.11,
    "spleen": 0.11,
    "pancreas": 0.15,
    "kidney left": 0.12,
    "kidney right": 0.12,
    "thyroid gland": 0.12,
    "subcutaneous fat": 0.3,
    "visceral fat": 0.35,
    "mediastinum": 0.2,
    "aorta": 0.03,
    "urinary bladder": 0.03,
    "heart blood": 0.04,
    "small bowel": 0.2,
    "colon": 0.2,
    "stomach": 0.18,
    "face": 0.25,
    "tongue": 0.2,
    **dict.fromkeys(LUNG_LOBES, 0.2),
    **dict.fromkeys(BONES, 0.22),
    **dict.fromkeys(MUSCLES, 0.2),
}
_OTHERS_SD = 0.10
# Features of about this width (mm) and their share of the variance.
_SCALES = ((11.0, 0.55), (34.0, 0.45))


def paint_texture(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let the uptake within each painted structure vary about its mean, which stays as it is."""
    x, y, _ = canvas.axes(canvas.painted)
    fields = [
        (smooth_field(canvas.extent, scale, rng, device=canvas.device).over(x, y), share**0.5)
        for scale, share in _SCALES
    ]
    spread = torch.tensor(
        [_RELATIVE_SD.get(name, _OTHERS_SD) if name else 0.0 for name in canvas.structure_names],
        device=canvas.device,
    )
    for piece in canvas.pieces():
        z = canvas.axes(piece)[2]
        field = sum(weight * f.slab(z) for f, weight in fields)
        sd = spread[canvas.structures[piece].int()]
        # Of mean one: log-normal.
        canvas.suv[piece] *= torch.exp(sd * field - 0.5 * sd * sd)
