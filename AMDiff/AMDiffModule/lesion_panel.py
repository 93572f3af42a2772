"""The section for the lesions of the chosen input: their table, accepting and rejecting, what is measured."""

from __future__ import annotations

from dataclasses import replace

import slicer

from .count_comparison import CountComparison
from .count_marks import show_count_marks, update_count_marks
from .lesion_follower import LesionFollower
from .lesion_marks import REASONS, accept, add_lesion, lesion_numbers, reason_text, reject, rejected_as
from .lesion_table import USE_COLUMN, fill_lesion_table, lesion_rows, place_of_row, totals_text
from .measurement_table import remarks_of
from .measuring_library import lesion_colour
from .patient_facts import facts_of, remember
from .reading_layout import centre_views
from .result_report import report_of
from .scene_measurement import update_table_in_steps
from .translation import _
from .trust_facts import count_check_text, removed_hot_spots, warnings_of

_TICK_MS = 100
_SEXES = (None, "F", "M")


class LesionPanel:
    """Lists the lesions and follows their edits: the table is that of the segmentation as it is now."""

    def __init__(self, ui, host) -> None:
        """Take the widgets `ui` of the whole panel; `host` is the AMDiffWidget."""
        self.ui, self.host = ui, host
        self._nodes = None
        self._segment_ids: list[str | None] = []
        self._showing = False
        self._table = None
        self._timer = host.newTimer(_TICK_MS, self._on_tick)
        self._counts = CountComparison()
        self._follower = LesionFollower(
            lambda: update_table_in_steps(self._nodes, self._counts),
            noticed=self._on_change,
            measured=self._on_measured,
        )
        ui.rejectReasonComboBox.addItems([reason_text(reason) for reason in REASONS])
        ui.sexComboBox.addItems([_("not known"), _("female"), _("male")])
        ui.lesionTableView.connect("clicked(QModelIndex)", self._on_cell)
        ui.acceptRejectButton.connect("clicked(bool)", lambda checked=False: self._on_accept_or_reject())
        ui.newLesionButton.connect("clicked(bool)", lambda checked=False: self._on_new_lesion())
        ui.editLesionsButton.connect("clicked(bool)", lambda checked=False: self._on_edit())
        for widget in (ui.deauvilleCheckBox, ui.percistCheckBox):
            widget.connect("stateChanged(int)", lambda state=0: self._on_facts())
        for widget in (ui.heightSpinBox, ui.weightSpinBox):
            widget.connect("valueChanged(double)", lambda value=0.0: self._on_facts())
        ui.sexComboBox.connect("currentIndexChanged(int)", lambda index=0: self._on_facts())

    def update(self) -> None:
        """Bring the section in line with the results of the chosen input."""
        nodes = self.host.results()
        self.ui.lesionsCollapsibleButton.enabled = nodes is not None
        segmentation = nodes.segmentation if nodes else None
        if segmentation is self._follower.node:
            return
        # Another patient: what was edited in the last one is measured before it is left.
        self.finish()
        self._nodes = nodes
        self._follower.follow(segmentation)
        self._show_lesions()
        if nodes is not None:
            self._show_facts()
            # It may have been edited while nobody followed it: in another module, or before it was loaded.
            self._follower.change()

    def finish(self) -> None:
        """Measure at once what was edited and is not measured yet: before the table is exported or left."""
        self._timer.stop()
        if self._follower.is_waiting and self._nodes_are_present():
            try:
                self._follower.finish()
            except ValueError as error:
                self._show_not_measured(error)

    def close(self) -> None:
        """Follow nothing any more."""
        self._timer.stop()
        self._follower.close()
        self._nodes, self._segment_ids = None, []

    def _nodes_are_present(self) -> bool:
        nodes = self._nodes
        return nodes is not None and all(
            slicer.mrmlScene.IsNodePresent(node)
            for node in (nodes.input, nodes.denoised, nodes.segmentation, nodes.table)
        )

    def _on_change(self) -> None:
        self.ui.lesionTotalsLabel.text = _("Measuring...")
        self._timer.start()

    def _on_tick(self) -> None:
        if not self._nodes_are_present():
            self._timer.stop()
            self._follower.close()
            return
        try:
            if not self._follower.tick():
                self._timer.stop()
        except ValueError as error:
            self._timer.stop()
            self._show_not_measured(error)

    def _show_not_measured(self, error: ValueError) -> None:
        """Leave no doubt that the table is that of before the last edit."""
        text = _("Not measured, the table is from before: {error}").format(error=error)
        self.ui.lesionTotalsLabel.text = text
        self.host.showProblem(text)

    def _on_measured(self, result) -> None:
        self._show_lesions()

    def _on_cell(self, index) -> None:
        """Go to the lesion whose row was clicked; a click on its mark accepts or rejects it."""
        index = self.ui.lesionTableView.sortFilterProxyModel().mapToSource(index)
        if index.column() == USE_COLUMN and index.row() < len(self._segment_ids):
            self._accept_or_reject(index.row())
            return
        ras = place_of_row(self._nodes.table, removed_hot_spots(self._nodes.denoised), index.row())
        if ras is not None:
            centre_views(slicer.mrmlScene, ras)

    def _on_accept_or_reject(self) -> None:
        index = self.ui.lesionTableView.currentIndex()
        if not index.isValid():
            self.host.showStatus(_("Click on a lesion in the table first."))
            return
        self._accept_or_reject(self.ui.lesionTableView.sortFilterProxyModel().mapToSource(index).row())

    def _accept_or_reject(self, row: int) -> None:
        if row >= len(self._segment_ids):
            self.host.showStatus(_("A removed hot spot is no lesion: draw one there with New lesion."))
            return
        segmentation, segment_id = self._nodes.segmentation, self._segment_ids[row]
        segment = segmentation.GetSegmentation().GetSegment(segment_id) if segment_id else None
        if segment is None:  # deleted a moment ago, and not measured yet
            return
        if rejected_as(segment) is None:
            reject(segmentation, segment_id, REASONS[self.ui.rejectReasonComboBox.currentIndex])
        else:
            accept(segmentation, segment_id)

    def _on_new_lesion(self) -> None:
        segment_id = add_lesion(self._nodes.segmentation, lesion_colour())
        self._on_edit(segment_id)

    def _on_edit(self, segment_id: str | None = None) -> None:
        """Open the Segment Editor on this segmentation and the denoised volume."""
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
        editor.setSegmentationNode(self._nodes.segmentation)
        editor.setSourceVolumeNode(self._nodes.denoised)
        if segment_id is not None:
            editor.setCurrentSegmentID(segment_id)

    def _on_facts(self) -> None:
        """Remember what was entered and measure again."""
        if self._showing or self._nodes is None:
            return
        ui, segmentation = self.ui, self._nodes.segmentation
        facts = replace(
            facts_of(segmentation),
            deauville=bool(ui.deauvilleCheckBox.checked),
            percist=bool(ui.percistCheckBox.checked),
            height_m=ui.heightSpinBox.value / 100.0 or None,
            weight_kg=ui.weightSpinBox.value or None,
            sex=_SEXES[ui.sexComboBox.currentIndex],
        )
        remember(segmentation, facts)
        self._enable_body_measures(facts.percist)
        self._follower.change()

    def _show_facts(self) -> None:
        ui, facts = self.ui, facts_of(self._nodes.segmentation)
        self._showing = True
        ui.deauvilleCheckBox.checked = facts.deauville
        ui.percistCheckBox.checked = facts.percist
        ui.heightSpinBox.value = 100.0 * (facts.height_m or 0.0)
        ui.weightSpinBox.value = facts.weight_kg or 0.0
        ui.sexComboBox.currentIndex = _SEXES.index(facts.sex) if facts.sex in _SEXES else 0
        self._showing = False
        self._enable_body_measures(facts.percist)
        minutes = facts.uptake_minutes
        known = _("not known") if minutes is None else _("{minutes:.0f} min").format(minutes=minutes)
        ui.uptakeTimeLabel.text = known

    def _enable_body_measures(self, needed: bool) -> None:
        for widget in (self.ui.heightSpinBox, self.ui.weightSpinBox, self.ui.sexComboBox):
            widget.enabled = needed

    def _show_lesions(self) -> None:
        """Show the table of measurements as it is."""
        ui, nodes = self.ui, self._nodes
        ui.lesionTotalsLabel.text = totals_text(nodes.table) if nodes else ""
        ui.lesionRemarksLabel.text = "\n".join(remarks_of(nodes.table)) if nodes else ""
        self._show_trust()
        if nodes is None:
            self._table_node().RemoveAllColumns()
            return
        by_number = {number: each for each, number in lesion_numbers(nodes.segmentation).items()}
        self._segment_ids = [by_number.get(row.number) for row in lesion_rows(nodes.table)]
        removed = removed_hot_spots(nodes.denoised)
        fill_lesion_table(self._table_node(), nodes.table, report_of(nodes.denoised), removed)
        update_count_marks(slicer.mrmlScene, nodes)
        show_count_marks(slicer.mrmlScene, nodes, visible=self.host.parameterNode.showLesions)
        ui.lesionTableView.resizeColumnsToContents()

    def _show_trust(self) -> None:
        """Say what the counts do not support, what was removed, and what the job warned of."""
        nodes = self._nodes
        check = count_check_text(nodes.table) if nodes else ""
        self.ui.countCheckLabel.text, self.ui.countCheckLabel.visible = check, bool(check)
        warnings = (
            "\n".join(_("Note: {text}").format(text=text) for text in warnings_of(nodes.denoised))
            if nodes
            else ""
        )
        self.ui.resultWarningsLabel.text, self.ui.resultWarningsLabel.visible = warnings, bool(warnings)

    def _table_node(self):
        """Return the node behind the panel's table, which is not saved: it is made from the measurements."""
        if self._table is None or not slicer.mrmlScene.IsNodePresent(self._table):
            node = slicer.vtkMRMLTableNode()
            node.SetName("AMDiff lesions")
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            self._table = slicer.mrmlScene.AddNode(node)
            self.ui.lesionTableView.setMRMLTableNode(self._table)
        return self._table
