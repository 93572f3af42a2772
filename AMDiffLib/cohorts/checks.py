"""What can be wrong with a subject of a cohort: each check says which case it is and why.

A low-count image must be the same SUV image with fewer counts: the same mean, more noise. A unit or scaling
error shows in the mean, an exchanged or copied file in the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from AMDiffLib.errors import BadInput
from AMDiffLib.inference.body_mask import body_mask
from AMDiffLib.labels import ORGANS
from AMDiffLib.training.dataset import HIGHEST_SUV, MOST_LESIONS


@dataclass(frozen=True, kw_only=True)
class CheckLimits:
    """Beyond which a case is wrong.

    Attributes:
        mean_difference_percent: of the low-count mean from the high-count mean, within the body.
        least_noise_ratio: of the low-count noise to the high-count noise.
        negative_percent: activity below zero, of all activity.
        body_mean_suv: of the high-count image. By its definition SUVbw averages 1 where all activity stays
            in the body and in the image.
        outside_body_percent: of a lesion's, or of all organs', voxels.
        most_lesions: connected lesions of a subject.
    """

    mean_difference_percent: float = 10.0
    least_noise_ratio: float = 1.02
    negative_percent: float = 5.0
    body_mean_suv: tuple[float, float] = (0.2, 10.0)
    outside_body_percent: float = 50.0
    most_lesions: int = MOST_LESIONS


@dataclass(frozen=True, kw_only=True)
class SubjectImages:
    """All arrays of one subject, (z, y, x), on one grid: SUV in g/mL, labels as they are in the files.

    `spacing` is the voxel size (x, y, z) in mm; `low_count` maps counts in percent to images.
    """

    subject: str
    spacing: tuple[float, float, float]
    high_count: np.ndarray
    low_count: Mapping[float, np.ndarray]
    organs: np.ndarray
    lesions: np.ndarray


def problems_of(images: SubjectImages, limits: CheckLimits = CheckLimits()) -> list[str]:
    """Return what is wrong with a subject, each as a sentence that names the case; empty where nothing is."""
    suv = {None: images.high_count, **images.low_count}
    unusable = [
        f"{_name(images, level)}: {text}" for level, image in suv.items() if (text := _no_suv(image, limits))
    ]
    labels = [f"{_name(images)}: {text}" for text in _wrong_labels(images, limits)]
    if unusable:
        return unusable + labels
    try:
        body = body_mask(images.high_count, images.spacing)
    except BadInput as error:
        return [f"{_name(images)}: the body is empty. {error}", *labels]
    found = list(_wrong_pairs(images, body, limits))
    if not labels:
        found += [f"{_name(images)}: {text}" for text in _outside(images, body, limits)]
    return found + labels


def noise(suv: np.ndarray, region: np.ndarray) -> float:
    """Return the noise of an SUV image within a mask, g/mL: robust against anatomy, blind to its cause.

    It is the median absolute second difference along x, scaled to the standard deviation of white noise.
    """
    middle = region[:, :, 1:-1] & region[:, :, :-2] & region[:, :, 2:]
    if not middle.any():
        return float("nan")
    second = 2.0 * suv[:, :, 1:-1] - suv[:, :, :-2] - suv[:, :, 2:]
    return float(1.4826 * np.median(np.abs(second[middle])) / np.sqrt(6.0))


def _name(images: SubjectImages, level: float | None = None) -> str:
    return f"subject '{images.subject}'" + ("" if level is None else f" at {level:g} % counts")


def _no_suv(image: np.ndarray, limits: CheckLimits) -> str | None:
    finite = np.isfinite(image)
    if not finite.all():
        return f"{image.size - int(finite.sum())} voxels are not finite; expected SUV everywhere."
    if not image.any():
        return "the image is empty: all voxels are zero."
    highest = float(image.max())
    if highest > HIGHEST_SUV:
        return f"the highest value is {highest:.4g}, which no SUV reaches. Are these Bq/mL?"
    negative = -float(image[image < 0].sum(dtype=np.float64))
    total = float(np.abs(image).sum(dtype=np.float64))
    if negative > limits.negative_percent / 100 * total:
        return (
            f"{100 * negative / total:.1f} % of the activity is negative, down to {float(image.min()):.3g}; "
            f"SUV has at most {limits.negative_percent:g} %. Was the image standardised (mean 0)?"
        )
    if highest <= 1.0:
        return f"the highest value is {highest:.4g}: the image was normalised, and holds no SUV any more."
    return None


def _wrong_labels(images: SubjectImages, limits: CheckLimits) -> Iterator[str]:
    allowed = [0, *(organ.label for organ in ORGANS)]
    organs = [value for value in np.unique(images.organs) if value not in allowed]
    if organs:
        yield (f"organ labels {_listed(organs)} are unknown; 0 and {allowed[1]}..{allowed[-1]} are expected.")
    lesions = np.unique(images.lesions)
    wrong = [value for value in lesions if value < 0 or value != np.floor(value) or not np.isfinite(value)]
    if wrong:
        yield f"lesion labels {_listed(wrong)} are no numbers of lesions; expected 0, 1, 2, ..."
    elif len(lesions) - 1 > limits.most_lesions or lesions[-1] > limits.most_lesions:
        yield (
            f"the lesion image holds {len(lesions) - 1} numbers up to {lesions[-1]:g}; at most "
            f"{limits.most_lesions} lesions are expected. Is it a probability map, or noise that was "
            "thresholded?"
        )
    else:
        yield from _scattered(images, limits)


def _scattered(images: SubjectImages, limits: CheckLimits) -> Iterator[str]:
    from AMDiffLib.inference.lesions import label_lesions

    parts = int(label_lesions(images.lesions > 0, spacing=images.spacing, minimum_ml=0.0).max())
    if parts > limits.most_lesions:
        yield (
            f"the lesions fall apart into {parts} pieces; at most {limits.most_lesions} are expected. Is it "
            "noise that was thresholded?"
        )


def _outside(images: SubjectImages, body: np.ndarray, limits: CheckLimits) -> Iterator[str]:
    numbers = images.lesions[images.lesions > 0].astype(np.int64)
    if numbers.size:
        sizes = np.bincount(numbers)
        outside = np.bincount(numbers, weights=~body[images.lesions > 0])
        lost = np.flatnonzero(outside > limits.outside_body_percent / 100 * np.maximum(sizes, 1))
        if lost.size:
            yield (
                f"lesion {_listed(lost)} lies outside of the body. Is the mask flipped, or of another scan?"
            )
    organs = images.organs > 0
    share = 100.0 * float((organs & ~body).sum()) / max(int(organs.sum()), 1)
    if share > limits.outside_body_percent:
        yield f"{share:.0f} % of the organs lie outside of the body. Are they flipped, or of another scan?"


def _wrong_pairs(images: SubjectImages, body: np.ndarray, limits: CheckLimits) -> Iterator[str]:
    mean = float(images.high_count[body].mean(dtype=np.float64))
    low, high = limits.body_mean_suv
    if not low <= mean <= high:
        yield (
            f"{_name(images)}: the mean of the high-count image within the body is {mean:.3g}; SUV by body "
            f"weight lies between {low:g} and {high:g} there. Is it of another unit, or normalised?"
        )
    reference = noise(images.high_count, body & (images.high_count > 0.2))
    seen: list[tuple[str, np.ndarray]] = [("high-count image", images.high_count)]
    quieter: tuple[float, float] | None = None
    for level in sorted(images.low_count, reverse=True):
        image = images.low_count[level]
        name = _name(images, level)
        twin = next((other for other, values in seen if np.array_equal(values, image)), None)
        seen.append((f"image at {level:g} % counts", image))
        if twin:
            yield f"{name}: the low-count image is identical to the {twin}."
            continue
        difference = 100.0 * (float(image[body].mean(dtype=np.float64)) / mean - 1.0)
        if abs(difference) > limits.mean_difference_percent:
            yield (
                f"{name}: within the body its mean differs by {difference:+.1f} % from the high-count mean; "
                f"counts do not change SUV, and {limits.mean_difference_percent:g} % are allowed. "
                f"{_likely_cause(1 + difference / 100, level)}"
            )
            continue
        own = noise(image, body & (images.high_count > 0.2))
        if own < limits.least_noise_ratio * reference:
            yield (
                f"{name}: its noise is {own / reference:.2f} times that of the high-count image; with "
                f"{level:g} % of the counts about {np.sqrt(100 / level):.1f} times is expected. Are the two "
                "exchanged, or is it denoised?"
            )
        elif quieter and own < quieter[1]:
            yield (
                f"{name}: it is less noisy than the image at {quieter[0]:g} % counts "
                f"({own:.3g} against {quieter[1]:.3g}). Are the two exchanged?"
            )
        quieter = (level, own)


def _likely_cause(ratio: float, level: float) -> str:
    if ratio > 100 or ratio < 0.01:
        return "One of them is in Bq/mL: convert it to SUVbw (g/mL)."
    if abs(ratio / (level / 100) - 1) < 0.2:
        return "Its scale is that of its counts: it was not divided by their share."
    return f"It is {ratio:.3g} times as high: was it normalised, or converted with another dose or weight?"


def _listed(values: object) -> str:
    numbers = [f"{value:g}" for value in values]
    return ", ".join(numbers[:5]) + (", ..." if len(numbers) > 5 else "")
