"""The section for reading: how the results are laid out."""

from __future__ import annotations

import slicer

from .display import show_results
from .node_marks import is_marked_as_suv


class ReadingPanel:
    """Shows the results of the chosen input."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host

    def update(self) -> None:
        """Bring the section in line with the scene."""
        self.ui.readingCollapsibleButton.enabled = self.host.results() is not None

    def show(self, nodes) -> None:
        """Show the volumes and the table of `nodes`, which are ResultNodes."""
        low_count = nodes.input
        show_results(
            slicer.mrmlScene,
            slicer.app.applicationLogic(),
            low_count_node=low_count,
            denoised_node=nodes.denoised,
            table_node=nodes.table,
            same_window=is_marked_as_suv(low_count) or self.host.parameterNode.valuesAreSuv,
        )

    def close(self) -> None:
        """Observe nothing; there is nothing to drop."""
