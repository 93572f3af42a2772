"""The terms of the objective on tensors small enough to add up by hand."""

from __future__ import annotations

import math

import pytest
import torch

from AMDiffLib.training.losses import (
    class_errors,
    class_masks,
    diffusion_loss,
    focal_dice_losses,
    lesion_organ_loss,
    printed_segmentation_loss,
    revision_loss,
    segmentation_loss,
    total_loss,
)

ONES = (1.0,) * 9


@pytest.fixture
def a_row() -> tuple[torch.Tensor, torch.Tensor]:
    """Six voxels: background, liver, liver with lesion, lesion alone, and two of aorta."""
    organs = torch.tensor([0, 2, 2, 0, 8, 8], dtype=torch.uint8).view(1, 1, 1, 6)
    lesions = torch.tensor([0, 0, 1, 2, 0, 0], dtype=torch.uint8).view(1, 1, 1, 6)
    return organs, lesions


@pytest.fixture
def errors_of_a_row() -> tuple[torch.Tensor, torch.Tensor]:
    prediction = torch.tensor([1.0, 2.0, 4.0, 10.0, 0.0, -2.0]).view(1, 1, 1, 1, 6)
    return prediction, torch.zeros_like(prediction)


def test_masks_follow_the_labels_and_a_lesion_in_an_organ_is_both(a_row):
    masks = class_masks(*a_row)
    assert masks.shape == (1, 9, 1, 1, 6)
    assert masks.sum(dim=(0, 2, 3, 4)).tolist() == [1, 2, 2, 0, 0, 0, 0, 0, 2]
    assert masks[0, 1].flatten().tolist() == [False, False, True, True, False, False]


def test_the_diffusion_loss_is_the_mean_absolute_error():
    prediction = torch.tensor([1.0, -3.0, 2.0, 2.0]).view(2, 1, 1, 1, 2)
    assert diffusion_loss(prediction, torch.zeros_like(prediction)) == pytest.approx(2.0)
    weights = torch.tensor([0.5, 1.0])  # (0.5 * 2 + 1 * 2) / 2
    assert diffusion_loss(prediction, torch.zeros_like(prediction), weights) == pytest.approx(1.5)


def test_the_error_of_a_class_is_the_mean_over_its_voxels(a_row, errors_of_a_row):
    errors = class_errors(*errors_of_a_row, class_masks(*a_row))
    # background 1; lesion (4 + 10) / 2; liver (2 + 4) / 2; aorta (0 + 2) / 2; the others are absent
    assert errors.tolist() == [1.0, 7.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def test_the_lesion_organ_loss_leaves_the_background_out(a_row, errors_of_a_row):
    weights = (100.0, 3.0, *(1.0,) * 7)
    loss = lesion_organ_loss(*errors_of_a_row, class_masks(*a_row), weights)
    assert loss == pytest.approx((3 * 7 + 3 + 1) / 10)


def test_the_revision_loss_counts_the_background(a_row, errors_of_a_row):
    weights = (2.0, 3.0, *(1.0,) * 7)
    loss = revision_loss(*errors_of_a_row, class_masks(*a_row), weights)
    assert loss == pytest.approx((2 * 1 + 3 * 7 + 3 + 1) / 12)


def test_a_small_lesion_weighs_as_much_as_a_large_one_elsewhere():
    target = torch.zeros(1, 1, 8, 8, 8)
    for side in (1, 4):
        lesions = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
        lesions[:, :side, :side, :side] = 1
        masks = class_masks(torch.zeros_like(lesions), lesions)
        assert class_errors(target + 2.0, target, masks)[1] == pytest.approx(2.0)


def test_samples_at_badly_determined_timesteps_can_be_damped(a_row, errors_of_a_row):
    half = class_errors(*errors_of_a_row, class_masks(*a_row), torch.tensor([0.5]))
    assert half[1] == pytest.approx(3.5)


def test_the_printed_eq_9_costs_the_same_for_a_perfect_mask_and_for_foreground_everywhere():
    masks = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 1, 1, 1, 4)
    assert printed_segmentation_loss(masks, masks, (1.0,)) == pytest.approx(1.0, abs=1e-5)
    assert printed_segmentation_loss(torch.ones_like(masks), masks, (1.0,)) == pytest.approx(1.0, abs=1e-5)


def test_the_printed_eq_9_by_hand():
    probability = torch.full((1, 1, 1, 1, 1), 0.5)
    mask = torch.ones_like(probability)
    f = 0.5 ** (4 / 3)
    by_hand = math.log(2) + 1 - 2 * f * 0.5 / (f * 0.25 + 1)
    assert printed_segmentation_loss(probability, mask, (1.0,)) == pytest.approx(by_hand, rel=1e-6)


def dice_losses(probabilities, masks, **options):
    """`focal_dice_losses` of images (B, S, D, H, W)."""
    sums = [image.flatten(2).sum(dim=2) for image in (probabilities * masks, probabilities, masks)]
    return focal_dice_losses(*sums, **options)


def test_focal_dice_is_the_three_quarter_power_of_what_dice_lacks():
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 1, 4)
    probabilities = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 1, 1, 1, 4)  # Dice 1/2
    assert dice_losses(probabilities, masks)[0] == pytest.approx(0.5**0.75)
    assert dice_losses(masks, masks)[0] == pytest.approx(0.001)  # the floor 1e-4 to the 3/4


def test_focal_dice_passes_over_patches_without_the_class():
    masks = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(2, 1, 1, 1, 2)
    probabilities = torch.tensor([[0.5, 0.5], [0.9, 0.9]]).view(2, 1, 1, 1, 2)
    assert dice_losses(probabilities, masks)[0] == pytest.approx(0.5**0.75)  # 2 * 0.5 / (1 + 1)
    assert dice_losses(probabilities, torch.zeros_like(masks))[0] == 0.0


def test_false_volume_can_cost_in_patches_without_the_class_and_changes_nothing_in_others():
    marked = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 1, 4)
    nothing = torch.zeros_like(marked)
    assert dice_losses(marked, nothing)[0] == 0.0
    assert dice_losses(marked, nothing, absent_voxels=1.0)[0] == pytest.approx(0.75**0.75)  # 3 / (3 + 1)
    assert dice_losses(nothing, nothing, absent_voxels=1.0)[0] == pytest.approx(0.001)  # the floor
    true = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 1, 4)
    assert torch.equal(dice_losses(marked, true, absent_voxels=9.0), dice_losses(marked, true))


def test_the_segmentation_loss_is_that_of_torchs_cross_entropy_and_of_masks():
    random = torch.Generator().manual_seed(0)
    size = (2, 6, 5, 4)
    lesion_logits, organ_logits = (torch.randn(2, n, *size[1:], generator=random) for n in (2, 8))
    organs = torch.randint(0, 8, size, generator=random)
    organs = torch.where(organs > 0, organs + 1, 0)
    lesions = torch.randint(0, 2, size, generator=random)
    lesions[1] = 0
    ce, dice = (torch.rand(9, generator=random) + 0.5 for _ in range(2))
    found = segmentation_loss(
        lesion_logits,
        organ_logits,
        organs,
        lesions,
        cross_entropy_weights=ce.tolist(),
        dice_weights=dice.tolist(),
        absent_lesion_voxels=7.0,
    )
    cross_entropy = torch.nn.functional.cross_entropy
    expected = cross_entropy(lesion_logits, lesions, weight=ce[:2])
    expected += cross_entropy(organ_logits, (organs - 1).clamp_min(0), weight=ce[[0, *range(2, 9)]])
    masks = class_masks(organs, lesions)[:, 1:].float()
    probabilities = torch.cat([lesion_logits.softmax(1)[:, 1:], organ_logits.softmax(1)[:, 1:]], dim=1)
    each = dice_losses(probabilities, masks)
    each[0] = dice_losses(probabilities[:, :1], masks[:, :1], absent_voxels=7.0)[0]
    expected += (dice[1:] * each).sum() / dice[1:].sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_segmentation_loss_of_undecided_logits_by_hand(a_row):
    organs, lesions = a_row
    loss = segmentation_loss(
        torch.zeros(1, 2, 1, 1, 6),
        torch.zeros(1, 8, 1, 1, 6),
        organs,
        lesions,
        cross_entropy_weights=ONES,
        dice_weights=ONES,
    )
    lesion_dice = 2 * 0.5 * 2 / (6 * 0.5 + 2)
    organ_dice = 2 * (1 / 8) * 2 / (6 / 8 + 2)  # liver and aorta, two voxels each
    dice_terms = (1 - lesion_dice) ** 0.75 + 2 * (1 - organ_dice) ** 0.75
    assert loss == pytest.approx(math.log(2) + math.log(8) + dice_terms / 8, rel=1e-5)


def test_the_corrected_segmentation_loss_prefers_the_perfect_mask(a_row):
    organs, lesions = a_row
    weights = {"cross_entropy_weights": ONES, "dice_weights": ONES}
    organ_target = (organs.long() - 1).clamp_min(0)
    perfect_organs = 20.0 * torch.nn.functional.one_hot(organ_target, 8).permute(0, 4, 1, 2, 3).float()
    perfect_lesions = 20.0 * torch.stack([lesions == 0, lesions > 0], dim=1).float()
    everywhere = 20.0 * torch.stack([torch.zeros_like(lesions), torch.ones_like(lesions)], dim=1).float()
    perfect = segmentation_loss(perfect_lesions, perfect_organs, organs, lesions, **weights)
    flooded = segmentation_loss(everywhere, perfect_organs, organs, lesions, **weights)
    assert perfect < 0.01
    assert flooded > 10.0


def test_a_missed_lesion_costs_more_with_a_larger_weight(a_row):
    organs, lesions = a_row
    logits = (torch.zeros(1, 2, 1, 1, 6), torch.zeros(1, 8, 1, 1, 6))
    logits[0][:, 0] = 4.0
    plain, weighted = (
        segmentation_loss(*logits, organs, lesions, cross_entropy_weights=w, dice_weights=ONES)
        for w in (ONES, (1.0, 5.0, *ONES[2:]))
    )
    # background costs log(1 + e^-4) on four voxels, a missed lesion voxel log(1 + e^4), on two
    hit, missed = math.log1p(math.exp(-4)), math.log1p(math.exp(4))
    by_hand = (4 * hit + 10 * missed) / 14 - (4 * hit + 2 * missed) / 6
    assert weighted - plain == pytest.approx(by_hand, rel=1e-5)


def test_the_total_is_eq_10_with_the_likelihood_of_the_head_beside():
    terms = [torch.tensor(value) for value in (1.0, 2.0, 4.0, 8.0, 16.0)]
    assert total_loss(*terms, warm=0.5) == 16.0
    assert total_loss(*terms[:4], torch.tensor(0.0), warm=0.5) == 8.0  # Eq. (10) itself
    assert total_loss(*terms, warm=0.0) == 1.0
