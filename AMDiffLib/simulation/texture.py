"""Uptake that varies within organs."""

from __future__ import annotations

import numpy as np
import torch

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.tissue import LUNG


def paint_texture(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let uptake vary within organs; dependent parts of the lungs take up more."""
    (low, high) = canvas.box()
    fine = smooth_field((low, high), 14.0, rng, device=canvas.device)
    broad = smooth_field((low, high), 50.0, rng, device=canvas.device)
    for piece in canvas.pieces():
        axes = canvas.axes(piece)
        factor = 1 + 0.08 * fine.on_grid(axes) + 0.05 * broad.on_grid(axes)
        back = (1 + 0.0035 * axes[1]).clamp(0.6, 1.5)[None, :, None]
        factor = torch.where(canvas.organs[piece] == LUNG, factor * back, factor)
        canvas.suv[piece] *= factor.clamp(0.5, 1.6)
