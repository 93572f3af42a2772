"""The section for the input: which PET volume, its unit, what is known of the scan, and what is wrong."""

from __future__ import annotations

import slicer

from .export import UnusableVolume, reason_unusable, write_input
from .input_facts import facts_text, warnings_text
from .inquiry import Inquiry
from .job_folder import JobFolder
from .node_marks import is_in_suv, is_marked_as_suv, is_said_to_be_suv, remember_said_suv
from .translation import _
from .worker import WorkerNotFound

# Long enough that clicking through a list of volumes does not start a process for each.
_INTERVAL_MS = 300


class InputPanel:
    """Shows what is known of the chosen volume, and asks the background process about it."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        ui.valuesAreSuvCheckBox.connect("stateChanged(int)", self._on_values_are_suv)
        self._timer = host.newTimer(_INTERVAL_MS, self._on_timer)
        self._waiting = False
        self._inquiry: Inquiry | None = None
        self._question: tuple | None = None
        self._answers: dict[tuple, dict] = {}

    def update(self) -> None:
        """Bring the section in line with the chosen volume and the run."""
        volume = self.host.parameterNode.inputVolume
        running = self.host.logic.isRunning
        marked = volume is not None and is_marked_as_suv(volume)
        in_suv = volume is not None and is_in_suv(volume)
        ready = _("Ready: SUV by body weight.") if in_suv else _("Ready: SUV comes from the DICOM headers.")
        reason = reason_unusable(volume)
        self.ui.inputStatusLabel.text = reason or ready
        self.ui.inputSelector.enabled = not running
        self.ui.valuesAreSuvCheckBox.enabled = not running and volume is not None and not marked
        self.ui.valuesAreSuvCheckBox.checked = volume is not None and is_said_to_be_suv(volume)
        model = self.host.parameterNode.model
        self._ask(None if reason else (volume.GetID(), volume.GetImageData().GetMTime(), in_suv, model))
        scan = self._answers.get(self._question, {})
        self.ui.inputFactsLabel.text = facts_text(scan)
        self.ui.inputFactsLabel.visible = bool(self.ui.inputFactsLabel.text)
        self.ui.inputWarningsLabel.text = warnings_text(scan)
        self.ui.inputWarningsLabel.visible = bool(self.ui.inputWarningsLabel.text)

    def close(self) -> None:
        """End the background process, if it still looks at a scan."""
        self._stop()
        self._question = None

    def _on_values_are_suv(self, state=None) -> None:
        volume, said = self.host.parameterNode.inputVolume, self.ui.valuesAreSuvCheckBox.checked
        if volume is not None and said != is_said_to_be_suv(volume):
            remember_said_suv(volume, said)
            self.host.updatePanels()

    def _ask(self, question: tuple | None) -> None:
        """Look at another volume, or the same one with other voxels, unit or model, a moment later."""
        if question != self._question:
            self._stop()
            self._question = question
        idle = self._inquiry is None and not self._waiting and not self.host.logic.isRunning
        if question is not None and idle and question not in self._answers:
            self._waiting = True
            self._timer.start()

    def _on_timer(self) -> None:
        if self._inquiry is None and not self._begin():
            self._stop()
        elif self._inquiry is not None and self._inquiry.poll():
            if self._inquiry.problem:
                self.ui.logText.appendPlainText(self._inquiry.problem)
            self._answers[self._question] = self._inquiry.facts.get("scan", {})
            self._inquiry = None
            self._stop()
        else:
            return
        self.update()

    def _begin(self) -> bool:
        """Hand the volume to the background process; False where that is not possible, which is then said."""
        if self.host.logic.isRunning or self.host.parameterNode is None:
            return False  # after the run
        folder = JobFolder()
        try:
            given = write_input(self.host.parameterNode.inputVolume, folder.input)
            # A scan unlike those that the chosen model was trained on is said before the run.
            arguments = [str(given.path), *given.arguments, "--model", self.host.parameterNode.model]
            self._inquiry = Inquiry(arguments, folder=folder, slicer_home=slicer.app.slicerHome)
        except (UnusableVolume, WorkerNotFound, OSError) as error:
            folder.remove()
            self._answers[self._question] = {"problem": {"text": str(error)}}
            return False
        return True

    def _stop(self) -> None:
        self._timer.stop()
        self._waiting = False
        if self._inquiry is not None:
            self._inquiry.close()
            self._inquiry = None
