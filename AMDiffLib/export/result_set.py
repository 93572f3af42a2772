"""The results to be exported: denoised volume, segments and measurements, held against the scan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.export.software import Software
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.image.voxel_checksum import CHECKSUM_TAG, voxel_checksum
from AMDiffLib.inference.result_files import DENOISED, MEASUREMENTS_JSON, REPORT, SEGMENTATION
from AMDiffLib.labels import LESION, SEMANTIC_CLASSES, Structure

REJECTED = "rejected"
_POSITION_TOLERANCE_VOXELS = 0.01
_VOLUME_TOLERANCE = 1e-3


class Origin(Enum):
    """Who drew a segment, in DICOM's words."""

    AUTOMATIC = "AUTOMATIC"
    SEMIAUTOMATIC = "SEMIAUTOMATIC"
    MANUAL = "MANUAL"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One lesion or organ: the voxels of `layer`, (z, y, x) on the scan's grid, that are `value`."""

    identifier: str
    name: str
    structure: Structure
    layer: np.ndarray
    value: int
    origin: Origin

    @property
    def is_lesion(self) -> bool:
        """Whether it is a lesion, not an organ."""
        return self.structure is LESION

    def mask(self) -> np.ndarray:
        """Return (z, y, x) bool."""
        return self.layer == self.value


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
    lesion_names = {row["name"] for row in measured["lesions"]}
    segments = _segments(segmentation or folder / SEGMENTATION, volume, lesion_names)
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


def _segments(path: Path, volume: PetVolume, lesion_names: set[str]) -> list[Segment]:
    import slicerio

    if not path.is_file():
        raise BadInput(f"The segmentation {path.name} is missing. Run the denoising again.")
    try:
        content = slicerio.read_segmentation(str(path))
        voxels, to_lps = np.asarray(content["voxels"]), np.asarray(content["ijkToLPS"])
        described = content["segments"]
    except (KeyError, ValueError, OSError, EOFError):
        raise BadInput(f"{path.name} is damaged or not a Slicer segmentation (.seg.nrrd).") from None
    layers = voxels if voxels.ndim == 4 else voxels[None]
    placed = [_on_grid(layer, to_lps, volume) for layer in layers]
    segments = [segment for one in described if (segment := _segment(one, placed, lesion_names))]
    return sorted(segments, key=lambda segment: (not segment.is_lesion, segment.structure.label))


def _segment(described: dict, layers: list[np.ndarray], lesion_names: set[str]) -> Segment | None:
    """Return a segment; None for an empty one, and for one that is neither lesion nor organ."""
    # A lesion that a reader added may lack the code, but it was measured as one.
    structure = LESION if described["name"] in lesion_names else _structure(described)
    if structure is None:
        return None
    layer, value = layers[int(described.get("layer", 0))], int(described.get("labelValue", 1))
    mask = layer == value
    if not mask.any():
        return None
    checksum = (described.get("tags") or {}).get(CHECKSUM_TAG)
    if checksum is None:
        origin = Origin.MANUAL
    else:
        origin = Origin.AUTOMATIC if checksum == voxel_checksum(mask) else Origin.SEMIAUTOMATIC
    return Segment(
        identifier=str(described.get("id") or described["name"]),
        name=str(described["name"]),
        structure=structure,
        layer=layer,
        value=value,
        origin=origin,
    )


def _structure(described: dict) -> Structure | None:
    """The class that a segment's terminology names; a segment without a known one is not ours to export."""
    scheme_and_value = tuple((described.get("terminology") or {}).get("type") or ())[:2]
    for structure in SEMANTIC_CLASSES:
        if scheme_and_value == (structure.type[1], structure.type[0]):
            return structure
    return None


def _on_grid(layer: np.ndarray, to_lps: np.ndarray, volume: PetVolume) -> np.ndarray:
    """Return a layer, (x, y, z) and perhaps cropped or larger, on the scan's grid, (z, y, x)."""
    grid = np.eye(4)
    grid[:3, :3] = np.asarray(volume.direction, float).reshape(3, 3) * np.asarray(volume.spacing)
    grid[:3, 3] = volume.origin
    to_grid = np.linalg.inv(grid) @ to_lps
    offset = np.rint(to_grid[:3, 3]).astype(int)
    # An error of the axes grows along them.
    drift = np.abs(to_grid[:3, :3] - np.eye(3)) * np.asarray(layer.shape)
    if max(drift.max(), np.abs(to_grid[:3, 3] - offset).max()) > _POSITION_TOLERANCE_VOXELS:
        raise BadInput(
            "The segmentation does not lie on the grid of the source scan. In the Segment Editor, set the "
            "source volume of the segmentation to the scan, or give the segmentation that belongs to it."
        )
    placed = np.zeros(volume.suv.shape[::-1], layer.dtype)
    start, stop = np.maximum(offset, 0), np.minimum(offset + layer.shape, placed.shape)
    if (stop > start).all():
        inside = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        taken = tuple(slice(a, b) for a, b in zip(start - offset, stop - offset, strict=True))
        placed[inside] = layer[taken]
    return np.ascontiguousarray(placed.T)


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
