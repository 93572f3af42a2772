"""The overview shows the patient upright and in proportion, whatever the order of voxels in the file."""

from __future__ import annotations

import numpy as np
import pytest

from AMDiffLib.image.orientation import to_patient_axes
from AMDiffLib.image.overview import write_overview

SPACING = (4.0, 5.0, 8.0)


def a_patient() -> dict[str, np.ndarray]:
    """A trunk, a hot spot high on the right and a liver; axes to superior, posterior and left."""
    suv = np.zeros((40, 20, 30), np.float32)
    suv[2:38, 4:16, 4:26] = 1.0
    suv[32:35, 9:12, 7:10] = 12.0
    lesions = np.zeros(suv.shape, np.int32)
    lesions[32:35, 9:12, 7:10] = 1
    organs = np.zeros(suv.shape, np.uint8)
    organs[15:22, 6:14, 5:14] = 2
    return {"low_suv": suv, "denoised_suv": suv, "lesion_instances": lesions, "organs": organs}


def the_picture(path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"), float)


def test_the_hot_spot_high_on_the_right_of_the_patient_is_high_on_the_left_of_the_first_panel(tmp_path):
    write_overview(tmp_path / "overview.png", **a_patient(), spacing=SPACING)
    picture = the_picture(tmp_path / "overview.png")
    first_panel = picture[:, : picture.shape[1] // 4, :]
    top_half, left_half = first_panel.shape[0] // 2, first_panel.shape[1] // 2
    rows, columns = np.nonzero((first_panel[40:-200] < 20).all(axis=2))
    assert rows.size > 500
    assert rows.max() < top_half
    assert np.median(columns) < left_half


def test_proportions_are_those_in_millimetres(tmp_path):
    patient = a_patient()
    write_overview(tmp_path / "overview.png", **patient, spacing=SPACING)
    picture = the_picture(tmp_path / "overview.png")
    # The lesion is red, 3 voxels of 8 mm high and 3 of 4 mm wide; the legend lies at the bottom.
    red = (picture[:-150, :, 0] > 180) & (picture[:-150, :, 1] < 110)
    rows, columns = np.nonzero(red)
    assert (np.ptp(rows) + 1) / (np.ptp(columns) + 1) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("order", "flips", "direction"),
    [
        ((0, 1, 2), (-1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, -1)),
        ((0, 1, 2), (1, -1, -1), (-1, 0, 0, 0, -1, 0, 0, 0, 1)),
        # Coronal slices: x is left, y is towards the feet, slices run to posterior.
        ((1, 0, 2), (1, -1, 1), (1, 0, 0, 0, 0, 1, 0, -1, 0)),
    ],
)
def test_the_order_of_voxels_in_the_file_does_not_change_the_picture(tmp_path, order, flips, direction):
    patient = a_patient()
    write_overview(tmp_path / "plain.png", **patient, spacing=SPACING)
    sizes_sap = np.array(SPACING)[::-1]
    flip = tuple(slice(None, None, step) for step in flips)
    stored = {name: np.ascontiguousarray(array.transpose(order)[flip]) for name, array in patient.items()}
    spacing = tuple(sizes_sap[list(order)][::-1])
    write_overview(tmp_path / "stored.png", **stored, spacing=spacing, direction=direction)
    assert np.array_equal(the_picture(tmp_path / "plain.png"), the_picture(tmp_path / "stored.png"))


def test_an_oblique_grid_is_resampled_onto_the_axes_of_the_patient():
    angle = np.deg2rad(25.0)
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    array = np.zeros((30, 40, 50), np.float32)
    first, second = np.array([12, 10, 8]), np.array([35, 30, 20])  # (i, j, k)
    array[tuple(first[::-1])] = array[tuple(second[::-1])] = 1.0
    aligned, size = to_patient_axes(array, (2.0, 2.0, 3.0), matrix.ravel())
    assert size == (2.0, 2.0, 2.0)
    bright = np.argwhere(aligned > 0.3 * aligned.max())
    low, high = bright[bright[:, 0] < 12 * 1.75].mean(axis=0), bright[bright[:, 0] >= 12 * 1.75].mean(axis=0)
    expected_xyz = matrix @ ((second - first) * [2.0, 2.0, 3.0])
    assert (high - low)[::-1] * 2.0 == pytest.approx(expected_xyz, abs=2.0)


def test_resampling_labels_invents_no_label():
    angle = np.deg2rad(10.0)
    matrix = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = 8
    aligned, _ = to_patient_axes(labels, (3, 3, 3), matrix.ravel(), labels=True)
    assert set(np.unique(aligned)) == {0, 8}
    assert (aligned == 8).sum() == pytest.approx(1000, rel=0.03)


def test_a_direction_that_is_no_rotation_is_refused():
    with pytest.raises(ValueError, match="orthonormal"):
        to_patient_axes(np.zeros((2, 2, 2)), (1, 1, 1), (1, 0, 0, 1, 0, 0, 0, 0, 1))


def test_the_truth_is_a_fourth_panel_and_no_lesion_no_organ_is_drawn_too(tmp_path):
    patient = a_patient()
    write_overview(tmp_path / "three.png", **patient, spacing=SPACING)
    write_overview(
        tmp_path / "four.png", **patient, spacing=SPACING, truth_suv=patient["low_suv"], title="Case 1"
    )
    lesions = patient["lesion_instances"]
    write_overview(
        tmp_path / "outlined.png",
        **patient,
        spacing=SPACING,
        truth_suv=patient["low_suv"],
        truth_lesions=lesions,
    )
    outlined, four = (the_picture(tmp_path / name) for name in ("outlined.png", "four.png"))
    reds = [int(((p[..., 0] > 180) & (p[..., 1] < 110)).sum()) for p in (outlined, four)]
    assert reds[0] > reds[1] + 50
    nothing = {name: np.zeros_like(array) for name, array in patient.items()}
    write_overview(tmp_path / "nothing.png", **nothing, spacing=SPACING)
    assert the_picture(tmp_path / "four.png").shape[1] > the_picture(tmp_path / "three.png").shape[1] * 1.25
    assert the_picture(tmp_path / "nothing.png").size > 0
