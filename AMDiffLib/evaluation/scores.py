"""All figures of one case, as tidy rows: low-count input, Gaussian filters of all widths, and the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.cases import EvaluationCase
from AMDiffLib.evaluation.detection import SIZE_NAMES, detect
from AMDiffLib.evaluation.gaussian import WIDTHS_MM, gaussian_filter
from AMDiffLib.evaluation.metrics import dice, mean_bias_percent, nrmse, relative_percent, volume_ml
from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.suv_metrics import tlg

LOW_COUNT, MODEL = "low_count", "model"
NRMSE_RANGE, NRMSE_MEAN, MEAN_BIAS = "nrmse_range", "nrmse_mean", "mean_bias_percent"

DEFINITIONS = {
    NRMSE_RANGE: "root mean square error in the region / (largest - smallest reference value in the region)",
    NRMSE_MEAN: "root mean square error in the region / mean of the reference in the region",
    MEAN_BIAS: "100 x (mean in the region - mean of the reference there) / mean of the reference there",
    "dice": "overlap of the model's segment with the true one; left out where there is nothing true",
    "tlg_g": "total lesion glycolysis: model, of its lesions in its denoised image; reference, of the true "
    "lesions in the reference image",
    "tlg_bias_percent": "100 x (tlg_g of the model - tlg_g of the reference) / tlg_g of the reference",
    "mtv_ml": "volume of the model's lesions, and of the true lesions",
    "mtv_bias_percent": "100 x (mtv_ml of the model - true) / true",
    "lesions_true": "true lesions of that size",
    "lesions_found": "true lesions of which the model marked at least one voxel",
    "false_positive_lesions": "lesions of the model that touch no true lesion",
    "false_positive_ml": "their volume",
    "false_negative_ml": "volume of the true lesions that were not found",
    "regions": "whole: all voxels; body: SUV of the high-count image above 0.1 after smoothing (sigma 8 mm); "
    "lesion: all true lesions; organs: true organs without lesion voxels",
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure. `reference` is the image compared with; `region` a region, an organ or a lesion size."""

    subject: str
    counts_percent: float
    method: str
    metric: str
    region: str
    reference: str
    value: float


def gaussian_name(width_mm: float) -> str:
    """Name of the method that filters with a Gaussian of this full width at half maximum."""
    return f"gaussian_{width_mm:g}mm"


def score_case(
    case: EvaluationCase, denoised: np.ndarray, lesions: np.ndarray, organs: np.ndarray
) -> list[Score]:
    """Score what a model made of a case.

    Args:
        case: input, references and true labels.
        denoised: (z, y, x) SUVbw in g/mL.
        lesions: (z, y, x) instance numbers.
        organs: (z, y, x) label values of `AMDiffLib.labels.ORGANS`.
    """
    return [*_image_scores(case, denoised), *_segmentation_scores(case, denoised, lesions, organs)]


def _image_scores(case: EvaluationCase, denoised: np.ndarray) -> list[Score]:
    low = case.low_count.suv
    indices = {name: np.flatnonzero(mask) for name, mask in case.regions().items()}
    scores = []
    for method in (LOW_COUNT, MODEL, *WIDTHS_MM):
        if method == LOW_COUNT:
            image, name = low, LOW_COUNT
        elif method == MODEL:
            image, name = denoised, MODEL
        else:
            image, name = gaussian_filter(low, case.low_count.spacing, method), gaussian_name(method)
        for reference_name, reference in case.references.items():
            for region, inside in indices.items():
                estimate, target = image.ravel()[inside], reference.ravel()[inside]
                values = {
                    NRMSE_RANGE: nrmse(estimate, target),
                    NRMSE_MEAN: nrmse(estimate, target, by="mean"),
                    MEAN_BIAS: mean_bias_percent(estimate, target),
                }
                scores += [
                    _score(case, name, metric, region, value, reference_name)
                    for metric, value in values.items()
                ]
    return scores


def _segmentation_scores(
    case: EvaluationCase, denoised: np.ndarray, lesions: np.ndarray, organs: np.ndarray
) -> list[Score]:
    spacing = case.low_count.spacing
    scores = [_score(case, MODEL, "dice", "lesion", dice(lesions > 0, case.lesions > 0))]
    scores += [
        _score(case, MODEL, "dice", organ.name, dice(organs == organ.label, case.organs == organ.label))
        for organ in ORGANS
    ]
    found_g = tlg(denoised, lesions, spacing)
    scores.append(_score(case, MODEL, "tlg_g", "lesion", found_g))
    for name, reference in case.references.items():
        true_g = tlg(reference, case.lesions, spacing)
        scores.append(_score(case, name, "tlg_g", "lesion", true_g))
        bias = relative_percent(found_g, true_g)
        scores.append(_score(case, MODEL, "tlg_bias_percent", "lesion", bias, name))
    found_ml, true_ml = volume_ml(lesions, spacing), volume_ml(case.lesions, spacing)
    scores += [
        _score(case, MODEL, "mtv_ml", "lesion", found_ml),
        _score(case, "labels", "mtv_ml", "lesion", true_ml),
        _score(case, MODEL, "mtv_bias_percent", "lesion", relative_percent(found_ml, true_ml)),
    ]
    detection = detect(lesions, case.lesions, spacing)
    for size, true, found in zip(SIZE_NAMES, detection.true, detection.found, strict=True):
        scores.append(_score(case, MODEL, "lesions_true", size, true))
        scores.append(_score(case, MODEL, "lesions_found", size, found))
    for metric in ("false_positives", "false_positive_ml", "false_negative_ml"):
        name = "false_positive_lesions" if metric == "false_positives" else metric
        scores.append(_score(case, MODEL, name, "lesion", getattr(detection, metric)))
    return scores


def _score(
    case: EvaluationCase, method: str, metric: str, region: str, value: float, reference: str = "labels"
) -> Score:
    return Score(
        subject=case.subject,
        counts_percent=case.counts_percent,
        method=method,
        metric=metric,
        region=region,
        reference=reference,
        value=float(value),
    )
