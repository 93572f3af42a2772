"""The section for the input: which PET volume, whether its values are SUV, and what is wrong with it."""

from __future__ import annotations

from .export import reason_unusable
from .node_marks import is_marked_as_suv
from .translation import _


class InputPanel:
    """Shows what is known of the chosen volume."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        self._checked_volume_id: str | None = None

    def update(self) -> None:
        """Bring the section in line with the chosen volume and the run."""
        parameters = self.host.parameterNode
        volume = parameters.inputVolume
        self._forget_what_was_said_of_another(volume)
        running = self.host.logic.isRunning
        marked = volume is not None and is_marked_as_suv(volume)
        in_suv = marked or parameters.valuesAreSuv
        ready = _("Ready: SUV by body weight.") if in_suv else _("Ready: SUV comes from the DICOM headers.")
        reason = reason_unusable(volume, values_are_suv=parameters.valuesAreSuv)
        self.ui.inputStatusLabel.text = reason or ready
        self.ui.inputSelector.enabled = not running
        self.ui.valuesAreSuvCheckBox.enabled = not running and volume is not None and not marked

    def close(self) -> None:
        """Observe nothing; there is nothing to drop."""

    def _forget_what_was_said_of_another(self, volume) -> None:
        """Untick 'Values are SUV' when another volume is chosen: it was said of one volume only."""
        identity = volume.GetID() if volume else None
        if identity == self._checked_volume_id:
            return
        newly, self._checked_volume_id = self._checked_volume_id is not None, identity
        if newly:
            self.host.parameterNode.valuesAreSuv = False
