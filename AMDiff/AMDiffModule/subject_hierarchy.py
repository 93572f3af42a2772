"""Where a node lies in the subject hierarchy: usually in a patient's study."""

from __future__ import annotations

import slicer
import vtk


def put_beside(scene, node, input_node) -> None:
    """Move a node to where the input is in the subject hierarchy, usually a patient's study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    nowhere = hierarchy.GetInvalidItemID()
    input_item = hierarchy.GetItemByDataNode(input_node)
    parent = hierarchy.GetItemParent(input_item) if input_item != nowhere else nowhere
    if parent == nowhere:
        parent = hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item == nowhere:
        hierarchy.CreateItem(parent, node)
    else:
        hierarchy.SetItemParent(item, parent)


def modality_of(volume_node) -> str:
    """Return the DICOM modality that the subject hierarchy keeps for the volume's series, such as "PT"."""
    scene = volume_node.GetScene()
    hierarchy = scene and slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if not hierarchy:
        return ""
    item = hierarchy.GetItemByDataNode(volume_node)
    if item == hierarchy.GetInvalidItemID():
        return ""
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return hierarchy.GetItemAttribute(item, name) or ""


def subject_name(volume_node) -> str:
    """Return the name of the subject (the patient) that the volume belongs to; empty without one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    item = hierarchy.GetItemByDataNode(volume_node)
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient()
    subject = hierarchy.GetItemAncestorAtLevel(item, level)
    return hierarchy.GetItemName(subject) if subject != hierarchy.GetInvalidItemID() else ""


def volumes_under(scene, items) -> list:
    """Return the volume nodes of these subject hierarchy items and of all below them, each once."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    found = []
    for item in items:
        below = vtk.vtkIdList()
        hierarchy.GetItemChildren(item, below, True)
        for identity in (item, *(below.GetId(index) for index in range(below.GetNumberOfIds()))):
            node = hierarchy.GetItemDataNode(identity)
            if node is not None and node.IsA("vtkMRMLScalarVolumeNode") and node not in found:
                found.append(node)
    return found
