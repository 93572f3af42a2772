"""AMDiff in 3D Slicer: denoise a low-count FDG PET, find lesions and organs, measure SUV, MTV and TLG."""

import enum
import importlib
import logging
from typing import Annotated

import qt
import slicer
import vtk
from AMDiffModule.display import show_in_3d, show_results
from AMDiffModule.export import UnusableVolume, reason_unusable
from AMDiffModule.job import JobState
from AMDiffModule.node_marks import is_marked_as_suv, is_synthetic
from AMDiffModule.packages import PackagesMissing, ensure_packages
from AMDiffModule.run import Run
from AMDiffModule.scene_import import ImportFailed
from AMDiffModule.self_test import SelfTest
from AMDiffModule.worker import WorkerNotFound, WorkerOptions, installed_models, library_root
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
    "export",
    "measurement_table",
    "display",
    "scene_import",
    "packages",
    "run",
    "simulated_case",
    "self_test",
)


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


class Device(enum.Enum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    def label(self):
        """Return the text in the panel's list."""
        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("Processor (CPU)"),
            Device.CUDA: _("NVIDIA graphics card (CUDA)"),
        }[self]


@parameterNodeWrapper
class AMDiffParameterNode:
    """The panel's choices, kept in the scene; `steps` 0 leaves the number of steps to the model."""

    inputVolume: vtkMRMLScalarVolumeNode
    valuesAreSuv: bool = False
    model: str = "amdiff-compact"
    device: Device = Device.AUTO
    steps: Annotated[int, WithinRange(0, 250)] = 0
    show3D: bool = False


class AMDiffWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows what the logic knows and tells it what was clicked."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._checkedVolumeId = None
        self._timer = None

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/AMDiff.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = AMDiffLogic()
        self.ui.modelComboBox.addItems(installed_models())

        self._timer = qt.QTimer()
        self._timer.setInterval(100)
        self._timer.connect("timeout()", self._onTimer)
        self.ui.runButton.connect("clicked(bool)", self.onRunButton)
        self.ui.modelComboBox.connect("currentTextChanged(QString)", self._onModelChosen)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        slicer.app.connect("aboutToQuit()", self._endRun)
        self.initializeParameterNode()

    def cleanup(self):
        """Leave nothing behind when the application closes or the module is reloaded."""
        self._endRun()
        slicer.app.disconnect("aboutToQuit()", self._endRun)
        self.removeObservers()

    def enter(self):
        """Take up the parameter node again, and look at the input: it may have got its unit elsewhere."""
        self.initializeParameterNode()
        self._updatePanel()

    def exit(self):
        """Keep running: the physician may read something else meanwhile."""

    def onSceneStartClose(self, caller, event):
        """Cancel the run: what it works on is about to go."""
        self._endRun()
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
        if self._parameterNode is None:
            self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            candidates = [node for node in volumes if is_marked_as_suv(node) and not is_synthetic(node)]
            if candidates:
                self._parameterNode.inputVolume = candidates[0]

    def setParameterNode(self, parameterNode):
        """Bind the panel to `parameterNode`, or to nothing."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._updatePanel)
        self._parameterNode = parameterNode
        if self._parameterNode:
            # Slicer 5.8 connects but returns no tag; the first tag of a fresh wrapper is 0.
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui) or 0
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._updatePanel)
            self._updatePanel()

    def onRunButton(self, checked=False):
        """Start a run, or cancel the one that is running."""
        if self.logic.isRunning:
            self.logic.run.cancel()
            self._showStatus(_("Cancelling..."))
            self._updatePanel()
            return
        self.ui.logText.clear()
        self._showStatus(_("Preparing..."))
        self.ui.statusLabel.repaint()  # and not processEvents, which would take a second click
        try:
            self.logic.start(self._parameterNode)
        except (UnusableVolume, PackagesMissing, WorkerNotFound, OSError) as error:
            self._showProblem(str(error))
            return
        self.ui.progressBar.value = 0
        self._timer.start()
        self._updatePanel()

    def _onTimer(self):
        for event in self.logic.run.poll():
            self._show(event)
        outcome = self.logic.run.outcome
        if outcome is None:
            return
        self._timer.stop()
        try:
            if outcome.state is JobState.DONE:
                self.logic.loadResults(self._parameterNode)
                self._showStatus(
                    _("Done. The foreground slider of a slice view fades the low-count image in.")
                )
            elif outcome.state is JobState.CANCELLED:
                self._showStatus(_("Cancelled. Nothing was changed in the scene."))
            else:
                self._showProblem(outcome.text)
        except ImportFailed as error:
            self._showProblem(str(error))
        finally:
            self._endRun()
            self._updatePanel()

    def _show(self, event):
        if event.type == "stage":
            self._showStatus(event.text)
        elif event.type == "progress":
            self.ui.progressBar.value = round(100 * event.value)
            left = event.remaining_s
            remaining = "" if left is None else _("about {s} s left").format(s=max(1, round(left)))
            self.ui.progressBar.format = f"%p%  {remaining}"
        if event.text:
            self.ui.logText.appendPlainText(event.text)

    def _showStatus(self, text):
        self.ui.statusLabel.styleSheet = ""
        self.ui.statusLabel.text = text

    def _showProblem(self, text):
        logging.error(f"AMDiff: {text}")
        self.ui.logText.appendPlainText(text)
        self.ui.statusLabel.styleSheet = "font-weight: bold"
        self.ui.statusLabel.text = text

    def _onModelChosen(self, name):
        if self._parameterNode and name:
            self._parameterNode.model = name

    def _updatePanel(self, caller=None, event=None):
        """Bring the panel in line with the parameter node and the run."""
        if not self._parameterNode:
            return
        volume = self._parameterNode.inputVolume
        identity = volume.GetID() if volume else None
        if identity != self._checkedVolumeId:
            # 'Values are SUV' was said of one volume; it is not carried over to another.
            newly, self._checkedVolumeId = self._checkedVolumeId is not None, identity
            if newly and self._parameterNode.valuesAreSuv:
                self._parameterNode.valuesAreSuv = False
                return
        self._chooseInstalledModel()
        running = self.logic.isRunning
        cancelling = running and self.logic.run.state is JobState.CANCELLING
        reason = reason_unusable(volume, values_are_suv=self._parameterNode.valuesAreSuv)
        if not reason and self.ui.modelComboBox.count == 0:
            reason = _("No model is installed. Install the AMDiff extension again.")
        marked = volume is not None and is_marked_as_suv(volume)
        in_suv = marked or self._parameterNode.valuesAreSuv
        ready = _("Ready: SUV by body weight.") if in_suv else _("Ready: SUV comes from the DICOM headers.")
        self.ui.inputStatusLabel.text = reason or ready
        self.ui.valuesAreSuvCheckBox.enabled = not running and volume is not None and not marked
        for name in ("inputSelector", "modelComboBox", "deviceComboBox", "stepsSpinBox"):
            getattr(self.ui, name).enabled = not running
        self.ui.progressBar.visible = running
        self.ui.runButton.text = _("Cancel") if running else _("Denoise && Segment")
        self.ui.runButton.enabled = not cancelling and (running or not reason)

    def _chooseInstalledModel(self):
        """Show the model of the parameter node; a scene may name one that is not installed here."""
        models = self.ui.modelComboBox
        if models.count and models.findText(self._parameterNode.model) < 0:
            self._parameterNode.model = models.currentText
        models.setCurrentText(self._parameterNode.model)

    def _endRun(self):
        if self._timer:
            self._timer.stop()
        if self.logic:
            self.logic.close()


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

    def start(self, parameters):
        """Start a run with the panel's choices; raises what says why it cannot start."""
        if self.isRunning:
            raise RuntimeError("a run is going on already")
        if reason := reason_unusable(parameters.inputVolume, values_are_suv=parameters.valuesAreSuv):
            raise UnusableVolume(reason)
        ensure_packages(library_root() / "Resources" / "requirements.txt")
        self.run = Run(
            parameters.inputVolume,
            options=WorkerOptions(
                model=parameters.model, device=parameters.device.value, steps=parameters.steps
            ),
            values_are_suv=parameters.valuesAreSuv,
            slicer_home=slicer.app.slicerHome,
        )

    def loadResults(self, parameters):
        """Load the results of the run that has succeeded and show them; returns the nodes."""
        low_count = self.run.input_node
        nodes = self.run.import_results(slicer.mrmlScene)
        if parameters.show3D:
            show_in_3d(nodes.segmentation)
        show_results(
            slicer.mrmlScene,
            slicer.app.applicationLogic(),
            low_count_node=low_count,
            denoised_node=nodes.denoised,
            table_node=nodes.table,
            same_window=is_marked_as_suv(low_count) or parameters.valuesAreSuv,
        )
        return nodes

    def close(self):
        """End the run, if there is one, and remove its files."""
        if self.run is not None:
            self.run.close()
            self.run = None


class AMDiffTest(SelfTest, ScriptedLoadableModuleTest):
    """The whole click, in the real application; run by `slicer.testing.runUnitTest` or the Test button."""
