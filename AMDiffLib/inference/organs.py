"""From the network's organ labels to organs in one place: what lies far from an organ is none of it."""

from __future__ import annotations

import numpy as np

from AMDiffLib.labels import ORGANS

# Bones and muscles are many; the others are one or two pieces, of which the smaller is a good part.
COMPACT_ORGANS = ("liver", "lung", "kidney", "spleen", "aorta")
SMALLEST_PART = 1 / 3


def without_stray_parts(organs: np.ndarray) -> np.ndarray:
    """Return organ labels (z, y, x) in which every part of a compact organ has at least a third of the
    voxels of its largest part; smaller ones become background.

    A part is a component of voxels that share faces. Both kidneys and both lungs stay; a face called liver
    does not.
    """
    from scipy import ndimage

    kept = organs.copy()
    boxes = ndimage.find_objects(organs, max_label=ORGANS[-1].label)
    for organ in ORGANS:
        box = boxes[organ.label - 1]
        if organ.name not in COMPACT_ORGANS or box is None:
            continue
        parts, count = ndimage.label(organs[box] == organ.label)
        voxels = np.bincount(parts.ravel(), minlength=count + 1)
        stray = voxels < SMALLEST_PART * voxels[1:].max()
        stray[0] = False
        kept[box][stray[parts]] = 0
    return kept
