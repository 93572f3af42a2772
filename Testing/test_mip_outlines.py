"""Lesions and organs in the views: outlined where they project on the MIPs, and as chosen in the planes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AMDiffModule.mip_outlines import keep_off_mips, projected_outlines
from AMDiffModule.reading_layout import (
    DENOISED,
    LOW_COUNT,
    MIP,
    view_tag,
)
from AMDiffModule.reading_views import Look, fill_views, show_side_by_side
from reading_cases import (
    FRONT,
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


def outline_bounds(lines) -> np.ndarray:
    return np.reshape(lines.GetBounds(), (3, 2))


def test_lesions_are_outlined_on_the_mips_where_they_project(a_host, a_case):
    display, segmentation = a_case.segmentation.GetDisplayNode(), a_case.segmentation.GetSegmentation()
    both = outline_bounds(projected_outlines(a_case.segmentation, a_case.denoised))
    display.SetSegmentVisibility(segmentation.GetSegmentIdBySegmentName("Lesion 2"), False)
    front = outline_bounds(projected_outlines(a_case.segmentation, a_case.denoised))
    # Lesion 1 is 3 x 3 x 3 voxels; its outline runs along their faces: exactly where the finest voxel size,
    # 3 mm along S, divides them, else to half of it.
    centre, half = np.array(centre_ras(FRONT)), 1.5 * np.array(SPACING_MM)
    for axis, tolerance in ((0, 1.5), (2, 1e-5)):
        faces = centre[axis] + np.array([-1, 1]) * half[axis]
        np.testing.assert_allclose(front[axis], faces, atol=tolerance)
    assert both[2, 0] < front[2, 0] - 30.0
    display.SetSegmentVisibility(segmentation.GetSegmentIdBySegmentName("Lesion 1"), False)
    assert projected_outlines(a_case.segmentation, a_case.denoised).GetNumberOfPoints() == 0


def test_an_oblique_lesion_projects_along_the_patients_axis(a_host, a_case):
    """A bar along the image's rows, turned by 45 degrees, looks sqrt(1/2) as long from the front."""
    turn = np.eye(4)
    turn[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    volume = slicer.util.addVolumeFromArray(np.zeros(SHAPE, np.float32), ijkToRAS=turn @ ijk_to_ras())
    node = a_host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    bar = np.zeros(SHAPE, np.uint8)
    bar[20, 15, 5:30] = 1
    segment_id = node.GetSegmentation().AddEmptySegment("bar", "bar")
    slicer.util.updateSegmentBinaryLabelmapFromArray(bar, node, segment_id, volume)
    node.GetSegmentation().GetSegment(segment_id).SetTag("TerminologyEntry", "~~SCT^108369006^Neoplasm~")
    bounds = outline_bounds(projected_outlines(node, volume))
    # 25 voxels of 4 mm, and the ends of a bar 5 mm wide.
    assert bounds[0, 1] - bounds[0, 0] == pytest.approx((25 * 4.0 + 5.0) / np.sqrt(2), abs=4.0)


def test_the_segmentation_is_kept_off_the_mips_alone(a_host, a_reading):
    display = a_reading.segmentation.GetDisplayNode()
    shown = {display.GetNthViewNodeID(index) for index in range(display.GetNumberOfViewNodeIDs())}
    mips = {slice_node(a_host, volume, MIP).GetID() for volume in (LOW_COUNT, DENOISED)}
    assert not shown & mips
    assert {"vtkMRMLSliceNodeRed", slice_node(a_host, DENOISED, "Axial").GetID()} <= shown
    outlines = next(
        node
        for node in slicer.util.getNodesByClass("vtkMRMLModelNode")
        if node.GetAttribute("AMDiff.mipOutlines")
    )
    ids = outlines.GetDisplayNode()
    assert {ids.GetNthViewNodeID(index) for index in range(ids.GetNumberOfViewNodeIDs())} == mips
    assert ids.GetVisibility()


def test_organs_and_lesions_are_shown_as_chosen(a_host, a_reading):
    display, segmentation = a_reading.segmentation.GetDisplayNode(), a_reading.segmentation.GetSegmentation()
    lesion, organ = (segmentation.GetSegmentIdBySegmentName(name) for name in ("Lesion 1", "liver"))
    assert display.GetSegmentVisibility2DOutline(lesion)
    assert not display.GetSegmentVisibility2DFill(organ) and not display.GetSegmentVisibility2DOutline(organ)
    fill_views(a_host.scene, a_reading, Look(lesions=False, organs=True))
    assert not display.GetSegmentVisibility2DOutline(lesion)
    assert display.GetSegmentVisibility2DFill(organ)


def test_a_segmentation_without_mips_in_the_scene_is_shown_everywhere(a_host, a_case):
    keep_off_mips(a_host.scene, a_case.segmentation)
    assert a_case.segmentation.GetDisplayNode().GetNumberOfViewNodeIDs() == 0
