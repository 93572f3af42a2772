"""The part of the panel that runs: the button, the progress, the log, and the way out when the GPU fails."""

from __future__ import annotations

import slicer

from .export import UnusableVolume, reason_unusable
from .job import JobState
from .packages import PackagesMissing
from .run_queue import ItemState, QueueItem, RunQueue
from .scene_import import ImportFailed
from .translation import _
from .worker import WorkerNotFound

_POLL_INTERVAL_MS = 100
# With these a graphics card failed where the processor would not.
_KINDS_OF_A_GPU = ("out_of_memory", "no_kernel_image")


class RunPanel:
    """Runs one volume or a queue of them, follows each run, cancels it, and hands over its results."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        ui.runButton.connect("clicked(bool)", self._on_run_button)
        ui.runOnCpuButton.connect("clicked(bool)", self._on_run_on_cpu)
        self._timer = host.newTimer(_POLL_INTERVAL_MS, self._on_timer)
        self._queue = RunQueue()
        self._device: str | None = None
        self._failed_on_gpu: list = []
        self._warnings: list[str] = []

    def update(self) -> None:
        """Bring the section in line with the choices and the run."""
        running = self.host.logic.isRunning
        cancelling = running and self.host.logic.run.state is JobState.CANCELLING
        usable = self.ui.modelComboBox.count > 0 and not reason_unusable(self.host.parameterNode.inputVolume)
        self.ui.progressBar.visible = running
        self.ui.runButton.text = _("Cancel") if running else _("Denoise && Segment")
        self.ui.runButton.enabled = not cancelling and (running or usable)
        self._failed_on_gpu = [node for node in self._failed_on_gpu if slicer.mrmlScene.IsNodePresent(node)]
        self.ui.runOnCpuButton.visible = bool(self._failed_on_gpu) and not running

    def close(self) -> None:
        """End the run, if one is going on, and forget the queue: the scene or the application closes."""
        self._timer.stop()
        self._queue, self._failed_on_gpu = RunQueue(), []
        self.host.logic.close()

    def run(self, queue: RunQueue, *, device: str | None = None) -> None:
        """Process what waits in `queue`, one after the other; `device` in place of the chosen one.

        While a run is going on, nothing happens.
        """
        if self.host.logic.isRunning:
            return
        self._queue, self._device, self._failed_on_gpu, self._warnings = queue, device, [], []
        self.ui.logText.clear()
        self._begin_next()

    def show(self, event) -> None:
        """Show what the job said: `event` is a JobEvent."""
        if event.type == "stage":
            self.host.showStatus(self._of_many(event.text))
        elif event.type == "progress":
            self.ui.progressBar.value = round(100 * event.value)
            left = event.remaining_s
            remaining = "" if left is None else _("about {s} s left").format(s=max(1, round(left)))
            self.ui.progressBar.format = f"%p%  {remaining}"
        elif event.type == "warning":
            self._warnings.append(event.text)
        if event.text:
            self.ui.logText.appendPlainText(event.text)

    def _on_run_button(self, checked=False) -> None:
        """Run the chosen volume, or cancel what is going on."""
        if self.host.logic.isRunning:
            self.host.logic.run.cancel()
            self.host.showStatus(_("Cancelling..."))
            self.host.updatePanels()
        else:
            self.run(RunQueue.of([self.host.parameterNode.inputVolume]))

    def _on_run_on_cpu(self, checked=False) -> None:
        self.run(RunQueue.of(self._failed_on_gpu), device="cpu")

    def _begin_next(self) -> None:
        """Start the next item that can be started; without one, say how all of them went."""
        while (item := self._queue.begin_next()) is not None:
            self.host.showStatus(self._of_many(_("Preparing...")))
            self.ui.statusLabel.repaint()  # and not processEvents, which would take a second click
            try:
                self._start(item)
                break
            except UnusableVolume as error:
                item.fail("bad_input", str(error))
                self.ui.logText.appendPlainText(str(error))
            except (PackagesMissing, WorkerNotFound, OSError) as error:
                # What is missing for one is missing for all.
                item.fail("missing_package", str(error))
                break
        if self.host.logic.isRunning:
            self.ui.progressBar.value = 0
            self.ui.progressBar.format = "%p%"
            self._timer.start()
        else:
            self._say_how_it_went()
        self.host.updatePanels()

    def _start(self, item: QueueItem) -> None:
        if not slicer.mrmlScene.IsNodePresent(item.volume):
            raise UnusableVolume(_("The volume was removed from the scene before its turn came."))
        self.host.logic.start(self.host.parameterNode, item.volume, device=self._device)

    def _on_timer(self) -> None:
        for event in self.host.logic.run.poll():
            self.show(event)
        outcome = self.host.logic.run.outcome
        if outcome is None:
            return
        self._timer.stop()
        item = self._queue.running
        try:
            if outcome.state is JobState.DONE:
                nodes = self.host.logic.loadResults(self.host.parameterNode)
                item.state = ItemState.DONE
                self.host.resultsLoaded(nodes)
            elif outcome.state is JobState.CANCELLED:
                item.state = ItemState.CANCELLED
            else:
                self._failed(item, outcome)
        except ImportFailed as error:
            item.fail("import_failed", str(error))
        finally:
            self.host.logic.close()
        if item.state is ItemState.CANCELLED:
            self._say_how_it_went()
            self.host.updatePanels()
        else:
            self._begin_next()

    def _failed(self, item: QueueItem, outcome) -> None:
        item.fail(outcome.kind, outcome.text)
        self.ui.logText.appendPlainText(outcome.text)
        device = self._device or self.host.parameterNode.device.value
        if outcome.kind in _KINDS_OF_A_GPU and self.host.devicePanel.would_use_gpu(device):
            self._failed_on_gpu.append(item.volume)

    def _of_many(self, text: str) -> str:
        """Put the item's number and name before a text, where there are several."""
        item = self._queue.running
        if item is None or len(self._queue.items) < 2:
            return text
        number = self._queue.position(item)
        return f"{number}/{len(self._queue.items)} {item.volume.GetName()}: {text}"

    def _say_how_it_went(self) -> None:
        items = self._queue.items
        if len(items) == 1:
            self._say_how_one_went(items[0])
            return
        done, failed = self._queue.count(ItemState.DONE), self._queue.count(ItemState.FAILED)
        text = _("{done} of {count} volumes are done.").format(done=done, count=len(items))
        if self._queue.count(ItemState.CANCELLED):
            text += " " + _("Cancelled; what still waits can be started again.")
        if failed:
            reasons = "\n".join(item.label() for item in items if item.state is ItemState.FAILED)
            self.host.showProblem(f"{text} " + _("{count} failed:").format(count=failed) + f"\n{reasons}")
        else:
            self.host.showStatus(text)

    def _say_how_one_went(self, item: QueueItem) -> None:
        if item.state is ItemState.DONE:
            notes = (_("Note: {text}").format(text=text) for text in self._warnings)
            self.host.showStatus("\n".join([_("Done."), *notes]))
        elif item.state is ItemState.CANCELLED:
            self.host.showStatus(_("Cancelled. Nothing was changed in the scene."))
        else:
            self.host.showProblem(item.text)
