"""Image quality by NEMA NU 2: contrast recovery, background variability and lung residual."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.nema import SPHERES_MM, SPHERES_TO_BOTTOM_MM, SPHERES_TO_TOP_MM, sphere_centre

# Centres (x, y) in mm of the twelve background regions. The largest stay 15 mm from the wall and from every
# sphere, as NU 2 asks, and 15 mm from the lung insert; that leaves no room for twelve without three pairs
# that overlap by up to 2.4 mm.
BACKGROUND_CENTRES_MM = (
    (-79, 77), (-72, -51), (63, 78), (93, -30), (113, 37), (-109, 6),
    (73, 42), (97, 69), (-2, -78), (-102, 50), (107, 2), (69, -55),
)  # fmt: skip
_BACKGROUND_SLICES_MM = (-20.0, -10.0, 0.0, 10.0, 20.0)
_LUNG_REGION_MM = 30.0
_LUNG_MARGIN_MM = 20.0
_POINTS_PER_PIXEL = 10


@dataclass(frozen=True, kw_only=True)
class ImageQuality:
    """What NU 2 reports, all in percent; the dictionaries go by sphere diameter in mm."""

    contrast_recovery: dict[int, float]
    background_variability: dict[int, float]
    lung_residual: float


def analyse_image_quality(
    image: Tensor,
    spacing_mm: tuple[float, float, float],
    *,
    sphere_plane_mm: float,
    hot_ratio: float = 4.0,
    cold_mm: Collection[int] = (),
) -> ImageQuality:
    """Measure a reconstruction of the image-quality phantom as NU 2-2007 to -2018 define it.

    Recovery is (C / B - 1) / (ratio - 1) of a hot and 1 - C / B of a cold sphere: C is the mean in a circle
    of the sphere's diameter in the slice of its centre, B the mean of sixty such circles of background
    (twelve in each of five slices 1 cm apart). Variability is their standard deviation over B. The lung
    residual is the mean of a 30 mm circle in the insert over B of the 37 mm circles, averaged over the
    slices in which the insert reaches 20 mm further.

    Args:
        image: (z, y, x), any unit; x and y centred on the lung insert's axis.
        spacing_mm: (dz, dy, dx).
        sphere_plane_mm: height of the spheres' centres above the volume's lowest face.

    Raises:
        BadInput: the image does not reach 20 mm above and below the spheres' plane.
    """
    dz = spacing_mm[0]

    def slice_at(offset_mm: float) -> Tensor:
        number = math.floor((sphere_plane_mm + offset_mm) / dz)
        if not 0 <= number < image.shape[0]:
            raise BadInput(
                f"the image is {image.shape[0] * dz:g} mm long and ends before the slice {offset_mm:+g} mm "
                f"from the spheres' plane at {sphere_plane_mm:g} mm; scan the whole phantom"
            )
        return image[number].double()

    slices = [slice_at(offset) for offset in _BACKGROUND_SLICES_MM]
    middle = slice_at(0.0)
    recovery, variability, background = {}, {}, {}
    for diameter in SPHERES_MM:
        circles = [_Circle(c, diameter, image.shape[1:], spacing_mm[1:]) for c in BACKGROUND_CENTRES_MM]
        means = torch.stack([circle.mean(s) for s in slices for circle in circles])
        background[diameter] = float(means.mean())
        variability[diameter] = 100 * float(means.std()) / background[diameter]
        sphere = _Circle(sphere_centre(diameter), diameter, image.shape[1:], spacing_mm[1:])
        contrast = float(sphere.mean(middle)) / background[diameter]
        share = 1 - contrast if diameter in cold_mm else (contrast - 1) / (hot_ratio - 1)
        recovery[diameter] = 100 * share
    lung = _Circle((0.0, 0.0), _LUNG_REGION_MM, image.shape[1:], spacing_mm[1:])
    largest = background[max(SPHERES_MM)]
    residuals = [100 * float(lung.mean(s)) / largest for s in _lung_slices(image, dz, sphere_plane_mm)]
    return ImageQuality(
        contrast_recovery=recovery,
        background_variability=variability,
        lung_residual=sum(residuals) / len(residuals),
    )


def _lung_slices(image: Tensor, dz: float, sphere_plane_mm: float) -> list[Tensor]:
    lowest = sphere_plane_mm - SPHERES_TO_BOTTOM_MM + _LUNG_MARGIN_MM
    highest = sphere_plane_mm + SPHERES_TO_TOP_MM - _LUNG_MARGIN_MM
    first, last = max(math.ceil(lowest / dz), 0), min(math.floor(highest / dz), image.shape[0])
    return [image[number].double() for number in range(first, last)]


class _Circle:
    """A circular region in a transaxial slice; pixels on its edge count by the share that lies inside."""

    def __init__(
        self,
        centre_mm: tuple[float, float],
        diameter_mm: float,
        shape: tuple[int, int],
        spacing_mm: tuple[float, float],
    ) -> None:
        spans, squares = [], []
        for centre, size, spacing in zip(reversed(centre_mm), shape, spacing_mm, strict=True):
            middle = (size - 1) / 2 + centre / spacing
            reach = diameter_mm / 2 / spacing + 1
            first, last = max(math.floor(middle - reach), 0), min(math.ceil(middle + reach) + 1, size)
            spans.append(slice(first, last))
            inner = (torch.arange(_POINTS_PER_PIXEL, dtype=torch.float64) + 0.5) / _POINTS_PER_PIXEL - 0.5
            points = (torch.arange(first, last, dtype=torch.float64)[:, None] + inner).flatten()
            squares.append(((points - middle) * spacing) ** 2)
        inside = (squares[0][:, None] + squares[1][None, :] <= (diameter_mm / 2) ** 2).double()
        self._spans = tuple(spans)
        self._weights = torch.nn.functional.avg_pool2d(inside[None, None], _POINTS_PER_PIXEL)[0, 0]

    def mean(self, image: Tensor) -> Tensor:
        """Return the mean of a slice (y, x) in the circle."""
        weights = self._weights.to(image.device)
        return (image[self._spans] * weights).sum() / weights.sum()
