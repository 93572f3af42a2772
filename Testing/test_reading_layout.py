"""The reading layout on a real scene: views, links, the MIPs' slabs, windows, outlines, and the CT."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import slicer
import vtk
from AMDiffModule.choices import DenoisedView
from AMDiffModule.difference import DifferenceImpossible
from AMDiffModule.node_marks import remember_low_count_agrees
from AMDiffModule.reading_layout import (
    DENOISED,
    DENOISED_ONLY,
    LOW_COUNT,
    MIP,
    MIP_ONLY,
    PLANES,
    SIDE_BY_SIDE,
    TABLE_TAG,
    centre_views,
    layout_descriptions,
    register_layouts,
    show_layout,
    shown_layout,
    slice_views,
    view_tag,
)
from AMDiffModule.reading_views import Look, fill_views, show_side_by_side, use_windows
from AMDiffModule.scene_import import find_results
from AMDiffModule.view_fit import body_extent
from reading_cases import (
    BACK,
    FRONT,
    ORIGIN_RAS,
    SHAPE,
    SPACING_MM,
    add_results,
    centre_ras,
    ijk_to_ras,
)
from slicer_host import open_host


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.fixture
def a_case(a_host, tmp_path):
    return add_results(a_host.scene, tmp_path, "PET")


@pytest.fixture
def a_reading(a_host, a_case):
    """The case in the layout, side by side."""
    show_side_by_side(a_host.scene, a_case)
    return a_case


def slice_node(host, volume: str, view: str):
    return host.scene.GetSingletonNode(view_tag(volume, view), "vtkMRMLSliceNode")


def composite(host, volume: str, view: str):
    return host.scene.GetSingletonNode(view_tag(volume, view), "vtkMRMLSliceCompositeNode")


@pytest.mark.parametrize("identity", [SIDE_BY_SIDE, MIP_ONLY, DENOISED_ONLY])
def test_every_view_that_a_layout_names_gets_its_node(a_host, identity):
    views = list(ElementTree.fromstring(layout_descriptions()[identity]).iter("view"))
    assert len(views) == {SIDE_BY_SIDE: 9, MIP_ONLY: 2, DENOISED_ONLY: 5}[identity]
    show_layout(a_host.scene, identity)
    assert shown_layout(a_host.scene) == identity
    for view in views:
        node = a_host.scene.GetSingletonNode(view.get("singletontag"), view.get("class"))
        assert node is not None
        if view.get("class") == "vtkMRMLSliceNode":
            properties = {entry.get("name"): entry.text for entry in view}
            assert node.GetOrientation() == properties["orientation"]
            assert node.GetLayoutLabel() == properties["viewlabel"]


def test_the_users_layouts_and_views_stay_as_they_are(a_host, a_case):
    layout_node = a_host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout_node.AddLayoutDescription(501, "<layout type='horizontal'/>")
    before = {
        identity: layout_node.GetLayoutDescription(identity) for identity in layout_node.GetLayoutIndices()
    }
    red = a_host.scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    red.SetBackgroundVolumeID(a_case.input.GetID())
    fov = a_host.scene.GetNodeByID("vtkMRMLSliceNodeRed").GetFieldOfView()
    register_layouts(layout_node)
    show_side_by_side(a_host.scene, a_case)
    register_layouts(layout_node)
    after = {
        identity: layout_node.GetLayoutDescription(identity) for identity in layout_node.GetLayoutIndices()
    }
    assert set(after) - set(before) == {SIDE_BY_SIDE, MIP_ONLY, DENOISED_ONLY}
    assert {identity: after[identity] for identity in before} == before
    assert red.GetBackgroundVolumeID() == a_case.input.GetID()
    assert red.GetForegroundVolumeID() is None
    assert a_host.scene.GetNodeByID("vtkMRMLSliceNodeRed").GetFieldOfView() == fov


def test_each_half_shows_its_volume_and_the_table_is_below(a_host, a_reading):
    for volume, _view, _node, shown in slice_views(a_host.scene, *PLANES, MIP):
        expected = a_reading.input if volume == LOW_COUNT else a_reading.denoised
        assert shown.GetBackgroundVolumeID() == expected.GetID()
        assert shown.GetForegroundVolumeID() is None
    assert len(list(slice_views(a_host.scene, *PLANES, MIP))) == 8
    view = a_host.scene.GetSingletonNode(TABLE_TAG, "vtkMRMLTableViewNode")
    assert view.GetTableNodeID() == a_reading.table.GetID()


def test_a_scroll_in_one_plane_moves_the_other_half_but_neither_the_mips_nor_the_users_views(
    a_host, a_reading
):
    logic = a_host.application_logic.GetSliceLogic(slice_node(a_host, LOW_COUNT, "Coronal"))
    still = [slice_node(a_host, volume, MIP) for volume in (LOW_COUNT, DENOISED)]
    still += [a_host.scene.GetNodeByID("vtkMRMLSliceNodeGreen")]
    before = [node.GetSliceOffset() for node in still]
    logic.StartSliceOffsetInteraction()
    logic.SetSliceOffset(12.5)
    logic.EndSliceOffsetInteraction()
    assert slice_node(a_host, DENOISED, "Coronal").GetSliceOffset() == pytest.approx(12.5)
    assert [node.GetSliceOffset() for node in still] == before


def test_every_view_is_linked_within_its_group(a_host, a_reading):
    groups = {}
    for _volume, view, node, shown in slice_views(a_host.scene, *PLANES, MIP):
        assert shown.GetLinkedControl() and shown.GetHotLinkedControl()
        groups.setdefault(view == MIP, set()).add(node.GetViewGroup())
    assert [len(group) for group in groups.values()] == [1, 1]
    assert groups[True] != groups[False]
    assert a_host.scene.GetNodeByID("vtkMRMLSliceNodeRed").GetViewGroup() not in groups[True] | groups[False]


@pytest.mark.parametrize("volume", [LOW_COUNT, DENOISED])
def test_the_slab_of_a_mip_holds_the_whole_volume_from_front_to_back(a_host, a_reading, volume):
    node = slice_node(a_host, volume, MIP)
    assert node.GetSlabReconstructionEnabled()
    assert node.GetSlabReconstructionType() == vtk.VTK_IMAGE_SLAB_MAX
    assert node.GetSlabReconstructionThickness() == pytest.approx(SHAPE[1] * SPACING_MM[1])
    # The middle of the volume along anterior-posterior: rows 0..29, 5 mm apart, from ORIGIN_RAS backwards.
    middle = ORIGIN_RAS[1] - SPACING_MM[1] * (SHAPE[1] - 1) / 2
    assert node.GetSliceToRAS().GetElement(1, 3) == pytest.approx(middle)
    logic = a_host.application_logic.GetSliceLogic(node)
    logic.UpdatePipeline()
    reslice = logic.GetBackgroundLayer().GetReslice()
    reslice.Update()
    image = reslice.GetOutput()
    for region in (FRONT, BACK):
        ras_to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()))
        x, y, _z, _one = ras_to_xy @ (*centre_ras(region), 1.0)
        assert image.GetScalarComponentAsDouble(round(x), round(y), 0, 0) == pytest.approx(8.0, abs=0.4)


def test_the_body_fills_every_view_alike_in_both_halves(a_host, a_reading):
    # Tissue: 24 columns of 4 mm, 30 rows of 5 mm, 32 slices of 3 mm.
    body = {"Axial": (96, 150), "Coronal": (96, 96), "Sagittal": (150, 96), MIP: (96, 96)}
    for view, extent in body.items():
        low_count, denoised = (slice_node(a_host, volume, view) for volume in (LOW_COUNT, DENOISED))
        assert low_count.GetFieldOfView() == denoised.GetFieldOfView()
        margins = [
            length / needed for length, needed in zip(low_count.GetFieldOfView(), extent, strict=False)
        ]
        assert min(margins) == pytest.approx(1.04)


def test_where_nothing_takes_up_tracer_the_whole_volume_is_the_body(a_host):
    air = slicer.util.addVolumeFromArray(np.zeros(SHAPE, np.float32), ijkToRAS=ijk_to_ras(), name="air")
    extent = body_extent(air)
    lengths = [extent.length_along(axis) for axis in np.eye(3)]
    assert lengths == pytest.approx([n * mm for n, mm in zip(SHAPE[::-1], SPACING_MM, strict=True)])


def test_one_point_is_in_the_middle_of_every_plane_and_the_mips_stay_whole(a_host, a_reading):
    mips = [slice_node(a_host, volume, MIP) for volume in (LOW_COUNT, DENOISED)]
    before = [slicer.util.arrayFromVTKMatrix(mip.GetSliceToRAS()).copy() for mip in mips]
    ras = centre_ras(BACK)
    centre_views(a_host.scene, ras)
    for _volume, _view, node, _composite in slice_views(a_host.scene, *PLANES):
        width, height = node.GetDimensions()[:2]
        middle = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()) @ (width / 2, height / 2, 0.0, 1.0)
        np.testing.assert_allclose(middle[:3], ras, atol=1e-6)
    for mip, matrix in zip(mips, before, strict=True):
        np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(mip.GetSliceToRAS()), matrix)
        assert mip.GetSlabReconstructionEnabled()
    crosshair = a_host.scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    assert crosshair.GetCrosshairRAS() == pytest.approx(ras)
    assert crosshair.GetCrosshairMode() == slicer.vtkMRMLCrosshairNode.ShowBasic


def test_the_layout_opens_at_the_first_lesion(a_host, a_reading):
    node = slice_node(a_host, DENOISED, "Axial")
    assert node.GetSliceOffset() == pytest.approx(centre_ras(FRONT)[2])


def test_a_volume_in_becquerel_is_shown_in_the_same_suv_window(a_host, tmp_path):
    # The factor of the GE scan in shared/pet-data: SUV per Bq/mL.
    case = add_results(a_host.scene, tmp_path, "Bq", suv_factor=2.42903e-4)
    use_windows(case, Look(suv_window=5.0))
    assert case.denoised.GetDisplayNode().GetWindowLevelMax() == pytest.approx(5.0)
    low_count = case.input.GetDisplayNode()
    assert low_count.GetWindowLevelMax() == pytest.approx(20584.35, rel=1e-5)
    assert low_count.GetWindowLevelMin() == 0.0
    assert not low_count.GetAutoWindowLevel()
    assert low_count.GetColorNode().GetName() == "InvertedGrey"


def test_an_input_whose_suv_is_not_known_keeps_its_window_and_says_so(a_host, a_case):
    a_case.input.GetDisplayNode().AutoWindowLevelOff()
    a_case.input.GetDisplayNode().SetWindowLevelMinMax(10.0, 9000.0)
    remember_low_count_agrees(a_case.denoised, False)
    show_side_by_side(a_host.scene, a_case)
    assert a_case.input.GetDisplayNode().GetWindowLevelMax() == 9000.0
    assert a_case.denoised.GetDisplayNode().GetWindowLevelMax() == 7.0
    for view in (*PLANES, MIP):
        assert slice_node(a_host, LOW_COUNT, view).GetLayoutLabel() == "Low-count, SUV not known"
    with pytest.raises(DifferenceImpossible, match="not those that the job read"):
        fill_views(a_host.scene, a_case, Look(denoised_view=DenoisedView.DIFFERENCE))


def test_a_saved_and_reloaded_scene_reads_on(a_host, a_reading, tmp_path):
    fill_views(a_host.scene, a_reading, Look(denoised_view=DenoisedView.DIFFERENCE))
    a_host.write_bundle(tmp_path / "scene.mrb")
    again = open_host(tmp_path / "second cache")
    register_layouts(again.scene.GetFirstNodeByClass("vtkMRMLLayoutNode"))
    (tmp_path / "unpacked").mkdir()
    assert again.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    assert shown_layout(again.scene) == SIDE_BY_SIDE
    nodes = find_results(again.scene, again.scene.GetFirstNodeByName("PET"))
    difference = composite(again, DENOISED, "Axial").GetBackgroundVolumeID()
    assert again.scene.GetNodeByID(difference).GetDisplayNode().GetColorNode().GetNumberOfColors() == 256
    show_side_by_side(again.scene, nodes)
    test_each_half_shows_its_volume_and_the_table_is_below(again, nodes)
    test_every_view_is_linked_within_its_group(again, nodes)
    test_the_slab_of_a_mip_holds_the_whole_volume_from_front_to_back(again, nodes, DENOISED)
    outlines = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLModelNode")
        if node.GetAttribute("AMDiff.mipOutlines")
    ]
    assert len(outlines) == 1
