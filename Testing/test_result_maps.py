"""The maps of a result in a real scene: what they are, how they look, and that a saved scene keeps them."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AMDiffModule.choices import DenoisedView
from AMDiffModule.export import reason_unusable
from AMDiffModule.node_marks import is_synthetic
from AMDiffModule.reading_layout import DENOISED, LOW_COUNT, MIP, PLANES, slice_views
from AMDiffModule.reading_views import Look, MapMissing, fill_views, show_side_by_side
from AMDiffModule.result_maps import COUNT_CONSISTENCY, KINDS, UNCERTAINTY, find_map
from AMDiffModule.scene_import import find_results
from lesion_cases import IJK_TO_RAS, add_patient, low_count_suv
from reading_cases import add_results, matrix_of
from slicer_host import open_host

VIEWS = {DenoisedView.UNCERTAINTY: UNCERTAINTY, DenoisedView.COUNT_CONSISTENCY: COUNT_CONSISTENCY}


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.fixture
def nodes(a_host):
    return add_patient(a_host.scene)


def legends(scene) -> dict[str, list[str]]:
    """The views of the legends that are shown, by their titles."""
    found = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    return {
        node.GetTitleText(): [node.GetNthViewNodeID(index) for index in range(node.GetNumberOfViewNodeIDs())]
        for node in found
        if node.GetVisibility()
    }


def colour(volume_node, value: float) -> tuple[float, ...]:
    """The colour and opacity at which a value is shown."""
    display = volume_node.GetDisplayNode()
    table = display.GetColorNode().CreateLookupTableCopy()
    table.SetTableRange(display.GetWindowLevelMin(), display.GetWindowLevelMax())
    rgb = [0.0, 0.0, 0.0]
    table.GetColor(value, rgb)
    return (*rgb, table.GetOpacity(value))


def test_the_maps_come_with_the_result_in_its_place_and_say_what_they_are(a_host, nodes):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_host.scene)
    parents = {
        hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
        for node in (nodes.denoised, *(find_map(nodes.denoised, kind) for kind in KINDS))
    }
    assert len(parents) == 1
    for kind, name in ((UNCERTAINTY, "uncertainty"), (COUNT_CONSISTENCY, "count consistency")):
        node = find_map(nodes.denoised, kind)
        assert node.GetName() == f"PET {name} (AMDiff)"
        assert is_synthetic(node) and "result of AMDiff" in reason_unusable(node)
        assert "Not a PET image" in node.GetDescription()
        np.testing.assert_allclose(matrix_of(node), IJK_TO_RAS, atol=1e-4)
    sd, z = (find_map(nodes.denoised, kind) for kind in KINDS)
    assert sd.GetVoxelValueUnits().GetCodeValue() == "{SUVbw}g/ml"
    assert sd.GetVoxelValueQuantity().GetCodeValue() == "386136009"  # SCT, Standard Deviation
    assert z.GetVoxelValueUnits().GetCodeValue() == "1"
    np.testing.assert_allclose(slicer.util.arrayFromVolume(sd), 0.1 * 0.9 * low_count_suv(), rtol=1e-5)


def test_a_map_is_clear_where_there_is_nothing_to_say_and_strong_at_its_end(nodes):
    sd, z = (find_map(nodes.denoised, kind) for kind in KINDS)
    assert colour(sd, 0.05)[3] == 0.0 and colour(sd, 0.2)[3] == 1.0
    assert sum(colour(sd, 1.0)[:3]) < 0.5 * sum(colour(sd, 0.2)[:3])  # darker
    assert colour(sd, 5.0) == colour(sd, 1.0)
    assert [colour(z, value)[3] for value in (-3.0, -1.9, 0.0, 1.9, 3.0)] == [1.0, 0.0, 0.0, 0.0, 1.0]
    more, less = colour(z, 6.0), colour(z, -6.0)
    assert more[0] > more[2] and less[2] > less[0]  # orange above, blue-green below


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.value)
def test_a_map_lies_over_the_denoised_planes_with_its_legend_in_one_of_them(a_host, nodes, view):
    show_side_by_side(a_host.scene, nodes, Look(denoised_view=view))
    shown = find_map(nodes.denoised, VIEWS[view])
    for volume, plane, slice_node, composite in slice_views(a_host.scene, *PLANES, MIP):
        over = volume == DENOISED and plane != MIP
        expected = nodes.input if volume == LOW_COUNT else nodes.denoised
        assert composite.GetBackgroundVolumeID() == expected.GetID()
        assert composite.GetForegroundVolumeID() == (shown.GetID() if over else None)
        assert composite.GetForegroundOpacity() == (1.0 if over else 0.0)
        assert (slice_node.GetLayoutLabel() == VIEWS[view].view_label) == over
    assert legends(a_host.scene) == {VIEWS[view].legend: ["vtkMRMLSliceNodeAMDiffDenoisedAxial"]}
    fill_views(a_host.scene, nodes, Look())
    assert legends(a_host.scene) == {}
    assert all(
        composite.GetForegroundVolumeID() is None for *_, composite in slice_views(a_host.scene, *PLANES)
    )


def test_two_patients_maps_share_their_colours(a_host, nodes):
    other = add_patient(a_host.scene, name="other", seed=1)
    for kind in KINDS:
        tables = {find_map(each.denoised, kind).GetDisplayNode().GetColorNodeID() for each in (nodes, other)}
        assert len(tables) == 1
        assert find_map(nodes.denoised, kind) is not find_map(other.denoised, kind)


def test_a_result_without_maps_says_so_and_shows_the_pet(a_host, tmp_path):
    case = add_results(a_host.scene, tmp_path, "old")
    with pytest.raises(MapMissing, match="hold no such map"):
        fill_views(a_host.scene, case, Look(denoised_view=DenoisedView.UNCERTAINTY))


def test_a_saved_scene_keeps_the_maps_their_units_colours_and_windows(a_host, nodes, tmp_path):
    show_side_by_side(a_host.scene, nodes, Look(denoised_view=DenoisedView.COUNT_CONSISTENCY))
    before = {kind.role: slicer.util.arrayFromVolume(find_map(nodes.denoised, kind)) for kind in KINDS}
    a_host.write_bundle(tmp_path / "scene.mrb")
    again = open_host(tmp_path / "second cache")
    assert again.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    found = find_results(again.scene, again.scene.GetFirstNodeByName("PET"))
    for kind in KINDS:
        node = find_map(found.denoised, kind)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), before[kind.role])
        assert node.GetVoxelValueUnits().GetCodeValue() == kind.unit[0]
        display = node.GetDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == kind.window
        assert display.GetColorNode().GetNumberOfColors() == 256
    assert list(legends(again.scene)) == [COUNT_CONSISTENCY.legend]
    show_side_by_side(again.scene, found, Look(denoised_view=DenoisedView.UNCERTAINTY))
    assert list(legends(again.scene)) == [UNCERTAINTY.legend]
