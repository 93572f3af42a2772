"""The denoiser: blocks of voxels as channels, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import ndimage

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import COMPACT, PAPER, DenoiserConfig
from AMDiffLib.networks.denoiser import Denoiser, blocks_to_channels, channels_to_blocks
from AMDiffLib.networks.smoothing import gaussian


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


@pytest.mark.parametrize("shuffle", [1, 2])
def test_untrained_it_says_the_same_everywhere_whatever_the_blocks(shuffle):
    config = DenoiserConfig(channels=(8, 8, 8, 16), num_head_channels=8, shuffle=shuffle)
    denoiser = Denoiser(config, untrained_output=-1.0)
    image = torch.rand(1, 1, 16, 32, 16)
    found = denoiser(image, image, torch.tensor([150]))
    assert found.shape == image.shape
    assert torch.equal(found, torch.full_like(image, -1.0))


def test_the_gaussian_is_that_of_scipy():
    image = torch.rand(1, 1, 12, 20, 16, dtype=torch.float64)
    expected = ndimage.gaussian_filter(image[0, 0].numpy(), 2.0 / 2.354820045, mode="nearest", radius=3)
    assert torch.allclose(gaussian(image, 2.0)[0, 0], torch.from_numpy(expected), atol=1e-9)


MIXING = replace(
    COMPACT,
    denoiser=DenoiserConfig(channels=(8, 8, 8, 16), num_head_channels=8, shuffle=2, smoothed_mm=(8.0, 16.0)),
)


def _prefer(model: AMDiff, image: int) -> None:
    """Let the network take `image` (0: unfiltered) alone, everywhere."""
    outputs = torch.full((4,), -50.0)
    outputs[0], outputs[1 + image] = 0.0, 50.0
    with torch.no_grad():
        model.denoiser.unet.out[-1].conv.bias.copy_(outputs.repeat_interleave(8))


def test_untrained_a_mixing_denoiser_takes_all_images_alike():
    model = AMDiff(MIXING)
    low = 5.0 * torch.rand(1, 1, 32, 32, 32)
    images = [low, gaussian(low, 2.0), gaussian(low, 4.0)]
    expected = sum(model.to_normalised(image) for image in images) / 3.0
    found = model.predict_x0(torch.randn_like(low), low, torch.tensor([150]))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("image", "width"), [(0, None), (1, 2.0), (2, 4.0)])
def test_a_mixing_denoiser_can_take_any_image_exactly(image, width):
    model = AMDiff(MIXING)
    _prefer(model, image)
    low = 5.0 * torch.rand(1, 1, 32, 32, 32)
    found = model.to_suv(model.predict_x0(torch.randn_like(low), low, torch.tensor([150])))
    assert torch.allclose(found, low if width is None else gaussian(low, width), atol=1e-4)


NOISE_TOLD = replace(MIXING, denoiser=replace(MIXING.denoiser, noise_embedding=True))


def test_the_noise_of_a_scan_is_what_the_narrowest_gaussian_takes_in_the_patient():
    model = AMDiff(NOISE_TOLD)
    images = torch.full((2, 3, 4, 4, 4), -1.0)  # air
    images[0, :, :2] = 0.5  # the patient
    images[0, 0, :1] += 0.25
    images[:, 0, 2:] += 0.75  # noise in the air does not count
    assert model.scan_noise(images).tolist() == pytest.approx([0.125, 1e-3])


def test_the_noise_is_embedded_once_it_is_trained_and_changes_nothing_before():
    torch.manual_seed(0)
    model = AMDiff(NOISE_TOLD)
    for weights in model.denoiser.unet.parameters():
        if weights.ndim == 5:  # of convolutions, some of which are zero before training
            torch.nn.init.normal_(weights, std=0.1)
    image, t = torch.rand(1, 1, 32, 32, 32), torch.tensor([150])
    images = image.repeat(1, 3, 1, 1, 1)

    def found(noise: float) -> torch.Tensor:
        return model.denoiser(image, images, t, torch.tensor([noise]))

    assert torch.equal(found(0.01), found(0.1))
    torch.nn.init.normal_(model.denoiser.unet.class_embedding.layers[-1].weight)
    assert not torch.allclose(found(0.01), found(0.1), atol=1e-3)


def test_noise_is_not_embedded_without_a_gaussian_to_tell_it():
    with pytest.raises(ValueError, match="noise_embedding needs"):
        replace(NOISE_TOLD, denoiser=replace(NOISE_TOLD.denoiser, smoothed_mm=()))


def test_a_network_that_predicts_noise_is_not_added_to_an_image():
    with pytest.raises(ValueError, match="only 'x0' can be mixed"):
        replace(PAPER, denoiser=replace(PAPER.denoiser, smoothed_mm=(8.0,)))
