"""The denoiser f_den of Eq. (2): a 3D U-Net on the noisy and the low-count image, side by side."""

from __future__ import annotations

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn

from AMDiffLib.networks.config import DenoiserConfig
from AMDiffLib.networks.group_norm import with_fast_group_norms


class Denoiser(nn.Module):
    """Four-level encoder, three-level decoder, self-attention at the lowest resolution.

    `untrained_output` is what the network says before training, everywhere.
    """

    def __init__(self, config: DenoiserConfig, *, untrained_output: float = 0.0) -> None:
        super().__init__()
        unet = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=1,
            channels=config.channels,
            attention_levels=config.attention_levels,
            num_res_blocks=config.num_res_blocks,
            norm_num_groups=config.norm_num_groups,
            num_head_channels=config.num_head_channels,
            use_flash_attention=config.flash_attention,
        )
        self.unet = with_fast_group_norms(unet)
        last = self.unet.out[-1].conv
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, untrained_output)

    def forward(self, x_t: Tensor, low_count: Tensor, t: Tensor) -> Tensor:
        """Return the prediction for `x_t` and `low_count`, all (B, 1, D, H, W) and normalised, and t (B,)."""
        return self.unet(torch.cat([x_t, low_count], dim=1), timesteps=t)
