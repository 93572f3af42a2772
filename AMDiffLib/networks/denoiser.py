"""The denoiser f_den of Eq. (2): a 3D U-Net on the noisy and the low-count image, side by side."""

from __future__ import annotations

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn

from AMDiffLib.networks.config import DenoiserConfig
from AMDiffLib.networks.group_norm import with_fast_group_norms

USUAL_NOISE = 0.02  # normalised, of what a narrow Gaussian takes from a scan


class Denoiser(nn.Module):
    """Four-level encoder, three-level decoder, self-attention at the lowest resolution.

    Given smoothed versions of the low-count image too, it says voxel by voxel how much of each to take, and
    what to add. `untrained_output` is what the network adds before training, everywhere.
    """

    def __init__(self, config: DenoiserConfig, *, untrained_output: float = 0.0) -> None:
        super().__init__()
        self.mixes = bool(config.smoothed_mm)
        outputs = 2 + len(config.smoothed_mm) if self.mixes else 1
        unet = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=(2 + len(config.smoothed_mm)) * config.shuffle**3,
            out_channels=outputs * config.shuffle**3,
            channels=config.channels,
            attention_levels=config.attention_levels,
            num_res_blocks=config.num_res_blocks,
            norm_num_groups=config.norm_num_groups,
            num_head_channels=config.num_head_channels,
            use_flash_attention=config.flash_attention,
            num_class_embeds=1 if config.noise_embedding else None,
        )
        if config.noise_embedding:
            unet.class_embedding = NoiseEmbedding(4 * config.channels[0])
        self.shuffle = config.shuffle
        self.unet = with_fast_group_norms(unet)
        last = self.unet.out[-1].conv
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, untrained_output)

    def forward(self, x_t: Tensor, low_count: Tensor, t: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the prediction (B, 1, D, H, W) for `x_t`, shaped as it, and t (B,).

        `low_count` (B, 1 + smoothed, D, H, W) is followed by its smoothed versions; all are normalised.
        `noise` (B,) is that of the scan, normalised, for a network that embeds it.
        """
        images = blocks_to_channels(torch.cat([x_t, low_count], dim=1), self.shuffle)
        output = channels_to_blocks(self.unet(images, timesteps=t, class_labels=noise), self.shuffle)
        if not self.mixes:
            return output
        added, shares = output.to(low_count.dtype).split([1, low_count.shape[1]], dim=1)
        return (shares.softmax(dim=1) * low_count).sum(dim=1, keepdim=True) + added


class NoiseEmbedding(nn.Module):
    """What is added to the embedded timestep for a scan's noise; nothing before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, channels), nn.SiLU(), nn.Linear(channels, channels))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, noise: Tensor) -> Tensor:
        """Return (B, channels) for `noise` (B,), of which the logarithm counts."""
        return self.layers((noise / USUAL_NOISE).log2().unsqueeze(1))


def blocks_to_channels(image: Tensor, side: int) -> Tensor:
    """Return (B, C side^3, D/side, H/side, W/side): each block of side^3 voxels as channels."""
    if side == 1:
        return image
    batch, channels, *size = image.shape
    split = image.reshape(batch, channels, *(n for whole in size for n in (whole // side, side)))
    blocks = split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(
        batch, channels * side**3, *(whole // side for whole in size)
    )
    return blocks.contiguous(memory_format=torch.channels_last_3d)


def channels_to_blocks(blocks: Tensor, side: int) -> Tensor:
    """Return (B, C, D side, H side, W side): the inverse of `blocks_to_channels`."""
    if side == 1:
        return blocks
    batch, channels, *size = blocks.shape
    split = blocks.reshape(batch, channels // side**3, side, side, side, *size)
    joined = split.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return joined.reshape(batch, channels // side**3, *(side * n for n in size))
