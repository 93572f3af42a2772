"""The way from the scan's own grid to the model's voxels, and back without blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from AMDiffLib.image.resampling import onto_grid, to_spacing
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.body_mask import body_mask
from AMDiffLib.inference.tiling import padded_length

# Networks forgive a few per cent of scale; interpolating would smooth the noise they were trained on.
SPACING_TOLERANCE = 0.05
MARGIN_VOXELS = 4


@dataclass(frozen=True, kw_only=True)
class ModelGrid:
    """A scan on the model's voxels, cropped to the patient and padded to sizes the networks take.

    `image` is the whole scan at the model's voxel size; `body` (z, y, x) its patient mask; `box` the crop in
    it; `padding` (z, y, x) voxels are appended to the crop, at the far ends.
    """

    reference: sitk.Image
    image: sitk.Image
    body: np.ndarray
    box: tuple[slice, slice, slice]
    padding: tuple[int, int, int]

    @classmethod
    def of(cls, volume: PetVolume, voxel_size_mm: float) -> ModelGrid:
        """Bring `volume` to cubic voxels of `voxel_size_mm`, unless it has them within 5 %, and find the
        patient.

        Finer voxels are averaged, so that means are kept; detail finer than the model's voxels is lost.
        """
        reference = volume.with_array(volume.suv)
        if all(abs(step / voxel_size_mm - 1.0) <= SPACING_TOLERANCE for step in volume.spacing):
            image = reference
        else:
            image = to_spacing(reference, voxel_size_mm)
        suv = sitk.GetArrayViewFromImage(image)
        body = body_mask(suv, image.GetSpacing())
        box = tuple(_with_margin(body.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1)))
        lengths = [part.stop - part.start for part in box]
        padding = tuple(padded_length(length) - length for length in lengths)
        return cls(reference=reference, image=image, body=body, box=box, padding=padding)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (x, y, z) in mm that the networks see."""
        return self.image.GetSpacing()

    @property
    def resampled(self) -> bool:
        return self.image is not self.reference

    def cropped_suv(self) -> Tensor:
        """The patient's box (D, H, W) in SUV; padding repeats the border, as a patient cut by the bed range
        goes on."""
        suv = sitk.GetArrayViewFromImage(self.image)[self.box]
        return torch.from_numpy(
            np.pad(suv, [(0, pad) for pad in self.padding], mode="edge").astype(np.float32)
        )

    def cropped_body(self) -> np.ndarray:
        """The patient mask in the same box, False in the padding."""
        return np.pad(self.body[self.box], [(0, pad) for pad in self.padding])

    def suv_on_input_grid(self, cropped: np.ndarray) -> np.ndarray:
        """Bring a cropped SUV volume to the scan's grid: cubic B-spline, not below 0; air is 0."""
        return self._on_input_grid(cropped, sitk.sitkBSpline)

    def sd_on_input_grid(self, cropped: np.ndarray) -> np.ndarray:
        """Bring a cropped map of standard deviations to the scan's grid, linearly: a spline would overshoot.

        Errors of neighbouring voxels go together, so that the mean of their SD is that of their mean.
        """
        return self._on_input_grid(cropped, sitk.sitkLinear)

    def _on_input_grid(self, cropped: np.ndarray, interpolator: int) -> np.ndarray:
        whole = np.zeros(self.body.shape, dtype=np.float32)
        whole[self.box] = self._without_padding(cropped)
        whole[~self.body] = 0.0
        if self.resampled:
            image = sitk.GetImageFromArray(whole)
            image.CopyInformation(self.image)
            whole = sitk.GetArrayFromImage(onto_grid(image, self.reference, interpolator))
        # In place: arrays of the size of the scan are what takes most memory.
        return np.maximum(whole, 0.0, out=whole)

    def classes_on_input_grid(
        self, probabilities: np.ndarray, lesion_threshold: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate class probabilities, then decide: lesions (bool) and organs (uint8: 0, 2..8), (z, y,
        x).

        `probabilities` (9, D, H, W) in the crop: lesion, then organ background and labels 2..8. Interpolating
        them instead of their labels draws the organs' outlines finer than the model's voxels. Air is
        background.
        """
        shape = self.reference.GetSize()[::-1]
        lesions = np.zeros(shape, dtype=bool)
        organs = np.zeros(shape, dtype=np.uint8)
        inside = (self.body[self.box]).astype(probabilities.dtype)
        for position, plane in self._planes_on_input_grid(self._without_padding(probabilities), inside):
            z, y, x = position
            lesions[z, y, x] = plane[0] >= lesion_threshold
            label = plane[1:].argmax(axis=0)
            organs[z, y, x] = np.where(label > 0, label + 1, 0)
        return lesions, organs

    def _planes_on_input_grid(
        self, classes: np.ndarray, inside: np.ndarray
    ) -> Iterator[tuple[tuple[int, slice, slice], np.ndarray]]:
        """Linear interpolation of (C, D, H, W), plane by plane of the scan, over the part of it that the crop
        covers."""
        z_taps, y_taps, x_taps = (self._taps(axis) for axis in range(3))
        for z, (below, above, share) in zip(z_taps.indices, z_taps.neighbours(), strict=True):
            plane = _mixed(classes[:, below] * inside[below], classes[:, above] * inside[above], share)
            # What the mask took away goes to the organ background, so that the classes still sum to 1.
            plane[1] += 1.0 - _mixed(inside[below], inside[above], share)
            plane = y_taps.interpolate(plane, axis=1)
            yield (z, y_taps.span, x_taps.span), x_taps.interpolate(plane, axis=2)

    def _taps(self, axis: int) -> _Taps:
        """Where the scan's voxel centres along array `axis` lie between those of the crop."""
        along = 2 - axis  # SimpleITK's order
        direction = np.array(self.image.GetDirection()).reshape(3, 3)[:, along]
        offset = np.array(self.reference.GetOrigin()) - np.array(self.image.GetOrigin())
        step = self.image.GetSpacing()[along]
        first = float(offset @ direction) / step
        positions = (
            first + np.arange(self.reference.GetSize()[along]) * self.reference.GetSpacing()[along] / step
        )
        return _Taps.of(positions - self.box[axis].start, self.box[axis].stop - self.box[axis].start)

    def _without_padding(self, cropped: np.ndarray) -> np.ndarray:
        keep = tuple(slice(0, part.stop - part.start) for part in self.box)
        return cropped[(..., *keep)]


@dataclass(frozen=True, kw_only=True)
class _Taps:
    """Two neighbours and the share of the second for each output voxel of one axis that lies within the
    source."""

    indices: np.ndarray
    first: np.ndarray
    second: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, length: int) -> _Taps:
        # Half a voxel beyond the outer centres still belongs to the source.
        indices = np.flatnonzero((positions >= -0.5 - 1e-6) & (positions <= length - 0.5 + 1e-6))
        inside = np.clip(positions[indices], 0.0, length - 1.0)
        first = np.minimum(np.floor(inside).astype(int), max(length - 2, 0))
        second = np.minimum(first + 1, length - 1)
        return cls(indices=indices, first=first, second=second, share=(inside - first).astype(np.float32))

    @property
    def span(self) -> slice:
        if not self.indices.size:
            return slice(0, 0)
        return slice(int(self.indices[0]), int(self.indices[-1]) + 1)

    def neighbours(self) -> Iterator[tuple[int, int, float]]:
        return zip(self.first, self.second, self.share, strict=True)

    def interpolate(self, array: np.ndarray, axis: int) -> np.ndarray:
        share = self.share.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
        return _mixed(np.take(array, self.first, axis), np.take(array, self.second, axis), share)


def _mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    return first.astype(np.float32) * (1.0 - share) + second.astype(np.float32) * share


def _with_margin(occupied: np.ndarray) -> slice:
    found = np.flatnonzero(occupied)
    return slice(
        max(0, int(found[0]) - MARGIN_VOXELS), min(occupied.size, int(found[-1]) + 1 + MARGIN_VOXELS)
    )
