"""What the model in training makes of whole held-out scans, by the very code that patients' scans go through.

Which weights are kept is decided here, by what a physician would look at: is the image closer to the
high-count one than the scan was, in the body and in its lesions; are organs and lesions outlined as they
are; and is nothing called a lesion that is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from AMDiffLib.evaluation.cases import body_region
from AMDiffLib.evaluation.detection import detect, measurable_dice
from AMDiffLib.evaluation.metrics import NAN, dice
from AMDiffLib.image.orientation import IDENTITY
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.config import DEFAULT_TILE
from AMDiffLib.inference.lesions import label_lesions
from AMDiffLib.inference.pipeline import Result, denoise_and_segment
from AMDiffLib.labels import ORGANS
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.progress import Reporter, SilentReporter
from AMDiffLib.training.dataset import Subject

FALSE_POSITIVE_HALF_ML = 3.0
"""False-positive volume a patient that costs half a point: about that of the winner of autoPET III (2.8)."""

IMAGE_TERMS = ("body_error", "lesion_error")
SEGMENT_TERMS = ("organ_dice_missing", "lesion_dice_missing", "false_positive_share")


@dataclass(frozen=True, kw_only=True)
class HeldOutScan:
    """A low-count scan with its high-count image (g/mL), body mask, labels and lesion numbers, (z, y, x)."""

    name: str
    low_count: PetVolume
    high_count: np.ndarray
    body: np.ndarray
    organs: np.ndarray
    lesions: np.ndarray


def choose_scans(
    subjects: Sequence[Subject], *, count: int | None = None, levels: Collection[float] = ()
) -> list[HeldOutScan]:
    """Return `count` whole scans (None: one a subject), always the same ones.

    Subjects come in the order given, the scanners in turn; their count levels in turn too, of `levels` where
    these are named. Beyond the number of subjects each comes again at its next level, until there is none.
    """
    allowed = [_allowed_levels(subject, levels) for subject in subjects]
    turns = [
        (subject, own[(number + again) % len(own)])
        for again in range(max(map(len, allowed), default=0))
        for number, (subject, own) in enumerate(_scanners_in_turn(subjects, allowed))
        if again < len(own)
    ]
    return [_scan(subject, level) for subject, level in turns[: len(subjects) if count is None else count]]


def validate(
    model: AMDiff,
    scans: Sequence[HeldOutScan],
    *,
    seed: int,
    trained: Collection[str] = ("denoiser", "revision", "segmenter"),
    device: torch.device | str = "cpu",
    tile: int = DEFAULT_TILE,
    reporter: Reporter | None = None,
    on_result: Callable[[HeldOutScan, Result, np.ndarray], None] | None = None,
) -> dict[str, float]:
    """Return the figures of all scans and `score`, by which the best weights are chosen (lower is better).

    score = body_error + lesion_error + organ_dice_missing + lesion_dice_missing + false_positive_share:

    body_error, lesion_error: RMSE against the high-count image over that of the low-count one (1: nothing
      gained), in the body and in the true lesions; mean over scans, so that no hot lesion outweighs the rest;
    organ_dice_missing: 1 - mean over the organs of their mean Dice over scans;
    lesion_dice_missing: 1 - mean over scans of the Dice of lesions of 0.5 mL or more;
    false_positive_share: V / (V + 3 mL), V the mean volume a scan that is marked and touches no true lesion,
      healthy scans included.

    Each term is about 0 for a perfect model and 1 for a useless one. What no scan has (no lesion, no such
    organ) is left out, as are the last three where the segmenter is not in `trained` and the first two where
    neither denoiser nor revision is. The dictionary holds the terms, dice_<class>, false_positive_ml and
    score. `on_result` is called with each scan, its result and the numbered lesions. Raises Cancelled through
    `reporter`.
    """
    reporter = reporter or SilentReporter()
    rows = []
    for scan in scans:
        result = denoise_and_segment(
            scan.low_count, model, steps=None, seed=seed, device=device, tile=tile, reporter=reporter
        )
        # As in a patient's result: what is smaller than the smallest lesion is none.
        marked = label_lesions(result.lesions, spacing=scan.low_count.spacing)
        if on_result is not None:
            on_result(scan, result, marked)
        rows.append(_figures_of(scan, result.denoised, marked, result.organs))
    figures = {name: _mean(row[name] for row in rows) for name in (rows[0] if rows else ())}
    organs = _mean(figures[f"dice_{organ.name}"] for organ in ORGANS)
    false_ml = figures["false_positive_ml"]
    figures |= {
        "organ_dice_missing": 1.0 - organs,
        "lesion_dice_missing": 1.0 - figures["dice_lesion"],
        "false_positive_share": false_ml / (false_ml + FALSE_POSITIVE_HALF_ML),
    }
    terms = IMAGE_TERMS if {"denoiser", "revision"} & set(trained) else ()
    terms += SEGMENT_TERMS if "segmenter" in trained else ()
    figures["score"] = float(np.nansum([figures[name] for name in terms]))
    return figures


def _figures_of(
    scan: HeldOutScan, denoised: np.ndarray, marked: np.ndarray, organs: np.ndarray
) -> dict[str, float]:
    spacing = scan.low_count.spacing
    found = detect(marked, scan.lesions, spacing)
    figures = {
        "body_error": _error_ratio(denoised, scan, scan.body),
        "lesion_error": _error_ratio(denoised, scan, scan.lesions > 0),
        "false_positive_ml": found.false_positive_ml,
        "dice_lesion": measurable_dice(marked, scan.lesions, spacing),
    }
    return figures | {
        f"dice_{organ.name}": dice(organs == organ.label, scan.organs == organ.label) for organ in ORGANS
    }


def _error_ratio(denoised: np.ndarray, scan: HeldOutScan, mask: np.ndarray) -> float:
    """RMSE of the denoised over that of the low-count image, both against the high-count one."""
    target = scan.high_count[mask].astype(np.float64)
    if not target.size:
        return NAN
    before = np.square(scan.low_count.suv[mask] - target).sum()
    return float(np.sqrt(np.square(denoised[mask] - target).sum() / before)) if before > 0 else NAN


def _allowed_levels(subject: Subject, levels: Collection[float]) -> list[float]:
    return [level for level in sorted(subject.low_count) if not levels or level in levels]


def _scanners_in_turn(
    subjects: Sequence[Subject], allowed: Sequence[list[float]]
) -> Iterator[tuple[Subject, list[float]]]:
    by_scanner: dict[str, list[tuple[Subject, list[float]]]] = {}
    for subject, levels in zip(subjects, allowed, strict=True):
        if levels:
            by_scanner.setdefault(subject.scanner, []).append((subject, levels))
    for turn in itertools.zip_longest(*by_scanner.values()):
        yield from (pair for pair in turn if pair is not None)


def _scan(subject: Subject, level: float) -> HeldOutScan:
    high_count = subject.high_count.astype(np.float32)
    return HeldOutScan(
        name=f"{subject.name} {level:g} %",
        low_count=PetVolume(
            suv=subject.low_count[level].astype(np.float32),
            spacing=subject.spacing,
            origin=(0.0, 0.0, 0.0),
            direction=IDENTITY,
        ),
        high_count=high_count,
        body=body_region(high_count, subject.spacing),
        organs=subject.organs,
        lesions=subject.lesions,
    )


def _mean(values: Iterator[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else NAN
