"""The head that says how far off the revised image may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import COMPACT, PAPER, AMDiffConfig, IntensityConfig, UncertaintyConfig
from AMDiffLib.networks.intensity import IntensityTransform
from AMDiffLib.networks.uncertainty import UncertaintyHead
from AMDiffLib.training.losses import uncertainty_loss


def test_its_loss_is_smallest_at_the_scale_of_the_errors():
    error = torch.distributions.Laplace(0.0, 0.3).sample((200_000,))
    log_scales = torch.linspace(-3.0, 1.0, 401)
    losses = torch.stack([uncertainty_loss(error, s) for s in log_scales])
    assert float(log_scales[losses.argmin()].exp()) == pytest.approx(0.3, rel=0.03)


def test_it_learns_where_errors_are_large():
    torch.manual_seed(0)
    head = UncertaintyHead(UncertaintyConfig(channels=4))
    low = torch.linspace(0.0, 1.0, 12).view(1, 1, 12, 1, 1).expand(1, 1, 12, 12, 12)
    scale = 0.02 + 0.2 * low
    optimiser = torch.optim.Adam(head.parameters(), 2e-2)
    for _ in range(300):
        error = torch.distributions.Laplace(0.0, scale).sample()
        optimiser.zero_grad()
        uncertainty_loss(error, head(torch.cat([low, low], dim=1))).backward()
        optimiser.step()
    found = head(torch.cat([low, low], dim=1)).exp().flatten().detach()
    assert float(torch.corrcoef(torch.stack([found, scale.flatten()]))[0, 1]) > 0.9
    assert float(found.mean()) == pytest.approx(float(scale.mean()), rel=0.15)


@pytest.mark.parametrize("kind", ["sqrt", "cutoff"])
def test_a_small_normalised_difference_is_worth_what_the_transform_says(kind):
    transform = IntensityTransform(IntensityConfig(kind=kind))
    suv = torch.tensor([0.5, 2.0, 8.0, 15.0], dtype=torch.float64)
    step = 1e-6
    difference = transform.to_normalised(suv + step) - transform.to_normalised(suv)
    assert torch.allclose(step / difference, transform.suv_per_unit(suv), rtol=1e-5)


def test_the_standard_deviation_is_in_suv_and_the_published_model_has_none():
    model = AMDiff(COMPACT)
    revised = torch.full((1, 1, 16, 16, 16), 4.0)
    sd = model.uncertainty_sd(revised, revised)
    # Untrained: b = 0.05 of a range that takes 2 units for sqrt(20.25) - sqrt(0.25) = 4.
    assert float(sd.detach().mean()) == pytest.approx(2.0**0.5 * 0.05 * 4.0 * 4.25**0.5, rel=1e-5)
    assert AMDiffConfig.from_dict(COMPACT.to_dict()) == COMPACT
    assert PAPER.uncertainty is None
    assert AMDiffConfig.from_dict(PAPER.to_dict()) == PAPER
    without = AMDiff(replace(COMPACT, uncertainty=None))
    with pytest.raises(ValueError, match="no uncertainty head"):
        without.log_error_scale(revised, revised)
