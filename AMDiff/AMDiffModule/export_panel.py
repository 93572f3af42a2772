"""The section for handing results to other systems."""

from __future__ import annotations

from pathlib import Path

import slicer

from .export import UnusableVolume
from .export_job import ExportChoices, ExportJob, reason_for_no_dicom
from .job import JobState
from .packages import PackagesMissing, ensure_packages
from .translation import _
from .worker import WorkerNotFound, library_root

_POLL_INTERVAL_MS = 100


class ExportPanel:
    """Writes the results of the chosen input as they are now, in the background, one export at a time."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        self.job: ExportJob | None = None
        self._folder: Path | None = None
        ui.exportFolderButton.connect("clicked(bool)", lambda checked=False: self._choose_folder())
        ui.exportButton.connect("clicked(bool)", lambda checked=False: self._on_export_button())
        self._timer = host.newTimer(_POLL_INTERVAL_MS, self._on_timer)

    def update(self) -> None:
        """Bring the section in line with the choices and the results of the chosen input."""
        ui, nodes, running = self.ui, self.host.results(), self.job is not None
        ui.exportCollapsibleButton.enabled = nodes is not None
        reason = reason_for_no_dicom(nodes.input) if nodes else ""
        ui.exportReasonLabel.text, ui.exportReasonLabel.visible = reason, bool(reason)
        for widget in (ui.exportSegmentationCheckBox, ui.exportReportCheckBox, ui.exportPetCheckBox):
            widget.enabled = not running and not reason
        # The report refers to the other two: they come along.
        if not reason and self.host.parameterNode.exportReport:
            ui.exportSegmentationCheckBox.enabled = ui.exportPetCheckBox.enabled = False
        ui.exportTableCheckBox.enabled = ui.exportPageCheckBox.enabled = not running
        ui.exportIdentityCheckBox.enabled = not running and not reason and self.host.parameterNode.exportPage
        ui.exportFolderButton.enabled = not running
        ui.exportProgressBar.visible = running
        cancelling = running and self.job.state is JobState.CANCELLING
        ui.exportButton.text = _("Cancel export") if running else _("E&xport")
        ready = nodes is not None and self._choices().anything
        ui.exportButton.enabled = not cancelling and (running or ready)

    def close(self) -> None:
        """End the export, if one is going on."""
        self._timer.stop()
        if self.job is not None:
            self.job.close()
            self.job = None

    def _choices(self) -> ExportChoices:
        parameters, nodes = self.host.parameterNode, self.host.results()
        dicom = nodes is not None and not reason_for_no_dicom(nodes.input)
        return ExportChoices(
            segmentation=dicom and parameters.exportSegmentation,
            report=dicom and parameters.exportReport,
            pet=dicom and parameters.exportPet,
            table=parameters.exportTable,
            page=parameters.exportPage,
            identity=dicom and parameters.exportIdentity and parameters.exportPage,
        )

    def _choose_folder(self) -> None:
        chosen = self.host.askForFolder(_("Folder for the export"))
        if chosen:
            self._folder = Path(chosen)
            self.ui.exportFolderButton.text = self._folder.name or str(self._folder)

    def _on_export_button(self) -> None:
        """Start an export, or cancel the one that is going on."""
        if self.job is not None:
            self.job.cancel()
            self._say(_("Cancelling..."))
            self.update()
            return
        if self._folder is None:
            self._choose_folder()
        if self._folder is None:
            return
        choices = self._choices()
        self._say(_("Preparing..."))
        self.ui.exportStatusLabel.repaint()
        try:
            if choices.dicom_objects:
                ensure_packages(library_root() / "Resources" / "requirements-export.txt")
            self.job = ExportJob(
                self.host.results(), choices, self._folder, slicer_home=slicer.app.slicerHome
            )
        except (UnusableVolume, PackagesMissing, WorkerNotFound, OSError, ValueError) as error:
            self._say_problem(str(error))
            return
        self.ui.exportProgressBar.value = 0
        self._timer.start()
        self.update()

    def _on_timer(self) -> None:
        for event in self.job.poll():
            self._show(event)
        outcome = self.job.outcome
        if outcome is None:
            return
        if outcome.state is JobState.DONE:
            self._say(_("Written to {folder}. Not for diagnosis.").format(folder=self.job.output))
        elif outcome.state is JobState.CANCELLED:
            self._say(_("Cancelled. Nothing was written."))
        else:
            self._say_problem(outcome.text)
        self.close()
        self.update()

    def _show(self, event) -> None:
        if event.type == "stage":
            self._say(event.text)
        elif event.type == "progress":
            self.ui.exportProgressBar.value = round(100 * event.value)
        elif event.text:
            self.ui.logText.appendPlainText(event.text)

    def _say(self, text: str) -> None:
        self.ui.exportStatusLabel.styleSheet = ""
        self.ui.exportStatusLabel.text = text

    def _say_problem(self, text: str) -> None:
        self.host.showProblem(text)
        self.ui.exportStatusLabel.styleSheet = "font-weight: bold"
        self.ui.exportStatusLabel.text = text
