"""The diaphragm: the dome between lungs and abdominal organs, and its blur by breathing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas


@dataclass(frozen=True, kw_only=True)
class Diaphragm:
    """Two domes of one person; `excursion_mm` is how far they move while the scanner counts."""

    person: Person
    right_mm: float
    left_mm: float
    excursion_mm: float

    def height(self, x: Tensor, y: Tensor) -> Tensor:
        """Return z of the diaphragm in mm above points (x, y)."""
        person = self.person
        wide, front, back = person.cavity_reach(0.70)
        # Each dome falls towards the wall, most of all behind; between them the heart rests on the tendon.
        right = self.right_mm - self._fall(x + 0.50 * wide, y + 0.12 * front, wide, front, back)
        left = self.left_mm - self._fall(x - 0.50 * wide, y + 0.12 * front, wide, front, back)
        return torch.maximum(right, left)

    def _fall(self, x: Tensor, y: Tensor, wide: float, front: float, back: float) -> Tensor:
        across = (x / (0.58 * wide)) ** 2
        along = torch.where(y < 0, (y / front) ** 2 * 0.5, (y / back) ** 2)
        return 0.034 * self.person.height_mm * (across * 0.75 + along)

    def above(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return about how far points lie above the diaphragm, mm."""
        return (z - self.height(x, y)) * 0.85


def draw_diaphragm(person: Person, rng: np.random.Generator) -> Diaphragm:
    """Return the diaphragm of a person who breathes quietly: 3 to 14 mm at the domes."""
    right = person.level(0.722 + person.breath)
    return Diaphragm(
        person=person,
        right_mm=right,
        left_mm=right - float(rng.uniform(4, 20)),
        excursion_mm=float(np.clip(rng.gamma(4.0, 2.0), 3, 14)),
    )


def blur_by_breathing(canvas: Canvas, diaphragm: Diaphragm) -> None:
    """Average SUV and attenuation over the breath, within the cavity and near the diaphragm.

    The motion is along z; it fades towards the chest wall and away from the diaphragm.
    """
    person, dz = diaphragm.person, canvas.spacing_mm[0]
    reach = max(round(diaphragm.excursion_mm / dz), 1)
    offsets = torch.arange(-reach, reach + 1, device=canvas.device) * dz
    # Breathing dwells at the end of expiration; a raised cosine is near enough.
    weights = (1 + torch.cos(np.pi * offsets / (diaphragm.excursion_mm + dz / 2))).clamp_min(0)
    weights *= offsets.abs() < diaphragm.excursion_mm + dz / 2
    weights /= weights.sum()
    wide, front, back = person.cavity_reach(0.72)
    middle = diaphragm.right_mm - 0.01 * person.height_mm
    low, high = middle - 130.0, middle + 100.0
    window = canvas.slices(((-wide, -front, low), (wide, back, high)))
    for rows in range(window[1].start, window[1].stop, 8):
        piece = (window[0], slice(rows, min(rows + 8, window[1].stop)), window[2])
        x, y, z = canvas.points(piece)
        near = torch.exp(-(((z - diaphragm.height(x, y)) / 55) ** 2))
        share = near * ((person.cavity_depth(x, y, z) - 4) / 14).clamp(0, 1)
        for volume in (canvas.suv, canvas.attenuation):
            column = volume[piece].permute(1, 2, 0).reshape(-1, 1, piece[0].stop - piece[0].start)
            blurred = F.conv1d(F.pad(column, (reach, reach), mode="replicate"), weights[None, None].float())
            blurred = blurred.reshape(share.shape[1], share.shape[2], -1).permute(2, 0, 1)
            volume[piece] += share * (blurred - volume[piece])
