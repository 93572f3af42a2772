"""The samplers on problems whose answer is known."""

from __future__ import annotations

import pytest
import torch

from AMDiffLib.diffusion.noise import noise_source, position_seeded_noise
from AMDiffLib.diffusion.samplers import ancestral, few_step
from AMDiffLib.diffusion.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule(timesteps=250)
SHAPE = (1, 1, 24, 24, 24)


def exact_gaussian_denoiser(mean: float, deviation: float):
    """E[x0 | x_t] when x0 is N(mean, deviation^2) in every voxel."""

    def predict_x0(x_t: torch.Tensor, t: int) -> torch.Tensor:
        alpha_bar = float(SCHEDULE.alpha_bar[t])
        gain = deviation**2 * alpha_bar**0.5 / (deviation**2 * alpha_bar + 1 - alpha_bar)
        return mean + gain * (x_t - alpha_bar**0.5 * mean)

    return predict_x0


def test_ancestral_sampling_draws_from_the_distribution_its_denoiser_knows():
    noise = noise_source(SHAPE, seed=5)
    sample = ancestral(exact_gaussian_denoiser(-0.4, 0.3), noise(0), SCHEDULE, noise)
    assert float(sample.mean()) == pytest.approx(-0.4, abs=0.01)
    assert float(sample.std()) == pytest.approx(0.3, rel=0.03)


def test_ancestral_sampling_adds_no_noise_in_its_last_step():
    asked = []

    def noise(step: int) -> torch.Tensor:
        asked.append(step)
        return torch.randn(2, 1, 2, 2, 2)

    target = torch.full((2, 1, 2, 2, 2), 0.25)
    sample = ancestral(lambda x_t, t: target, torch.randn(2, 1, 2, 2, 2), SCHEDULE, noise)
    torch.testing.assert_close(sample, target)
    assert asked == list(range(1, 250))


def test_ancestral_sampling_visits_every_timestep_and_says_how_far_it_is():
    visited, told = [], []
    ancestral(
        lambda x_t, t: visited.append(t) or x_t * 0,
        torch.zeros(1),
        SCHEDULE,
        lambda step: torch.zeros(1),
        on_step=lambda done, total: told.append((done, total)),
    )
    assert visited == list(range(250, 0, -1))
    assert told == [(n, 250) for n in range(1, 251)]


def test_few_steps_with_an_exact_denoiser_return_the_high_count_image():
    high_count = torch.rand(SHAPE)
    low_count = high_count + 0.2 * torch.randn(SHAPE)
    result = few_step(lambda x_t, t: high_count, low_count, SCHEDULE, (150, 50), noise_source(SHAPE, seed=0))
    assert torch.equal(result, high_count)


def test_few_steps_start_from_the_low_count_image_carried_forward():
    seen = []
    low_count = torch.rand(SHAPE)
    few_step(
        lambda x_t, t: seen.append((t, x_t)) or x_t, low_count, SCHEDULE, (120,), noise_source(SHAPE, seed=4)
    )
    alpha_bar = float(SCHEDULE.alpha_bar[120])
    expected = alpha_bar**0.5 * low_count + (1 - alpha_bar) ** 0.5 * position_seeded_noise(SHAPE, 4, 0)
    assert [t for t, _ in seen] == [120]
    torch.testing.assert_close(seen[0][1], expected)


def test_the_deterministic_step_keeps_the_noise_of_the_first():
    seen = {}

    def predict_x0(x_t: torch.Tensor, t: int) -> torch.Tensor:
        seen[t] = x_t.double()
        return torch.full_like(x_t, 0.1 if t == 150 else 0.9)

    few_step(predict_x0, torch.full(SHAPE, 0.1), SCHEDULE, (150, 50), noise_source(SHAPE, seed=9))
    alpha_bar = float(SCHEDULE.alpha_bar[50])
    noise = (seen[50] - alpha_bar**0.5 * 0.1) / (1 - alpha_bar) ** 0.5
    torch.testing.assert_close(noise.float(), position_seeded_noise(SHAPE, 9, 0), rtol=0, atol=1e-5)


def test_a_seed_gives_the_same_image_and_another_seed_another():
    low_count = torch.rand(SHAPE)

    def draw(seed: int) -> torch.Tensor:
        denoiser = exact_gaussian_denoiser(0.0, 0.5)
        return few_step(denoiser, low_count, SCHEDULE, (200, 80), noise_source(SHAPE, seed))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("timesteps", [(), (50, 150), (50, 50)])
def test_timesteps_that_do_not_fall_are_refused(timesteps):
    with pytest.raises(ValueError, match="must fall"):
        few_step(lambda x_t, t: x_t, torch.zeros(SHAPE), SCHEDULE, timesteps, noise_source(SHAPE, seed=0))


def test_noise_fields_are_standard_normal_independent_and_fixed():
    first, second = position_seeded_noise(SHAPE, 7, 0), position_seeded_noise(SHAPE, 7, 1)
    assert float(first.mean()) == pytest.approx(0, abs=0.03)
    assert float(first.std()) == pytest.approx(1, abs=0.02)
    assert float((first * second).mean()) == pytest.approx(0, abs=0.03)
    torch.manual_seed(123)
    torch.randn(10)
    assert torch.equal(first, position_seeded_noise(SHAPE, 7, 0))
