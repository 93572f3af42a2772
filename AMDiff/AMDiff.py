"""AMDiff in 3D Slicer: denoise a low-count FDG PET, find lesions and organs, measure SUV, MTV and TLG."""

import importlib
import logging
from typing import Annotated

import qt
import slicer
import vtk
from AMDiffModule import sample_data, segment_statistics
from AMDiffModule.choices import DenoisedView, Device, OverlayColors
from AMDiffModule.device_panel import DevicePanel
from AMDiffModule.display import USUAL_SUV_WINDOW, show_in_3d
from AMDiffModule.export import UnusableVolume, reason_unusable
from AMDiffModule.export_panel import ExportPanel
from AMDiffModule.input_panel import InputPanel
from AMDiffModule.lesion_panel import LesionPanel
from AMDiffModule.model_panel import ModelPanel
from AMDiffModule.node_marks import is_in_suv, is_synthetic
from AMDiffModule.packages import ensure_packages
from AMDiffModule.queue_panel import QueuePanel
from AMDiffModule.reading_layout import register_layouts
from AMDiffModule.reading_panel import ReadingPanel
from AMDiffModule.run import Run
from AMDiffModule.run_panel import RunPanel
from AMDiffModule.scene_import import find_results
from AMDiffModule.self_test import SelfTest
from AMDiffModule.worker import WorkerOptions, library_root
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Each after those it imports, so that a reload of the module takes all of them along.
_PARTS = (
    "translation",
    "node_marks",
    "process_tree",
    "job_folder",
    "job",
    "worker",
    "inquiry",
    "subject_hierarchy",
    "export",
    "measuring_library",
    "patient_facts",
    "lesion_marks",
    "measurement_table",
    "display",
    "result_maps",
    "result_report",
    "trust_facts",
    "choices",
    "segment_voxels",
    "count_comparison",
    "scene_measurement",
    "import_check",
    "reading_layout",
    "count_marks",
    "scene_import",
    "view_fit",
    "mip_outlines",
    "same_window",
    "overlay",
    "difference",
    "fusion",
    "reading_views",
    "packages",
    "run",
    "input_facts",
    "input_panel",
    "model_panel",
    "device_facts",
    "device_panel",
    "run_queue",
    "run_panel",
    "queue_panel",
    "segment_statistics",
    "lesion_follower",
    "lesion_table",
    "lesion_panel",
    "reading_panel",
    "export_job",
    "export_panel",
    "sample_data",
    "simulated_case",
    "self_test",
)
# The sections below the run button, each a .ui file, in the order of the work.
_SECTIONS = ("Reading", "Lesions", "Export")


class AMDiff(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "AMDiff"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Nuclear Medicine")]
        self.parent.dependencies = []
        self.parent.contributors = ["The AMDiff developers"]
        self.parent.helpText = _(
            "Denoises a low-count 18F-FDG PET volume, outlines its lesions and seven organs, and measures "
            "SUV, MTV and TLG. Everything is computed on this computer; no data leaves it. For research: the "
            "denoised image is synthetic and not for diagnosis. The weights that come with the module were "
            "trained on simulated PET only."
        )
        self.parent.acknowledgementText = _(
            "Implements AMDiff, anatomically and metabolically informed diffusion for low-count PET "
            "(Xia et al., Medical Image Analysis 107B:103831, 2026)."
        )
        # A scene that was saved in a reading layout may be opened before the module is.
        slicer.app.connect("startupCompleted()", register_reading_layouts)
        # By then Segment Statistics and Sample Data have been loaded too, where they are.
        slicer.app.connect("startupCompleted()", segment_statistics.register)
        slicer.app.connect("startupCompleted()", sample_data.register)


def register_reading_layouts():
    """Make the reading layouts known to the application, where it has a main window."""
    layoutNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layoutNode is not None:
        register_layouts(layoutNode)


@parameterNodeWrapper
class AMDiffParameterNode:
    """The panel's choices, kept in the scene; `steps` 0 leaves the number of steps to the model."""

    inputVolume: vtkMRMLScalarVolumeNode
    model: str = "amdiff-compact"
    device: Device = Device.AUTO
    steps: Annotated[int, WithinRange(0, 250)] = 0
    show3D: bool = False
    suvWindow: float = USUAL_SUV_WINDOW
    showLesions: bool = True
    showOrgans: bool = False
    denoisedView: DenoisedView = DenoisedView.PET
    ctVolume: vtkMRMLScalarVolumeNode
    fuseCt: bool = False
    overlayColors: OverlayColors = OverlayColors.RAINBOW
    petOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    exportSegmentation: bool = True
    exportReport: bool = True
    exportPet: bool = True
    exportTable: bool = True
    exportPage: bool = True
    exportIdentity: bool = False


class AMDiffWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The shell of the panel: loads the widgets and makes the sections, which do the work."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.parameterNode = None
        self._parameterNodeGuiTag = None
        self.panels = ()

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/AMDiff.ui"))
        self.layout.addWidget(panel)
        sections = [slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui")) for name in _SECTIONS]
        for section in sections:
            slicer.util.childWidgetVariables(panel).sectionsWidget.layout().addWidget(section)
        self.ui = slicer.util.childWidgetVariables(panel)
        for widget in (panel, *sections):
            widget.setMRMLScene(slicer.mrmlScene)
        self.logic = AMDiffLogic()
        self.runPanel = RunPanel(self.ui, self)
        self.readingPanel = ReadingPanel(self.ui, self)
        self.lesionPanel = LesionPanel(self.ui, self)
        self.devicePanel = DevicePanel(self.ui, self)
        self.panels = (
            InputPanel(self.ui, self),
            ModelPanel(self.ui, self),
            self.devicePanel,
            self.runPanel,
            QueuePanel(self.ui, self),
            self.lesionPanel,
            self.readingPanel,
            ExportPanel(self.ui, self),
        )
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.updatePanels)
        slicer.app.connect("aboutToQuit()", self._closePanels)
        self.initializeParameterNode()

    def cleanup(self):
        """Leave nothing behind when the application closes or the module is reloaded."""
        self._closePanels()
        slicer.app.disconnect("aboutToQuit()", self._closePanels)
        self.removeObservers()

    def enter(self):
        """Take up the parameter node again, and look at the input: it may have got its unit elsewhere."""
        self.initializeParameterNode()
        self.updatePanels()

    def exit(self):
        """Keep running: the physician may read something else meanwhile."""

    def onSceneStartClose(self, caller, event):
        """End what goes on: what it works on is about to go."""
        self._closePanels()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        """Start anew in the empty scene."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onReload(self):
        """Reload the module's parts, in the order of their imports, then the module."""
        for name in _PARTS:
            importlib.reload(importlib.import_module(f"AMDiffModule.{name}"))
        ScriptedLoadableModuleWidget.onReload(self)

    def initializeParameterNode(self):
        """Observe the scene's parameter node; choose a PET volume if none is chosen."""
        if self.parameterNode is None:
            self.setParameterNode(self.logic.getParameterNode())
        if not self.parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            candidates = [node for node in volumes if is_in_suv(node) and not is_synthetic(node)]
            if candidates:
                self.parameterNode.inputVolume = candidates[0]

    def setParameterNode(self, parameterNode):
        """Bind the panel to `parameterNode`, or to nothing."""
        if self.parameterNode:
            self.parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updatePanels)
        self.parameterNode = parameterNode
        if self.parameterNode:
            # Slicer 5.8 connects but returns no tag; the first tag of a fresh wrapper is 0.
            self._parameterNodeGuiTag = self.parameterNode.connectGui(self.ui) or 0
            self.addObserver(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updatePanels)
            self.updatePanels()

    # What follows is what the sections call.

    def updatePanels(self, caller=None, event=None):
        """Bring every section in line with the parameter node, the run and the scene."""
        if self.parameterNode:
            for panel in self.panels:
                panel.update()

    def results(self):
        """Return the ResultNodes of the chosen input, or None."""
        return find_results(slicer.mrmlScene, self.parameterNode.inputVolume) if self.parameterNode else None

    def resultsLoaded(self, nodes):
        """Show results that have come into the scene, if they are those of the chosen input."""
        if nodes.input is self.parameterNode.inputVolume:
            self.readingPanel.show(nodes)
        self.updatePanels()

    def showStatus(self, text):
        """Say what is being done, or that it is done."""
        self.ui.statusLabel.styleSheet = ""
        self.ui.statusLabel.text = text

    def showProblem(self, text):
        """Say what went wrong, also in the log."""
        logging.error(f"AMDiff: {text}")
        self.ui.logText.appendPlainText(text)
        self.ui.statusLabel.styleSheet = "font-weight: bold"
        self.ui.statusLabel.text = text

    def askForFolder(self, title):
        """Let the user choose a folder; returns its path, empty when they chose none."""
        return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)

    def newTimer(self, intervalMs, slot):
        """Return a stopped QTimer that calls `slot` every `intervalMs` milliseconds once it is started."""
        timer = qt.QTimer()
        timer.setInterval(intervalMs)
        timer.connect("timeout()", slot)
        return timer

    def _closePanels(self):
        for panel in self.panels:
            panel.close()


class AMDiffLogic(ScriptedLoadableModuleLogic):
    """One run at a time; usable without the panel."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.run = None

    def getParameterNode(self):
        """Return the scene's parameter node."""
        return AMDiffParameterNode(ScriptedLoadableModuleLogic.getParameterNode(self))

    @property
    def isRunning(self):
        """Whether a job runs."""
        return self.run is not None

    def start(self, parameters, volume=None, *, device=None):
        """Start a run with the panel's choices; raises what says why it cannot start.

        `volume` and `device` ("cpu", "cuda") take the place of the chosen ones.
        """
        if self.isRunning:
            raise RuntimeError("a run is going on already")
        volume = volume or parameters.inputVolume
        if reason := reason_unusable(volume):
            raise UnusableVolume(reason)
        ensure_packages(library_root() / "Resources" / "requirements.txt")
        self.run = Run(
            volume,
            options=WorkerOptions(
                model=parameters.model, device=device or parameters.device.value, steps=parameters.steps
            ),
            slicer_home=slicer.app.slicerHome,
        )

    def loadResults(self, parameters):
        """Load the results of the run that has succeeded; returns the nodes."""
        nodes = self.run.import_results(slicer.mrmlScene)
        if parameters.show3D:
            show_in_3d(nodes.segmentation)
        return nodes

    def close(self):
        """End the run, if there is one, and remove its files."""
        if self.run is not None:
            self.run.close()
            self.run = None


class AMDiffTest(SelfTest, ScriptedLoadableModuleTest):
    """The whole click, in the real application; run by `slicer.testing.runUnitTest` or the Test button."""
