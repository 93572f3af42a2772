"""The volumes of a result as seen from the front: coronal projections, cut to the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.image.orientation import to_patient_axes
from AMDiffLib.labels import ORGANS

_BODY_SUV = 0.25
_MARGIN_MM = 15.0


@dataclass(frozen=True, kw_only=True)
class CoronalScene:
    """Coronal maximum projections (inferior to superior, right to left), with the voxel size (mm) of both.

    `lesions` holds numbers; `depth_mm` is how much of an organ, by name, lies along each ray.
    """

    low: np.ndarray
    denoised: np.ndarray
    truth: np.ndarray | None
    lesions: np.ndarray
    truth_lesions: np.ndarray | None
    lesion_count: int
    depth_mm: dict[str, np.ndarray]
    spacing: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        return tuple(n * size for n, size in zip(self.low.shape, self.spacing, strict=True))


def project_coronal(
    suv: dict[str, np.ndarray | None],
    lesions: dict[str, np.ndarray | None],
    organs: np.ndarray,
    spacing: Sequence[float],
    direction: Sequence[float],
) -> CoronalScene:
    """Project all volumes of a result along the anterior-posterior axis and cut them to the body.

    Args:
        suv: "low", "denoised" and "truth" (or None), (z, y, x) SUVbw in g/mL.
        lesions: "lesions" and "truth_lesions" (or None), (z, y, x) integer, 0 outside.
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`.
        spacing: (x, y, z) voxel size in mm.
        direction: 9 cosines of the grid, row-major, LPS.
    """

    def coronal(array: np.ndarray | None, labels: bool) -> np.ndarray | None:
        if array is None:
            return None
        return to_patient_axes(array, spacing, direction, labels=labels)[0].max(axis=1)

    aligned_organs, size = to_patient_axes(organs, spacing, direction, labels=True)
    depth = {
        organ.name: size[1] * (aligned_organs == organ.label).sum(axis=1, dtype=np.float32)
        for organ in ORGANS
    }
    images = {name: coronal(array, labels=False) for name, array in suv.items()}
    images |= {name: coronal(array, labels=True) for name, array in lesions.items()}
    in_plane = (size[0], size[2])
    body = (images["denoised"] if images["truth"] is None else images["truth"]) > _BODY_SUV
    body = np.logical_or.reduce([body, *(thickness > 0 for thickness in depth.values())])
    box = _body_box(body, in_plane)
    return CoronalScene(
        **{name: None if image is None else image[box] for name, image in images.items()},
        lesion_count=len(np.setdiff1d(lesions["lesions"], [0])),
        depth_mm={name: thickness[box] for name, thickness in depth.items() if thickness.any()},
        spacing=in_plane,
    )


def _body_box(body: np.ndarray, spacing: tuple[float, float]) -> tuple[slice, ...]:
    """Rows and columns that the body fills, with a margin; single noisy lines of air do not count."""
    box = []
    for axis, size in enumerate(spacing):
        filled = np.flatnonzero(body.sum(axis=1 - axis) > 2)
        margin = int(np.ceil(_MARGIN_MM / size))
        first, last = (filled[0], filled[-1]) if filled.size else (0, body.shape[axis] - 1)
        box.append(slice(max(0, int(first) - margin), min(body.shape[axis], int(last) + margin + 1)))
    return tuple(box)
