"""SUV to the range of the diffusion and back: cut off at SUV 20 as published, or a square root, uncut."""

from __future__ import annotations

import math

from torch import Tensor

from AMDiffLib.networks.config import IntensityConfig


class IntensityTransform:
    """Maps SUV [0, suv_at_one] onto [-1, 1].

    `cutoff` is linear and flattens everything above. `sqrt` evens out the counting noise, whose variance
    grows with the mean, and goes on above 1, so that brain and bladder keep their values.
    """

    def __init__(self, config: IntensityConfig) -> None:
        self.config = config
        self._root = math.sqrt(config.offset)
        self._span = math.sqrt(config.suv_at_one + config.offset) - self._root

    def to_normalised(self, suv: Tensor) -> Tensor:
        """Return normalised intensities for `suv` (g/mL, any shape); negative SUV counts as 0."""
        if self.config.kind == "cutoff":
            return suv.clamp(0.0, self.config.suv_at_one) * (2.0 / self.config.suv_at_one) - 1.0
        return ((suv.clamp(min=0.0) + self.config.offset).sqrt() - self._root) * (2.0 / self._span) - 1.0

    def to_suv(self, normalised: Tensor) -> Tensor:
        """Return SUV (g/mL, >= 0) for normalised intensities."""
        position = self.clamp(normalised) * 0.5 + 0.5
        if self.config.kind == "cutoff":
            return position * self.config.suv_at_one
        return (position * self._span + self._root) ** 2 - self.config.offset

    def suv_per_unit(self, suv: Tensor) -> Tensor:
        """Return d SUV / d normalised at `suv`: what a small normalised difference is worth there."""
        if self.config.kind == "cutoff":
            return suv.new_full(suv.shape, 0.5 * self.config.suv_at_one)
        return self._span * (suv.clamp(min=0.0) + self.config.offset).sqrt()

    def clamp(self, normalised: Tensor) -> Tensor:
        """Return the values limited to what an SUV can be: [-1, 1] with the cut-off, [-1, inf) without."""
        return normalised.clamp(-1.0, 1.0 if self.config.kind == "cutoff" else None)

    @property
    def cutoff_suv(self) -> float | None:
        """The SUV above which nothing is kept, or None."""
        return self.config.suv_at_one if self.config.kind == "cutoff" else None
