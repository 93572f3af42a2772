"""All figures of one case, as tidy rows: low-count input, filters of all strengths, and the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.cases import EvaluationCase
from AMDiffLib.evaluation.detection import SIZE_NAMES, detect, measurable_dice
from AMDiffLib.evaluation.filters import FAMILIES, GAUSSIAN, FilterFamily
from AMDiffLib.evaluation.lesion_uptake import (
    MeasuredLesions,
    contrast_recovery_percent,
    inner_liver,
    mean_error_percent,
    neighbour_correlation,
    noise_percent,
)
from AMDiffLib.evaluation.metrics import NAN, dice, hausdorff_95, relative_percent, ssim_map, volume_ml
from AMDiffLib.evaluation.regions import BODY, LESION, WHOLE, ComparedRegions
from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.suv_metrics import tlg

LOW_COUNT, MODEL, BEST_GAUSSIAN = "low_count", "model", GAUSSIAN.best
HIGH_COUNT, LABELS = "high_count", "labels"
NRMSE_RANGE, NRMSE_MEAN, NMAE, MEAN_BIAS, PSNR, SSIM = (
    "nrmse_range",
    "nrmse_mean",
    "nmae",
    "mean_bias_percent",
    "psnr_db",
    "ssim",
)
DICE, HD95 = "dice", "hd95_mm"
CONTRAST_RECOVERY, LIVER_NOISE, LIVER_TEXTURE = (
    "contrast_recovery_percent",
    "liver_noise_percent",
    "liver_neighbour_correlation",
)
LIVER_MEASURES = {LIVER_NOISE: noise_percent, LIVER_TEXTURE: neighbour_correlation}
LESION_SUV_ERRORS = ("suv_max_error_percent", "suv_peak_error_percent", "suv_mean_error_percent")
FILTERS, IMAGES, SEGMENTS = "filters", "images", "segments"
EVERYTHING = (FILTERS, IMAGES, SEGMENTS)
MEASURABLE = "lesion of 0.5 mL or more"

DEFINITIONS = {
    NRMSE_RANGE: "root mean square error in the region / (largest - smallest reference value in the region)",
    NRMSE_MEAN: "root mean square error in the region / mean of the reference in the region",
    NMAE: "mean absolute error in the region / mean of the reference in the region",
    MEAN_BIAS: "100 x (mean in the region - mean of the reference there) / mean of the reference there",
    PSNR: "10 log10(20^2 / mean squared error), both images clipped to SUV 0 to 20",
    SSIM: "structural similarity to the high-count image, both clipped to SUV 0 to 20, data range 20, cubes "
    "of 7 voxels, mean over the region; of each kind of filter the one with the smallest RMSE in this body",
    CONTRAST_RECOVERY: "100 x C / C of the reference; C is the mean over the true lesions, each counting "
    "once, of mean SUV in its true outline - mean SUV of the body without lesions 8 to 16 mm around it",
    LIVER_NOISE: "100 x standard deviation / mean of the voxels 12 mm or more inside the true liver, without "
    "lesions",
    LIVER_TEXTURE: "correlation of neighbouring voxels of a transaxial slice, in the same voxels",
    "suv_max_error_percent": "mean over the true lesions, each counting once, of 100 x (SUVmax in its true "
    "outline - SUVmax of the reference there) / the latter",
    "suv_peak_error_percent": "the same of SUVpeak, the largest mean over a 1 mL sphere centred in it",
    "suv_mean_error_percent": "the same of SUVmean",
    DICE: "overlap of the model's segment with the true one; left out where there is nothing true; 'lesion "
    "of 0.5 mL or more': smaller true lesions are ignored, with what is marked on them alone",
    HD95: "95th percentile of the distances between the surfaces of the model's and the true segment, "
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
    """Scores every count level of a subject; what the levels share is computed once.

    `best_filtered` holds, by the name of the family's best, the filtered image of the level scored last that
    is closest to the high-count image in the body.
    """

    def __init__(self, case: EvaluationCase) -> None:
        masks = case.regions()
        self.best_filtered: dict[str, np.ndarray] = {}
        self._lesions, self._organs = case.lesions, case.organs
        self._references = case.references
        self._compared = {name: ComparedRegions(image, masks) for name, image in self._references.items()}
        self._true_suv_mean = {
            name: {organ.name: compared.mean_of(case.references[name], organ.name) for organ in ORGANS}
            for name, compared in self._compared.items()
        }
        spacing = case.low_count.spacing
        self._inner_liver = inner_liver(masks["liver"], spacing)
        self._measured = MeasuredLesions(case.lesions, masks[BODY], spacing)
        self._true_uptake = {name: self._measured.measure(image) for name, image in self._references.items()}

    def score(
        self,
        case: EvaluationCase,
        denoised: np.ndarray,
        lesions: np.ndarray,
        organs: np.ndarray,
        *,
        judged: Collection[str] = EVERYTHING,
    ) -> list[Score]:
        """Score what a model made of `case`, a count level of the subject.

        Args:
            case: input, references and true labels.
            denoised: (z, y, x) SUVbw in g/mL.
            lesions: (z, y, x) instance numbers.
            organs: (z, y, x) label values of `AMDiffLib.labels.ORGANS`.
            judged: what is: "filters" (with the input as it is), the model's "images", its "segments".
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

        spacing = case.low_count.spacing
        rows: list[tuple] = []
        if FILTERS in judged:
            rows += self._filter_rows(case)
        if IMAGES in judged:
            rows += [*self._image_rows(MODEL, denoised), *self._similarity_rows(MODEL, denoised)]
        if SEGMENTS in judged:
            rows += self._overlap_rows(lesions, organs, spacing)
            rows += self._burden_rows(denoised, lesions, spacing)
            rows += self._uptake_rows(denoised, lesions, organs)
            rows += self._detection_rows(lesions, spacing)
        return [row(*values) for values in rows]

    def _filter_rows(self, case: EvaluationCase) -> Iterator[tuple]:
        """The input and every filter of it; SSIM, which takes long, of each family's best in the body."""
        low, spacing = case.low_count.suv, case.low_count.spacing
        yield from self._image_rows(LOW_COUNT, low)
        yield from self._similarity_rows(LOW_COUNT, low)
        for name, reference in self._references.items():
            for metric, measure in LIVER_MEASURES.items():
                yield name, metric, "liver", measure(reference, self._inner_liver)
        for family in FAMILIES:
            least = float("inf")
            for method, strength in family.members.items():
                image = family.apply(low, spacing, strength)
                yield from self._image_rows(method, image)
                error = self._compared[HIGH_COUNT].errors(image, (BODY,))[BODY].nrmse_mean
                if error < least:
                    least, self.best_filtered[family.best] = error, image
            yield from self._similarity_rows(family.best, self.best_filtered[family.best])

    def _image_rows(self, method: str, image: np.ndarray) -> Iterator[tuple]:
        uptake = self._measured.measure(image)
        for reference, compared in self._compared.items():
            for region, found in compared.errors(image).items():
                for metric, value in dataclasses.asdict(found).items():
                    yield method, metric, region, value, reference
            true = self._true_uptake[reference]
            yield method, CONTRAST_RECOVERY, LESION, contrast_recovery_percent(uptake, true), reference
            for metric, quantity in zip(LESION_SUV_ERRORS, ("suv_max", "suv_peak", "suv_mean"), strict=True):
                error = mean_error_percent(getattr(uptake, quantity), getattr(true, quantity))
                yield method, metric, LESION, error, reference
            for metric, measure in LIVER_MEASURES.items():
                yield method, metric, "liver", measure(image, self._inner_liver), reference

    def _similarity_rows(self, method: str, image: np.ndarray) -> Iterator[tuple]:
        similarity = ssim_map(image, self._references[HIGH_COUNT])
        for region in (WHOLE, BODY):
            yield method, SSIM, region, self._compared[HIGH_COUNT].mean_of(similarity, region), HIGH_COUNT

    def _overlap_rows(self, lesions: np.ndarray, organs: np.ndarray, spacing: tuple) -> Iterator[tuple]:
        pairs = {LESION: (lesions > 0, self._lesions > 0)}
        pairs |= {organ.name: (organs == organ.label, self._organs == organ.label) for organ in ORGANS}
        for region, (found, true) in pairs.items():
            yield MODEL, DICE, region, dice(found, true)
            yield MODEL, HD95, region, hausdorff_95(found, true, spacing)
        yield MODEL, DICE, MEASURABLE, measurable_dice(lesions, self._lesions, spacing)

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


def best_member(scores: Iterable[Score], family: FilterFamily) -> str | None:
    """Name of the filter that made a case's entry in `best_filtered`; None where no filter was scored."""
    errors = {
        score.method: score.value
        for score in scores
        if (score.metric, score.region, score.reference) == (NRMSE_MEAN, BODY, HIGH_COUNT)
        and score.method in family.members
    }
    return min(errors, key=errors.get) if errors else None
