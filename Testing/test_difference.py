"""The difference volume: the subtraction, where it lies, how it is coloured, and when it is refused."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AMDiffModule.difference import DIFFERENCE_WINDOW_SUV, DifferenceImpossible, difference_of
from AMDiffModule.node_marks import is_synthetic
from AMDiffModule.scene_import import find_results
from reading_cases import add_results, matrix_of
from slicer_host import open_host


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.mark.parametrize("suv_factor", [1.0, 2.42903e-4])
def test_the_difference_is_denoised_minus_low_count_in_suv_on_the_same_grid(a_host, tmp_path, suv_factor):
    case = add_results(a_host.scene, tmp_path, "PET", suv_factor=suv_factor)
    difference = difference_of(a_host.scene, case)
    low_count, denoised = (slicer.util.arrayFromVolume(node) for node in (case.input, case.denoised))
    expected = denoised.astype(float) - low_count.astype(float) * suv_factor
    np.testing.assert_allclose(slicer.util.arrayFromVolume(difference), expected, atol=1e-5)
    np.testing.assert_array_equal(matrix_of(difference), matrix_of(case.denoised))


def test_the_difference_says_that_it_is_no_pet_and_is_not_taken_for_a_result(a_host, tmp_path):
    case = add_results(a_host.scene, tmp_path, "PET")
    difference = difference_of(a_host.scene, case)
    assert is_synthetic(difference)
    assert "Not for diagnosis" in difference.GetDescription()
    assert difference.GetName() == "PET difference (AMDiff)"
    assert find_results(a_host.scene, case.input).denoised is case.denoised


def test_it_is_made_once(a_host, tmp_path):
    case = add_results(a_host.scene, tmp_path, "PET")
    assert difference_of(a_host.scene, case) is difference_of(a_host.scene, case)


def test_two_patients_differences_share_one_table_of_colours(a_host, tmp_path):
    cases = [add_results(a_host.scene, tmp_path, name, seed=seed) for seed, name in enumerate("AB")]
    first, second = (difference_of(a_host.scene, case) for case in cases)
    assert first is not second
    assert first.GetDisplayNode().GetColorNode() is second.GetDisplayNode().GetColorNode()


def test_colours_diverge_from_white_at_zero_in_a_symmetric_window(a_host, tmp_path):
    display = difference_of(a_host.scene, add_results(a_host.scene, tmp_path, "PET")).GetDisplayNode()
    assert display.GetWindowLevelMin() == -DIFFERENCE_WINDOW_SUV
    assert display.GetWindowLevelMax() == DIFFERENCE_WINDOW_SUV
    assert not display.GetAutoWindowLevel()
    colors, rgba = display.GetColorNode(), [0.0] * 4
    found = []
    for index in (0, 127, 128, 255):
        colors.GetColor(index, rgba)
        found.append(tuple(rgba[:3]))
    less, *zero, more = found
    assert all(min(color) > 0.98 for color in zero)
    assert less[2] > 2 * less[0] and more[0] > 2 * more[2]


def test_an_input_that_was_changed_since_the_run_is_refused(a_host, tmp_path):
    case = add_results(a_host.scene, tmp_path, "PET")
    values = slicer.util.arrayFromVolume(case.input)
    slicer.util.updateVolumeFromArray(case.input, values * 4000.0)
    with pytest.raises(DifferenceImpossible, match="changed since the run"):
        difference_of(a_host.scene, case)
    slicer.util.updateVolumeFromArray(case.input, values[:-1].copy())
    with pytest.raises(DifferenceImpossible, match="no longer lies on the grid"):
        difference_of(a_host.scene, case)
    assert slicer.mrmlScene.GetFirstNodeByName("PET difference (AMDiff)") is None
