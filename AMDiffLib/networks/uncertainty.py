"""How far the revised image may be from the high-count one, voxel by voxel."""

from __future__ import annotations

import math

from torch import Tensor, nn

from AMDiffLib.networks.config import UncertaintyConfig

UNTRAINED_SCALE = 0.05  # normalised intensity
LOG_SCALE_LIMITS = (-9.0, 2.0)


class UncertaintyHead(nn.Module):
    """ln b of a Laplace distribution of the error, in full-range normalised intensity.

    The Laplace distribution is the one whose likelihood is the L1 error that the image is trained with
    (Kendall and Gal, 2017). The head reads the finished image and the low-count one, and nothing of it flows
    back into them.
    """

    def __init__(self, config: UncertaintyConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 2
        for _ in range(config.layers - 1):
            layers += [nn.Conv3d(channels, config.channels, 3, padding=1), nn.SiLU()]
            channels = config.channels
        last = nn.Conv3d(channels, 1, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, math.log(UNTRAINED_SCALE))
        self.convolutions = nn.Sequential(*layers, last)

    def forward(self, features: Tensor) -> Tensor:
        """Return ln b (B, 1, D, H, W) for P_HCR and I_LC, normalised, as two channels."""
        return self.convolutions(features).float().clamp(*LOG_SCALE_LIMITS)
