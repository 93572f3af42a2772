"""The denoiser: blocks of voxels as channels, and back."""

from __future__ import annotations

import pytest
import torch

from AMDiffLib.networks.config import COMPACT, PAPER, DenoiserConfig
from AMDiffLib.networks.denoiser import Denoiser, blocks_to_channels, channels_to_blocks


@pytest.mark.parametrize("side", [1, 2, 4])
def test_blocks_become_channels_and_blocks_again(side):
    image = torch.rand(2, 3, 8, 16, 12)
    blocks = blocks_to_channels(image, side)
    assert blocks.shape == (2, 3 * side**3, 8 // side, 16 // side, 12 // side)
    assert torch.equal(channels_to_blocks(blocks, side), image)


def test_a_blocks_channels_are_its_voxels_as_in_torchs_two_dimensional_shuffle():
    image = torch.rand(1, 2, 1, 6, 4).expand(1, 2, 2, 6, 4)
    blocks = blocks_to_channels(image, 2).unflatten(1, (2, 2, 4))
    flat = torch.nn.functional.pixel_unshuffle(image[:, :, 0], 2).unflatten(1, (2, 4))
    assert torch.equal(blocks[:, :, 0, :, 0], flat)


def test_the_published_denoiser_works_on_voxels_and_the_compact_one_on_blocks():
    assert PAPER.denoiser.shuffle == 1
    assert COMPACT.denoiser.shuffle == 2


@pytest.mark.parametrize("shuffle", [1, 2])
def test_untrained_it_says_the_same_everywhere_whatever_the_blocks(shuffle):
    config = DenoiserConfig(channels=(8, 8, 8, 16), num_head_channels=8, shuffle=shuffle)
    denoiser = Denoiser(config, untrained_output=-1.0)
    image = torch.rand(1, 1, 16, 32, 16)
    found = denoiser(image, image, torch.tensor([150]))
    assert found.shape == image.shape
    assert torch.equal(found, torch.full_like(image, -1.0))
