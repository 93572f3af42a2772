"""Organ labels from TotalSegmentator's output: a folder with a mask a class, or one map of all classes.

Class names are those of the tasks `total` of versions 2 and 1 (Resources/LabelMaps/totalsegmentator.json);
what is no part of the seven organs of the AMDiff paper becomes background.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.cohorts.examination import OrganFile, stem_of
from AMDiffLib.errors import BadInput
from AMDiffLib.labels import ORGANS
from AMDiffLib.simulation.label_classes import label_classes, task_names
from AMDiffLib.simulation.label_files import read_label_map
from AMDiffLib.simulation.label_names import names_from_json

OWN_LABELS = "amdiff"


def organ_of(name: str) -> int:
    """Return the label 2..8 of the organ that a class belongs to, 0 where it belongs to none."""
    plain = re.sub(r"[\s-]+", "_", name.strip()).lower()
    own = {organ.name: organ.label for organ in ORGANS}
    if plain in own:
        return own[plain]
    known = label_classes().get(plain)
    return known.organ if known else 0


def organ_labels(source: OrganFile) -> sitk.Image:
    """Return the organ labels (0, 2..8), uint8, on the grid on which they were drawn.

    Raises BadInput where a file cannot be read, does not say what its values are, masks lie on several
    grids, or there is none of the seven organs.
    """
    image = _from_masks(source.path) if source.path.is_dir() else _from_map(source.path, source.names)
    if not sitk.GetArrayViewFromImage(image).any():
        raise BadInput(
            f"the organ labels {source.path.name} hold none of {', '.join(organ.name for organ in ORGANS)}. "
            "Were they made by TotalSegmentator's task total, and from this patient's CT?"
        )
    return image


def _from_map(path: Path, names: str | Mapping[int, str] | None) -> sitk.Image:
    labels = read_label_map(path, _names(names) if isinstance(names, str) else names)
    organs = np.zeros(labels.values.shape, np.uint8)
    for value, name in labels.names.items():
        if organ := organ_of(name):
            organs[labels.values == value] = organ
    return _on_grid(organs, labels.image)


def _from_masks(folder: Path) -> sitk.Image:
    # `TotalSegmentator -o study` writes into the folder itself, its data set has a folder of its own for it.
    folder = folder / "segmentations" if (folder / "segmentations").is_dir() else folder
    masks = {path: organ_of(stem) for path in sorted(folder.iterdir()) if (stem := stem_of(path))}
    masks = {path: organ for path, organ in masks.items() if organ}
    if not masks:
        raise BadInput(
            f"the folder {folder.name} holds no mask named after one of TotalSegmentator's classes, such as "
            "liver.nii.gz or aorta.nii.gz"
        )
    organs, grid = None, None
    for path, organ in masks.items():
        try:
            mask = sitk.ReadImage(str(path))
        except RuntimeError:
            raise BadInput(f"the mask {path.name} is not a readable image; write it again") from None
        if organs is None:
            grid, organs = mask, np.zeros(mask.GetSize()[::-1], np.uint8)
        if mask.GetSize() != grid.GetSize() or not np.allclose(
            (*mask.GetSpacing(), *mask.GetOrigin(), *mask.GetDirection()),
            (*grid.GetSpacing(), *grid.GetOrigin(), *grid.GetDirection()),
            atol=1e-3,
        ):
            raise BadInput(
                f"the mask {path.name} lies on another grid than {next(iter(masks)).name}; the masks of one "
                "folder must be of one CT"
            )
        organs[(sitk.GetArrayViewFromImage(mask) > 0) & (organs == 0)] = organ
    return _on_grid(organs, grid)


def _names(names: str) -> dict[int, str]:
    if names == OWN_LABELS:
        return {organ.label: organ.name for organ in ORGANS}
    return names_from_json(Path(names)) if names.lower().endswith(".json") else task_names(names)


def _on_grid(labels: np.ndarray, grid: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(grid)
    return image
