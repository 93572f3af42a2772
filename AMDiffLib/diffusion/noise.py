"""Gaussian noise fields that depend on the seed and the step only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


def position_seeded_noise(shape: Sequence[int], seed: int, step: int) -> Tensor:
    """Return standard normal noise of `shape` (float32, CPU), the same on every machine and thread count.

    It is the field of the whole grid: tiles cut from it agree where they overlap, whatever their size.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, step]))
    return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32))


def noise_source(shape: Sequence[int], seed: int) -> Callable[[int], Tensor]:
    """Return the `noise` argument of the samplers: step -> field of `shape`."""
    return lambda step: position_seeded_noise(shape, seed, step)
