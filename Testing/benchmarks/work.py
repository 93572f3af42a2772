"""How many multiplications the networks take, counted by torch on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig

# A state element a step: exponent, decay, gain, sum and output.
SCAN_MULTIPLICATIONS = 5


def gmac(config: AMDiffConfig, tile_shape: Sequence[int]) -> dict[str, float]:
    """Return 10^9 multiply-accumulates of one pass over a tile, by network.

    Convolutions, matrix products and attention as `FlopCounterMode` counts them, and the selective scan.
    """
    with FakeTensorMode():
        return _counted(AMDiff(config).eval(), torch.empty(1, 1, *tile_shape))


def _counted(model: AMDiff, image: torch.Tensor) -> dict[str, float]:
    t = torch.ones(1, dtype=torch.int64)
    passes: dict[str, Callable[[], object]] = {
        "denoise": lambda: model.denoiser_output(image, image, t),
        "revise": lambda: model.revise(image, image),
        "segment": lambda: model.segment(image, image),
    }
    if model.uncertainty is not None:
        passes["uncertainty"] = lambda: model.uncertainty_sd(image, image)
    scanned: list[int] = []

    def note_states(
        u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, *_others: torch.Tensor
    ) -> torch.Tensor:
        scanned.append(u.numel() * A.shape[1])
        return u

    counted = {}
    with mock.patch("AMDiffLib.networks.mamba.selective_scan", note_states), torch.inference_mode():
        for name, run in passes.items():
            scanned.clear()
            with FlopCounterMode(display=False) as counter:
                run()
            counted[name] = (counter.get_total_flops() / 2 + SCAN_MULTIPLICATIONS * sum(scanned)) / 1e9
    return counted


def windows(shape: tuple[int, ...], tile: int, stride: int) -> int:
    """Return how many windows of MONAI's sliding window, `stride` apart, cover a volume of `shape`."""
    per_axis = [max(0, -(-(size - tile) // stride)) + 1 for size in shape]
    return len(list(product(*(range(n) for n in per_axis))))
