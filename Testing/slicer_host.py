"""A home for Slicer's MRML scene outside the application, from the `slicer-core` package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk

_SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
_VIEW_SIZE = (500, 400)


@dataclass(frozen=True, kw_only=True)
class SlicerHost:
    """A scene with the logics that read, write and show it; the unnamed ones only have to stay alive."""

    scene: object
    application_logic: object
    _keep_alive: tuple

    def load_volume(self, path: Path, name: str):
        """Load a NRRD, NIfTI or MetaImage as a volume node. Raises RuntimeError when that fails."""
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            raise RuntimeError(f"{path} could not be read as a volume")
        node.SetName(name)
        node.CreateDefaultDisplayNodes()
        return node

    def write_bundle(self, path: Path) -> None:
        """Write the scene as a Medical Reality Bundle (.mrb). Raises RuntimeError when that fails."""
        if not self.scene.WriteToMRB(str(path), None):
            raise RuntimeError(f"the scene could not be written to {path}")


def open_host(cache_folder: Path) -> SlicerHost:
    """Open an empty scene and make it `slicer.mrmlScene`; `cache_folder` is where bundles are unpacked."""
    scene = slicer.vtkMRMLScene()
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(str(cache_folder))
    data_io = slicer.vtkDataIOManager()
    data_io.SetCacheManager(cache)
    scene.SetDataIOManager(data_io)
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    application.SetModuleLogic("Colors", application.GetColorLogic())
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLApplicationLogic(application)
    segmentations.SetMRMLScene(scene)
    slicer.mrmlScene = scene
    volumes = slicer.vtkSlicerVolumesLogic()
    volumes.SetMRMLApplicationLogic(application)
    volumes.SetMRMLScene(scene)
    slicer.modules = SimpleNamespace(
        segmentations=SimpleNamespace(logic=lambda: segmentations),
        volumes=SimpleNamespace(logic=lambda: volumes),
    )
    markups = slicer.vtkSlicerMarkupsLogic()
    markups.SetMRMLApplicationLogic(application)
    markups.SetMRMLScene(scene)
    application.SetModuleLogic("Markups", markups)
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    views = _add_views(scene, application)
    return SlicerHost(
        scene=scene,
        application_logic=application,
        _keep_alive=(cache, data_io, segmentations, volumes, markups, views),
    )


def _add_views(scene, application) -> tuple:
    """Add the views that the application's main window would: the layout, three slices, and a table."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    crosshair.SetSingletonTag("default")
    scene.AddNode(crosshair)
    logics = vtk.vtkCollection()
    for name, orientation in _SLICE_VIEWS.items():
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        slice_node = logic.AddSliceNode(name)
        slice_node.SetOrientation(orientation)
        slice_node.SetDimensions(*_VIEW_SIZE, 1)
        logics.AddItem(logic)
    application.SetSliceLogics(logics)
    # After the slices: the layout then takes these instead of making its own.
    layout_logic = slicer.vtkMRMLLayoutLogic()
    layout_logic.SetMRMLScene(scene)
    layout_logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    link_logic = slicer.vtkMRMLSliceLinkLogic()
    link_logic.SetMRMLApplicationLogic(application)
    link_logic.SetMRMLScene(scene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def give_a_logic(caller, event, node):
        """Do what the application's slice widget does for a view that comes with another layout."""
        if node.IsA("vtkMRMLSliceNode") and application.GetSliceLogic(node) is None:
            node.SetDimensions(*_VIEW_SIZE, 1)
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(application)
            logic.SetMRMLScene(scene)
            logic.SetSliceNode(node)
            logics.AddItem(logic)

    scene.AddObserver(scene.NodeAddedEvent, give_a_logic)
    return layout_logic, logics, link_logic
