"""What the denoiser is trained on at which timestep, and what a joint step trains."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_cases import two_patches

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import COMPACT, DenoiserConfig, DiffusionConfig, SegmenterConfig
from AMDiffLib.training.config import FAST_TRAINING, PAPER_TRAINING, TrainingConfig
from AMDiffLib.training.objective import (
    draw_timesteps,
    joint_objective,
    noise_weights,
    noisy_start,
    prediction_target,
    timestep_weights,
)
from AMDiffLib.training.patch_sampling import Batch

PAPER_DIFFUSION = DiffusionConfig(prediction="epsilon", sampler="ancestral", start="noise")


def a_model(**diffusion) -> AMDiff:
    torch.manual_seed(0)
    return AMDiff(
        replace(
            COMPACT,
            diffusion=replace(COMPACT.diffusion, **diffusion),
            denoiser=DenoiserConfig(channels=(8, 8, 8, 16), num_head_channels=8),
            segmenter=SegmenterConfig(channels=4, blocks=2, d_state=2, full_resolution_channels=2),
        )
    )


@pytest.fixture
def a_batch() -> Batch:
    return two_patches(slice(6, 9))


def test_few_step_training_meets_each_of_the_samplers_timesteps_equally_often():
    config = DiffusionConfig(sampling_timesteps=(200, 100, 40))
    t = draw_timesteps(config, 6, torch.Generator().manual_seed(0))
    assert sorted(t.tolist()) == [40, 40, 100, 100, 200, 200]


def test_published_training_draws_from_all_timesteps():
    t = draw_timesteps(PAPER_DIFFUSION, 20_000, torch.Generator().manual_seed(0))
    assert (int(t.min()), int(t.max())) == (1, 250)
    assert float(t.float().mean()) == pytest.approx(125.5, abs=2.0)


def test_only_the_first_timestep_starts_from_the_low_count_image():
    model = a_model(sampling_timesteps=(150, 50))
    low, high = torch.full((2, 1, 2, 2, 2), 3.0), torch.full((2, 1, 2, 2, 2), 1.0)
    t = torch.tensor([150, 50])
    x_t = noisy_start(model, low, high, t, torch.zeros_like(low))
    signal = model.schedule.alpha_bar[t].sqrt()
    assert x_t[0].mean() == pytest.approx(3.0 * float(signal[0]), rel=1e-6)
    assert x_t[1].mean() == pytest.approx(1.0 * float(signal[1]), rel=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_a_perfect_prediction_leads_back_to_the_high_count_image_from_either_start(prediction):
    model = a_model(prediction=prediction)
    low, high = torch.rand(2, 1, 4, 4, 4) + 1.0, torch.rand(2, 1, 4, 4, 4)
    t = torch.tensor([150, 50])
    noise = torch.randn_like(low)
    x_t = noisy_start(model, low, high, t, noise)
    target = prediction_target(model, x_t, high, t)
    assert torch.allclose(model.x0_from_output(target, x_t, t), high, atol=1e-5)
    if prediction == "epsilon":
        assert torch.allclose(target[1], noise[1], atol=1e-5)  # Eq. (3)


def test_timestep_weights_are_those_of_one_x0_error():
    snr = torch.tensor([0.25, 4.0, 100.0])
    assert timestep_weights(snr, "none", 5.0, "x0") is None
    assert timestep_weights(snr, "one_at_most", 5.0, "x0").tolist() == [0.25, 1.0, 1.0]
    assert timestep_weights(snr, "min_snr", 5.0, "x0").tolist() == pytest.approx([0.5, 2.0, 5**0.5])
    # An x0 error e is an epsilon error e sqrt(SNR) and a v error e sqrt(SNR + 1).
    assert timestep_weights(snr, "min_snr", 5.0, "epsilon").tolist() == pytest.approx([1.0, 1.0, 0.05**0.5])
    assert timestep_weights(snr, "min_snr", 5.0, "v").tolist() == pytest.approx(
        [0.2**0.5, 0.8**0.5, (5 / 101) ** 0.5]
    )


def test_errors_count_by_the_noise_of_the_patient_up_to_a_limit():
    high = torch.full((4, 1, 4, 4, 4), -1.0)  # air
    high[:3, :, :2] = 0.5
    low = high + 0.05 * torch.tensor([0.25, 4.0, 0.001, 1.0]).view(4, 1, 1, 1, 1)
    assert noise_weights(low, high, air=-0.9, exponent=0.0) is None
    # The last holds no patient, so no noise.
    assert noise_weights(low, high, air=-0.9, exponent=0.5).tolist() == pytest.approx([2.0, 0.5, 5.0, 5.0])
    assert noise_weights(low, high, air=-0.9, exponent=1.0).tolist() == pytest.approx([4.0, 0.25, 5.0, 5.0])


def test_a_quiet_scan_teaches_the_denoiser_more_where_noise_counts(a_batch):
    quiet = replace(a_batch, low_count=a_batch.high_count + 1e-4 * (a_batch.low_count - a_batch.high_count))
    gain = [
        gradients(a_model(), batch, 0.0, noise_exponent=0.5)["denoiser"]
        / gradients(a_model(), batch, 0.0)["denoiser"]
        for batch in (a_batch, quiet)
    ]
    assert gain[1] == pytest.approx(5.0, rel=1e-2)  # bfloat16
    assert gain[0] < 5.0


def gradients(model: AMDiff, batch: Batch, warm: float, **loss) -> dict[str, float]:
    model.zero_grad()
    generator = torch.Generator().manual_seed(0)
    config = replace(FAST_TRAINING.loss, **loss)
    joint_objective(model, batch, warm=warm, config=config, generator=generator)["total"].backward()
    parts = {"denoiser": model.denoiser, "revision": model.revision, "segmenter": model.segmenter}
    return {
        name: sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None)
        for name, part in parts.items()
    }


def test_before_the_warm_up_only_the_denoiser_learns(a_batch):
    found = gradients(a_model(), a_batch, 0.0)
    assert found["denoiser"] > 0.0
    assert found["revision"] == found["segmenter"] == 0.0


def test_each_term_trains_the_parts_it_should(a_batch):
    off = {"lesion_organ_factor": 0.0, "revision_factor": 0.0, "segmentation_factor": 0.0}
    everything = gradients(a_model(), a_batch, 1.0)
    assert all(value > 0.0 for value in everything.values())
    without_segmentation = gradients(a_model(), a_batch, 1.0, segmentation_factor=0.0)
    assert without_segmentation["segmenter"] == 0.0
    assert without_segmentation["revision"] > 0.0
    diffusion_alone = gradients(a_model(), a_batch, 1.0, **off)
    assert diffusion_alone["revision"] == diffusion_alone["segmenter"] == 0.0
    assert diffusion_alone["denoiser"] == pytest.approx(gradients(a_model(), a_batch, 0.0)["denoiser"])


def test_the_share_of_the_segmentation_gradient_changes_only_what_reaches_the_image(a_batch):
    none, full = (gradients(a_model(), a_batch, 1.0, segmentation_gradient=share) for share in (0.0, 1.0))
    assert none["segmenter"] == pytest.approx(full["segmenter"], rel=1e-6)
    assert none["revision"] != full["revision"]


def test_false_lesions_cost_by_their_volume_whatever_the_voxel_size(a_batch):
    healthy = replace(a_batch, lesions=torch.zeros_like(a_batch.lesions))

    def cost(voxel_size_mm: float, absent_lesion_ml: float) -> float:
        model = a_model()
        model.config = replace(model.config, voxel_size_mm=voxel_size_mm)
        config = replace(FAST_TRAINING.loss, absent_lesion_ml=absent_lesion_ml)
        generator = torch.Generator().manual_seed(0)
        terms = joint_objective(model, healthy, warm=1.0, config=config, generator=generator)
        return float(terms["total"].detach())

    assert cost(4.0, 3.2) == pytest.approx(cost(2.0, 0.4), rel=1e-6)  # 50 voxels of either
    assert cost(2.0, 3.2) < cost(4.0, 3.2)


def test_half_precision_is_that_of_the_networks_alone(a_batch):
    losses, gradients = {}, {}
    for precision in (torch.float32, torch.bfloat16):
        model = a_model()
        generator = torch.Generator().manual_seed(0)
        terms = joint_objective(
            model, a_batch, warm=1.0, config=FAST_TRAINING.loss, generator=generator, precision=precision
        )
        terms["total"].backward()
        losses[precision] = terms["total"]
        gradients[precision] = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert losses[torch.bfloat16].dtype == gradients[torch.bfloat16].dtype == torch.float32
    exact, half = (float(losses[p].detach()) for p in (torch.float32, torch.bfloat16))
    assert half == pytest.approx(exact, rel=0.01)  # bfloat16 keeps 8 bits: 0.4 % a value
    assert half != exact
    assert float(torch.cosine_similarity(*gradients.values(), dim=0)) > 0.99


def test_training_configurations_survive_json_and_refuse_unknown_keys():
    for config in (FAST_TRAINING, PAPER_TRAINING):
        assert TrainingConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match=r"unknown key 'loss\.lambda'"):
        TrainingConfig.from_dict({"loss": {"lambda": 1}})
