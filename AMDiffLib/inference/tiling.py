"""Overlapping tiles over the body, and the fusing of what a network says about each of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIZE_MULTIPLE = 16
# bfloat16 convolutions with stride 2 onto a single voxel are wrong on CPUs with AMX; with tiles of
# 32 voxels the deepest level of the networks keeps two.
SMALLEST_TILE = 32


def padded_length(length: int) -> int:
    """The smallest size of an axis that the networks take and that holds `length` voxels."""
    return max(SMALLEST_TILE, -(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE)


def smaller_tile(tile: int) -> int | None:
    """Half of `tile` on the networks' multiple; None when it cannot be made smaller."""
    half = max(SMALLEST_TILE, tile // 2 // SIZE_MULTIPLE * SIZE_MULTIPLE)
    return half if half < tile else None


def axis_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First voxels of the tiles along one axis: `tile - overlap` apart, the last one shifted back to fit."""
    if tile >= length:
        return [0]
    stride = tile - overlap
    starts = list(range(0, length - tile, stride))
    return [*starts, length - tile]


def gaussian_window(shape: Sequence[int]) -> Tensor:
    """Weights (d, h, w) of one tile's voxels when tiles are fused: 1 at the centre, sigma a quarter of the
    side."""
    window = torch.ones(())
    for size in shape:
        distance = torch.arange(size, dtype=torch.float32) - (size - 1) / 2.0
        window = window[..., None] * torch.exp(-0.5 * (distance / (size / 4.0)) ** 2)
    return window


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """The tiles of `tile_shape` at `starts` that cover every voxel of a body mask in a volume of `shape`."""

    shape: tuple[int, int, int]
    tile_shape: tuple[int, int, int]
    starts: tuple[tuple[int, int, int], ...]

    @classmethod
    def over(cls, body: np.ndarray, *, tile: int, overlap: int, cubes: bool = False) -> Tiling:
        """Tile the (z, y, x) boolean `body`, whose sizes are multiples of 16; tiles without a body voxel are
        left out.

        A tile has at most tile^3 voxels, and the sides with which least is computed: 144 voxels are one tile
        of 144, or two of 80, but not two of 96. With `cubes`, all sides are `tile`, or the axis' length where
        it is shorter. `overlap` (voxels) is kept below half a side.
        """
        shape = tuple(body.shape)
        if any(size % SIZE_MULTIPLE or size < SMALLEST_TILE for size in shape):
            raise ValueError(
                f"volume sizes must be multiples of {SIZE_MULTIPLE}, not under {SMALLEST_TILE}: {shape}"
            )
        if tile % SIZE_MULTIPLE or tile < SMALLEST_TILE:
            raise ValueError(
                f"the tile must be a multiple of {SIZE_MULTIPLE}, not under {SMALLEST_TILE}: {tile}"
            )
        cube = tuple(min(tile, size) for size in shape)
        tile_shape = cube if cubes else _least_work(body, tile, overlap)
        grid = itertools.product(*_starts(shape, tile_shape, overlap))
        starts = tuple(start for start in grid if body[_box(start, tile_shape)].any())
        return cls(shape=shape, tile_shape=tile_shape, starts=starts)

    def boxes(self) -> list[tuple[slice, slice, slice]]:
        """The tiles as index boxes of the volume."""
        return [_box(start, self.tile_shape) for start in self.starts]

    def covered(self) -> np.ndarray:
        """Which voxels of the volume lie in some tile, (z, y, x) bool."""
        covered = np.zeros(self.shape, dtype=bool)
        for box in self.boxes():
            covered[box] = True
        return covered


class TileFuser:
    """Runs a network over the tiles and fuses its outputs with a Gaussian window whose weights sum to 1."""

    def __init__(
        self, tiling: Tiling, *, device: torch.device, batch: int, after_tiles: Callable[[int], None]
    ):
        """`after_tiles(n)` is called after each batch of n tiles: it counts progress, and may raise to
        stop."""
        self.tiling = tiling
        self._device = device
        self._batch = batch
        self._after_tiles = after_tiles
        self._window = gaussian_window(tiling.tile_shape)
        self._weight_sum = torch.zeros(tiling.shape)
        for box in tiling.boxes():
            self._weight_sum[box] += self._window

    def __call__(
        self,
        network: Callable[..., Tensor],
        volumes: Sequence[Tensor],
        *,
        channels: int = 1,
        fill: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Fuse `network` over the volumes, each (D, H, W), which it gets as tiles (B, 1, d, h, w) on the
        device.

        `network` returns (B, channels, d, h, w). Returns (channels, D, H, W) of `dtype` on the CPU; voxels in
        no tile hold `fill`.
        """
        fused = torch.zeros((channels, *self.tiling.shape), dtype=dtype)
        boxes = self.tiling.boxes()
        for first in range(0, len(boxes), self._batch):
            some = boxes[first : first + self._batch]
            tiles = [self._stacked(volume, some) for volume in volumes]
            outputs = network(*tiles).float().cpu()
            for box, output in zip(some, outputs, strict=True):
                # Divided before the sum, so that half precision holds the running values too.
                fused[(slice(None), *box)] += (output * (self._window / self._weight_sum[box])).to(dtype)
            self._after_tiles(len(some))
        if fill:
            fused[:, self._weight_sum == 0] = fill
        return fused

    def _stacked(self, volume: Tensor, boxes: Sequence[tuple[slice, slice, slice]]) -> Tensor:
        tiles = torch.stack([volume[box] for box in boxes])[:, None]
        return tiles.to(self._device, memory_format=torch.channels_last_3d)


def _starts(shape: Sequence[int], tile_shape: Sequence[int], overlap: int) -> list[list[int]]:
    return [
        axis_starts(size, side, min(overlap, side // 2)) for size, side in zip(shape, tile_shape, strict=True)
    ]


def _least_work(body: np.ndarray, tile: int, overlap: int) -> tuple[int, int, int]:
    """The sides of the tiles, of at most tile^3 voxels together, that compute the fewest voxels to cover
    `body`.

    Of sides that do equally well, those of the fewest tiles, then of the most even ones. No side is under two
    thirds of `tile`, so that the networks see as far around a voxel, nor over twice of it.
    """
    coarse = body.reshape([part for size in body.shape for part in (size // SIZE_MULTIPLE, SIZE_MULTIPLE)])
    coarse = coarse.any(axis=(1, 3, 5))
    shortest = max(SMALLEST_TILE, -(-2 * tile // 3 // SIZE_MULTIPLE) * SIZE_MULTIPLE)

    def work(sides: tuple[int, int, int]) -> tuple[int, int, int]:
        tiles = _occupied(coarse, _starts(body.shape, sides, overlap), sides)
        return tiles * math.prod(sides), tiles, -min(sides)

    choices = itertools.product(
        *(range(min(shortest, size), min(2 * tile, size) + 1, SIZE_MULTIPLE) for size in body.shape)
    )
    return min((sides for sides in choices if math.prod(sides) <= tile**3), key=work)


def _occupied(coarse: np.ndarray, starts: list[list[int]], sides: Sequence[int]) -> int:
    """How many of the tiles hold something of the body, which is given in blocks of 16 voxels a side."""
    for axis, side in enumerate(sides):
        blocks = [(first // SIZE_MULTIPLE, -(-(first + side) // SIZE_MULTIPLE)) for first in starts[axis]]
        in_tiles = [coarse.take(range(first, last), axis).any(axis) for first, last in blocks]
        coarse = np.stack(in_tiles, axis)
    return int(coarse.sum())


def _box(start: Sequence[int], size: Sequence[int]) -> tuple[slice, slice, slice]:
    z, y, x = (slice(first, first + length) for first, length in zip(start, size, strict=True))
    return z, y, x
