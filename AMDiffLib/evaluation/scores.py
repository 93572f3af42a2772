"""All figures of one case, as tidy rows: low-count input, Gaussian filters of all widths, and the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.cases import EvaluationCase
from AMDiffLib.evaluation.detection import SIZE_NAMES, detect, measurable_dice
from AMDiffLib.evaluation.gaussian import WIDTHS_MM, gaussian_filter
from AMDiffLib.evaluation.metrics import NAN, dice, hausdorff_95, relative_percent, ssim_map, volume_ml
from AMDiffLib.evaluation.regions import BODY, LESION, WHOLE, ComparedRegions
from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.suv_metrics import tlg

LOW_COUNT, MODEL, BEST_GAUSSIAN = "low_count", "model", "gaussian_best"
HIGH_COUNT, LABELS = "high_count", "labels"
NRMSE_RANGE, NRMSE_MEAN, MEAN_BIAS, PSNR, SSIM = (
    "nrmse_range",
    "nrmse_mean",
    "mean_bias_percent",
    "psnr_db",
    "ssim",
)
MEASURABLE = "lesion of 0.5 mL or more"

DEFINITIONS = {
    NRMSE_RANGE: "root mean square error in the region / (largest - smallest reference value in the region)",
    NRMSE_MEAN: "root mean square error in the region / mean of the reference in the region",
    MEAN_BIAS: "100 x (mean in the region - mean of the reference there) / mean of the reference there",
    PSNR: "10 log10(20^2 / mean squared error), both images clipped to SUV 0 to 20",
    SSIM: "structural similarity to the high-count image, both clipped to SUV 0 to 20, data range 20, cubes "
    "of 7 voxels, mean over the region; of the Gaussians the one with the smallest RMSE in this very body",
    "dice": "overlap of the model's segment with the true one; left out where there is nothing true; 'lesion "
    "of 0.5 mL or more': smaller true lesions are ignored, with what is marked on them alone",
    "hd95_mm": "95th percentile of the distances between the surfaces of the model's and the true segment, "
    "the larger direction; left out where either is empty",
    "mtv_ml": "metabolic tumour volume: volume of the model's lesions, and of the true lesions",
    "tlg_g": "total lesion glycolysis: model, of its lesions in its denoised image; reference, of the true "
    "lesions in the reference image",
    "mtv_bias_percent": "100 x (mtv_ml of the model - true) / true",
    "tlg_bias_percent": "100 x (tlg_g of the model - tlg_g of the reference) / tlg_g of the reference",
    "mtv_error_percent": "size of mtv_bias_percent",
    "tlg_error_percent": "size of tlg_bias_percent",
    "suv_mean": "mean SUV (g/mL) of an organ without lesions: model, of its segment in its denoised image; "
    "reference, of the true organ in the reference image",
    "suv_mean_bias_percent": "100 x (suv_mean of the model - suv_mean of the reference) / the reference's",
    "lesions_true": "true lesions of that size",
    "lesions_found": "true lesions of which the model marked at least one voxel",
    "false_positive_lesions": "components (18-connectivity) of the model's lesions that touch no true lesion",
    "false_positive_ml": "their volume; 0 where there are none, healthy people included",
    "false_negative_ml": "volume of the components of true lesions that were not touched; left out in "
    "healthy people",
    "regions": "whole: all voxels; body: SUV of the high-count image above 0.1 after smoothing (sigma 8 mm); "
    "lesion: all true lesions; organs: true organs without lesion voxels",
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure. `reference` is the image compared with; `region` a region, an organ or a lesion size."""

    subject: str
    scanner: str
    counts_percent: float
    method: str
    metric: str
    region: str
    reference: str
    value: float


class CaseScorer:
    """Scores every count level of a subject; what the levels share is computed once."""

    def __init__(self, case: EvaluationCase) -> None:
        masks = case.regions()
        self._lesions, self._organs = case.lesions, case.organs
        self._references = case.references
        self._compared = {name: ComparedRegions(image, masks) for name, image in self._references.items()}
        self._true_suv_mean = {
            name: {organ.name: compared.mean_of(case.references[name], organ.name) for organ in ORGANS}
            for name, compared in self._compared.items()
        }

    def score(
        self, case: EvaluationCase, denoised: np.ndarray, lesions: np.ndarray, organs: np.ndarray
    ) -> list[Score]:
        """Score what a model made of `case`, a count level of the subject.

        Args:
            case: input, references and true labels.
            denoised: (z, y, x) SUVbw in g/mL.
            lesions: (z, y, x) instance numbers.
            organs: (z, y, x) label values of `AMDiffLib.labels.ORGANS`.
        """

        def row(method: str, metric: str, region: str, value: float, reference: str = LABELS) -> Score:
            return Score(
                subject=case.subject,
                scanner=case.scanner,
                counts_percent=case.counts_percent,
                method=method,
                metric=metric,
                region=region,
                reference=reference,
                value=float(value),
            )

        rows = [
            *self._image_rows(case, denoised),
            *self._overlap_rows(lesions, organs, case.low_count.spacing),
            *self._burden_rows(denoised, lesions, case.low_count.spacing),
            *self._uptake_rows(denoised, lesions, organs),
            *self._detection_rows(lesions, case.low_count.spacing),
        ]
        return [row(*values) for values in rows]

    def _image_rows(self, case: EvaluationCase, denoised: np.ndarray) -> Iterator[tuple]:
        low, spacing = case.low_count.suv, case.low_count.spacing
        images = {LOW_COUNT: low, MODEL: denoised}
        least, smoothed = float("inf"), low
        for method in (*images, *WIDTHS_MM):
            named = method in images
            image = images[method] if named else gaussian_filter(low, spacing, method)
            label = method if named else gaussian_name(method)
            for reference, compared in self._compared.items():
                errors = compared.errors(image)
                for region, found in errors.items():
                    for metric, value in dataclasses.asdict(found).items():
                        yield label, metric, region, value, reference
                if reference == HIGH_COUNT and not named and errors[BODY].nrmse_mean < least:
                    least, smoothed = errors[BODY].nrmse_mean, image
        for method, image in (*images.items(), (BEST_GAUSSIAN, smoothed)):
            similarity = ssim_map(image, self._references[HIGH_COUNT])
            for region in (WHOLE, BODY):
                value = self._compared[HIGH_COUNT].mean_of(similarity, region)
                yield method, SSIM, region, value, HIGH_COUNT

    def _overlap_rows(self, lesions: np.ndarray, organs: np.ndarray, spacing: tuple) -> Iterator[tuple]:
        pairs = {LESION: (lesions > 0, self._lesions > 0)}
        pairs |= {organ.name: (organs == organ.label, self._organs == organ.label) for organ in ORGANS}
        for region, (found, true) in pairs.items():
            yield MODEL, "dice", region, dice(found, true)
            yield MODEL, "hd95_mm", region, hausdorff_95(found, true, spacing)
        yield MODEL, "dice", MEASURABLE, measurable_dice(lesions, self._lesions, spacing)

    def _burden_rows(self, denoised: np.ndarray, lesions: np.ndarray, spacing: tuple) -> Iterator[tuple]:
        found_g, found_ml = tlg(denoised, lesions, spacing), volume_ml(lesions, spacing)
        true_ml = volume_ml(self._lesions, spacing)
        yield MODEL, "tlg_g", LESION, found_g
        yield MODEL, "mtv_ml", LESION, found_ml
        yield LABELS, "mtv_ml", LESION, true_ml
        bias = relative_percent(found_ml, true_ml)
        yield MODEL, "mtv_bias_percent", LESION, bias
        yield MODEL, "mtv_error_percent", LESION, abs(bias)
        for name, reference in self._references.items():
            true_g = tlg(reference, self._lesions, spacing)
            bias = relative_percent(found_g, true_g)
            yield name, "tlg_g", LESION, true_g
            yield MODEL, "tlg_bias_percent", LESION, bias, name
            yield MODEL, "tlg_error_percent", LESION, abs(bias), name

    def _uptake_rows(self, denoised: np.ndarray, lesions: np.ndarray, organs: np.ndarray) -> Iterator[tuple]:
        for organ in ORGANS:
            values = denoised[(organs == organ.label) & (lesions == 0)]
            found = float(values.mean(dtype=np.float64)) if values.size else NAN
            yield MODEL, "suv_mean", organ.name, found
            for name, true in self._true_suv_mean.items():
                yield name, "suv_mean", organ.name, true[organ.name]
                bias = relative_percent(found, true[organ.name])
                yield MODEL, "suv_mean_bias_percent", organ.name, bias, name

    def _detection_rows(self, lesions: np.ndarray, spacing: tuple) -> Iterator[tuple]:
        found = detect(lesions, self._lesions, spacing)
        for size, true, hits in zip(SIZE_NAMES, found.true, found.found, strict=True):
            yield MODEL, "lesions_true", size, true
            yield MODEL, "lesions_found", size, hits
        yield MODEL, "false_positive_lesions", LESION, found.false_positives
        yield MODEL, "false_positive_ml", LESION, found.false_positive_ml
        yield MODEL, "false_negative_ml", LESION, found.false_negative_ml


def gaussian_name(width_mm: float) -> str:
    """Name of the method that filters with a Gaussian of this full width at half maximum."""
    return f"gaussian_{width_mm:g}mm"
