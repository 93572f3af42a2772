"""How results are shown: the reading layout, inverted grey in a fixed window, lesions outlined."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from AMDiffModule.display import is_lesion, show_in_3d, show_lesions_and_organs, show_results, use_pet_window
from AMDiffModule.measurement_table import fill_table, first_lesion_ras
from slicer_host import open_host

MEASUREMENTS = """kind,name,tlg_g,centroid_l_mm,centroid_p_mm,centroid_s_mm
lesion,Lesion 1,90.5,-12,7,40
lesion,Lesion 2,3,-1,-1,-1
total,All lesions,93.5,,,
"""


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.fixture
def a_table(a_host, tmp_path):
    (tmp_path / "measurements.csv").write_text(MEASUREMENTS)
    node = a_host.scene.AddNewNodeByClass("vtkMRMLTableNode", "Measurements")
    fill_table(node, tmp_path / "measurements.csv")
    return node


def add_volume(name: str):
    ijk_to_ras = np.diag([-4.0, -4.0, 4.0, 1.0])
    ijk_to_ras[:3, 3] = (60.0, 60.0, -60.0)
    values = np.random.default_rng(1).uniform(0, 9, (30, 30, 30)).astype(np.float32)
    return slicer.util.addVolumeFromArray(values, ijkToRAS=ijk_to_ras, name=name)


def add_segmentation(scene):
    """One lesion and one organ, told apart by their terminology alone."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    for name, code in (("A", "108369006^Neoplasm"), ("B", "10200004^Liver")):
        sphere = vtk.vtkSphereSource()
        sphere.SetRadius(10.0)
        sphere.Update()
        segment_id = node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), name, [1, 0, 0])
        entry = f"Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^{code}~^^~~^^~^^"
        node.GetSegmentation().GetSegment(segment_id).SetTag("TerminologyEntry", entry)
    return node


def show(a_host, low_count, denoised, table, *, same_window=True):
    show_results(
        a_host.scene,
        a_host.application_logic,
        low_count_node=low_count,
        denoised_node=denoised,
        table_node=table,
        same_window=same_window,
    )


def test_pet_is_shown_in_inverted_grey_and_a_fixed_window(a_host):
    display = add_volume("PET").GetDisplayNode()
    use_pet_window(display.GetDisplayableNode())
    assert display.GetColorNode().GetName() == "InvertedGrey"
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 7.0)
    assert not display.GetAutoWindowLevel()


def test_lesions_are_told_by_terminology_and_outlined_while_organs_are_faint(a_host):
    node = add_segmentation(a_host.scene)
    show_lesions_and_organs(node)
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    lesion, organ = (segmentation.GetSegmentIdBySegmentName(name) for name in "AB")
    assert is_lesion(segmentation.GetSegment(lesion))
    assert not is_lesion(segmentation.GetSegment(organ))
    assert display.GetSegmentOpacity2DFill(lesion) == 0.0
    assert display.GetSegmentOpacity2DOutline(lesion) == 1.0
    assert 0.0 < display.GetSegmentOpacity2DFill(organ) < 0.3


def test_surfaces_are_made_only_when_asked_for(a_host):
    node = add_segmentation(a_host.scene)
    show_in_3d(node)
    assert node.GetDisplayNode().GetVisibility3D()
    surface = vtk.vtkPolyData()
    node.GetClosedSurfaceRepresentation(node.GetSegmentation().GetSegmentIdBySegmentName("A"), surface)
    assert surface.GetNumberOfPoints() > 0


def test_the_layout_has_three_planes_and_the_table(a_host, a_table):
    low_count, denoised = add_volume("low"), add_volume("denoised")
    show(a_host, low_count, denoised, a_table)
    layout = a_host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView
    for color in ("Red", "Yellow", "Green"):
        composite = a_host.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{color}")
        assert composite.GetBackgroundVolumeID() == denoised.GetID()
        assert composite.GetForegroundVolumeID() == low_count.GetID()
        assert composite.GetForegroundOpacity() == 0.0
    assert a_host.scene.GetFirstNodeByClass("vtkMRMLTableViewNode").GetTableNodeID() == a_table.GetID()
    assert low_count.GetDisplayNode().GetWindowLevelMax() == 7.0


def test_the_slices_show_the_whole_body_and_go_through_the_first_lesion(a_host, a_table):
    show(a_host, add_volume("low"), add_volume("denoised"), a_table)
    # LPS (-12, 7, 40) is RAS (12, -7, 40).
    assert first_lesion_ras(a_table) == (12.0, -7.0, 40.0)
    for color in ("Red", "Yellow", "Green"):
        node = a_host.scene.GetNodeByID(f"vtkMRMLSliceNode{color}")
        slice_to_ras = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        distance = (np.linalg.inv(slice_to_ras) @ (12.0, -7.0, 40.0, 1.0))[2]
        # Planes snap to voxels of 4 mm.
        assert distance == pytest.approx(0.0, abs=2.01)
        assert min(node.GetFieldOfView()[:2]) >= 119.0


def test_a_low_count_volume_in_other_units_keeps_its_own_window(a_host, a_table):
    low_count = add_volume("Bq/mL")
    low_count.GetDisplayNode().AutoWindowLevelOff()
    low_count.GetDisplayNode().SetWindowLevelMinMax(0.0, 30000.0)
    show(a_host, low_count, add_volume("denoised"), a_table, same_window=False)
    assert low_count.GetDisplayNode().GetWindowLevelMax() == 30000.0


def test_a_table_without_lesions_leaves_the_slices_in_the_middle(a_host, tmp_path):
    (tmp_path / "measurements.csv").write_text(MEASUREMENTS.splitlines()[0] + "\ntotal,All lesions,0,,,\n")
    table = a_host.scene.AddNewNodeByClass("vtkMRMLTableNode", "Measurements")
    fill_table(table, tmp_path / "measurements.csv")
    assert first_lesion_ras(table) is None
    show(a_host, add_volume("low"), add_volume("denoised"), table)
    assert a_host.scene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceOffset() == pytest.approx(-2.0, abs=4.0)


def test_a_scene_without_views_is_left_without_views(tmp_path):
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    volumes = [scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("low", "denoised")]
    table = scene.AddNewNodeByClass("vtkMRMLTableNode")
    show_results(
        scene,
        application,
        low_count_node=volumes[0],
        denoised_node=volumes[1],
        table_node=table,
        same_window=False,
    )
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode") is None
