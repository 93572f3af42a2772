"""The sections for running: the button, the progress, the log, the model and the device."""

from __future__ import annotations

from .export import UnusableVolume, reason_unusable
from .job import JobState
from .packages import PackagesMissing
from .scene_import import ImportFailed
from .translation import _
from .worker import WorkerNotFound, installed_models

_POLL_INTERVAL_MS = 100


class RunPanel:
    """Starts a run, follows it, cancels it, and hands over its results."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        ui.modelComboBox.addItems(installed_models())
        ui.modelComboBox.connect("currentTextChanged(QString)", self._on_model_chosen)
        ui.runButton.connect("clicked(bool)", self._on_run_button)
        self._timer = host.newTimer(_POLL_INTERVAL_MS, self._on_timer)

    def update(self) -> None:
        """Bring the sections in line with the choices and the run."""
        parameters = self.host.parameterNode
        self._choose_installed_model()
        running = self.host.logic.isRunning
        cancelling = running and self.host.logic.run.state is JobState.CANCELLING
        no_model = self.ui.modelComboBox.count == 0
        if no_model:
            self.host.showStatus(_("No model is installed. Install the AMDiff extension again."))
        usable = not no_model and not reason_unusable(
            parameters.inputVolume, values_are_suv=parameters.valuesAreSuv
        )
        for widget in (self.ui.modelComboBox, self.ui.deviceComboBox, self.ui.stepsSpinBox):
            widget.enabled = not running
        self.ui.progressBar.visible = running
        self.ui.runButton.text = _("Cancel") if running else _("Denoise && Segment")
        self.ui.runButton.enabled = not cancelling and (running or usable)

    def close(self) -> None:
        """End the run, if one is going on."""
        self._timer.stop()
        self.host.logic.close()

    def _on_run_button(self, checked=False) -> None:
        """Start a run, or cancel the one that is going on."""
        if self.host.logic.isRunning:
            self.host.logic.run.cancel()
            self.host.showStatus(_("Cancelling..."))
            self.host.updatePanels()
            return
        self.ui.logText.clear()
        self.host.showStatus(_("Preparing..."))
        self.ui.statusLabel.repaint()  # and not processEvents, which would take a second click
        try:
            self.host.logic.start(self.host.parameterNode)
        except (UnusableVolume, PackagesMissing, WorkerNotFound, OSError) as error:
            self.host.showProblem(str(error))
            return
        self.ui.progressBar.value = 0
        self._timer.start()
        self.host.updatePanels()

    def _on_timer(self) -> None:
        for event in self.host.logic.run.poll():
            self.show(event)
        outcome = self.host.logic.run.outcome
        if outcome is None:
            return
        self._timer.stop()
        try:
            if outcome.state is JobState.DONE:
                self.host.resultsLoaded(self.host.logic.loadResults(self.host.parameterNode))
                self.host.showStatus(_("Done."))
            elif outcome.state is JobState.CANCELLED:
                self.host.showStatus(_("Cancelled. Nothing was changed in the scene."))
            else:
                self.host.showProblem(outcome.text)
        except ImportFailed as error:
            self.host.showProblem(str(error))
        finally:
            self.close()
            self.host.updatePanels()

    def show(self, event) -> None:
        """Show what the job said: `event` is a JobEvent."""
        if event.type == "stage":
            self.host.showStatus(event.text)
        elif event.type == "progress":
            self.ui.progressBar.value = round(100 * event.value)
            left = event.remaining_s
            remaining = "" if left is None else _("about {s} s left").format(s=max(1, round(left)))
            self.ui.progressBar.format = f"%p%  {remaining}"
        if event.text:
            self.ui.logText.appendPlainText(event.text)

    def _on_model_chosen(self, name) -> None:
        if self.host.parameterNode and name:
            self.host.parameterNode.model = name

    def _choose_installed_model(self) -> None:
        """Show the model of the parameter node; a scene may name one that is not installed here."""
        models, parameters = self.ui.modelComboBox, self.host.parameterNode
        if models.count and models.findText(parameters.model) < 0:
            parameters.model = models.currentText
        models.setCurrentText(parameters.model)
