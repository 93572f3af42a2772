"""The choice of the processor, and what was found out about this computer's."""

from __future__ import annotations

import slicer

from .device_facts import devices_text, usable_gpu
from .inquiry import Inquiry
from .translation import _
from .worker import WorkerNotFound

_INTERVAL_MS = 500


class DevicePanel:
    """Asks the background process once which processors can be used."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        self.devices: list[dict] = []
        self._timer = host.newTimer(_INTERVAL_MS, self._on_timer)
        self._inquiry: Inquiry | None = None
        self._asked = False

    def update(self) -> None:
        """Bring the section in line with the run; ask when that has not been done yet."""
        running = self.host.logic.isRunning
        self.ui.deviceComboBox.enabled = self.ui.stepsSpinBox.enabled = not running
        if not self._asked and not running:
            self._asked = True
            self.ui.deviceStatusLabel.text = _("Looking for processors...")
            self._timer.start()

    def close(self) -> None:
        """End the background process, if it is still asked; another time it is asked again."""
        self._timer.stop()
        if self._inquiry is not None:
            self._inquiry.close()
            self._inquiry = None
        self._asked = bool(self.devices)

    def would_use_gpu(self, device: str) -> bool:
        """Whether a run on `device` (auto, cpu, cuda) is one on a graphics card, as far as is known."""
        return device == "cuda" or (device == "auto" and usable_gpu(self.devices) is not None)

    def _on_timer(self) -> None:
        try:
            if self._inquiry is None:
                self._inquiry = Inquiry(["--devices"], slicer_home=slicer.app.slicerHome)
            if not self._inquiry.poll():
                return
        except (WorkerNotFound, OSError) as error:
            self._timer.stop()
            self.ui.deviceStatusLabel.text = str(error)
            return
        self._timer.stop()
        answer, self._inquiry = self._inquiry, None
        self.devices = answer.facts.get("devices", [])
        # Before the first run the packages may not be there yet.
        self.ui.deviceStatusLabel.text = devices_text(self.devices) or answer.problem
