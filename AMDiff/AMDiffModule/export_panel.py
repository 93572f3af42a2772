"""The section for handing results to other systems."""

from __future__ import annotations


class ExportPanel:
    """Writes the results of the chosen input to files."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host

    def update(self) -> None:
        """Bring the section in line with the results of the chosen input."""
        self.ui.exportCollapsibleButton.enabled = self.host.results() is not None

    def close(self) -> None:
        """Observe nothing; there is nothing to drop."""
