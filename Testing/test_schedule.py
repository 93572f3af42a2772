"""The noise schedule against its closed forms, in float64."""

from __future__ import annotations

import math

import pytest
import torch

from AMDiffLib.diffusion.schedule import NoiseSchedule

T = 250


@pytest.fixture(scope="module")
def schedule() -> NoiseSchedule:
    return NoiseSchedule(timesteps=T)


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(4, 1, 5, 4, 3, dtype=torch.float64, generator=generator) for _ in range(2))


def cosine(t: float) -> float:
    return math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2


@pytest.mark.parametrize("t", [1, 2, 50, 125, 200, 245, 249])
def test_alpha_bar_is_the_cosine_of_nichol_and_dhariwal(schedule, t):
    assert float(schedule.alpha_bar[t]) == pytest.approx(cosine(t) / cosine(0), rel=1e-12)


def test_the_last_beta_is_limited(schedule):
    assert float(schedule.beta[T]) == 0.999
    assert float(schedule.alpha_bar[T]) == pytest.approx(cosine(T - 1) / cosine(0) * 0.001, rel=1e-9)


# Measured on an implementation that counts from 0, where the paper's t = 101 is number 100.
@pytest.mark.parametrize(
    ("t", "gain"), [(101, 0.75), (126, 1.03), (201, 3.17), (226, 6.63), (246, 40.0), (250, 5073.0)]
)
def test_an_error_in_epsilon_is_amplified_as_measured_for_the_paper_schedule(schedule, t, gain):
    amplified = schedule.x0_from_epsilon(torch.zeros(1, dtype=torch.float64), t, -torch.ones(1).double())
    assert float(amplified) == pytest.approx(gain, rel=0.01)
    assert float(schedule.snr(t)) == pytest.approx(float(amplified) ** -2, rel=1e-9)


def test_alpha_bar_is_the_product_of_the_alphas_and_falls_from_one(schedule):
    assert float(schedule.alpha_bar[0]) == 1.0
    assert float(schedule.alpha_bar[40]) == pytest.approx(math.prod(schedule.alpha[1:41].tolist()), rel=1e-12)
    assert bool((schedule.alpha_bar.diff() < 0).all())


def test_q_sample_has_the_mean_and_variance_of_equation_1(schedule):
    noise = torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha_bar = cosine(90) / cosine(0)
    x_t = schedule.q_sample(torch.full_like(noise, 0.7), 90, noise)
    assert float(x_t.mean()) == pytest.approx(0.7 * alpha_bar**0.5, abs=0.005)
    assert float(x_t.var()) == pytest.approx(1 - alpha_bar, rel=0.01)


def test_every_image_of_a_batch_has_its_own_timestep(schedule, images):
    x0, noise = images
    together = schedule.q_sample(x0, torch.tensor([1, 60, 170, 250]), noise)
    for index, t in enumerate((1, 60, 170, 250)):
        assert torch.equal(together[index], schedule.q_sample(x0, t, noise)[index])


@pytest.mark.parametrize("t", [1, 125, 249])
def test_the_clean_image_comes_back_from_its_noise_and_from_v(schedule, images, t):
    x0, noise = images
    x_t = schedule.q_sample(x0, t, noise)
    torch.testing.assert_close(schedule.x0_from_epsilon(x_t, t, noise), x0, rtol=0, atol=1e-9)
    torch.testing.assert_close(schedule.epsilon_from_x0(x_t, t, x0), noise, rtol=0, atol=1e-9)
    torch.testing.assert_close(schedule.x0_from_v(x_t, t, schedule.v_from_x0(x0, t, noise)), x0)


def test_v_turns_the_image_and_its_noise_by_an_angle(schedule):
    alpha_bar = cosine(80) / cosine(0)
    v = schedule.v_from_x0(torch.tensor([2.0]).double(), 80, torch.tensor([3.0]).double())
    assert float(v) == pytest.approx(3 * alpha_bar**0.5 - 2 * (1 - alpha_bar) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("t", [2, 125, 249])
def test_the_posterior_mean_is_the_bracket_of_equation_4(schedule, images, t):
    x0, epsilon = images
    x_t = schedule.q_sample(x0, t, epsilon)
    alpha_bar, alpha = cosine(t) / cosine(0), cosine(t) / cosine(t - 1)
    eq_4 = (x_t - (1 - alpha) / math.sqrt(1 - alpha_bar) * epsilon) / math.sqrt(alpha)
    torch.testing.assert_close(schedule.posterior_mean(x0, x_t, t), eq_4, rtol=0, atol=1e-8)


@pytest.mark.parametrize("t", [2, 125, 249])
def test_the_posterior_combines_two_gaussians_by_their_precision(schedule, t):
    # x_{t-1} ~ N(sqrt(abar_{t-1}) x0, 1 - abar_{t-1}) seen through x_t ~ N(sqrt(alpha_t) x_{t-1}, beta_t).
    before, alpha = cosine(t - 1) / cosine(0), cosine(t) / cosine(t - 1)
    precision = 1 / (1 - before) + alpha / (1 - alpha)
    mean = (math.sqrt(before) * 0.4 / (1 - before) + math.sqrt(alpha) * 1.3 / (1 - alpha)) / precision
    x0, x_t = torch.tensor([0.4], dtype=torch.float64), torch.tensor([1.3], dtype=torch.float64)
    assert float(schedule.posterior_variance(t)) == pytest.approx(1 / precision, rel=1e-8)
    assert float(schedule.posterior_mean(x0, x_t, t)) == pytest.approx(mean, rel=1e-8)


def test_the_first_timestep_leads_exactly_to_the_clean_image(schedule, images):
    x0, x_t = images
    assert float(schedule.posterior_variance(1)) == 0.0
    torch.testing.assert_close(schedule.posterior_mean(x0, x_t, 1), x0)


@pytest.mark.parametrize("t", [0, 251])
def test_a_timestep_outside_the_chain_is_refused(schedule, t):
    with pytest.raises(ValueError, match=r"outside 1\.\.250"):
        schedule.snr(t)


def test_half_precision_models_keep_an_exact_schedule():
    schedule = NoiseSchedule(timesteps=T)
    before = schedule.alpha_bar.clone()
    assert torch.equal(schedule.half().alpha_bar, before)
    assert not schedule.state_dict()
