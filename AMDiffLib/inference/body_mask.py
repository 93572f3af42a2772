"""Where the patient is in a PET volume: everything that is not air."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput

SMOOTHING_MM = 8.0  # sigma; low-count air is speckle, which this averages out
THRESHOLD_SUV = 0.1  # subcutaneous fat and lung lie above 0.2
SMALLEST_PART_ML = 20.0  # a hand or a foot apart from the trunk is larger
HOT_SUV = 1.0  # a smaller part this hot (an injection site) is kept too
MARGIN_MM = 12.0


def body_mask(suv: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Mask (z, y, x) of the patient with a margin of 12 mm, arms, hands and injection sites included.

    `suv` (z, y, x) in g/mL, `spacing` (x, y, z) in mm. Raises BadInput where nothing looks like a patient.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(suv, dtype=np.float32))
    image.SetSpacing(spacing)
    smooth = sitk.SmoothingRecursiveGaussian(image, SMOOTHING_MM) if min(image.GetSize()) >= 4 else image
    parts = sitk.ConnectedComponent(smooth > THRESHOLD_SUV)
    labels = sitk.GetArrayViewFromImage(parts)
    sizes = np.bincount(labels.ravel()) * float(np.prod(spacing)) / 1000.0
    hot = np.zeros(sizes.size, dtype=bool)
    hot[np.unique(labels[sitk.GetArrayViewFromImage(smooth) > HOT_SUV])] = True
    kept = (sizes >= SMALLEST_PART_ML) | hot
    kept[0] = False
    if not kept.any():
        raise BadInput(
            f"No patient was found in the volume: after smoothing, its highest SUV is "
            f"{float(sitk.GetArrayViewFromImage(smooth).max()):.3g}, and a body is above {THRESHOLD_SUV}. "
            "Check that the volume is a PET scan in SUVbw (g/mL)."
        )
    mask = sitk.GetImageFromArray(kept[labels].astype(np.uint8))
    mask.SetSpacing(spacing)
    radius = [max(1, round(MARGIN_MM / step)) for step in spacing]
    grown = sitk.BinaryDilate(mask, radius, sitk.sitkBall)
    return sitk.GetArrayFromImage(sitk.BinaryFillhole(grown)).astype(bool)
