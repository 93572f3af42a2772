"""PET over CT: which CT belongs to a PET, and how the two lie over each other in the views."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from AMDiffModule.fusion import find_ct
from AMDiffModule.node_marks import is_synthetic
from AMDiffModule.overlay import find_overlay
from AMDiffModule.reading_layout import (
    LOW_COUNT,
    MIP,
    PLANES,
    slice_views,
)
from AMDiffModule.reading_views import Look, fill_views, show_side_by_side
from reading_cases import add_ct, add_results, matrix_of
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


def test_the_ct_of_the_same_study_is_found_and_no_other_patients(a_host, a_case):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_host.scene)
    studies = []
    for name in ("A", "B"):
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), name)
        studies.append(hierarchy.CreateStudyItem(patient, "Study"))
    hierarchy.CreateItem(studies[0], a_case.input)
    add_ct(a_host.scene, "CT of B", studies[1])
    assert find_ct(a_host.scene, a_case.input) is None
    ct = add_ct(a_host.scene, "CT of A", studies[0])
    assert find_ct(a_host.scene, a_case.input) is ct


def test_a_ct_in_the_same_frame_of_reference_is_found_wherever_it_lies(a_host, a_case, monkeypatch):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_host.scene)
    item = hierarchy.GetSceneItemID()
    other, ct = add_ct(a_host.scene, "another CT", item), add_ct(a_host.scene, "CT", item)
    frames = {"1.1": "F1", "1.2": "F1", "1.3": "F2"}
    for node, uid in ((a_case.input, "1.1"), (ct, "1.2"), (other, "1.3")):
        node.SetAttribute("DICOM.instanceUIDs", uid)

    class Database:
        def instanceValue(self, uid: str, tag: str) -> str:
            return frames[uid] if tag == "0020,0052" else ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    assert find_ct(a_host.scene, a_case.input) is ct


def test_the_ct_lies_below_the_pet_in_the_planes_and_not_in_the_mips(a_host, a_reading):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_host.scene)
    ct = add_ct(a_host.scene, "CT", hierarchy.GetSceneItemID())
    fill_views(a_host.scene, a_reading, Look(ct=ct, pet_opacity=0.3))
    for volume, view, _node, shown in slice_views(a_host.scene, *PLANES, MIP):
        pet = a_reading.input if volume == LOW_COUNT else a_reading.denoised
        if view == MIP:
            assert shown.GetBackgroundVolumeID() == pet.GetID()
        else:
            assert shown.GetBackgroundVolumeID() == ct.GetID()
            assert shown.GetForegroundOpacity() == pytest.approx(0.3)
            overlay = a_host.scene.GetNodeByID(shown.GetForegroundVolumeID())
            assert overlay is find_overlay(a_host.scene, pet)
            # The same voxels in the same place, not a copy.
            assert overlay.GetImageData() is pet.GetImageData()
            np.testing.assert_array_equal(matrix_of(overlay), matrix_of(pet))
            assert overlay.GetDisplayNode().GetColorNode().GetName() == "PET-Rainbow"
            assert pet.GetDisplayNode().GetColorNode().GetName() == "InvertedGrey"
            assert not overlay.GetSaveWithScene() and is_synthetic(overlay)
    assert (ct.GetDisplayNode().GetLevel(), ct.GetDisplayNode().GetWindow()) == (40.0, 400.0)
