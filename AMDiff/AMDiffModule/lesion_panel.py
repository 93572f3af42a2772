"""The section for the lesions of the chosen input."""

from __future__ import annotations


class LesionPanel:
    """Lists the lesions and their measurements."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host

    def update(self) -> None:
        """Bring the section in line with the results of the chosen input."""
        self.ui.lesionsCollapsibleButton.enabled = self.host.results() is not None

    def close(self) -> None:
        """Observe nothing; there is nothing to drop."""
