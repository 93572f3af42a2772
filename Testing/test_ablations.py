"""What the paper's ablations switch off, and that they leave the rest alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_cases import (
    TINY_MODEL,
    TINY_TRAINING,
    command,
    two_patches,
    weights_of,
    write_cohort,
    write_config,
)

from AMDiffLib import train
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.training.ablations import ABLATIONS
from AMDiffLib.training.config import TrainingConfig
from AMDiffLib.training.objective import joint_objective
from AMDiffLib.training.patch_sampling import Batch

TERMS = ("diffusion", "lesion_organ", "revision", "segmentation", "uncertainty")
PARTS = {"denoiser", "revision", "segmenter", "uncertainty"}


@pytest.fixture(scope="module")
def a_batch() -> Batch:
    return two_patches(slice(10, 13))


def a_model(config: AMDiffConfig = TINY_MODEL) -> AMDiff:
    """The whole model's weights, of those that `config` has, after the first steps of a training."""
    torch.manual_seed(0)
    whole = AMDiff(TINY_MODEL)
    for part in (whole.revision.convolutions[-1], whole.uncertainty.convolutions[-1]):
        torch.nn.init.normal_(part.weight, std=0.05)
    model = AMDiff(config)
    model.load_state_dict({k: v for k, v in whole.state_dict().items() if k in model.state_dict()})
    return model


def losses_and_gradients(
    model: AMDiff, training: TrainingConfig, batch: Batch
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    terms = joint_objective(
        model, batch, warm=1.0, config=training.loss, generator=generator, precision=torch.float32
    )
    terms["total"].backward()
    gradients = {
        name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    return {name: float(terms[name].detach()) for name in TERMS}, gradients


@pytest.fixture(scope="module")
def whole(a_batch) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    return losses_and_gradients(a_model(), TINY_TRAINING, a_batch)


def without(name: str, batch: Batch) -> tuple[AMDiff, dict[str, float], dict[str, torch.Tensor]]:
    config, training = ABLATIONS[name](TINY_MODEL, TINY_TRAINING)
    model = a_model(config)
    return model, *losses_and_gradients(model, training, batch)


def parts_of(names) -> set[str]:
    return {name.partition(".")[0] for name in names}


def changed(one: dict[str, float], other: dict[str, float]) -> set[str]:
    return {name for name in one if other[name] != pytest.approx(one[name], rel=1e-5)}


def test_the_whole_model_has_every_loss_and_trains_every_part(whole):
    losses, gradients = whole
    assert all(value != 0.0 for value in losses.values())
    assert parts_of(gradients) == PARTS


def test_without_revision_the_denoised_image_is_the_result_and_eq_7_falls_away(a_batch, whole):
    model, losses, gradients = without("revision", a_batch)

    gone = set(a_model().state_dict()) - set(model.state_dict())
    assert parts_of(gone) == {"revision"}
    assert set(model.state_dict()) <= set(a_model().state_dict())
    denoised = a_batch.high_count
    assert torch.equal(model.revise(denoised, a_batch.low_count), denoised)
    assert losses["revision"] == 0.0
    # What reads the result reads another one; the denoiser's own losses are as they were.
    assert (
        {"revision", "uncertainty"} <= changed(whole[0], losses) <= set(TERMS) - {"diffusion", "lesion_organ"}
    )
    assert parts_of(gradients) == PARTS - {"revision"}


REGULARISERS = ["lesion-regulariser", "organ-regulariser"]


@pytest.mark.parametrize(("name", "other"), [REGULARISERS, REGULARISERS[::-1]])
def test_without_a_regulariser_only_its_summand_of_eq_5_is_gone(name, other, a_batch, whole):
    model, losses, gradients = without(name, a_batch)

    assert set(model.state_dict()) == set(a_model().state_dict())
    assert changed(whole[0], losses) == {"lesion_organ"}
    rest = without(other, a_batch)[1]["lesion_organ"]
    assert losses["lesion_organ"] + rest == pytest.approx(whole[0]["lesion_organ"], rel=1e-5)
    assert 0.0 < losses["lesion_organ"] < whole[0]["lesion_organ"]
    assert parts_of(gradients) == PARTS
    same = {k for k in gradients if torch.allclose(gradients[k], whole[1][k], rtol=1e-4, atol=1e-7)}
    # Eq. (5) is about the denoiser's output: nothing but its gradient changes.
    assert parts_of(gradients.keys() - same) == {"denoiser"}


def test_without_both_regularisers_eq_5_is_zero(a_batch):
    loss = replace(TINY_TRAINING.loss, lesion_regulariser=False, organ_regulariser=False)
    assert (
        losses_and_gradients(a_model(), replace(TINY_TRAINING, loss=loss), a_batch)[0]["lesion_organ"] == 0.0
    )


def test_without_res_mamba_the_segmenter_keeps_its_convolutions(a_batch, whole):
    model, losses, gradients = without("res-mamba", a_batch)

    gone = set(a_model().state_dict()) - set(model.state_dict())
    assert gone
    assert all(name.startswith("segmenter.stages.") and ".mamba." in name for name in gone)
    assert set(model.state_dict()) <= set(a_model().state_dict())
    assert changed(whole[0], losses) == {"segmentation"}
    assert parts_of(gradients) == PARTS
    image_side = {name for name in gradients if name.startswith("uncertainty")}
    assert all(torch.allclose(gradients[name], whole[1][name]) for name in image_side)


@pytest.fixture(scope="module")
def a_training(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("training")
    return write_cohort(folder), write_config(folder)


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_each_ablation_trains_for_some_steps(name, a_training, tmp_path):
    assert train.main(command(*a_training, tmp_path, "--without", name, steps=3)) == 0
    config, _ = ABLATIONS[name](TINY_MODEL, TINY_TRAINING)
    weights = weights_of(tmp_path)
    names = {key.removeprefix("model.") for key in weights if key.startswith("model.")}
    assert names == set(AMDiff(config).state_dict())
    assert all(torch.isfinite(value).all() for value in weights.values())
