"""PET over CT: which CT belongs to a PET, and how the two are shown."""

from __future__ import annotations

import slicer

from .node_marks import DICOM_UIDS_ATTRIBUTE

_HOUNSFIELD = ("[hnsf'U]", "UCUM")
_FRAME_OF_REFERENCE = "0020,0052"
# Soft tissue, in HU.
_LEVEL, _WINDOW = 40.0, 400.0


def find_ct(scene, pet_node):
    """Return the CT of the same frame of reference, or else of the same study; None when there is none."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    volumes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    cts = [node for node in volumes if node is not pet_node and is_ct(scene, node)]
    frame = _frame_of_reference(pet_node)
    for belongs in (
        lambda node: frame and _frame_of_reference(node) == frame,
        lambda node: _study(scene, pet_node) is not None and _study(scene, node) == _study(scene, pet_node),
    ):
        if found := next((node for node in cts if belongs(node)), None):
            return found
    return None


def is_ct(scene, volume_node) -> bool:
    """Return whether the volume is in Hounsfield units, or came from a DICOM series of modality CT."""
    units = volume_node.GetVoxelValueUnits()
    if units is not None and (units.GetCodeValue(), units.GetCodingSchemeDesignator()) == _HOUNSFIELD:
        return True
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(volume_node)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return item != hierarchy.GetInvalidItemID() and hierarchy.GetItemAttribute(item, name) == "CT"


def use_soft_tissue_window(ct_node) -> None:
    """Show a CT in grey, level 40 and window 400 HU."""
    if ct_node.GetDisplayNode() is None:
        ct_node.CreateDefaultDisplayNodes()
    display = ct_node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.AutoWindowLevelOff()
    display.SetWindowLevel(_WINDOW, _LEVEL)


def _study(scene, node) -> int | None:
    """Return the subject hierarchy item of the study that the node lies in."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        return None
    parent = hierarchy.GetItemParent(item)
    study = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()
    return parent if hierarchy.IsItemLevel(parent, study) else None


def _frame_of_reference(volume_node) -> str:
    database = getattr(slicer, "dicomDatabase", None)
    uids = (volume_node.GetAttribute(DICOM_UIDS_ATTRIBUTE) or "").split()
    return database.instanceValue(uids[0], _FRAME_OF_REFERENCE) if database is not None and uids else ""
