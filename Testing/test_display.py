"""How results are shown: inverted grey in a fixed window, lesions outlined, organs faint."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from AMDiffModule.display import (
    SUV_WINDOWS,
    is_lesion,
    show_in_3d,
    show_lesions_and_organs,
    use_pet_window,
)
from AMDiffModule.measurement_table import fill_table, first_lesion_ras, lesion_ras
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


def test_the_readers_windows_are_four(a_host):
    assert SUV_WINDOWS == (5.0, 6.0, 7.0, 10.0)
    volume = add_volume("PET")
    use_pet_window(volume, upper_suv=SUV_WINDOWS[-1])
    display = volume.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 10.0)


def test_the_row_of_a_lesion_leads_to_its_centroid_and_other_rows_nowhere(a_table):
    # LPS (-12, 7, 40) is RAS (12, -7, 40).
    assert first_lesion_ras(a_table) == lesion_ras(a_table, 0) == (12.0, -7.0, 40.0)
    assert lesion_ras(a_table, 1) == (1.0, 1.0, -1.0)
    assert lesion_ras(a_table, 2) is None
    assert lesion_ras(a_table, -1) is None
    assert lesion_ras(a_table, 3) is None


def test_a_table_without_lesions_leads_nowhere(a_host, tmp_path):
    (tmp_path / "measurements.csv").write_text(MEASUREMENTS.splitlines()[0] + "\ntotal,All lesions,0,,,\n")
    table = a_host.scene.AddNewNodeByClass("vtkMRMLTableNode", "Measurements")
    fill_table(table, tmp_path / "measurements.csv")
    assert first_lesion_ras(table) is None
