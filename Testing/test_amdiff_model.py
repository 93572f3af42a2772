"""The whole model: units, parameterisations, the revision before training, half precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import COMPACT, PAPER, DenoiserConfig, IntensityConfig
from AMDiffLib.networks.intensity import IntensityTransform

TINY = replace(
    COMPACT,
    denoiser=DenoiserConfig(channels=(8, 8, 8, 16), norm_num_groups=4, num_head_channels=8),
    segmenter=replace(COMPACT.segmenter, channels=4, d_state=2, full_resolution_channels=2),
)
TINY_PAPER = replace(TINY, intensity=PAPER.intensity, diffusion=PAPER.diffusion)


@pytest.fixture(scope="module")
def suv() -> torch.Tensor:
    """A patch from air to a bladder at SUV 100."""
    return torch.cat([torch.zeros(8), torch.linspace(0, 100, 4088)]).reshape(1, 1, 16, 16, 16)


def model(config) -> AMDiff:
    torch.manual_seed(0)
    return AMDiff(config)


@pytest.mark.parametrize(
    ("kind", "suv_values", "expected"),
    [
        # (sqrt(s + 1/4) - 1/2) runs from 0 to 4 over SUV 0..20; it is 1 at SUV 2 and 10 at SUV 110.
        ("sqrt", [-1.0, 0.0, 2.0, 20.0, 110.0], [-1.0, -1.0, -0.5, 1.0, 4.0]),
        ("cutoff", [-1.0, 0.0, 5.0, 20.0, 110.0], [-1.0, -1.0, -0.5, 1.0, 1.0]),
    ],
)
def test_suv_is_mapped_to_the_range_of_the_diffusion(kind, suv_values, expected):
    normalised = IntensityTransform(IntensityConfig(kind=kind)).to_normalised(torch.tensor(suv_values))
    torch.testing.assert_close(normalised, torch.tensor(expected))


@pytest.mark.parametrize(("kind", "highest"), [("sqrt", 100.0), ("cutoff", 20.0)])
def test_suv_comes_back_from_the_range_of_the_diffusion(kind, highest, suv):
    transform = IntensityTransform(IntensityConfig(kind=kind))
    returned = transform.to_suv(transform.to_normalised(suv))
    torch.testing.assert_close(returned, suv.clamp(max=highest), rtol=0, atol=1e-4)


def test_the_square_root_has_a_finite_slope_at_suv_zero():
    suv = torch.zeros(1, requires_grad=True)
    IntensityTransform(IntensityConfig(kind="sqrt")).to_normalised(suv).backward()
    assert float(suv.grad) == pytest.approx(0.5)  # 2 / 4 x 1 / (2 sqrt(1/4))


@pytest.mark.parametrize("config", [TINY, TINY_PAPER], ids=["sqrt", "cutoff"])
def test_predictions_are_limited_to_what_an_suv_can_be(config, suv):
    amdiff = model(config)
    torch.nn.init.normal_(amdiff.denoiser.unet.out[-1].conv.weight, std=10)
    with torch.no_grad():
        x0 = amdiff.predict_x0(torch.randn_like(suv), suv, torch.tensor([240]))
    assert float(x0.min()) == -1.0
    assert (float(x0.max()) == 1.0) if config is TINY_PAPER else (float(x0.max()) > 1.0)


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_every_prediction_leads_to_the_same_clean_image(prediction, suv):
    amdiff = model(replace(TINY, diffusion=replace(TINY.diffusion, prediction=prediction)))
    schedule, t = amdiff.schedule, torch.tensor([90])
    x0, noise = amdiff.to_normalised(suv), torch.randn_like(suv)
    output = {"epsilon": noise, "x0": x0, "v": schedule.v_from_x0(x0, t, noise)}[prediction]
    returned = amdiff.x0_from_output(output, schedule.q_sample(x0, t, noise), t)
    torch.testing.assert_close(returned, x0, rtol=0, atol=1e-5)


def test_an_untrained_x0_denoiser_says_air_and_an_untrained_epsilon_denoiser_no_noise(suv):
    t = torch.tensor([30])
    assert bool((model(TINY).denoiser_output(torch.randn_like(suv), suv, t) == -1.0).all())
    assert bool((model(TINY_PAPER).denoiser_output(torch.randn_like(suv), suv, t) == 0.0).all())


def test_the_timestep_and_the_low_count_image_matter_to_the_denoiser(suv):
    amdiff = model(TINY)
    for parameter in amdiff.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x_t = torch.randn_like(suv)
    with torch.no_grad():
        first = amdiff.denoiser_output(x_t, suv, torch.tensor([10]))
        assert not torch.allclose(first, amdiff.denoiser_output(x_t, suv, torch.tensor([200])))
        assert not torch.allclose(first, amdiff.denoiser_output(x_t, 0.5 * suv, torch.tensor([10])))


def test_the_untrained_revision_brings_back_what_the_cutoff_took(suv):
    amdiff = model(TINY_PAPER)
    low_count = suv * 1.1
    with torch.no_grad():
        revised = amdiff.revise(suv.clamp(max=20), low_count)
    below, above = suv < 19, suv > 20
    torch.testing.assert_close(revised[below], suv[below], rtol=0.01, atol=0)
    torch.testing.assert_close(revised[above], low_count[above], rtol=0.02, atol=0)


def test_the_untrained_revision_without_a_cutoff_keeps_the_denoised_image(suv):
    with torch.no_grad():
        revised = model(TINY).revise(suv, torch.full_like(suv, 3.0))
    torch.testing.assert_close(revised, suv, rtol=0.01, atol=0.03)


def test_the_revision_never_goes_below_zero_and_survives_a_bladder(suv):
    amdiff = model(TINY)
    torch.nn.init.normal_(amdiff.revision.convolutions[-1].weight)
    with torch.no_grad():
        revised = amdiff.revise(suv, torch.full_like(suv, 200.0))
    assert bool(revised.isfinite().all())
    assert float(revised.min()) >= 0.0


def test_the_whole_model_learns_from_its_last_output():
    amdiff = model(TINY)
    torch.nn.init.normal_(amdiff.denoiser.unet.out[-1].conv.weight, std=0.1)
    torch.nn.init.normal_(amdiff.revision.convolutions[-1].weight, std=0.1)
    low_count = 10 * torch.rand(1, 1, 32, 32, 32)
    x0 = amdiff.predict_x0(torch.randn_like(low_count), low_count, torch.tensor([50]))
    lesions, organs = amdiff.segment(amdiff.revise(amdiff.to_suv(x0), low_count), low_count)
    (lesions.square().mean() + organs.square().mean()).backward()
    for part in (amdiff.denoiser, amdiff.revision, amdiff.segmenter):
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in part.parameters())


def test_half_precision_inside_leaves_float32_outside(suv):
    amdiff = model(TINY)
    t = torch.tensor([100])
    with torch.no_grad():
        exact = (amdiff.predict_x0(suv / 50, suv, t), amdiff.revise(suv, suv), *amdiff.segment(suv, suv))
        with torch.autocast("cpu", torch.bfloat16):
            half = (amdiff.predict_x0(suv / 50, suv, t), amdiff.revise(suv, suv), *amdiff.segment(suv, suv))
    for one, other in zip(exact, half, strict=True):
        assert other.dtype == torch.float32
        assert float((one - other).abs().max()) < 0.05 * float(one.abs().max())


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 20), (1, 2, 16, 16, 16), (16, 16, 16)])
def test_a_grid_the_networks_cannot_take_is_refused(shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        model(TINY).revise(torch.zeros(shape), torch.zeros(shape))


def test_the_weights_hold_no_schedule_and_load_again(suv):
    first, second = model(TINY), AMDiff(TINY)
    second.load_state_dict(first.state_dict())
    assert not any("alpha" in name for name in first.state_dict())
    with torch.no_grad():
        assert torch.equal(first.segment(suv, suv)[1], second.segment(suv, suv)[1])
