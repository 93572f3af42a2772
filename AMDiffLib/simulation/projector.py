"""Parallel-beam projection: one strip-integral matrix, shared by all slices, with its exact transpose."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
import scipy.sparse
import torch


class StripProjector:
    """Area-weighted line integrals of a square slice, in mm.

    A pixel's weight in a bin is the area that pixel and strip share, divided by the strip's width.
    The projection of a square pixel onto the radial axis is a trapezoid (two boxes convolved), whose integral
    over a bin is taken in closed form.
    """

    def __init__(
        self, size: int, pixel_mm: float, angles: int, *, device: str | torch.device = "cpu"
    ) -> None:
        self.size, self.pixel_mm, self.angles, self.bins = size, pixel_mm, angles, size
        self.device = torch.device(device)
        matrix = _strip_matrix(size, pixel_mm, angles)
        self._subsets: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        self._matrix = matrix

    def _pair(self, subset: int, subsets: int) -> tuple[torch.Tensor, torch.Tensor]:
        key = (subset, subsets)
        if key not in self._subsets:
            rows = np.arange(self.angles * self.bins).reshape(self.angles, self.bins)[subset::subsets].ravel()
            part = self._matrix[rows]
            self._subsets[key] = (_torch_csr(part, self.device), _torch_csr(part.T.tocsr(), self.device))
        return self._subsets[key]

    def forward(self, slices: torch.Tensor, *, subset: int = 0, subsets: int = 1) -> torch.Tensor:
        """Project `slices` (size * size, N) onto (angles * bins, N), in the slices' unit times mm."""
        return self._pair(subset, subsets)[0] @ slices

    def transpose(self, sinograms: torch.Tensor, *, subset: int = 0, subsets: int = 1) -> torch.Tensor:
        """Return the exact transpose of `forward`: (angles * bins, N) onto (size * size, N)."""
        return self._pair(subset, subsets)[1] @ sinograms


def _torch_csr(matrix: scipy.sparse.csr_matrix, device: torch.device) -> torch.Tensor:
    with warnings.catch_warnings():
        # torch calls its CSR tensors beta; the product with a dense matrix is all that is used here.
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32)),
            torch.from_numpy(matrix.indices.astype(np.int32)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            device=device,
            check_invariants=False,
        )


@lru_cache(maxsize=2)
def _strip_matrix(size: int, pixel_mm: float, angles: int) -> scipy.sparse.csr_matrix:
    offset = (np.arange(size) - (size - 1) / 2) * pixel_mm
    y, x = np.meshgrid(offset, offset, indexing="ij")
    inside = np.flatnonzero((x**2 + y**2).ravel() <= (size * pixel_mm / 2) ** 2)
    x, y = x.ravel()[inside], y.ravel()[inside]
    rows, columns, weights = [], [], []
    for index in range(angles):
        theta = np.pi * index / angles
        centre = x * np.cos(theta) + y * np.sin(theta)
        first_bin = np.floor(centre / pixel_mm + size / 2).astype(int)
        for shift in (-1, 0, 1):
            bin_index = first_bin + shift
            low = (bin_index - size / 2) * pixel_mm - centre
            share = _trapezoid_integral(low + pixel_mm, theta, pixel_mm) - _trapezoid_integral(
                low, theta, pixel_mm
            )
            keep = (share > 1e-6) & (bin_index >= 0) & (bin_index < size)
            rows.append(index * size + bin_index[keep])
            columns.append(inside[keep])
            weights.append(share[keep] * pixel_mm)
    data = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_matrix(data, shape=(angles * size, size * size), dtype=np.float32)


def _trapezoid_integral(position: np.ndarray, theta: float, pixel_mm: float) -> np.ndarray:
    """Share of a unit square pixel's projection that lies below `position` (mm from the pixel's centre)."""
    wide = pixel_mm * max(abs(np.cos(theta)), abs(np.sin(theta)))
    narrow = max(pixel_mm * min(abs(np.cos(theta)), abs(np.sin(theta))), 1e-6 * pixel_mm)

    def ramp(value: np.ndarray) -> np.ndarray:
        return np.maximum(value, 0.0) ** 2

    outer, inner = (wide + narrow) / 2, (wide - narrow) / 2
    total = ramp(position + outer) - ramp(position + inner) - ramp(position - inner) + ramp(position - outer)
    return total / (2 * wide * narrow)
