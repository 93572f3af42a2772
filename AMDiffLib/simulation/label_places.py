"""Where in the anatomy of a label map lesions may grow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.lesion_places import points_in_mask
from AMDiffLib.simulation.tissue import BONES, LUNG_LOBES, MUSCLES

# Distances are worked out on a grid about this coarse.
_STEP_MM = 4.0


@dataclass(frozen=True, kw_only=True)
class _Neighbourhood:
    """In one of these structures and, where given, within some mm of others."""

    structures: tuple[str, ...]
    near: tuple[str, ...] = ()
    within_mm: float = 0.0


_FAT = ("visceral fat", "mesentery", "subcutaneous fat")
_GUT = ("small bowel", "colon")
_NEIGHBOURHOODS = {
    "liver": _Neighbourhood(structures=("liver",)),
    "lung": _Neighbourhood(structures=LUNG_LOBES),
    "pleura": _Neighbourhood(structures=LUNG_LOBES, near=("rib",), within_mm=10.0),
    "bone": _Neighbourhood(structures=BONES),
    "mediastinal node": _Neighbourhood(structures=_FAT, near=("trachea", "esophagus"), within_mm=14.0),
    "hilar node": _Neighbourhood(
        structures=(*_FAT, *LUNG_LOBES), near=("pulmonary vein", "pulmonary artery"), within_mm=8.0
    ),
    "para-aortic node": _Neighbourhood(structures=_FAT, near=("aorta", "inferior vena cava"), within_mm=10.0),
    "iliac node": _Neighbourhood(structures=_FAT, near=("iliac artery", "iliac vein"), within_mm=10.0),
    "inguinal node": _Neighbourhood(structures=("subcutaneous fat",), near=("iliac vein",), within_mm=30.0),
    "cervical node": _Neighbourhood(
        structures=("skeletal muscle", "subcutaneous fat"), near=("carotid artery",), within_mm=25.0
    ),
    "axillary node": _Neighbourhood(
        structures=("subcutaneous fat",), near=("scapula", "subclavian artery"), within_mm=30.0
    ),
    "peritoneum": _Neighbourhood(structures=("visceral fat", "mesentery"), near=_GUT, within_mm=12.0),
    "bowel": _Neighbourhood(structures=_GUT),
    "pancreas": _Neighbourhood(structures=("pancreas",)),
    "thyroid": _Neighbourhood(structures=("thyroid gland",)),
    "soft tissue": _Neighbourhood(structures=MUSCLES),
    "skin": _Neighbourhood(structures=("skin",)),
}


def places_in_structures(canvas: Canvas, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return candidate centres (N, 3), x, y, z in mm, by site, from the structures on the canvas."""
    steps = tuple(max(round(_STEP_MM / spacing), 1) for spacing in canvas.spacing_mm)
    lattice = tuple(slice(s.start, s.stop, step) for s, step in zip(canvas.painted, steps, strict=True))
    spacing = [step * s for step, s in zip(steps, canvas.spacing_mm, strict=True)]
    structures = canvas.structures[lattice].cpu().numpy()

    def drawn_as(names: tuple[str, ...]) -> np.ndarray:
        known = [canvas.structure_names.index(name) for name in names if name in canvas.structure_names]
        return np.isin(structures, known)

    places = {}
    for site, place in _NEIGHBOURHOODS.items():
        mask = drawn_as(place.structures)
        if place.near:
            away = ~drawn_as(place.near)
            # Without any of the others nothing is near.
            distance = ndimage.distance_transform_edt(away, sampling=spacing)
            mask = mask & (distance <= place.within_mm) & (not away.all())
        marked = torch.zeros(canvas.shape, dtype=torch.bool, device=canvas.device)
        marked[lattice] = torch.from_numpy(mask).to(canvas.device)
        places[site] = points_in_mask(canvas, marked, rng)
    return places
