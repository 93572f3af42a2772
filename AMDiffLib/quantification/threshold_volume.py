"""Metabolic tumour volume by a threshold: SUV >= 4.0, and 41 % of the lesion's SUVmax.

Sources: 41 % isocontour: Boellaard et al., FDG PET/CT: EANM procedure guidelines for tumour imaging, version
2.0, Eur J Nucl Med Mol Imaging 2015;42:328. SUV 4.0 in lymphoma: Barrington and Meignan, Time to prepare for
risk adaptation in lymphoma by standardizing measurement of metabolic tumor burden, J Nucl Med 2019;60:1096.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.grid import connected_to, distance_mm, grown, voxel_volume_ml, within
from AMDiffLib.quantification.lesion_regions import LesionRegion

FIXED_SUV = 4.0
SHARE_OF_MAXIMUM = 0.41
MARGIN_MM = 10.0
"""How far the contour may leave the segment: about twice the resolution of a clinical scanner."""


@dataclass(frozen=True, kw_only=True)
class ThresholdVolume:
    """Volume in mL at or above the threshold, and its TLG in g; both 0 where no voxel reaches it."""

    volume_ml: float
    tlg_g: float


def threshold_volume(
    suv: np.ndarray,
    lesion: LesionRegion,
    lesions: np.ndarray,
    *,
    spacing: Sequence[float],
    threshold: float,
) -> ThresholdVolume:
    """Contour one lesion at a threshold.

    The contour holds the voxels at or above the threshold that are connected (by faces or edges) to such a
    voxel of the lesion, at most 10 mm outside the lesion, and not in another one. So it may be larger or
    smaller than the segment, but does not run into the bladder or the brain.

    Args:
        suv: (z, y, x) SUVbw in g/mL.
        lesion: the lesion.
        lesions: (z, y, x) bool, True in every lesion.
        spacing: (x, y, z) voxel size in mm.
        threshold: SUVbw in g/mL.
    """
    around = grown(lesion.box, suv.shape, spacing, MARGIN_MM)
    own = np.zeros(suv[around].shape, bool)
    own[within(lesion.box, around)] = lesion.mask
    high = suv[around] >= threshold
    allowed = high & (distance_mm(own, spacing, MARGIN_MM) <= MARGIN_MM * (1 + 1e-9))
    allowed &= own | ~lesions[around]
    values = suv[around][connected_to(own & high, allowed)].astype(np.float64)
    voxel_ml = voxel_volume_ml(spacing)
    return ThresholdVolume(volume_ml=values.size * voxel_ml, tlg_g=float(values.sum()) * voxel_ml)
