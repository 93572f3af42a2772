"""Parallel-beam projection: one strip-integral matrix, shared by all slices, with its exact transpose."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse
import torch


@dataclass(frozen=True, kw_only=True)
class ScanGeometry:
    """Image grid of a reconstruction and the sinogram it is reconstructed from, lengths in mm.

    Bins and slices are centred on the image; projection angles cover 180 degrees.
    """

    image_size: int
    pixel_mm: float
    slice_mm: float
    angles: int
    bins: int
    bin_mm: float

    @property
    def rows(self) -> int:
        """Number of lines of response of one slice."""
        return self.angles * self.bins

    def projector(self, device: torch.device | str) -> StripProjector:
        """Return the projector of the reconstruction's own grid."""
        return _projector(
            self.image_size, self.pixel_mm, self.angles, self.bins, self.bin_mm, str(torch.device(device))
        )

    def data_projector(self, device: torch.device | str) -> StripProjector:
        """Return the projector of the grid of half the pixel, which the data are made on."""
        return _projector(
            self.image_size * 2,
            self.pixel_mm / 2,
            self.angles,
            self.bins,
            self.bin_mm,
            str(torch.device(device)),
        )


class StripProjector:
    """Area-weighted line integrals of a square slice, in mm, from pixels onto bins of any two sizes.

    A pixel's weight in a bin is the area that pixel and strip share, divided by the strip's width. The
    projection of a square pixel onto the radial axis is a trapezoid (two boxes convolved), whose integral
    over a bin is taken in closed form. Pixels outside the inscribed circle have no weight. Matrices are made
    when a subset of angles is first used, and kept.
    """

    def __init__(
        self,
        image_size: int,
        pixel_mm: float,
        angles: int,
        *,
        bins: int | None = None,
        bin_mm: float | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.image_size, self.pixel_mm, self.angles = image_size, pixel_mm, angles
        self.bins = image_size if bins is None else bins
        self.bin_mm = pixel_mm if bin_mm is None else bin_mm
        self.device = torch.device(device)
        self._forward: dict[tuple[int, int], torch.Tensor] = {}
        self._transpose: dict[tuple[int, int], torch.Tensor] = {}
        self._on_host: dict[tuple[int, int], scipy.sparse.csr_matrix] = {}

    def forward(self, slices: torch.Tensor, *, subset: int = 0, subsets: int = 1) -> torch.Tensor:
        """Project `slices` (image_size ** 2, N) onto (angles * bins, N), in the slices' unit times mm.

        Of `subsets` interleaved subsets of the angles, only the rows of `subset` are returned.
        """
        return self._matrix(subset, subsets) @ slices

    def transpose(self, sinograms: torch.Tensor, *, subset: int = 0, subsets: int = 1) -> torch.Tensor:
        """Return the exact transpose of `forward`: (rows of the subset, N) onto (image_size ** 2, N)."""
        key = (subset, subsets)
        if key not in self._transpose:
            self._matrix(subset, subsets)
            self._transpose[key] = _torch_csr(self._on_host.pop(key).T.tocsr(), self.device)
        return self._transpose[key] @ sinograms

    def _matrix(self, subset: int, subsets: int) -> torch.Tensor:
        key = (subset, subsets)
        if key not in self._forward:
            blocks = [
                _strips_of_angle(
                    self.image_size, self.pixel_mm, np.pi * index / self.angles, self.bins, self.bin_mm
                )
                for index in range(subset, self.angles, subsets)
            ]
            self._on_host[key] = scipy.sparse.vstack(blocks, format="csr")
            self._forward[key] = _torch_csr(self._on_host[key], self.device)
        return self._forward[key]


@lru_cache(maxsize=8)
def _projector(
    image_size: int, pixel_mm: float, angles: int, bins: int, bin_mm: float, device: str
) -> StripProjector:
    return StripProjector(image_size, pixel_mm, angles, bins=bins, bin_mm=bin_mm, device=device)


def _torch_csr(matrix: scipy.sparse.csr_matrix, device: torch.device) -> torch.Tensor:
    with warnings.catch_warnings():
        # torch calls its CSR tensors beta; the product with a dense matrix is all that is used here.
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32, copy=False)),
            torch.from_numpy(matrix.indices.astype(np.int32, copy=False)),
            torch.from_numpy(matrix.data.astype(np.float32, copy=False)),
            size=matrix.shape,
            device=device,
            check_invariants=False,
        )


def _strips_of_angle(
    size: int, pixel_mm: float, theta: float, bins: int, bin_mm: float
) -> scipy.sparse.csr_matrix:
    """Return the weights (bins, size ** 2) of one projection angle."""
    pixels, x, y = _pixels_in_circle(size, pixel_mm)
    cosine, sine = abs(np.cos(theta)), abs(np.sin(theta))
    reach = pixel_mm * (cosine + sine) / 2
    centre = x * np.cos(theta) + y * np.sin(theta)
    first_bin = np.floor((centre - reach) / bin_mm + bins / 2).astype(np.int32)
    edge = (first_bin - bins / 2) * bin_mm - centre
    below = np.zeros_like(edge)
    rows, columns, weights = [], [], []
    for shift in range(int(2 * reach / bin_mm) + 2):
        edge += bin_mm
        up_to_here = _trapezoid_integral(edge, pixel_mm * cosine, pixel_mm * sine)
        share, below = up_to_here - below, up_to_here
        bin_index = first_bin + shift
        keep = (share > 1e-7) & (bin_index >= 0) & (bin_index < bins)
        rows.append(bin_index[keep])
        columns.append(pixels[keep])
        weights.append((share[keep] * (pixel_mm**2 / bin_mm)).astype(np.float32))
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_matrix(entries, shape=(bins, size * size), dtype=np.float32)


@lru_cache(maxsize=2)
def _pixels_in_circle(size: int, pixel_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offset = (np.arange(size) - (size - 1) / 2) * pixel_mm
    y, x = np.meshgrid(offset, offset, indexing="ij")
    inside = np.flatnonzero((x**2 + y**2).ravel() <= (size * pixel_mm / 2) ** 2).astype(np.int32)
    return inside, x.ravel()[inside], y.ravel()[inside]


def _trapezoid_integral(position: np.ndarray, wide: float, narrow: float) -> np.ndarray:
    """Share of a pixel's projection below `position` (mm from its centre): boxes `wide` * `narrow`."""
    wide, narrow = max(wide, narrow), max(min(wide, narrow), 1e-6 * max(wide, narrow))
    outer, inner = (wide + narrow) / 2, (wide - narrow) / 2
    distance = np.abs(position)
    # By symmetry about the centre: the flat part, then the falling flank.
    flat = np.minimum(distance, inner) / wide
    flank = np.clip(distance, inner, outer) - inner
    share = flat + flank * (2 * narrow - flank) / (2 * wide * narrow)
    return 0.5 + np.copysign(share, position)
