"""A small simulated patient for the self-test: a body of ellipsoids with liver, lungs and one hot lesion."""

from __future__ import annotations

import slicer

from .node_marks import mark_as_suv

_SHAPE = (56, 40, 48)  # z, y, x
_SPACING_MM = 4.0
_SEED = 20240229
# Centre and half axes (x, y, z) in mm from the middle of the volume, and SUV; later ones cover earlier ones.
_ELLIPSOIDS = (
    ((0.0, 0.0, 0.0), (80.0, 60.0, 1e6), 0.7),
    ((-36.0, -5.0, 50.0), (26.0, 38.0, 55.0), 0.4),
    ((36.0, -5.0, 50.0), (26.0, 38.0, 55.0), 0.4),
    ((-26.0, -5.0, -32.0), (42.0, 42.0, 36.0), 2.2),
    ((38.0, -2.0, -52.0), (14.0, 14.0, 14.0), 8.0),
)


def add_simulated_case(*, marked: bool = True):
    """Add the patient to `slicer.mrmlScene`, with its unit unless not `marked`; return the volume node."""
    import numpy as np

    z, y, x = ((np.arange(length) - (length - 1) / 2) * _SPACING_MM for length in _SHAPE)
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    suv = np.zeros(_SHAPE, np.float32)
    for centre, half_axes, value in _ELLIPSOIDS:
        distance = sum(((p - c) / a) ** 2 for p, c, a in zip((x, y, z), centre, half_axes, strict=True))
        suv[distance <= 1.0] = value
    random = np.random.default_rng(_SEED)
    suv = np.clip(suv + 0.35 * np.sqrt(suv) * random.standard_normal(_SHAPE), 0.0, None).astype(np.float32)
    # Voxels are counted towards the patient's left and back, as scanners do; RAS counts right and front.
    ijk_to_ras = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
    ijk_to_ras[:3, 3] = (94.0, 78.0, -110.0)
    node = slicer.util.addVolumeFromArray(suv, ijkToRAS=ijk_to_ras, name="Simulated low-count PET")
    if marked:
        mark_as_suv(node)
    return node
