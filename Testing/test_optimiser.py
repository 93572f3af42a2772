"""What moves the weights: groups, rates, clipping, and the average that is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_cases import TINY_MODEL

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.training.config import PAPER_TRAINING, OptimiserConfig
from AMDiffLib.training.ema import MovingAverage
from AMDiffLib.training.optimiser import clip_gradients, learning_rate_factor, make_optimiser, set_rates


def test_learning_rates_fall_as_configured():
    step_down = OptimiserConfig(schedule="half_time_step", ramp_steps=0)
    assert [learning_rate_factor(step_down, 0, p) for p in (0.0, 0.49, 0.5, 0.99)] == [1.0, 1.0, 0.1, 0.1]
    cosine = OptimiserConfig(ramp_steps=4, final_fraction=0.1)
    assert learning_rate_factor(cosine, 0, 0.0) == 0.25
    assert learning_rate_factor(cosine, 10, 0.5) == pytest.approx(0.55)
    assert learning_rate_factor(cosine, 10, 1.0) == pytest.approx(0.1)


def test_the_published_rates_are_1e_5_and_1e_3_and_a_tenth_of_them_after_half_time():
    optimiser = make_optimiser(AMDiff(replace(TINY_MODEL, uncertainty=None)), PAPER_TRAINING.optimiser)
    assert {g["name"]: g["lr"] for g in optimiser.param_groups} == {"denoiser": 1e-5, "segmenter": 1e-3}
    set_rates(optimiser, learning_rate_factor(PAPER_TRAINING.optimiser, 5000, 0.5))
    assert [g["lr"] for g in optimiser.param_groups] == pytest.approx([1e-6, 1e-4])


def test_every_weight_of_the_model_is_in_one_group():
    model = AMDiff(TINY_MODEL)
    optimiser = make_optimiser(model, OptimiserConfig())
    grouped = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert {group["name"] for group in optimiser.param_groups} == {"denoiser", "segmenter", "uncertainty"}


def test_each_group_is_clipped_by_its_own_norm():
    model = AMDiff(TINY_MODEL)
    optimiser = make_optimiser(model, OptimiserConfig())
    for group, size in zip(optimiser.param_groups, (10.0, 0.5, 3.0), strict=True):
        count = sum(p.numel() for p in group["params"])
        for p in group["params"]:
            p.grad = torch.full_like(p, size / count**0.5)
    before = clip_gradients(optimiser, 1.0)
    after = clip_gradients(optimiser, 1e9)
    assert before == pytest.approx({"denoiser": 10.0, "segmenter": 0.5, "uncertainty": 3.0}, rel=1e-4)
    assert after == pytest.approx({"denoiser": 1.0, "segmenter": 0.5, "uncertainty": 1.0}, rel=1e-4)


def test_the_average_forgets_by_its_decay():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    average = MovingAverage(model, decay=0.9)
    torch.nn.init.constant_(model.weight, 1.0)
    for _ in range(5):
        average.update(model, updates=10**6)
    assert float(average.state["weight"]) == pytest.approx(1.0 - 0.9**5)


def test_the_first_averages_hardly_remember_the_random_start():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    average = MovingAverage(model, decay=0.999)
    torch.nn.init.constant_(model.weight, 1.0)
    average.update(model, updates=0)
    assert float(average.state["weight"]) == pytest.approx(0.9)  # decay (1 + 0) / (10 + 0)


def test_the_model_has_its_own_weights_back_after_a_validation_with_the_average():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    average = MovingAverage(model)
    torch.nn.init.constant_(model.weight, 1.0)
    with average.applied_to(model) as averaged:
        assert float(averaged.weight.detach()) == 0.0
        assert not averaged.training
    assert float(model.weight.detach()) == 1.0
    assert model.training
