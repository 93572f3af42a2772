"""The results to be exported: denoised volume, segments and measurements, held against the scan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.export.segments import Segment, read_segments
from AMDiffLib.export.software import Software
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.result_files import DENOISED, MEASUREMENTS_JSON, REPORT, SEGMENTATION

REJECTED = "rejected"
_VOLUME_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ResultSet:
    """What was found in `volume`, the scan.

    denoised: (z, y, x) float32 SUVbw. segments: those that are not rejected and not empty, lesions first.
    measurements: content of measurements.json. report: content of report.json.
    """

    volume: PetVolume
    denoised: np.ndarray
    segments: tuple[Segment, ...]
    measurements: dict[str, Any]
    report: dict[str, Any]

    @property
    def software(self) -> Software:
        """The software and model that made the results."""
        return Software.of_report(self.report)

    @property
    def lesions(self) -> list[dict[str, Any]]:
        """The rows of the lesions that were not rejected."""
        return [row for row in self.measurements["lesions"] if not is_rejected(row)]

    def row_of(self, segment: Segment) -> dict[str, Any]:
        """Return the measurements of a segment; lesions go by their name, organs by their class."""
        if segment.is_lesion:
            return next(row for row in self.lesions if row["name"] == segment.name)
        organs = self.measurements["organs"]
        return next((row for row in organs if row["name"] == segment.structure.name), {})

    def lesion_numbers(self) -> np.ndarray:
        """Return (z, y, x) uint16, the number that each lesion is measured under.

        Where lesions overlap, it is that of the later one.
        """
        numbers = np.zeros(self.volume.suv.shape, np.uint16)
        for segment in self.segments:
            if segment.is_lesion:
                numbers[segment.mask()] = self.row_of(segment)["label"]
        return numbers

    def organ_labels(self) -> np.ndarray:
        """Return (z, y, x) uint8, the label values of `AMDiffLib.labels.ORGANS`."""
        labels = np.zeros(self.volume.suv.shape, np.uint8)
        for segment in self.segments:
            if not segment.is_lesion:
                labels[segment.mask()] = segment.structure.label
        return labels


def is_rejected(row: dict[str, Any]) -> bool:
    """Whether the reader of the images rejected this lesion."""
    return row.get("status") == REJECTED


def read_results(
    folder: Path,
    volume: PetVolume,
    *,
    segmentation: Path | None = None,
    measurements: Path | None = None,
) -> ResultSet:
    """Read a folder of results, or the edited segmentation and measurements in place of its own.

    Raises:
        BadInput: a file is missing or damaged, is not of this scan, or segmentation and measurements do not
        belong together.
    """
    if (segmentation is None) != (measurements is None):
        raise BadInput(
            "An edited segmentation needs the measurements of that segmentation, and the other way round: "
            "give both --segmentation and --measurements, or neither."
        )
    report = _json(folder / REPORT)
    uid = (report.get("input") or {}).get("series_uid")
    if uid and volume.source.get("series_uid") not in (None, uid):
        raise BadInput(
            f"The results were computed from the series {uid}, and the source is the series "
            f"{volume.source['series_uid']}. Give the folder of the series that the results belong to."
        )
    measured = _json(measurements or folder / MEASUREMENTS_JSON)
    if measured.get("format") != "amdiff-measurements":
        raise BadInput("The measurements are not those of AMDiff (measurements.json). Give that file.")
    names = [row["name"] for row in measured["lesions"]]
    lesion_names = set(names)
    if len(lesion_names) < len(names):
        shared = sorted(name for name in lesion_names if names.count(name) > 1)
        raise BadInput(f"Several lesions are called {', '.join(shared)}. Give each a name of its own.")
    segments = read_segments(segmentation or folder / SEGMENTATION, volume, lesion_names)
    rejected = {row["name"] for row in measured["lesions"] if is_rejected(row)}
    results = ResultSet(
        volume=volume,
        denoised=_denoised(folder / DENOISED, volume),
        segments=tuple(segment for segment in segments if segment.name not in rejected),
        measurements=measured,
        report=report,
    )
    _check_that_they_belong_together(results)
    return results


def _denoised(path: Path, volume: PetVolume) -> np.ndarray:
    try:
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    except RuntimeError:
        raise BadInput(
            f"The result {path.name} is missing or cannot be read. Run the denoising again."
        ) from None
    same = image.GetSize() == volume.suv.shape[::-1]
    same = same and np.allclose(image.GetSpacing(), volume.spacing, rtol=1e-4)
    same = same and np.allclose(image.GetOrigin(), volume.origin, atol=0.01)
    same = same and np.allclose(image.GetDirection(), volume.direction, atol=1e-4)
    if not same:
        raise BadInput(
            f"The result {path.name} does not lie on the grid of the source scan, so it was computed from "
            "another one. Give the source that the results belong to."
        )
    return sitk.GetArrayFromImage(image)


def _check_that_they_belong_together(results: ResultSet) -> None:
    """Refuse measurements of other lesions than those of the segmentation."""
    segments = {segment.name: segment for segment in results.segments if segment.is_lesion}
    rows = {row["name"]: row for row in results.lesions}
    if unmatched := sorted(set(segments) ^ set(rows)):
        raise BadInput(
            f"Segmentation and measurements differ: {', '.join(unmatched)} is in one of them only. Measure "
            "the segmentation again."
        )
    for name, volume_ml in _volumes(segments.values(), results.volume):
        if abs(rows[name]["mtv_ml"] - volume_ml) > _VOLUME_TOLERANCE * volume_ml:
            raise BadInput(
                f"{name} measures {volume_ml:.2f} mL in the segmentation and {rows[name]['mtv_ml']:.2f} mL "
                "in the measurements. Measure the segmentation again."
            )
    measured, total = sum(row["mtv_ml"] for row in results.lesions), results.measurements["total"]["mtv_ml"]
    if abs(measured - total) > _VOLUME_TOLERANCE * max(measured, total):
        raise BadInput(
            f"The lesions measure {measured:.2f} mL together, and the total says {total:.2f} mL. Measure the "
            "segmentation again."
        )


def _volumes(segments: Any, volume: PetVolume) -> Iterator[tuple[str, float]]:
    for segment in segments:
        yield segment.name, np.count_nonzero(segment.mask()) * volume.voxel_volume_ml


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            f"The file {path.name} is missing among the results. Run the denoising again."
        ) from None
    except (OSError, ValueError):
        raise BadInput(
            f"The file {path.name} cannot be read or is damaged. Run the denoising again."
        ) from None
