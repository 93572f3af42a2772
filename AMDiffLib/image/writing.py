"""Result volumes as files that Slicer and other tools read: the denoised PET and the segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.errors import MissingPackage
from AMDiffLib.image.nrrd_file import write_nrrd
from AMDiffLib.image.terminology import TERMINOLOGY_CONTEXT
from AMDiffLib.labels import LESION, ORGANS, Structure
from AMDiffLib.quantification.voxel_checksum import CHECKSUM_TAG, voxel_checksum

if TYPE_CHECKING:
    from AMDiffLib.image.volume import PetVolume

UNITS_KEY = "voxel_units"
UNITS = "{SUVbw}g/ml"  # UCUM
CONTENT_KEY = "voxel_content"
CONTENT = "synthetic: AI-denoised PET, not a measurement"
NO_UNITS = "1"  # UCUM
Z_CONTENT = "z-score of regional means: AI-denoised less low-count PET, in standard errors of the counting"
SD_CONTENT = "voxel-wise standard deviation of the AI-denoised PET, as its model estimates it"

_COMPRESSION_LEVEL = 1  # noise hardly compresses: higher levels cost seconds and save little


def write_denoised(path: str | Path, volume: PetVolume, array: np.ndarray) -> None:
    """Write the denoised PET as compressed float32 NRRD on the input's grid.

    The header says the unit (`voxel_units`, UCUM) and that the image is synthetic (`voxel_content`).

    Args:
        path: ends with .nrrd.
        volume: the input; gives the geometry.
        array: (z, y, x) SUVbw in g/mL.

    Raises:
        ValueError: the array is not of the input's shape, or holds values that are not finite numbers.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    _write_suv(path, volume, array, CONTENT)


def write_uncertainty(path: str | Path, volume: PetVolume, sd: np.ndarray) -> None:
    """Write the standard deviation of the denoised PET, SUVbw in g/mL, in the way of `write_denoised`."""
    _write_suv(path, volume, sd, SD_CONTENT)


def write_count_consistency(path: str | Path, volume: PetVolume, z: np.ndarray) -> None:
    """Write the z-scores of regional means, denoised less low-count, in the way of `write_denoised`."""
    image = volume.with_array(np.asarray(z, np.float32))
    image.SetMetaData(UNITS_KEY, NO_UNITS)
    image.SetMetaData(CONTENT_KEY, Z_CONTENT)
    write_nrrd(path, image)


def _write_suv(path: str | Path, volume: PetVolume, array: np.ndarray, content: str) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"the image ({content}) holds values that are not finite numbers")
    image = volume.with_array(np.asarray(array, np.float32))
    image.SetMetaData(UNITS_KEY, UNITS)
    image.SetMetaData(CONTENT_KEY, content)
    write_nrrd(path, image)


def write_segmentation(
    path: str | Path, volume: PetVolume, lesion_instances: np.ndarray, organs: np.ndarray
) -> None:
    """Write lesions and organs as a Slicer segmentation (.seg.nrrd) on the input's grid.

    Each lesion is a segment "Lesion 1", "Lesion 2", ...; each organ that was found is a segment of its name.
    An organ that was not found has no segment. Lesions and organs may overlap: they are two layers.

    Args:
        path: ends with .seg.nrrd.
        volume: the input; gives the geometry.
        lesion_instances: (z, y, x) integer, 0 outside and the lesion's number inside.
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`; other values are left out.

    Raises:
        ValueError: the arrays are not of the input's shape.
        MissingPackage: slicerio is not installed.
    """
    try:
        import slicerio
    except ImportError as error:
        raise MissingPackage(
            "The package slicerio, which writes Slicer segmentations, is not installed. Install slicerio."
        ) from error

    shape = volume.suv.shape
    if not lesion_instances.shape == organs.shape == shape:
        raise ValueError(
            f"lesions {lesion_instances.shape} and organs {organs.shape} must have the input's shape, {shape}"
        )
    numbers = [int(number) for number in np.unique(lesion_instances) if number > 0]
    present = set(np.unique(organs).tolist())
    found = [organ for organ in ORGANS if organ.label in present]
    layers, segments = [], []
    if numbers:
        segments += [
            _segment(LESION, lesion_instances == n, n, len(layers), f"lesion_{n}", f"Lesion {n}")
            for n in numbers
        ]
        layers.append(lesion_instances)
    if found:
        segments += [
            _segment(organ, organs == organ.label, organ.label, len(layers), organ.name, organ.name)
            for organ in found
        ]
        layers.append(organs)

    # Slicer's axes are (layer, x, y, z) with the layer fastest in memory; a single layer has no such axis.
    value_type = np.uint8 if max(numbers, default=0) <= np.iinfo(np.uint8).max else np.uint16
    voxels = np.zeros((max(1, len(layers)), *shape[::-1]), value_type, order="F")
    for layer, values in enumerate(layers):
        known = [segment["labelValue"] for segment in segments if segment["layer"] == layer]
        np.copyto(voxels[layer], values.T, casting="unsafe", where=np.isin(values.T, known))
    content = {
        "voxels": voxels if len(layers) > 1 else voxels[0],
        "ijkToLPS": _index_to_lps(volume),
        "containedRepresentationNames": ["Binary labelmap"],
        "segments": segments,
    }
    slicerio.write_segmentation(str(path), content, compression_level=_COMPRESSION_LEVEL)


def _segment(
    structure: Structure, mask: np.ndarray, label: int, layer: int, identifier: str, name: str
) -> dict:
    def code(triple: tuple[str, str, str]) -> list[str]:
        value, scheme, meaning = triple
        return [scheme, value, meaning]

    return {
        "id": identifier,
        "name": name,
        "color": [round(channel / 255.0, 6) for channel in structure.colour],
        "colorAutoGenerated": False,
        "nameAutoGenerated": False,
        "labelValue": label,
        "layer": layer,
        "terminology": {
            "contextName": TERMINOLOGY_CONTEXT,
            "category": code(structure.category),
            "type": code(structure.type),
        },
        # By it an exporter tells a segment that a reader has edited from one that is the model's own.
        "tags": {CHECKSUM_TAG: voxel_checksum(mask)},
    }


def _index_to_lps(volume: PetVolume) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(volume.direction, float).reshape(3, 3) * np.asarray(volume.spacing)
    matrix[:3, 3] = volume.origin
    return matrix
