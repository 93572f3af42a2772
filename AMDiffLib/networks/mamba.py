"""The Mamba-1 block (Gu and Dao, 2023), with the parameter names and shapes of `mamba_ssm.Mamba`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from AMDiffLib.networks.selective_scan import selective_scan

SMALLEST_STEP, LARGEST_STEP = 1e-3, 1e-1


class Mamba(nn.Module):
    """A selective state-space layer over tokens (batch, L, d_model), with weights as in `mamba_ssm.Mamba`."""

    def __init__(self, d_model: int, *, d_state: int = 16, d_conv: int = 4, expand: int = 2) -> None:
        super().__init__()
        self.d_state = d_state
        self.d_inner = expand * d_model
        self.dt_rank = math.ceil(d_model / 16)
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=False)
        self.conv1d = nn.Conv1d(
            self.d_inner, self.d_inner, d_conv, groups=self.d_inner, padding=d_conv - 1, bias=True
        )
        self.x_proj = nn.Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.d_inner, bias=True)
        # A = -(1, 2, ..., N) in every channel: the real S4D start.
        self.A_log = nn.Parameter(torch.arange(1, d_state + 1).float().log().repeat(self.d_inner, 1))
        self.D = nn.Parameter(torch.ones(self.d_inner))
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)
        self._start_steps()

    def _start_steps(self) -> None:
        """Draw the bias of dt_proj so that softplus(bias) is log-uniform in [0.001, 0.1]."""
        bound = self.dt_rank**-0.5
        nn.init.uniform_(self.dt_proj.weight, -bound, bound)
        span = math.log(LARGEST_STEP) - math.log(SMALLEST_STEP)
        step = torch.exp(torch.rand(self.d_inner) * span + math.log(SMALLEST_STEP)).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (batch, L, d_model) for tokens of that shape; each output sees only tokens up to its own."""
        x, z = self.in_proj(tokens).chunk(2, dim=-1)
        x = functional.silu(self._causal_convolution(x))
        delta, B, C = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        delta = functional.linear(delta, self.dt_proj.weight)  # its bias goes in with the softplus
        A = -torch.exp(self.A_log.float())
        return self.out_proj(selective_scan(x, delta, A, B, C, self.D, z, self.dt_proj.bias))

    def _causal_convolution(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        return self.conv1d(x.transpose(1, 2))[..., :length].transpose(1, 2)
