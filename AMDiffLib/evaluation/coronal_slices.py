"""Coronal sections of a case, kept until it is known whether it is shown: where denoising is to be judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AMDiffLib.evaluation.cases import EvaluationCase
from AMDiffLib.evaluation.scores import HIGH_COUNT
from AMDiffLib.image.orientation import to_patient_axes
from AMDiffLib.labels import ORGANS

_SHOWN_ORGANS = ("liver", "kidney", "spleen", "aorta")
_HIGHEST_SUV = 1000.0
_MARGIN_MM = 15.0


@dataclass(frozen=True, kw_only=True)
class CoronalSections:
    """Sections (inferior to superior, right to left) through the largest lesion and through the organs.

    `images` maps a method to its SUV in the lesion's section, `organ_image` is the high-count image in that
    of the organs. `focus` is the lesion's place (row, column), None in a person without one. `spacing` mm.
    """

    images: dict[str, np.ndarray]
    organ_image: np.ndarray
    organs: np.ndarray
    true_organs: np.ndarray
    lesions: np.ndarray
    true_lesions: np.ndarray
    focus: tuple[int, int] | None
    spacing: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        return tuple(n * size for n, size in zip(self.organs.shape, self.spacing, strict=True))


def save_sections(
    path: Path,
    case: EvaluationCase,
    images: Mapping[str, np.ndarray],
    lesions: np.ndarray,
    organs: np.ndarray,
) -> None:
    """Keep the sections of a case: `images` by method and the model's labels, all (z, y, x)."""
    volume = case.low_count

    def aligned(array: np.ndarray, labels: bool = True) -> np.ndarray:
        return to_patient_axes(array, volume.spacing, volume.direction, labels=labels)[0]

    size = to_patient_axes(case.organs, volume.spacing, volume.direction, labels=True)[1]
    true_organs, true_lesions = aligned(case.organs), aligned(case.lesions)
    high = aligned(case.references[HIGH_COUNT], labels=False)
    focus = _largest_lesion(true_lesions)
    organ_plane = _plane_of_organs(true_organs)
    lesion_plane = organ_plane if focus is None else focus[1]
    columns = _columns_of_body(high, size)
    arrays = {
        "organ_image": high[:, organ_plane],
        "organs": aligned(organs)[:, organ_plane],
        "true_organs": true_organs[:, organ_plane],
        "lesions": aligned(lesions)[:, lesion_plane],
        "true_lesions": true_lesions[:, lesion_plane],
    }
    arrays |= {
        f"image {name}": aligned(image, labels=False)[:, lesion_plane] for name, image in images.items()
    }
    facts = {
        "focus": None if focus is None else [focus[0], focus[2] - columns.start],
        "spacing": [size[0], size[2]],
    }
    kept = {name: _small(array[:, columns]) for name, array in arrays.items()}
    np.savez_compressed(path, **kept, facts=np.array(json.dumps(facts)))


def load_sections(path: Path) -> CoronalSections:
    """Return what `save_sections` kept."""
    with np.load(path) as content:
        facts = json.loads(str(content["facts"]))
        arrays = {name: content[name] for name in content.files if name != "facts"}
    images = {
        name.removeprefix("image "): arrays.pop(name).astype(np.float32)
        for name in list(arrays)
        if name.startswith("image ")
    }
    return CoronalSections(
        **arrays,
        images=images,
        focus=None if facts["focus"] is None else tuple(facts["focus"]),
        spacing=tuple(facts["spacing"]),
    )


def _small(array: np.ndarray) -> np.ndarray:
    """In two bytes a voxel; SUV beyond what any picture shows is cut."""
    if array.dtype.kind == "f":
        return array.clip(0.0, _HIGHEST_SUV).astype(np.float16)
    return array.astype(np.int16)


def _largest_lesion(lesions: np.ndarray) -> tuple[int, int, int] | None:
    """The voxel of the largest lesion that is nearest its middle."""
    voxels = np.bincount(lesions.ravel())
    voxels[0] = 0
    if not voxels.any():
        return None
    places = np.argwhere(lesions == voxels.argmax())
    nearest = np.square(places - places.mean(axis=0)).sum(axis=1).argmin()
    return tuple(int(place) for place in places[nearest])


def _plane_of_organs(organs: np.ndarray) -> int:
    """The coronal plane that shows most of the organs, each by the share of its own largest section."""
    shown = np.zeros(organs.shape[1])
    for organ in ORGANS:
        if organ.name in _SHOWN_ORGANS:
            area = (organs == organ.label).sum(axis=(0, 2))
            shown += area / max(1, area.max())
    return int(shown.argmax())


def _columns_of_body(high: np.ndarray, size: tuple[float, float, float]) -> slice:
    filled = np.flatnonzero((high > 0.25).sum(axis=(0, 1)) > 20)
    if not filled.size:
        return slice(0, high.shape[2])
    margin = int(np.ceil(_MARGIN_MM / size[2]))
    return slice(max(0, int(filled[0]) - margin), min(high.shape[2], int(filled[-1]) + margin + 1))
