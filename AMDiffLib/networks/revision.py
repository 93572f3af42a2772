"""The revision f_rev of Eq. (6): from the denoised image to one that covers the full SUV range again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from AMDiffLib.networks.config import RevisionConfig

RELATIVE_SWITCH = 0.975  # of the cut-off: where the untrained gate is half open
GATE_STEEPNESS = 8.0  # per SUV
CLOSED_GATE = -5.0  # logit: 0.7 % of the low-count image, still with a gradient to learn from


class Revision(nn.Module):
    """P_HCR = relu(P_HC + gate (I_LC - P_HC) + residual), gate in (0, 1).

    `gate` is the direct skip from the low-count image that brings back what the cut-off took. Untrained, it
    opens where P_HC stands at the cut-off and stays closed elsewhere. The residual is learnt in units of the
    counting noise, which grows with the square root of the SUV.
    """

    def __init__(self, config: RevisionConfig, *, cutoff_suv: float | None, offset: float = 0.25) -> None:
        super().__init__()
        self.cutoff_suv = cutoff_suv
        self.offset = offset
        layers: list[nn.Module] = []
        channels = 2
        for _ in range(config.layers - 1):
            layers += [nn.Conv3d(channels, config.channels, 3, padding=1), nn.SiLU()]
            channels = config.channels
        last = nn.Conv3d(channels, 2, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.convolutions = nn.Sequential(*layers, last)

    def forward(self, denoised: Tensor, low_count: Tensor, features: Tensor) -> Tensor:
        """Return P_HCR (B, 1, D, H, W) in SUV from P_HC and I_LC in SUV.

        `features` (B, 2, D, H, W) are the same two on the full-range intensity scale, for the convolutions.
        """
        gate_logit, residual = self.convolutions(features).float().chunk(2, dim=1)
        gate = torch.sigmoid(gate_logit + self._untrained_gate(denoised))
        scale = (denoised + self.offset).sqrt()
        return torch.relu(denoised + gate * (low_count - denoised) + residual * scale)  # Eq. (6)

    def _untrained_gate(self, denoised: Tensor) -> Tensor | float:
        if self.cutoff_suv is None:
            return CLOSED_GATE
        # Detached: a hot bladder behind the cut-off would send gradients of order 100 into the denoiser.
        above = denoised.detach() - RELATIVE_SWITCH * self.cutoff_suv
        return (GATE_STEEPNESS * above).clamp(min=CLOSED_GATE)
