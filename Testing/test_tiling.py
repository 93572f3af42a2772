"""Tiles cover the body and nothing but air is skipped; what is fused from them shows no seams."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from AMDiffLib.inference.tiling import (
    TileFuser,
    Tiling,
    axis_starts,
    gaussian_window,
    padded_length,
    smaller_tile,
)


def fuser_over(
    body: np.ndarray, *, tile: int = 32, overlap: int = 8, batch: int = 2, after_tiles=lambda n: None
):
    tiling = Tiling.over(body, tile=tile, overlap=overlap)
    return TileFuser(tiling, device=torch.device("cpu"), batch=batch, after_tiles=after_tiles)


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "starts"),
    [
        (64, 64, 16, [0]),
        (48, 64, 16, [0]),
        (112, 64, 16, [0, 48]),
        (128, 64, 16, [0, 48, 64]),
        (65, 64, 16, [0, 1]),
    ],
)
def test_the_last_tile_is_shifted_back_to_fit(length, tile, overlap, starts):
    assert axis_starts(length, tile, overlap) == starts


@pytest.mark.parametrize(("length", "padded"), [(1, 32), (32, 32), (33, 48), (128, 128), (267, 272)])
def test_an_axis_is_padded_to_what_the_networks_take(length, padded):
    assert padded_length(length) == padded


def test_tiles_shrink_to_the_smallest_one_and_then_no_more():
    sizes = [128]
    while (size := smaller_tile(sizes[-1])) is not None:
        sizes.append(size)
    assert sizes == [128, 64, 32]
    assert smaller_tile(96) == 48
    assert smaller_tile(48) == 32


def test_every_body_voxel_lies_in_a_tile_and_air_tiles_are_skipped():
    body = np.zeros((96, 96, 96), dtype=bool)
    body[10:40, 20:60, 5:30] = True
    body[90, 2, 95] = True
    tiling = Tiling.over(body, tile=32, overlap=8)
    assert tiling.covered()[body].all()
    assert len(tiling.starts) < 4**3
    assert all(body[box].any() for box in tiling.boxes())
    assert all(box[axis].stop <= 96 for box in tiling.boxes() for axis in range(3))


@pytest.mark.parametrize(
    ("shape", "tile", "tile_shape", "tiles"),
    [
        # 240 = 2 x 128 - 16 and 144 = 2 x 80 - 16: four tiles. Cubes of 96 would be six, and a third more.
        ((240, 80, 144), 96, (128, 80, 80), 4),
        # Nothing else has sides of 32 and not more voxels.
        ((96, 64, 80), 32, (32, 32, 32), 5 * 3 * 4),
        # All of it at once: 32 x 64 x 128 voxels are 64 x 64 x 64.
        ((32, 64, 128), 64, (32, 64, 128), 1),
    ],
)
def test_tiles_have_the_sides_with_which_least_is_computed(shape, tile, tile_shape, tiles):
    tiling = Tiling.over(np.ones(shape, dtype=bool), tile=tile, overlap=16)
    assert tiling.tile_shape == tile_shape
    assert len(tiling.starts) == tiles
    assert math.prod(tiling.tile_shape) <= tile**3


def test_cubes_are_kept_where_they_are_asked_for():
    tiling = Tiling.over(np.ones((240, 80, 144), dtype=bool), tile=96, overlap=16, cubes=True)
    assert tiling.tile_shape == (96, 80, 96)
    assert len(tiling.starts) == 6


@pytest.mark.parametrize("shape", [(40, 64, 64), (16, 64, 64)])
def test_sizes_the_networks_cannot_take_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        Tiling.over(np.ones(shape, dtype=bool), tile=64, overlap=16)


def test_the_window_is_a_gaussian_of_a_quarter_of_the_side():
    window = gaussian_window((32, 48, 33))
    assert window.shape == (32, 48, 33)
    # 8 voxels off the centre of 32 and nothing along the odd axis: one sigma less half a voxel.
    at_8_voxels = math.exp(-0.5 * (7.5 / 8) ** 2) * math.exp(-0.5 * (0.5 / 12) ** 2)
    assert float(window[8, 23, 16]) == pytest.approx(at_8_voxels, rel=1e-6)


def test_fusing_the_tiles_of_an_image_gives_the_image_back():
    image = torch.from_numpy(np.random.default_rng(0).random((64, 48, 80), dtype=np.float32))
    fused = fuser_over(np.ones((64, 48, 80), dtype=bool))(lambda tile: tile, (image,))
    assert torch.allclose(fused[0], image, atol=1e-6)


def test_half_precision_holds_probabilities_to_its_rounding():
    image = torch.from_numpy(np.random.default_rng(0).random((64, 64, 64), dtype=np.float32))
    fused = fuser_over(np.ones((64, 64, 64), dtype=bool))(lambda tile: tile, (image,), dtype=torch.float16)
    assert fused.dtype == torch.float16
    # Up to eight tiles meet in a voxel, each added with a rounding of at most 2^-12.
    assert float((fused[0].float() - image).abs().max()) <= 8 * 2**-12


def test_tiles_that_disagree_are_blended_without_a_seam():
    offsets = iter((0.0, 1.0))
    body = np.ones((32, 32, 48), dtype=bool)

    def network(tile):
        return torch.full_like(tile, next(offsets))

    line = fuser_over(body, overlap=16, batch=1)(network, (torch.zeros(32, 32, 48),))[0, 16, 16]
    assert float(line[0]) == 0.0
    assert float(line[-1]) == 1.0
    assert float(line[23:25].mean()) == pytest.approx(0.5, abs=1e-6)
    assert float(line.diff().max()) < 0.15


def test_voxels_in_no_tile_hold_the_fill_value():
    body = np.zeros((32, 32, 96), dtype=bool)
    body[:, :, :20] = True
    fused = fuser_over(body)(lambda tile: tile + 3.0, (torch.zeros(32, 32, 96),), fill=-1.0)
    assert float(fused[0, :, :, :32].min()) == pytest.approx(3.0)
    assert torch.equal(fused[0, :, :, 32:], torch.full((32, 32, 64), -1.0))


def test_every_tile_is_counted_once():
    counted = []
    fuser = fuser_over(np.ones((64, 64, 64), dtype=bool), batch=3, after_tiles=counted.append)
    fuser(lambda tile: tile, (torch.zeros(64, 64, 64),))
    assert sum(counted) == len(fuser.tiling.starts) == 27
    assert max(counted) == 3
