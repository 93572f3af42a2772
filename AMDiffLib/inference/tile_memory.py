"""How much memory a tile takes in each network, so that a tile is chosen before memory runs out."""

from __future__ import annotations

from typing import NamedTuple

import torch

from AMDiffLib.networks.config import AMDiffConfig

MEGABYTE = 2**20
# Of the free memory; the rest is left to other programs and to what the estimate does not know.
USABLE_SHARE = 0.8
# Of the whole volume on the computer: what is fused (nine classes in half precision, or one image) and its
# weights, and the images that the sampler keeps.
BYTES_PER_VOLUME_VOXEL = 24


class _Need(NamedTuple):
    """Bytes: at the start; of each voxel for each image given; for each channel, in half and in single
    precision."""

    start: int
    image: int
    half_channel: int
    single_channel: int


# Growth of resident memory and of the address space to their peaks while a CPU computes one tile: planes
# above all that Testing/benchmarks/tile_memory.py measured, of the compact model with tiles of 48 to 112
# voxels and of the published one with 48 and 64. The segmenter starts with numba and its compiler.
_NEEDS = {
    "denoise": _Need(150 * MEGABYTE, 30, 7, 13),
    "revise": _Need(70 * MEGABYTE, 10, 6, 19),
    "uncertainty": _Need(70 * MEGABYTE, 10, 6, 19),
    "segment": _Need(320 * MEGABYTE, 125, 3, 4),
}


def tile_bytes(stage: str, config: AMDiffConfig, precision: torch.dtype, voxels: int) -> int | None:
    """Return the memory that `stage` needs for tiles of so many voxels together, bytes.

    None for networks of another kind than those measured.
    """
    if config.segmenter.kind != "nnmamba" or not config.denoiser.flash_attention:
        return None
    need = _NEEDS[stage]
    channel = need.single_channel if precision is torch.float32 else need.half_channel
    images = 2 + (len(config.denoiser.smoothed_mm) if stage == "denoise" else 0)
    return need.start + round((images * need.image + _channels(stage, config) * channel) * voxels)


def _channels(stage: str, config: AMDiffConfig) -> float:
    """Channels for each voxel of the tile where the network holds most."""
    if stage == "denoise":  # its decoder joins the two finest levels
        return sum(config.denoiser.channels[:2]) / config.denoiser.shuffle**3
    if stage == "revise":
        return config.revision.channels
    if stage == "uncertainty":
        return config.uncertainty.channels if config.uncertainty else 0
    fine = config.segmenter.full_resolution_channels
    return (2 * fine or config.segmenter.channels) + config.segmenter.channels / 8
