"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Float32 average of all floating-point weights and buffers in a model's state dictionary.

    The decay warms up as (1 + n) / (10 + n), so that early averages are not dominated by the random start.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, updates: int) -> None:
        """Move the average towards the weights of `model`; `updates` counts the optimiser steps made so
        far.
        """
        decay = min(self.decay, (1.0 + updates) / (10.0 + updates))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1.0 - decay)
            else:
                self.state[name].copy_(value)

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a saved average."""
        for name, value in state.items():
            self.state[name].copy_(value)

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[nn.Module]:
        """Within the context `model` carries the averaged weights and is in evaluation mode."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        was_training = model.training
        model.load_state_dict(self.state)
        model.eval()
        try:
            yield model
        finally:
            model.load_state_dict(own)
            model.train(was_training)
