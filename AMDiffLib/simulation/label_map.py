"""A phantom from real anatomy: a label map, and the CT it was drawn on where there is one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.label_body import (
    BodyOutline,
    Surroundings,
    coarse_axes,
    outline_from_ct,
    outline_from_labels,
)
from AMDiffLib.simulation.label_classes import classes_of, task_names
from AMDiffLib.simulation.label_files import LabelMap, read_ct, read_label_map
from AMDiffLib.simulation.label_names import names_from_json
from AMDiffLib.simulation.label_painter import LabelPainter
from AMDiffLib.simulation.label_places import places_in_structures
from AMDiffLib.simulation.lesions import draw_lesions, paint_lesions
from AMDiffLib.simulation.phantom import Phantom, clear_outside, phantom_of
from AMDiffLib.simulation.placed_volume import PlacedVolume, voxel_matrix
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.texture import paint_texture
from AMDiffLib.simulation.tissue import BONE, LUNG, MUSCLE
from AMDiffLib.simulation.uptake import draw_uptake

# Gut and airways hold gas; lungs are mostly air.
_AIRY = ("trachea", "esophagus", "stomach", "duodenum", "small bowel", "colon")
_AIR_HOUNSFIELD = -1000.0
_ROOM_FOR_FAT_MM = 30.0
# Weight over the median cross-section, kg/cm2: 75 kg and 700 cm2 for a man of 1.75 m.
_WEIGHT_OVER_SECTION = 0.107
# Gut takes up FDG in stretches: this long, and by this much (SD of the logarithm).
_GUT, _STRETCH_MM, _STRETCH_SD = ("small bowel", "colon"), 50.0, 0.45


def phantom_from_label_map(
    label_map: Path,
    *,
    seed: int | Sequence[int],
    ct: Path | None = None,
    label_names: Path | str | None = None,
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
    field_of_view_mm: float = 576.0,
    device: torch.device | str = "cpu",
    healthy_share: float = 0.12,
    weight_kg: float | None = None,
) -> Phantom:
    """Give the anatomy of a label map the uptake, texture and lesions of the random person `seed`.

    With a CT, attenuation, body outline, fat and muscle come from it; without, the body is the hull around
    the labels, and attenuation that of their classes. The grid is upright whatever the map's orientation,
    over its whole length, centred on its labels.

    Args:
        label_map: NIfTI, NRRD or MetaImage.
        ct: in Hounsfield units (120 kVp), of the same patient in the same place; its grid may differ.
        label_names: a JSON file {label value: class name}, or a TotalSegmentator task ("total", "total_v1");
            not needed where the label map names its labels.
        spacing_mm: (dz, dy, dx).
        weight_kg: of the patient; estimated from the body's girth where not given.

    Raises:
        BadInput: the files cannot be read as a label map and its CT, do not belong together, or hold classes
            that the simulator does not know.
    """
    seeds = [seed] if np.isscalar(seed) else list(seed)

    def draws(part: str) -> np.random.Generator:
        return np.random.default_rng([*seeds, zlib.crc32(part.encode())])

    names = None
    if label_names is not None:
        named_file = str(label_names).endswith(".json")
        names = names_from_json(Path(label_names)) if named_file else task_names(str(label_names))
    labels = read_label_map(Path(label_map), names)
    classes = classes_of(labels.names)
    airy = [
        value for value, drawn in classes.items() if drawn.organ == LUNG or drawn.paint.structure in _AIRY
    ]
    scan = None if ct is None else read_ct(Path(ct), labels, airy)

    canvas, origin = _canvas(labels, spacing_mm, field_of_view_mm, scan is None, device)
    placed_ct = None if scan is None else _placed_ct(scan, origin, canvas)
    units = None if placed_ct is None else _on_canvas(placed_ct, canvas)
    painter = LabelPainter(canvas, draw_uptake(draws("uptake")), units)
    for value, volume, spacing in _one_hot_maps(labels, origin, canvas):
        painter.paint(volume, spacing, classes[value])
    painter.fill(Surroundings(outline=_outline(canvas, placed_ct, draws("outline")), hounsfield=units))

    _vary_gut(canvas, draws("gut"))
    paint_texture(canvas, draws("texture"))
    places = places_in_structures(canvas, draws("places"))
    paint_lesions(canvas, draw_lesions(places, draws("lesions"), healthy_share=healthy_share))
    clear_outside(canvas, field_of_view_mm / 2)
    return phantom_of(
        canvas,
        weight_kg=weight_kg or _weight_kg(canvas, draws("weight")),
        female=False if "prostate" in labels.names.values() else None,
    )


def _canvas(
    labels: LabelMap,
    spacing_mm: tuple[float, float, float],
    field_of_view_mm: float,
    hull: bool,
    device: torch.device | str,
) -> tuple[Canvas, np.ndarray]:
    """Return an upright canvas over the label map, and where its origin lies in the patient (x, y, z)."""
    spans = ndimage.find_objects((labels.values > 0).astype(np.uint8))[0][::-1]
    low, high = _box(labels.image, [(span.start - 0.5, span.stop - 0.5) for span in spans])
    middle = (low + high) / 2
    low, high = _box(labels.image, [(-0.5, n - 0.5) for n in labels.image.GetSize()])
    origin = np.array([middle[0], middle[1], low[2]])
    room = np.array([_ROOM_FOR_FAT_MM, _ROOM_FOR_FAT_MM, 0.0]) if hull else np.zeros(3)
    dz, dy, dx = spacing_mm
    slices = 2 * int(np.ceil((high - low)[2] / dz / 2 - 1e-3))
    shape = (slices, *(2 * round(field_of_view_mm / d / 2) for d in (dy, dx)))
    extent = tuple(low - origin - room), tuple(high - origin + room)
    return Canvas(shape, spacing_mm, extent=extent, device=device), origin


def _box(image: sitk.Image, ends: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the low and high corner (x, y, z in mm) of a box of voxels between indices `ends` (i, j, k)."""
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    points = [image.TransformContinuousIndexToPhysicalPoint([float(c) for c in corner]) for corner in corners]
    return np.min(points, axis=0), np.max(points, axis=0)


def _placed_ct(scan: sitk.Image, origin: np.ndarray, canvas: Canvas) -> PlacedVolume:
    """Return the CT above air, so that beyond its edge there is air."""
    values = torch.from_numpy(sitk.GetArrayFromImage(scan).astype(np.float32)).to(canvas.device)
    placed = PlacedVolume(values=values - _AIR_HOUNSFIELD, matrix=voxel_matrix(scan, origin))
    return _pooled(placed, (0, 0, 0), placed.values, _shrink(scan, canvas))


def _on_canvas(placed_ct: PlacedVolume, canvas: Canvas) -> Tensor:
    units = torch.full(canvas.shape, _AIR_HOUNSFIELD, device=canvas.device)
    for piece in canvas.pieces():
        units[piece] = placed_ct.at(canvas.axes(piece)) + _AIR_HOUNSFIELD
    return units


def _one_hot_maps(
    labels: LabelMap, origin: np.ndarray, canvas: Canvas
) -> Iterator[tuple[int, PlacedVolume, tuple[float, float, float]]]:
    """Yield each label value with its cropped one-hot map and the spacing (k, j, i) of that."""
    whole = PlacedVolume(values=torch.empty(0), matrix=voxel_matrix(labels.image, origin))
    shrink = _shrink(labels.image, canvas)
    spacing = tuple(s * f for s, f in zip(reversed(labels.image.GetSpacing()), shrink, strict=True))
    boxes = ndimage.find_objects(labels.values)
    for value in labels.names:
        # A rim of zeros lets the edge fall off within the crop.
        start = tuple(span.start - factor for span, factor in zip(boxes[value - 1], shrink, strict=True))
        mask = np.pad(labels.values[boxes[value - 1]] == value, [(f, 2 * f) for f in shrink])
        values = torch.from_numpy(mask.astype(np.float32)).to(canvas.device)
        yield value, _pooled(whole, start, values, shrink), spacing


def _pooled(
    whole: PlacedVolume, start: tuple[int, int, int], values: Tensor, shrink: tuple[int, int, int]
) -> PlacedVolume:
    """Return a part averaged over blocks of `shrink` voxels, which sampling at wider voxels would skip."""
    if max(shrink) > 1:
        values = F.avg_pool3d(values[None, None], shrink)[0, 0]
    return whole.part(start, values, shrink)


def _shrink(image: sitk.Image, canvas: Canvas) -> tuple[int, int, int]:
    return tuple(max(int(min(canvas.spacing_mm) / s + 0.05), 1) for s in reversed(image.GetSpacing()))


def _outline(canvas: Canvas, placed_ct: PlacedVolume | None, rng: np.random.Generator) -> BodyOutline:
    axes = coarse_axes(canvas)
    z, y, x = (
        torch.searchsorted(fine.contiguous(), coarse).clamp(max=len(fine) - 1)
        for fine, coarse in zip(
            reversed(canvas.axes(tuple(slice(0, n) for n in canvas.shape))), reversed(axes), strict=True
        )
    )
    nearest = (z[:, None, None], y[None, :, None], x[None, None, :])
    structures, organs = canvas.structures[nearest], canvas.organs[nearest]
    # Bones and muscles reach out of the cavity; so do the vessels of the limbs, of which there are few.
    inner = (structures > 0) & (organs != BONE) & (organs != MUSCLE)
    if placed_ct is None:
        return outline_from_labels(axes, structures > 0, inner, rng)
    return outline_from_ct(axes, placed_ct.at(axes) + _AIR_HOUNSFIELD, inner)


def _vary_gut(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let the uptake vary along the gut, of which a label map has one label, about its mean."""
    field = smooth_field(canvas.extent, _STRETCH_MM, rng, device=canvas.device)
    gut = [canvas.structure(name) for name in _GUT if name in canvas.structure_names]
    for piece in canvas.pieces():
        factor = torch.exp(_STRETCH_SD * field.on_grid(canvas.axes(piece)) - _STRETCH_SD**2 / 2)
        inside = torch.isin(canvas.structures[piece].int(), torch.tensor(gut, device=canvas.device).int())
        canvas.suv[piece] *= torch.where(inside, factor, 1.0)


def _weight_kg(canvas: Canvas, rng: np.random.Generator) -> float:
    """Guess a weight, good to 10 %, from the body's cross-section, all that part of a body shows of it."""
    _, dy, dx = canvas.spacing_mm
    sections = (canvas.structures > 0).sum(dim=(1, 2)).float() * dy * dx / 100
    return float(np.clip(_WEIGHT_OVER_SECTION * float(sections.median()) * rng.normal(1, 0.1), 20, 200))
