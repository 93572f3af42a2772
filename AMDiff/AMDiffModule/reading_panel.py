"""The section for reading: layouts, SUV windows, outlines, the maps, and the CT below the PET."""

from __future__ import annotations

import slicer
import vtk

from .choices import DenoisedView
from .difference import DifferenceImpossible
from .display import SUV_WINDOWS
from .fusion import find_ct
from .lesion_table import place_of_row
from .mip_outlines import show_mip_outlines
from .overlay import remove_overlays_without_pet
from .reading_layout import (
    DENOISED_ONLY,
    MIP_ONLY,
    SIDE_BY_SIDE,
    TABLE_TAG,
    centre_views,
    marked_point,
    show_layout,
    show_table,
    shown_layout,
)
from .reading_views import Look, MapMissing, displays_in_suv, fill_views, fit_to_patient, use_windows
from .same_window import SameWindow
from .trust_facts import removed_hot_spots

# After a change of layout, Qt gives the new views their size.
_LAYOUT_SETTLED_MS = 200


class ReadingPanel:
    """Lays out the results of the chosen input, and keeps the views in line with the reader's choices."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        self._layout_buttons = {
            SIDE_BY_SIDE: ui.sideBySideButton,
            MIP_ONLY: ui.mipOnlyButton,
            DENOISED_ONLY: ui.denoisedOnlyButton,
        }
        self._suv_buttons = dict(
            zip(SUV_WINDOWS, (ui.suv5Button, ui.suv6Button, ui.suv7Button, ui.suv10Button), strict=True)
        )
        for identity, button in self._layout_buttons.items():
            button.connect("clicked(bool)", lambda checked=False, chosen=identity: self._on_layout(chosen))
        for upper, button in self._suv_buttons.items():
            button.connect("clicked(bool)", lambda checked=False, chosen=upper: self._on_suv_window(chosen))
        self._fit_timer = host.newTimer(_LAYOUT_SETTLED_MS, self._on_layout_settled)
        self._layout: int | None = None
        self._shown: tuple | None = None
        self._same_window: SameWindow | None = None
        self._observations: list[tuple] = []
        self._table_view = None
        self._ct_sought_for: str | None = None

    def update(self) -> None:
        """Bring the section and the reading views in line with the choices and the results."""
        parameters, nodes = self.host.parameterNode, self.host.results()
        self._choose_ct(nodes)
        fused = parameters.fuseCt and parameters.ctVolume is not None
        self.ui.readingCollapsibleButton.enabled = nodes is not None
        self.ui.fuseCtCheckBox.enabled = parameters.ctVolume is not None
        for widget in (self.ui.overlayColorsComboBox, self.ui.petOpacitySlider):
            widget.enabled = fused
        layout = self._layout = shown_layout(slicer.mrmlScene)
        for identity, button in self._layout_buttons.items():
            button.checked = identity == layout
        remove_overlays_without_pet(slicer.mrmlScene)
        if nodes is None:
            self._forget()
        elif layout is not None:
            self._bring_views_in_line(nodes, layout)
            self._show_lesion_list()
        self._check_suv_button()

    def show(self, nodes) -> None:
        """Show new results, `nodes` (ResultNodes), side by side with their input."""
        if slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode") is None:
            return
        if shown_layout(slicer.mrmlScene) is None:
            show_layout(slicer.mrmlScene, SIDE_BY_SIDE)
        self._shown = None
        self.update()

    def close(self) -> None:
        """Observe nothing in the scene any more; `update` takes it up again."""
        self._fit_timer.stop()
        self._forget()

    def _on_layout(self, identity: int) -> None:
        show_layout(slicer.mrmlScene, identity)
        self.host.updatePanels()

    def _on_suv_window(self, upper: float) -> None:
        self.host.parameterNode.suvWindow = upper
        # Also when it was chosen before: the window may have been dragged since.
        if (nodes := self.host.results()) is not None:
            use_windows(nodes, self._look())
        self._check_suv_button()

    def _on_table_row(self) -> None:
        """Go to the lesion or removed hot spot whose row was clicked in the table below the views."""
        nodes = self.host.results()
        index = self._table_view.selectionModel().currentIndex()
        row = self._table_view.sortFilterProxyModel().mapToSource(index).row()
        if nodes is None:
            return
        ras = place_of_row(nodes.table, removed_hot_spots(nodes.denoised), row)
        if ras is not None:
            centre_views(slicer.mrmlScene, ras)

    def _on_layout_settled(self) -> None:
        self._fit_timer.stop()
        if (nodes := self.host.results()) is not None:
            fill_views(slicer.mrmlScene, nodes, self._look())
            fit_to_patient(slicer.mrmlScene, nodes, at=marked_point(slicer.mrmlScene))

    def _on_layout_node(self, caller, event) -> None:
        if shown_layout(slicer.mrmlScene) != self._layout:
            self.host.updatePanels()

    def _on_segments(self, caller, event) -> None:
        """Let the outlines on the MIPs follow what is edited, hidden or shown."""
        if (nodes := self.host.results()) is not None:
            visible = self.host.parameterNode.showLesions
            show_mip_outlines(slicer.mrmlScene, nodes.segmentation, nodes.denoised, visible=visible)

    def _look(self) -> Look:
        parameters = self.host.parameterNode
        return Look(
            suv_window=parameters.suvWindow,
            lesions=parameters.showLesions,
            organs=parameters.showOrgans,
            denoised_view=parameters.denoisedView,
            ct=parameters.ctVolume if parameters.fuseCt else None,
            overlay_color_node_id=parameters.overlayColors.node_id(),
            pet_opacity=parameters.petOpacity,
        )

    def _bring_views_in_line(self, nodes, layout: int) -> None:
        """Apply what has changed since the last call; what the reader moved in the views stays."""
        case, look = (nodes.denoised.GetID(), layout), self._look()
        shown = self._shown
        if shown == (case, look):
            return
        self._shown = (case, look)
        another_patient = shown is None or shown[0][0] != case[0]
        if another_patient:
            use_windows(nodes, look)
        try:
            fill_views(slicer.mrmlScene, nodes, look)
        except (DifferenceImpossible, MapMissing) as error:
            self._shown = shown
            self.host.showProblem(str(error))
            self.host.parameterNode.denoisedView = DenoisedView.PET
            return
        self._observe(nodes)
        if shown is None or shown[0] != case:
            self._connect_table()
            at = None if another_patient else marked_point(slicer.mrmlScene)
            fit_to_patient(slicer.mrmlScene, nodes, at=at)
            self._fit_timer.start()

    def _show_lesion_list(self) -> None:
        """Show the panel's list of lesions below the views too: it has the columns that a reader needs."""
        lesions = self.ui.lesionTableView.mrmlTableNode()
        if lesions is not None and slicer.mrmlScene.IsNodePresent(lesions):
            show_table(slicer.mrmlScene, lesions)

    def _check_suv_button(self) -> None:
        """Press the button of the window that is shown; none when the reader chose another one by hand."""
        nodes = self.host.results()
        display = nodes.denoised.GetDisplayNode() if nodes is not None else None
        for upper, button in self._suv_buttons.items():
            button.checked = (
                display is not None
                and display.GetWindowLevelMin() == 0.0
                and abs(display.GetWindowLevelMax() - upper) < 1e-6
            )

    def _choose_ct(self, nodes) -> None:
        """Choose the CT that belongs to another input when that is chosen; never keep another patient's."""
        identity = nodes.input.GetID() if nodes is not None else None
        if identity != self._ct_sought_for:
            self._ct_sought_for = identity
            if nodes is not None:
                self.host.parameterNode.ctVolume = find_ct(slicer.mrmlScene, nodes.input)

    def _connect_table(self) -> None:
        manager = slicer.app.layoutManager()
        for index in range(manager.tableViewCount if manager is not None else 0):
            view = manager.tableWidget(index).tableView()
            node = view.mrmlTableViewNode()
            if node is not None and node.GetSingletonTag() == TABLE_TAG and view is not self._table_view:
                self._table_view = view
                view.connect("selectionChanged()", self._on_table_row)

    def _observe(self, nodes) -> None:
        self._drop_observations()
        displays = displays_in_suv(slicer.mrmlScene, nodes)
        self._same_window = SameWindow(self.host, displays, self._check_suv_button)
        segmentation, modified = nodes.segmentation.GetSegmentation(), vtk.vtkCommand.ModifiedEvent
        edited = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SourceRepresentationModified")
        self._observations = [
            *((segmentation, getattr(segmentation, name), self._on_segments) for name in edited),
            (nodes.segmentation.GetDisplayNode(), modified, self._on_segments),
            (slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode"), modified, self._on_layout_node),
        ]
        for observation in self._observations:
            self.host.addObserver(*observation)

    def _drop_observations(self) -> None:
        if self._same_window is not None:
            self._same_window.close()
            self._same_window = None
        for observation in self._observations:
            self.host.removeObserver(*observation)
        self._observations = []

    def _forget(self) -> None:
        self._drop_observations()
        self._shown = None
