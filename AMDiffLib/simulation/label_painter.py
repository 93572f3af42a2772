"""Painting the classes of a label map, and the tissue between them, on a canvas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from AMDiffLib.simulation.canvas import Canvas, Window
from AMDiffLib.simulation.ct import attenuation_from_hounsfield
from AMDiffLib.simulation.label_body import Surroundings, density
from AMDiffLib.simulation.label_classes import LabelClass, Paint
from AMDiffLib.simulation.placed_volume import PlacedVolume
from AMDiffLib.simulation.tissue import BONE, LUNG, MUSCLE, attenuation_of

# What no label claims. Lean tissue of the cavity is vessels, gut and glands too small to be drawn.
_TISSUES = {
    "skin": (Paint(structure="skin", uptake="skin"), 0),
    "subcutaneous fat": (Paint(structure="subcutaneous fat", uptake="subcutaneous fat"), 0),
    "visceral fat": (Paint(structure="visceral fat", uptake="visceral fat"), 0),
    "skeletal muscle": (Paint(structure="skeletal muscle", uptake="skeletal muscle"), MUSCLE),
    "mesentery": (Paint(structure="mesentery", uptake="visceral fat"), 0),
    "unlabelled bone": (Paint(structure="unlabelled bone", uptake="femur"), BONE),
}


class LabelPainter:
    """Sums up what fills each voxel, so that neighbours meet without a seam.

    A label's share of a voxel is its one-hot map, interpolated linearly: over all labels and what is not
    labelled the shares sum to 1, and edges are as soft as the map's voxels are wide.
    """

    def __init__(self, canvas: Canvas, uptake: Mapping[str, float], hounsfield: Tensor | None) -> None:
        """`uptake` is SUV by structure; `hounsfield` (z, y, x) covers the canvas, None without a CT."""
        self._canvas, self._uptake, self._hounsfield = canvas, uptake, hounsfield
        self._labelled = torch.zeros(canvas.shape, device=canvas.device)
        self._fullest = torch.zeros(canvas.shape, device=canvas.device)

    def paint(self, label: PlacedVolume, spacing_mm: tuple[float, float, float], drawn: LabelClass) -> None:
        """Add one class; `label` is its one-hot map, cropped, with voxels of `spacing_mm` (k, j, i)."""
        window = self._canvas.window(label)
        if window is None:
            return
        core = None if drawn.core is None else _core(label, spacing_mm, drawn.core_depth_mm)
        for piece in self._canvas.pieces(window):
            axes = self._canvas.axes(piece)
            share = label.at(axes)
            if core is not None:
                inner = core.at(axes)
                self._add_label(piece, inner, drawn.core, drawn)
                share = share - inner
            self._add_label(piece, share, drawn.paint, drawn)

    def fill(self, surroundings: Surroundings) -> None:
        """Fill the body between the labels."""
        canvas = self._canvas
        for piece in canvas.pieces():
            labelled = self._labelled[piece]
            body = surroundings.body_share(canvas, piece)
            free = (body - labelled).clamp_min(0)
            # All that is not labelled is weighed against the labels as one.
            unlabelled = free > labelled
            for array in (self._fullest, canvas.structures, canvas.organs):
                array[piece].masked_fill_(unlabelled, 0)
            self._fullest[piece].masked_fill_(~unlabelled, 2)
            for name, share in surroundings.tissues(canvas, piece).items():
                paint, organ = _TISSUES[name]
                self._add(piece, free * share, self._uptake[paint.uptake], paint.structure, organ)
                canvas.attenuation[piece] += free * share * attenuation_of(name)
            outside = labelled + free < 0.5
            canvas.structures[piece].masked_fill_(outside, 0)
            canvas.organs[piece].masked_fill_(outside, 0)
            if self._hounsfield is not None:
                inside = torch.maximum(body, labelled) > 0
                scanned = attenuation_from_hounsfield(self._hounsfield[piece])
                canvas.attenuation[piece] = torch.where(inside, scanned, 0.0)

    def _add_label(self, piece: Window, share: Tensor, paint: Paint, drawn: LabelClass) -> None:
        suv = self._uptake[paint.uptake]
        if drawn.organ != LUNG and self._hounsfield is not None:
            # Gas in the gut is part of its label and takes up nothing.
            suv = suv * density(self._hounsfield[piece])
        self._add(piece, share, suv, paint.structure, drawn.organ)
        self._canvas.attenuation[piece] += share * drawn.attenuation
        self._labelled[piece] += share

    def _add(self, piece: Window, share: Tensor, suv: float | Tensor, structure: str, organ: int) -> None:
        canvas = self._canvas
        canvas.suv[piece] += share * suv
        fuller = share > self._fullest[piece]
        self._fullest[piece] = torch.maximum(share, self._fullest[piece])
        canvas.structures[piece].masked_fill_(fuller, canvas.structure(structure))
        canvas.organs[piece].masked_fill_(fuller, organ)


def _core(label: PlacedVolume, spacing_mm: tuple[float, float, float], depth_mm: float) -> PlacedVolume:
    mask = label.values.cpu().numpy() > 0.5
    depth = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    width = float(np.mean(spacing_mm))
    inner = np.clip((depth - depth_mm) / width, 0, 1).astype(np.float32)
    return PlacedVolume(values=torch.from_numpy(inner).to(label.values), matrix=label.matrix)
