"""What the trained model makes of held-out cases: the real sampler, revision and segmenter on large crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.diffusion.noise import position_seeded_noise
from AMDiffLib.diffusion.samplers import ancestral, few_step
from AMDiffLib.inference.device import autocast, precision_of
from AMDiffLib.labels import ORGANS
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.training.dataset import Subject


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A fixed part of a held-out case: SUV images (1, 1, D, H, W), organ labels and lesion mask (D, H, W)."""

    name: str
    low_count: Tensor
    high_count: Tensor
    organs: Tensor
    lesions: Tensor


def choose_crops(subjects: Sequence[Subject], *, size: int, per_subject: int) -> list[Crop]:
    """Return `per_subject` crops of each subject, the count levels in turn; always the same ones.

    The first lies at the middle of the body, the others around the subject's lesions, largest first.
    """
    crops = []
    for subject in subjects:
        shape = np.array(subject.high_count.shape)
        body = np.stack(np.unravel_index(subject.body, shape))
        centres = [body.mean(axis=1) if body.size else shape / 2]
        by_size = sorted(subject.lesion_voxels, key=len, reverse=True)
        centres += [np.stack(np.unravel_index(voxels, shape)).mean(axis=1) for voxels in by_size]
        extent = np.minimum(size, shape // 16 * 16)
        for centre in centres[:per_subject]:
            levels = sorted(subject.low_count)
            level = levels[len(crops) % len(levels)]
            start = np.clip(np.rint(centre).astype(int) - extent // 2, 0, shape - extent)
            window = tuple(slice(s, s + e) for s, e in zip(start, extent, strict=True))
            crops.append(
                Crop(
                    name=f"{subject.name} {level:g} %",
                    low_count=torch.from_numpy(subject.low_count[level][window].astype(np.float32))[
                        None, None
                    ],
                    high_count=torch.from_numpy(subject.high_count[window].astype(np.float32))[None, None],
                    organs=torch.from_numpy(subject.organs[window].copy()),
                    lesions=torch.from_numpy(subject.lesions[window] > 0),
                )
            )
    return crops


@torch.no_grad()
def reconstruct(model: AMDiff, low_count: Tensor, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return P_HCR (SUV, 1, 1, D, H, W), lesion mask and organ labels (D, H, W) by the configured sampler."""
    diffusion = model.config.diffusion
    device = low_count.device

    def noise(step: int) -> Tensor:
        return position_seeded_noise(low_count.shape, seed, step).to(device)

    def predict_x0(x_t: Tensor, t: int) -> Tensor:
        steps = torch.full((len(x_t),), int(t), device=device, dtype=torch.int64)
        return model.predict_x0(x_t, low_count, steps)

    with autocast(device, precision_of(device)):
        if diffusion.sampler == "few_step":
            normalised = model.to_normalised(low_count)
            x0 = few_step(predict_x0, normalised, model.schedule, diffusion.sampling_timesteps, noise)
        else:
            x0 = ancestral(predict_x0, noise(0), model.schedule, noise)
        revised = model.revise(model.to_suv(x0), low_count)
        lesion_logits, organ_logits = model.segment(revised, low_count)
    organs = organ_logits.argmax(dim=1)[0]
    return revised.float(), lesion_logits.argmax(dim=1)[0] == 1, torch.where(organs > 0, organs + 1, organs)


def validate(
    model: AMDiff, crops: Sequence[Crop], *, seed: int, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Return the figures of all crops together and the score that chooses the best weights (lower is better).

    nrmse, lesion_nrmse: root mean square error over that of the low-count input (1 = nothing gained);
    dice_<class>: over the voxels of all crops; score = nrmse + lesion_nrmse + 2 - dice_lesion - mean organ
    dice. Figures without any voxel of their class are left out of the means.
    """
    squared = {"whole": [0.0, 0.0], "lesion": [0.0, 0.0]}
    overlap = np.zeros(9)
    sizes = np.zeros(9)
    for number, crop in enumerate(crops):
        low_count, high_count = crop.low_count.to(device), crop.high_count.to(device)
        revised, lesions, organs = reconstruct(model, low_count, seed=seed + number)
        lesions, organs = lesions.cpu(), organs.cpu()
        error = (revised - high_count).square().double().cpu()[0, 0]
        before = (low_count - high_count).square().double().cpu()[0, 0]
        for name, mask in (("whole", slice(None)), ("lesion", crop.lesions)):
            squared[name][0] += float(error[mask].sum())
            squared[name][1] += float(before[mask].sum())
        found = [lesions, *(organs == organ.label for organ in ORGANS)]
        true = [crop.lesions, *(crop.organs == organ.label for organ in ORGANS)]
        for label, (a, b) in enumerate(zip(found, true, strict=True), start=1):
            overlap[label] += 2.0 * float((a & b).sum())
            sizes[label] += float(a.sum() + b.sum())
    dice = np.divide(overlap, sizes, out=np.full(9, np.nan), where=sizes > 0)
    figures = {"nrmse": _ratio(*squared["whole"]), "lesion_nrmse": _ratio(*squared["lesion"])}
    figures["dice_lesion"] = float(dice[1])
    figures |= {f"dice_{organ.name}": float(dice[organ.label]) for organ in ORGANS}
    organ_dice = dice[2:][np.isfinite(dice[2:])]
    terms = [
        figures["nrmse"],
        figures["lesion_nrmse"],
        1.0 - figures["dice_lesion"],
        1.0 - float(organ_dice.mean()) if organ_dice.size else np.nan,
    ]
    figures["score"] = float(np.nansum(terms))
    return figures


def _ratio(squared_error: float, squared_before: float) -> float:
    return float(np.sqrt(squared_error / squared_before)) if squared_before > 0 else float("nan")
