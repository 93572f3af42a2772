"""A PET volume a second time, in colour, to lie over the CT while the MIPs stay in inverted grey.

A volume node has one colour map in every view. The overlay shares the voxels of its PET and is not saved.
"""

from __future__ import annotations

import slicer

from .node_marks import mark_as_synthetic
from .translation import _

_ROLE = "AMDiff.overlayOf"
_ATTRIBUTE = "AMDiff.overlay"


def find_overlay(scene, pet_node):
    """Return the overlay of a PET volume; None before `overlay_of` has made it."""
    return next((node for node in _overlays(scene) if node.GetNodeReference(_ROLE) is pet_node), None)


def remove_overlays_without_pet(scene) -> None:
    """Let go of the voxels of volumes that were removed from the scene."""
    for node in _overlays(scene):
        if node.GetNodeReference(_ROLE) is None:
            scene.RemoveNode(node)


def _overlays(scene) -> list:
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    volumes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    return [node for node in volumes if node.GetAttribute(_ATTRIBUTE)]


def overlay_of(scene, pet_node, *, color_node_id: str):
    """Return the overlay of a PET volume, in these colours and in the window of the PET."""
    node = find_overlay(scene, pet_node) or _make_overlay(scene, pet_node)
    node.SetImageDataConnection(pet_node.GetImageDataConnection())
    node.CopyOrientation(pet_node)
    source, display = pet_node.GetDisplayNode(), node.GetDisplayNode()
    modifying = display.StartModify()
    display.SetAndObserveColorNodeID(color_node_id)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(source.GetWindowLevelMin(), source.GetWindowLevelMax())
    display.SetInterpolate(1)
    display.EndModify(modifying)
    return node


def _make_overlay(scene, pet_node):
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(_("{name} over CT").format(name=pet_node.GetName()))
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetAttribute(_ATTRIBUTE, "1")
    mark_as_synthetic(node)  # so that it is never taken for a scan to denoise
    node = scene.AddNode(node)
    node.AddNodeReferenceID(_ROLE, pet_node.GetID())
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    return node
