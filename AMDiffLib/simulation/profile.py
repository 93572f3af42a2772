"""Smooth functions of one coordinate: outlines of the body that change from level to level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

_STEP_MM = 2.0


class Profile:
    """A monotone-cubic curve through (`heights`, `values`), constant beyond its ends; a table of 2 mm."""

    def __init__(self, heights: Sequence[float], values: Sequence[float]) -> None:
        curve = PchipInterpolator(np.asarray(heights, float), np.asarray(values, float))
        self.first = float(heights[0])
        grid = np.append(np.arange(self.first, heights[-1], _STEP_MM), heights[-1])
        self._table = torch.from_numpy(curve(grid).astype(np.float32))
        self._curve, self._last = curve, float(heights[-1])

    def at(self, height: float) -> float:
        """Return the value at one height."""
        return float(self._curve(np.clip(height, self.first, self._last)))

    def __call__(self, heights: Tensor) -> Tensor:
        """Return the values at many heights."""
        table = self._table.to(heights.device)
        position = ((heights - self.first) / _STEP_MM).clamp(0, len(table) - 1.001)
        index = position.to(torch.int32)
        share = position - index
        return torch.lerp(table[index], table[index + 1], share)

    @property
    def highest(self) -> float:
        """Return the largest value of the table."""
        return float(self._table.max())
