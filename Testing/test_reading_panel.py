"""The section for reading, on a real scene under stand-ins for Qt: every button and what it does."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from AMDiffModule.overlay import find_overlay
from AMDiffModule.reading_layout import (
    DENOISED,
    DENOISED_ONLY,
    LOW_COUNT,
    MIP,
    MIP_ONLY,
    PLANES,
    SIDE_BY_SIDE,
    TABLE_TAG,
    shown_layout,
    slice_views,
    view_tag,
)
from AMDiffModule.worker import installed_models
from qt_stand_ins import process_events
from reading_cases import BACK, FRONT, add_ct, add_results, centre_ras
from slicer_host import open_host
from slicer_stand_ins import open_module

PET, DIFFERENCE, UNCERTAINTY, COUNT_CONSISTENCY = range(4)  # in the list of what the denoised planes show


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    host = open_host(tmp_path / "cache")
    module, widget = open_module(host, monkeypatch, models=installed_models() or ["amdiff-compact"])
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, host=host, folder=tmp_path)
    widget.cleanup()


@pytest.fixture
def a_case(a_module):
    """Results of the chosen input, as they come from a run."""
    case = add_results(a_module.host.scene, a_module.folder, "PET")
    a_module.ui.inputSelector.setCurrentNode(case.input)
    a_module.widget.resultsLoaded(case)
    return case


def volumes_in_views(a_module, *views: str) -> set[tuple[str, str]]:
    return {
        (volume, composite.GetBackgroundVolumeID())
        for volume, _view, _node, composite in slice_views(a_module.host.scene, *(views or (*PLANES, MIP)))
    }


def upper_ends(case) -> tuple[float, float]:
    return tuple(node.GetDisplayNode().GetWindowLevelMax() for node in (case.input, case.denoised))


def test_without_results_there_is_nothing_to_read(a_module):
    assert not a_module.ui.readingCollapsibleButton.enabled
    a_module.ui.suv5Button.click()
    assert a_module.widget.parameterNode.suvWindow == 5.0
    assert not a_module.ui.suv5Button.checked


def test_results_open_side_by_side_in_the_usual_window(a_module, a_case):
    assert shown_layout(a_module.host.scene) == SIDE_BY_SIDE
    assert a_module.ui.readingCollapsibleButton.enabled
    assert a_module.ui.sideBySideButton.checked
    assert upper_ends(a_case) == (7.0, 7.0)
    assert a_module.ui.suv7Button.checked
    expected = {(LOW_COUNT, a_case.input.GetID()), (DENOISED, a_case.denoised.GetID())}
    assert volumes_in_views(a_module) == expected
    process_events()
    assert volumes_in_views(a_module) == expected


@pytest.mark.parametrize(("name", "upper"), [("suv5", 5), ("suv6", 6), ("suv7", 7), ("suv10", 10)])
def test_a_window_button_sets_both_volumes_and_is_remembered(a_module, a_case, name, upper):
    getattr(a_module.ui, f"{name}Button").click()
    assert upper_ends(a_case) == (upper, upper)
    pressed = [n for n in ("suv5", "suv6", "suv7", "suv10") if getattr(a_module.ui, f"{n}Button").checked]
    assert pressed == [name]
    assert a_module.widget.parameterNode.suvWindow == upper
    other = add_results(a_module.host.scene, a_module.folder, "another PET")
    a_module.ui.inputSelector.setCurrentNode(other.input)
    assert upper_ends(other) == (upper, upper)


def test_a_window_dragged_on_one_volume_is_copied_to_the_other(a_module):
    case = add_results(a_module.host.scene, a_module.folder, "Bq", suv_factor=0.001)
    a_module.ui.inputSelector.setCurrentNode(case.input)
    a_module.widget.resultsLoaded(case)
    assert upper_ends(case) == (7000.0, 7.0)
    case.denoised.GetDisplayNode().SetWindowLevelMinMax(1.0, 4.0)
    assert case.input.GetDisplayNode().GetWindowLevelMin() == pytest.approx(1000.0)
    assert upper_ends(case) == pytest.approx((4000.0, 4.0))
    assert not any(getattr(a_module.ui, f"suv{upper}Button").checked for upper in (5, 6, 7, 10))
    case.input.GetDisplayNode().SetWindowLevelMinMax(0.0, 6000.0)
    assert upper_ends(case) == pytest.approx((6000.0, 6.0))
    assert a_module.ui.suv6Button.checked
    case.denoised.GetDisplayNode().SetWindowLevelMinMax(0.0, 3.0)
    a_module.ui.suv7Button.click()
    assert upper_ends(case) == (7000.0, 7.0)


def test_the_layout_buttons_switch_and_follow_the_applications_own_menu(a_module, a_case):
    for name, identity in (
        ("mipOnly", MIP_ONLY),
        ("denoisedOnly", DENOISED_ONLY),
        ("sideBySide", SIDE_BY_SIDE),
    ):
        button = getattr(a_module.ui, f"{name}Button")
        button.click()
        assert shown_layout(a_module.host.scene) == identity
        assert button.checked
    layout_node = a_module.host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout_node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    assert not a_module.ui.sideBySideButton.checked
    layout_node.SetViewArrangement(SIDE_BY_SIDE)
    assert a_module.ui.sideBySideButton.checked


def test_the_list_of_lesions_is_below_the_views(a_module, a_case):
    view = a_module.host.scene.GetSingletonNode(TABLE_TAG, "vtkMRMLTableViewNode")
    shown = view.GetTableNode()
    assert shown is a_module.ui.lesionTableView.node
    assert [shown.GetCellText(row, 1) for row in range(shown.GetNumberOfRows())] == ["Lesion 1", "Lesion 2"]


def test_a_click_on_a_lesions_row_brings_it_into_the_middle_of_every_plane(a_module, a_case):
    table = slicer.app.layoutManager().table_views[1]
    table.click_row(1)
    for _volume, _view, node, _composite in slice_views(a_module.host.scene, *PLANES):
        middle = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, 3]
        np.testing.assert_allclose(middle, centre_ras(BACK), atol=1e-6)
    table.click_row(2)  # there are two
    table.click_row(-1)
    axial = a_module.host.scene.GetSingletonNode(view_tag(LOW_COUNT, "Axial"), "vtkMRMLSliceNode")
    assert axial.GetSliceOffset() == pytest.approx(centre_ras(BACK)[2])


def test_another_layout_opens_at_the_lesion_that_was_read_and_another_patient_at_the_first(a_module, a_case):
    slicer.app.layoutManager().table_views[1].click_row(1)
    a_module.ui.denoisedOnlyButton.click()
    process_events()
    axial = a_module.host.scene.GetSingletonNode(view_tag(DENOISED, "Axial"), "vtkMRMLSliceNode")
    assert axial.GetSliceOffset() == pytest.approx(centre_ras(BACK)[2])
    other = add_results(a_module.host.scene, a_module.folder, "another PET")
    a_module.ui.inputSelector.setCurrentNode(other.input)
    process_events()
    assert axial.GetSliceOffset() == pytest.approx(centre_ras(FRONT)[2])


def test_what_the_reader_moved_stays_when_a_choice_is_made(a_module, a_case):
    axial = a_module.host.scene.GetSingletonNode(view_tag(DENOISED, "Axial"), "vtkMRMLSliceNode")
    axial.SetSliceOffset(-31.0)
    a_module.ui.showOrgansCheckBox.checked = True
    a_module.ui.suv10Button.click()
    a_module.ui.denoisedViewComboBox.currentIndex = DIFFERENCE
    assert axial.GetSliceOffset() == -31.0
    assert upper_ends(a_case) == (10.0, 10.0)


def test_the_difference_comes_and_goes_in_the_denoised_planes(a_module, a_case):
    scene, name = a_module.host.scene, "PET difference (AMDiff)"
    assert scene.GetFirstNodeByName(name) is None
    a_module.ui.denoisedViewComboBox.currentIndex = DIFFERENCE
    difference = scene.GetFirstNodeByName(name)
    assert volumes_in_views(a_module, *PLANES) == {
        (LOW_COUNT, a_case.input.GetID()),
        (DENOISED, difference.GetID()),
    }
    assert (DENOISED, a_case.denoised.GetID()) in volumes_in_views(a_module, MIP)
    axial = scene.GetSingletonNode(view_tag(DENOISED, "Axial"), "vtkMRMLSliceNode")
    assert axial.GetLayoutLabel() == "Difference"
    a_module.ui.denoisedViewComboBox.currentIndex = PET
    assert (DENOISED, a_case.denoised.GetID()) in volumes_in_views(a_module, *PLANES)
    assert axial.GetLayoutLabel() == "Denoised (synthetic)"


def test_a_difference_that_would_mislead_is_refused_in_words_and_unchosen(a_module, a_case):
    slicer.util.updateVolumeFromArray(a_case.input, 9.0 * slicer.util.arrayFromVolume(a_case.input))
    a_module.ui.denoisedViewComboBox.currentIndex = DIFFERENCE
    assert "would mislead" in a_module.ui.statusLabel.text
    assert a_module.ui.denoisedViewComboBox.currentIndex == PET
    assert (DENOISED, a_case.denoised.GetID()) in volumes_in_views(a_module, *PLANES)


def test_the_outlines_on_the_mips_follow_editing_and_hiding(a_module, a_case):
    outlines = next(
        node
        for node in slicer.util.getNodesByClass("vtkMRMLModelNode")
        if node.GetAttribute("AMDiff.mipOutlines")
    )
    segmentation = a_case.segmentation.GetSegmentation()
    segment_id = segmentation.GetSegmentIdBySegmentName("Lesion 1")
    right_edge = outlines.GetPolyData().GetBounds()[1]
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(
        a_case.segmentation, segment_id, a_case.denoised
    ).copy()
    voxels[30:33, 0:3, 2:13] = 1  # 8 voxels of 4 mm more, to the patient's right
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, a_case.segmentation, segment_id, a_case.denoised)
    assert outlines.GetPolyData().GetBounds()[1] == pytest.approx(right_edge + 32.0, abs=1.5)
    a_case.segmentation.GetDisplayNode().SetSegmentVisibility(segment_id, False)
    assert outlines.GetPolyData().GetBounds()[1] < right_edge - 20.0
    a_module.ui.showLesionsCheckBox.checked = False
    assert not outlines.GetDisplayNode().GetVisibility()


def test_the_ct_is_fused_when_asked_for_and_never_another_patients(a_module, a_case):
    scene = a_module.host.scene
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    other = add_results(scene, a_module.folder, "PET with CT")
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "B"), "Study")
    hierarchy.CreateItem(study, other.input)
    ct = add_ct(scene, "CT", study)
    assert a_module.ui.ctSelector.currentNode() is None
    assert not a_module.ui.fuseCtCheckBox.enabled
    a_module.ui.inputSelector.setCurrentNode(other.input)
    assert a_module.ui.ctSelector.currentNode() is ct
    assert (DENOISED, other.denoised.GetID()) in volumes_in_views(a_module, *PLANES)
    a_module.ui.fuseCtCheckBox.checked = True
    a_module.ui.petOpacitySlider.value = 0.8
    for _volume, _view, _node, composite in slice_views(scene, *PLANES):
        assert composite.GetBackgroundVolumeID() == ct.GetID()
        assert composite.GetForegroundOpacity() == pytest.approx(0.8)
    overlays = [find_overlay(scene, node).GetDisplayNode() for node in (other.input, other.denoised)]
    assert {display.GetColorNode().GetName() for display in overlays} == {"PET-Rainbow"}
    a_module.ui.suv10Button.click()
    assert [display.GetWindowLevelMax() for display in overlays] == [10.0, 10.0]
    overlays[0].SetWindowLevelMinMax(0.0, 5.0)  # dragged in a fused view
    assert upper_ends(other) == (5.0, 5.0)
    assert overlays[1].GetWindowLevelMax() == 5.0
    assert a_module.ui.suv5Button.checked
    a_module.ui.overlayColorsComboBox.setCurrentText("Inverted grey")
    assert {display.GetColorNode().GetName() for display in overlays} == {"InvertedGrey"}
    a_module.ui.inputSelector.setCurrentNode(a_case.input)
    scene.RemoveNode(other.input)
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert [name for name in names if name.endswith("over CT")] == ["PET with CT denoised over CT"]
    assert a_module.ui.ctSelector.currentNode() is None
    assert (DENOISED, a_case.denoised.GetID()) in volumes_in_views(a_module, *PLANES)


def test_three_patients_in_one_scene_are_kept_apart(a_module):
    cases = [
        add_results(a_module.host.scene, a_module.folder, name, seed=seed) for seed, name in enumerate("ABC")
    ]
    for case in (*cases, cases[0]):
        a_module.ui.inputSelector.setCurrentNode(case.input)
        found = a_module.widget.results()
        assert (found.denoised, found.segmentation, found.table) == (
            case.denoised,
            case.segmentation,
            case.table,
        )
        a_module.ui.sideBySideButton.click()
        expected = {(LOW_COUNT, case.input.GetID()), (DENOISED, case.denoised.GetID())}
        assert volumes_in_views(a_module) == expected
    # Results of a patient who is not chosen change nothing of what is read.
    a_module.widget.resultsLoaded(cases[1])
    assert volumes_in_views(a_module) == {
        (LOW_COUNT, cases[0].input.GetID()),
        (DENOISED, cases[0].denoised.GetID()),
    }


def test_removed_results_end_the_reading(a_module, a_case):
    a_module.host.scene.RemoveNode(a_case.denoised)
    assert a_module.widget.results() is None
    assert not a_module.ui.readingCollapsibleButton.enabled


def test_a_closed_scene_leaves_nothing_observed(a_module, a_case):
    a_module.host.scene.Clear(0)
    assert not a_module.ui.readingCollapsibleButton.enabled
    case = add_results(a_module.host.scene, a_module.folder, "next")
    a_module.ui.inputSelector.setCurrentNode(case.input)
    a_module.widget.resultsLoaded(case)
    assert shown_layout(a_module.host.scene) == SIDE_BY_SIDE
    assert volumes_in_views(a_module) == {
        (LOW_COUNT, case.input.GetID()),
        (DENOISED, case.denoised.GetID()),
    }
