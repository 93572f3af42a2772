"""The terms of AMDiff's joint objective, Eq. (3), (5), (7) and (9)-(11), as functions of plain tensors.

Shapes: images (B, 1, D, H, W); organ label maps and lesion masks (B, D, H, W); logits (B, C, D, H, W).

Per-class norm. ||M_s (.)||_1 is taken as the mean over the voxels of class s in the batch, so that a lesion
of 1 mL counts as much as a liver of 1.5 L, and sums over classes are divided by the sum of the weights of
all classes, so that L_lor and L_rev stay on the scale of L_diff whatever the weights. A class that is not
in the batch adds nothing.

Shared batches. Where several processes hold parts of one batch, every mean divides by the voxels (patches,
weights) of the whole batch: these denominators follow from the labels alone, and `total` sums them over the
processes. Each process's loss is then its summand of the loss of the whole batch, and so is its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from AMDiffLib.labels import ORGANS

Total = Callable[[Tensor], Tensor]


def of_this_batch(count: Tensor) -> Tensor:
    """The `total` of a process that holds the whole batch: what it counts itself."""
    return count


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """Weight of the segmentation-side losses over training, Eq. (11) of the AMDiff paper."""

    first_epoch: int = 100
    last_epoch: int = 800

    def __call__(self, epoch: int) -> float:
        """Return lambda_warm in [0, 1] for a zero-based `epoch`; it stays 1 after `last_epoch`."""
        if epoch < self.first_epoch:
            return 0.0
        return math.exp(-5.0 * (1.0 - min(epoch / self.last_epoch, 1.0)) ** 2)


def class_masks(organs: Tensor, lesions: Tensor) -> Tensor:
    """Return the masks M_s, s = 0..8, as (B, 9, D, H, W) bool; a lesion inside an organ is in both masks.

    `organs` holds the labels 0 and 2..8, `lesions` is non-zero in lesions; both (B, D, H, W).
    """
    lesion = lesions > 0
    masks = [(organs == 0) & ~lesion, lesion]
    masks += [organs == organ.label for organ in ORGANS]
    return torch.stack(masks, dim=1)


def diffusion_loss(
    prediction: Tensor, target: Tensor, sample_weights: Tensor | None = None, *, total: Total = of_this_batch
) -> Tensor:
    """Eq. (3): mean absolute error of the denoiser's output, optionally weighted per sample with (B,)
    weights.
    """
    error = (prediction.float() - target.float()).abs().flatten(1).mean(dim=1)
    weighted = error if sample_weights is None else sample_weights * error
    return weighted.sum() / total(weighted.new_tensor(len(weighted)))


def class_errors(
    prediction: Tensor,
    target: Tensor,
    masks: Tensor,
    sample_weights: Tensor | None = None,
    *,
    total: Total = of_this_batch,
) -> Tensor:
    """Mean absolute error per class, (9,), zero for a class without voxels; samples may be weighted with
    (B,).
    """
    error = (prediction.float() - target.float()).abs()
    if sample_weights is not None:
        error = error * sample_weights.view(-1, 1, 1, 1, 1)
    flat_error = error.transpose(0, 1).reshape(1, -1)
    flat_masks = masks.transpose(0, 1).reshape(masks.shape[1], -1).to(flat_error.dtype)
    return (flat_masks @ flat_error.T).squeeze(1) / total(flat_masks.sum(dim=1)).clamp_min(1.0)


def lesion_organ_loss(
    denoised: Tensor,
    high_count: Tensor,
    masks: Tensor,
    class_weights: Sequence[float],
    sample_weights: Tensor | None = None,
    *,
    lesion_regulariser: bool = True,
    organ_regulariser: bool = True,
    total: Total = of_this_batch,
) -> Tensor:
    """L_lor of Eq. (5): sum over lesion and organs, s = 1..8, of w_s ||M_s (P_HC - I_HC)||_1.

    During training P_HC is the one-step estimate x0-hat of the current timestep, since a whole reverse
    chain per training step is out of reach. `class_weights` are w_0..w_8 (w_0 is not used here); both
    images in the denoiser's normalised intensity. `sample_weights` damp the timesteps at which x0-hat is
    poorly determined. Switching a regulariser off leaves its summands out, and the others as they are.
    """
    weights = torch.as_tensor(class_weights, dtype=torch.float32, device=denoised.device)[1:]
    used = weights * weights.new_tensor([lesion_regulariser, *[organ_regulariser] * (len(weights) - 1)])
    errors = class_errors(denoised, high_count, masks, sample_weights, total=total)[1:]
    return (used * errors).sum() / weights.sum()  # Eq. (5)


def revision_loss(
    revised: Tensor,
    high_count: Tensor,
    masks: Tensor,
    class_weights: Sequence[float],
    sample_weights: Tensor | None = None,
    *,
    total: Total = of_this_batch,
) -> Tensor:
    """L_rev of Eq. (7): sum over background, lesion and organs, s = 0..8, of w_s ||M_s (P_HCR - I_HC)||_1.

    Both images in one unit: SUV as published, or normalised intensity so that a bladder of SUV 100 does not
    drown a lesion of SUV 4.
    """
    weights = torch.as_tensor(class_weights, dtype=torch.float32, device=revised.device)
    errors = class_errors(revised, high_count, masks, sample_weights, total=total)
    return (weights * errors).sum() / weights.sum()  # Eq. (7)


def printed_segmentation_loss(probabilities: Tensor, masks: Tensor, class_weights: Sequence[float]) -> Tensor:
    """L_seg exactly as Eq. (9) is printed, with the mean over voxels; kept for comparison, not for training.

    `probabilities` and `masks` are (B, S, D, H, W). The factor (1 - P)^{4/3} takes the Dice term to zero at
    P = M = 1, so a perfect mask and one that is foreground everywhere cost the same. Where P = M = 0 the
    fraction is 0 / 0, taken as 0.
    """
    mask = masks.float()
    focal = (1.0 - probabilities) ** (4.0 / 3.0)
    cross_entropy = -mask * probabilities.clamp_min(1e-7).log()
    denominator = focal * probabilities**2 + mask**2
    overlap = 2.0 * focal * probabilities * mask / denominator.clamp_min(1e-12)
    per_class = (cross_entropy + 1.0 - overlap).transpose(0, 1).flatten(1).mean(dim=1)
    weights = torch.as_tensor(class_weights, dtype=torch.float32, device=mask.device)
    return (weights * per_class).mean()  # Eq. (9), 1/S outside the sum


def focal_dice_losses(
    overlap: Tensor,
    marked: Tensor,
    true: Tensor,
    *,
    absent_voxels: float = 0.0,
    total: Total = of_this_batch,
) -> Tensor:
    """Return (1 - soft Dice)^{3/4} of each class, (S,), from voxels (B, S): both marked and true, marked, and
    true, where a voxel is marked by its probability.

    Dice over the whole patch, then the mean over the patches that hold the class. A class absent from
    every patch gives 0: cross-entropy alone teaches its absence.

    With `absent_voxels` above 0 patches without the class count too, and V voxels marked in one cost
    (V / (V + absent_voxels))^{3/4}, which cross-entropy over a million voxels would hardly notice. (Patches
    with the class stay as they are: smoothed, a small lesion would best be missed.)
    """
    counted = true > 0
    added = torch.where(counted, 0.0, absent_voxels)
    dice = (2.0 * overlap + added) / (marked + true + added).clamp_min(1e-6)
    # The slope of x^{3/4} is infinite at 0; the floor bounds it.
    per_patch = (1.0 - dice).clamp_min(1e-4) ** 0.75
    counted = (counted | (absent_voxels > 0)).float()
    return (per_patch * counted).sum(dim=0) / total(counted.sum(dim=0)).clamp_min(1.0)


def segmentation_loss(
    lesion_logits: Tensor,
    organ_logits: Tensor,
    organs: Tensor,
    lesions: Tensor,
    *,
    cross_entropy_weights: Sequence[float],
    dice_weights: Sequence[float],
    absent_lesion_voxels: float = 0.0,
    total: Total = of_this_batch,
) -> Tensor:
    """L_seg of Eq. (9), corrected: cross-entropy including background + (1 - soft Dice)^{3/4} per class.

    `cross_entropy_weights` and `dice_weights` are w_0..w_8. Cross-entropy is the weighted mean over voxels of
    each branch (lesion against not lesion; organs against no organ); w_0 weighs the background of both.
    `absent_lesion_voxels`: `absent_voxels` of `focal_dice_losses`, for lesions.
    """
    ce_weights = torch.as_tensor(cross_entropy_weights, dtype=torch.float32, device=organs.device)
    weights = torch.as_tensor(dice_weights, dtype=torch.float32, device=organs.device)[1:]
    lesion_target = (lesions > 0).long()
    organ_target = (organs.long() - 1).clamp_min(0)  # labels 2..8 are channels 1..7
    organ_weights = torch.cat([ce_weights[:1], ce_weights[2:]])
    lesion_entropy, lesion_dice = _branch_losses(
        lesion_logits, lesion_target, ce_weights[:2], absent_voxels=absent_lesion_voxels, total=total
    )
    organ_entropy, organ_dice = _branch_losses(organ_logits, organ_target, organ_weights, total=total)
    dice = (weights * torch.cat([lesion_dice, organ_dice])).sum() / weights.sum()
    return lesion_entropy + organ_entropy + dice


def _branch_losses(
    logits: Tensor, target: Tensor, class_weights: Tensor, *, absent_voxels: float = 0.0, total: Total
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of one decoder, and the Dice loss of each of its classes but the background, (C - 1,).

    Both need the true class alone of a voxel's probabilities: on a CPU this takes half the time of masks.
    """
    log_probabilities = logits.float().log_softmax(dim=1)
    of_true_class = log_probabilities.gather(1, target.unsqueeze(1)).flatten(1).double()
    target = target.flatten(1)
    true = torch.stack([row.bincount(minlength=logits.shape[1]) for row in target]).double()
    overlap = torch.zeros_like(true).scatter_add(1, target, of_true_class.exp())
    summed = torch.zeros_like(true).scatter_add(1, target, of_true_class)
    cross_entropy = -(class_weights * summed).sum() / total((class_weights * true).sum())
    marked = log_probabilities.exp().sum(dim=(2, 3, 4))
    dice = focal_dice_losses(
        overlap[:, 1:], marked[:, 1:], true[:, 1:], absent_voxels=absent_voxels, total=total
    )
    return cross_entropy.float(), dice.float()


def uncertainty_loss(error: Tensor, log_scale: Tensor, *, total: Total = of_this_batch) -> Tensor:
    """Return -ln of the Laplace likelihood, up to a constant: the mean of |error| / b + ln b."""
    per_voxel = error.abs() * torch.exp(-log_scale) + log_scale
    return per_voxel.sum() / total(per_voxel.new_tensor(per_voxel.numel()))


def total_loss(
    diffusion: Tensor,
    lesion_organ: Tensor,
    revision: Tensor,
    segmentation: Tensor,
    uncertainty: Tensor,
    warm: float,
) -> Tensor:
    """Eq. (10): L_diff + lambda_warm (L_lor + L_rev + L_seg), and the likelihood of the uncertainty head.

    The latter trains its head alone.
    """
    return diffusion + warm * (lesion_organ + revision + segmentation + uncertainty)
