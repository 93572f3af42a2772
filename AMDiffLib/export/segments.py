"""The segments of a result, perhaps edited since: lesions and organs on the grid of the scan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from AMDiffLib.errors import BadInput
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.labels import LESION, SEMANTIC_CLASSES, Structure
from AMDiffLib.quantification.voxel_checksum import CHECKSUM_TAG, voxel_checksum

_POSITION_TOLERANCE_VOXELS = 0.01


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


def read_segments(path: Path, volume: PetVolume, lesion_names: set[str]) -> list[Segment]:
    """Read the lesions and organs of a Slicer segmentation, lesions first, on the grid of `volume`, the scan.

    A lesion is a segment with the code of a neoplasm, or one of `lesion_names`. Empty segments, and segments
    that are neither lesion nor organ, are left out.

    Raises:
        BadInput: the file is missing, damaged, or does not lie on the grid.
    """
    import slicerio

    if not path.is_file():
        raise BadInput(f"The segmentation {path.name} is missing. Run the denoising again.")
    try:
        content = slicerio.read_segmentation(str(path))
        voxels, to_lps = np.asarray(content["voxels"]), np.asarray(content["ijkToLPS"])
        described = [
            {**one, "name": name} for one, name in zip(content["segments"], _names_in(path), strict=True)
        ]
    except (KeyError, ValueError, OSError, EOFError):
        raise BadInput(f"{path.name} is damaged or not a Slicer segmentation (.seg.nrrd).") from None
    layers = voxels if voxels.ndim == 4 else voxels[None]
    placed = [_on_grid(layer, to_lps, volume) for layer in layers]
    segments = [segment for one in described if (segment := _segment(one, placed, lesion_names))]
    return sorted(segments, key=lambda segment: (not segment.is_lesion, segment.structure.label))


def _names_in(path: Path) -> list[str]:
    """Return the segments' names in the order of the file, umlauts included, which pynrrd leaves out."""
    names: dict[int, str] = {}
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                break
            if found := re.fullmatch(
                r"Segment(\d+)_Name:=(.*)", line.decode("utf-8", "replace").rstrip("\r\n")
            ):
                names[int(found[1])] = found[2]
    return [names[index] for index in sorted(names)]


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
