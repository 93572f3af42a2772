"""Whatever the grid of a scan, results come back on it, and places stay places."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_builder import write_series
from hypothesis import given, settings
from hypothesis import strategies as st

from AMDiffLib.image.orientation import to_patient_axes
from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.resampling import onto_grid, to_spacing
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.grid import ModelGrid
from AMDiffLib.quantification.grid import index_to_lps

ANGLES = st.floats(-math.pi, math.pi)
SPACINGS = st.tuples(*[st.floats(0.8, 9.0)] * 3)
ORIGINS = st.tuples(*[st.floats(-2000.0, 2000.0)] * 3)
SHAPES = st.tuples(*[st.integers(8, 22)] * 3)
# The 48 ways to order and mirror three axes, as scanners and exporters do.
AXIS_ORDERS = st.tuples(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))


@st.composite
def rotations(draw) -> tuple[float, ...]:
    """Nine direction cosines, row-major, of a right-handed grid turned about all three axes."""
    matrix = np.eye(3)
    for axis in range(3):
        angle = draw(ANGLES)
        turn = np.eye(3)
        first, second = [a for a in range(3) if a != axis]
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    return tuple(matrix.ravel().tolist())


@st.composite
def flips(draw) -> tuple[float, ...]:
    """Nine direction cosines of axes in any order and sense, left-handed ones included."""
    order, signs = draw(AXIS_ORDERS)
    matrix = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[axis, column] = sign
    return tuple(matrix.ravel().tolist())


DIRECTIONS = st.one_of(rotations(), flips())


def a_volume(shape, spacing, origin, direction) -> PetVolume:
    suv = np.random.default_rng(3).uniform(0.5, 3.0, shape).astype(np.float32)
    return PetVolume(suv=suv, spacing=spacing, origin=origin, direction=direction)


def geometry(image: sitk.Image) -> tuple:
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


@given(SHAPES, SPACINGS, ORIGINS, DIRECTIONS, st.sampled_from([2.04, 4.0]))
def test_a_volume_comes_back_from_the_models_voxels_on_exactly_its_grid(
    shape, spacing, origin, direction, voxel_size_mm
):
    volume = a_volume(shape, spacing, origin, direction)
    image = volume.with_array(volume.suv)
    assert geometry(onto_grid(to_spacing(image, voxel_size_mm), image)) == geometry(image)


@given(SHAPES, SPACINGS, ORIGINS, DIRECTIONS)
def test_a_constant_patient_comes_back_constant_in_every_voxel_inside(shape, spacing, origin, direction):
    volume = PetVolume(
        suv=np.full(shape, 2.0, np.float32), spacing=spacing, origin=origin, direction=direction
    )
    grid = ModelGrid.of(volume, 4.0)
    back = grid.suv_on_input_grid(grid.cropped_suv().numpy())
    assert back.shape == shape
    assert back == pytest.approx(2.0, rel=1e-4)


@settings(max_examples=30)
@given(SHAPES, SPACINGS, ORIGINS, DIRECTIONS)
def test_the_mean_of_a_linear_ramp_stays_at_its_place(shape, spacing, origin, direction):
    """SUV grows with LPS x: after both resamplings the inner voxels still say where they are."""
    volume = a_volume(shape, spacing, (0.0, 0.0, 0.0), direction)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))[::-1].reshape(3, -1)
    matrix = np.reshape(direction, (3, 3)) * np.array(spacing)
    along_x = (matrix @ index)[0].reshape(shape)
    image = volume.with_array(along_x.astype(np.float32))
    back = sitk.GetArrayFromImage(onto_grid(to_spacing(image, 4.0), image))
    reach = [min(n // 2 - 1, math.ceil(8.0 / size) + 1) for n, size in zip(shape[::-1], spacing, strict=True)]
    inner = tuple(slice(r, n - r) for r, n in zip(reach[::-1], shape, strict=True))
    error = np.abs(back[inner] - along_x[inner])
    # Each of the two resamplings may misplace by a quarter of its voxel where old voxels are cut in parts.
    assert error.max() < (4.0 + max(spacing)) * math.sqrt(3) / 2


@given(SHAPES, SPACINGS, ORIGINS, DIRECTIONS, st.data())
def test_an_index_lies_where_itk_says_and_comes_back(shape, spacing, origin, direction, data):
    volume = a_volume(shape, spacing, origin, direction)
    index = [data.draw(st.integers(0, n - 1)) for n in shape[::-1]]
    image = volume.with_array(volume.suv)
    place = index_to_lps(index, volume)
    assert place == pytest.approx(image.TransformIndexToPhysicalPoint(index), abs=1e-6)
    assert image.TransformPhysicalPointToIndex(place) == tuple(index)


def test_an_angle_too_small_for_itk_to_invert_does_not_misplace_the_labels():
    c, s, tiny = math.cos(1.0), math.sin(1.0), 1.0522976987958918e-300
    turned = (c, -c * tiny, -s, tiny, 1.0, 0.0, s, -s * tiny, c)
    volume = a_volume((8, 9, 10), (3.0, 3.0, 3.0), (5.0, 6.0, 7.0), turned)
    labels = volume.with_array((volume.suv > 1.5).astype(np.uint8))
    same = onto_grid(labels, volume.with_array(volume.suv), sitk.sitkNearestNeighbor)
    assert (sitk.GetArrayFromImage(same) == sitk.GetArrayFromImage(labels)).all()


@given(SHAPES, SPACINGS, flips())
def test_every_flip_and_order_of_axes_is_undone_for_the_picture(shape, spacing, direction):
    """A picture runs inferior to superior, front to back, right to left, whatever the file's axes."""
    array = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    shown, size = to_patient_axes(array, spacing, direction)
    by_itk = sitk.DICOMOrient(image, "LPS")
    assert (shown == sitk.GetArrayFromImage(by_itk)).all()
    assert size == pytest.approx(by_itk.GetSpacing()[::-1])


@settings(max_examples=15)
@given(
    rotations(),
    ORIGINS,
    st.tuples(st.floats(1.0, 8.0), st.floats(1.0, 8.0)),
    st.floats(1.0, 6.0),
    st.permutations(range(8)),
)
def test_a_series_in_any_orientation_and_file_order_is_read_where_its_header_says(
    direction, origin, pixel_spacing, gap, order
):
    """The position of any voxel by DICOM PS3.3 C.7.6.2.1.1, Equation C.7.6.2.1-1."""
    matrix = np.reshape(direction, (3, 3))
    rows, columns, normal = matrix.T
    stored = np.arange(1, 8 * 9 * 10 + 1, dtype=np.int16).reshape(8, 9, 10)
    with tempfile.TemporaryDirectory() as folder:
        write_series(
            Path(folder),
            stored[list(order)],
            positions=[gap * place for place in order],
            orientation=(*rows, *columns),
            first_voxel=origin,
            pixel_spacing=tuple(round(size, 4) for size in pixel_spacing),
            Units="GML",
        )
        volume = read_pet(folder)
    assert (volume.suv == stored).all()
    image = volume.with_array(volume.suv)
    between_rows, between_columns = (round(size, 4) for size in pixel_spacing)
    for z, y, x in ((0, 0, 0), (7, 8, 9), (3, 8, 0)):
        expected = (
            np.array(origin) + x * between_columns * rows + y * between_rows * columns + z * gap * normal
        )
        assert image.TransformIndexToPhysicalPoint((x, y, z)) == pytest.approx(expected, abs=1e-3)
