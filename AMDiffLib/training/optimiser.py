"""What moves the weights: groups of them with rates of their own, the schedule of the rates, the clipping."""

from __future__ import annotations

import math

import torch

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.training.config import OptimiserConfig

# Clipped apart, so that none of them is held back by another's gradient.
_GROUPS = {
    "denoiser": ("denoiser",),
    "segmenter": ("revision", "segmenter"),
    "uncertainty": ("uncertainty",),
}


def make_optimiser(model: AMDiff, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Return Adam over the groups 'denoiser', 'segmenter' (with the revision) and 'uncertainty', by `name`.

    A group's own rate is its `rate`; the other two share `segmenter_rate`. Parts that the model lacks are
    left out.
    """
    parts = dict(model.named_children())
    groups = []
    for name, members in _GROUPS.items():
        weights = [p for member in members if member in parts for p in parts[member].parameters()]
        rate = config.denoiser_rate if name == "denoiser" else config.segmenter_rate
        if weights:
            groups.append({"name": name, "params": weights, "lr": rate, "rate": rate})
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def learning_rate_factor(config: OptimiserConfig, step: int, progress: float) -> float:
    """Return the factor on all learning rates at zero-based `step`, with `progress` in [0, 1) through the
    run.
    """
    ramp = min(1.0, (step + 1) / config.ramp_steps) if config.ramp_steps else 1.0
    if config.schedule == "half_time_step":
        return ramp * (1.0 if progress < 0.5 else 0.1)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return ramp * (config.final_fraction + (1.0 - config.final_fraction) * cosine)


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its own rate times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["rate"] * factor


def clip_gradients(optimiser: torch.optim.Optimizer, largest: float) -> dict[str, float]:
    """Scale each group's gradient to a norm of at most `largest`; return the norms before that, by group."""
    return {
        group["name"]: float(torch.nn.utils.clip_grad_norm_(group["params"], largest))
        for group in optimiser.param_groups
    }
