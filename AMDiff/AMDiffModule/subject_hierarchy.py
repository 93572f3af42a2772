"""Where a node lies in the subject hierarchy: usually in a patient's study."""

from __future__ import annotations

import slicer


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
