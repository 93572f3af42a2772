"""What a model measured in a case beside what is true there: what intervals are fitted to and judged by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from AMDiffLib.errors import BadInput
from AMDiffLib.evaluation.cases import EvaluationCase
from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.calibration import Features
from AMDiffLib.quantification.grid import bounding_box, voxel_volume_ml
from AMDiffLib.quantification.interval_features import lesion_features, organ_features
from AMDiffLib.quantification.intervals import (
    LESION,
    ORGAN,
    QUANTITIES,
    TOTAL,
    size_class,
)
from AMDiffLib.quantification.lesion_regions import LesionRegion, regions_of
from AMDiffLib.quantification.steps import finished
from AMDiffLib.quantification.suv_metrics import suv_peak

OBSERVATIONS_FORMAT, OBSERVATIONS_VERSION = "amdiff-observations", 1


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One region that a model marked in one case, with its measured values and the true ones.

    `kind` is lesion, total or organ; `group` the size class or the organ; `measured` by quantity, `true` by
    reference and quantity; `true_ml` the volume of the true lesions or organ.
    """

    subject: str
    counts_percent: float
    kind: str
    group: str
    features: Features
    measured: Mapping[str, float]
    true: Mapping[str, Mapping[str, float]]
    true_ml: float


def observe_case(
    case: EvaluationCase, denoised: np.ndarray, sd: np.ndarray, lesions: np.ndarray, organs: np.ndarray
) -> list[Observation]:
    """Compare what a model made of a case, each (z, y, x), with the truth.

    A marked lesion is compared with all true lesions that it overlaps, taken together: a merged one with all
    that it merges. Where several marked lesions overlap one true lesion, which they split, each is compared
    with those of its voxels that are nearest to it. The total is that of the marked lesions that touch a true
    one, against the true lesions that they touch. Marked lesions that touch none have no truth and are left
    out.

    Args:
        denoised: SUVbw in g/mL. sd: its standard deviation. lesions: instance numbers. organs: label values.
    """
    spacing = case.low_count.spacing
    marked_lesions, true_share = match_lesions(lesions, case.lesions, spacing)
    found = []
    for marked in marked_lesions:
        true = true_share == marked.number
        measured = _lesion_values(denoised, marked.box, marked.mask, spacing)
        box = bounding_box(true)
        truth = {
            name: _lesion_values(image, box, true[box], spacing) for name, image in case.references.items()
        }
        group = size_class(measured["mtv_ml"])
        features = lesion_features([marked], denoised, sd, spacing)
        found.append(_observation(case, LESION, group, features, measured, truth))
    if marked_lesions:
        marked = np.isin(lesions, [region.number for region in marked_lesions])
        measured = _sums(denoised[marked], spacing)
        truth = {name: _sums(image[true_share > 0], spacing) for name, image in case.references.items()}
        features = lesion_features(marked_lesions, denoised, sd, spacing)
        found.append(_observation(case, TOTAL, TOTAL, features, measured, truth))
    found += _organ_observations(case, denoised, sd, lesions, organs)
    return [observation for observation in found if observation is not None]


def write_observations(path: Path, observations: Iterable[Observation], *, run: Mapping[str, Any]) -> None:
    """Write observations with `run`, which holds the model's "sha256" and says of whom they are."""
    content = {
        "format": OBSERVATIONS_FORMAT,
        "version": OBSERVATIONS_VERSION,
        "run": dict(run),
        "observations": [asdict(observation) for observation in observations],
    }
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def read_observations(paths: Sequence[Path]) -> tuple[list[Observation], list[dict[str, Any]]]:
    """Return the observations of some files together, and what each file says of its run.

    Raises:
        BadInput: a file is not one of observations, or they are of different models, or of the same people.
    """
    found: list[Observation] = []
    runs: list[dict[str, Any]] = []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{path} cannot be read as JSON ({error}). Give a file of observations."
            ) from error
        stated = content.get("format"), content.get("version")
        if stated != (OBSERVATIONS_FORMAT, OBSERVATIONS_VERSION):
            raise BadInput(f"{path} is not a file of observations of this version. Make it anew.")
        of_file = [_read(each) for each in content["observations"]]
        if shared := {o.subject for o in found} & {o.subject for o in of_file}:
            raise BadInput(f"{path} holds people that another file holds too: {', '.join(sorted(shared))}.")
        found += of_file
        runs.append(content["run"])
    if len({run["sha256"] for run in runs}) > 1:
        raise BadInput("The files of observations are of different models. Give those of one model.")
    return found, runs


def _read(content: dict[str, Any]) -> Observation:
    return Observation(**{**content, "features": Features(**content["features"])})


def match_lesions(
    marked: np.ndarray, true: np.ndarray, spacing: Sequence[float]
) -> tuple[list[LesionRegion], np.ndarray]:
    """Return the marked lesions that touch a true one, and which marked lesion each true voxel belongs to.

    Args:
        marked, true: (z, y, x) lesion numbers, 0 outside. spacing: (x, y, z) in mm.

    Returns:
        The regions; (z, y, x) int32, 0 outside the true lesions that are touched, else the number of the
        marked lesion that touches the same true lesion and is nearest.
    """
    from scipy import ndimage

    touching = np.unique(marked[(marked > 0) & (true > 0)])
    share = np.zeros(marked.shape, np.int32)
    for lesion in regions_of(true):
        mine = np.unique(marked[lesion.box][lesion.mask])
        mine = mine[mine > 0]
        if not mine.size:
            continue
        # Of the same lesion, so that all its marked voxels lie in its box.
        seeds = np.where(lesion.mask & np.isin(marked[lesion.box], mine), marked[lesion.box], 0)
        nearest = ndimage.distance_transform_edt(
            seeds == 0, sampling=spacing[::-1], return_distances=False, return_indices=True
        )
        share[lesion.box][lesion.mask] = seeds[tuple(nearest)][lesion.mask]
    return [region for region in regions_of(marked) if region.number in touching], share


def _lesion_values(
    suv: np.ndarray, box: tuple[slice, ...], mask: np.ndarray, spacing: Sequence[float]
) -> dict[str, float]:
    """Return the quantities of a lesion `mask` at `box` of the volume `suv`."""
    inside = suv[box][mask]
    whole = np.zeros(suv.shape, bool)
    whole[box] = mask
    return {
        "suv_max": float(inside.max()),
        "suv_mean": float(inside.mean(dtype=np.float64)),
        "suv_peak": suv_peak(suv, whole, spacing),
        **_sums(inside, spacing),
    }


def _sums(inside: np.ndarray, spacing: Sequence[float]) -> dict[str, float]:
    voxel_ml = voxel_volume_ml(spacing)
    return {
        "mtv_ml": inside.size * voxel_ml,
        "tlg_g": float(inside.sum(dtype=np.float64)) * voxel_ml,
    }


def _organ_observations(
    case: EvaluationCase, denoised: np.ndarray, sd: np.ndarray, lesions: np.ndarray, organs: np.ndarray
) -> list[Observation | None]:
    spacing = case.low_count.spacing
    features = finished(organ_features(organs, lesions > 0, denoised, sd, spacing))
    found = []
    for organ in ORGANS:
        marked = (organs == organ.label) & (lesions == 0)
        true = (case.organs == organ.label) & (case.lesions == 0)
        if not marked.any() or not true.any():
            continue
        measured = _organ_values(denoised, marked, spacing)
        truth = {name: _organ_values(image, true, spacing) for name, image in case.references.items()}
        found.append(_observation(case, ORGAN, organ.name, features[organ.label], measured, truth))
    return found


def _organ_values(suv: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> dict[str, float]:
    inside = suv[mask]
    return {"suv_mean": float(inside.mean(dtype=np.float64)), **_sums(inside, spacing)}


def _observation(
    case: EvaluationCase,
    kind: str,
    group: str,
    features: Features | None,
    measured: dict[str, float],
    true: dict[str, dict[str, float]],
) -> Observation | None:
    values = [measured, *true.values()]
    if features is None or any(each[q] <= 0 for each in values for q in QUANTITIES[kind]):
        return None
    return Observation(
        subject=case.subject,
        counts_percent=case.counts_percent,
        kind=kind,
        group=group,
        features=features,
        measured={quantity: measured[quantity] for quantity in QUANTITIES[kind]},
        true={name: {q: each[q] for q in QUANTITIES[kind]} for name, each in true.items()},
        true_ml=next(iter(true.values()))["mtv_ml"],
    )
