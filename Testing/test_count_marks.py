"""What the counts do not support and what was removed: listed, marked in the views, kept in a saved scene."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from AMDiffModule.lesion_marks import add_lesion, reject
from AMDiffModule.reading_layout import MIP, slice_views
from AMDiffModule.reading_views import Look, fill_views, show_side_by_side
from AMDiffModule.scene_import import find_results
from AMDiffModule.scene_measurement import update_table
from AMDiffModule.trust_facts import removed_hot_spots
from lesion_cases import IJK_TO_RAS, REMOVED, add_patient, box, cells, paint
from qt_stand_ins import QTimer, process_events
from slicer_host import open_host
from slicer_stand_ins import open_module


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.fixture
def doubtful(a_host):
    return add_patient(a_host.scene, doubtful=True)


@pytest.fixture
def a_panel(a_host, monkeypatch):
    """The module on the doubtful result, measured."""
    unanswered = SimpleNamespace(outcome=None, poll=lambda: None, close=lambda: None)
    monkeypatch.setattr("AMDiffModule.inquiry.Job", lambda command, **options: unanswered)
    module, widget = open_module(a_host, monkeypatch, models=["amdiff-compact"])
    widget.lesionPanel._follower._quiet_s = 0.0
    nodes = add_patient(a_host.scene, doubtful=True)
    widget.parameterNode.inputVolume = nodes.input
    widget.updatePanels()
    measure(widget)
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, nodes=nodes, host=a_host)
    widget.cleanup()


def measure(widget) -> None:
    while widget.lesionPanel._timer in QTimer.running:
        process_events()


def marks_of(nodes):
    return nodes.denoised.GetNodeReference("AMDiff.countMarks")


def labels(nodes) -> list[str]:
    node = marks_of(nodes)
    if node is None:
        return []
    return [node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())]


def rows(a_panel) -> list[dict[str, str]]:
    node = a_panel.ui.lesionTableView.node
    names = [node.GetColumnName(column) for column in range(node.GetNumberOfColumns())]
    return [
        {name: node.GetCellText(row, column) for column, name in enumerate(names)}
        for row in range(node.GetNumberOfRows())
    ]


def removed_ras() -> np.ndarray:
    """The middle of the removed hot spot."""
    z, y, x = ((side.start + side.stop - 1) / 2 for side in REMOVED)
    return (IJK_TO_RAS @ (x, y, z, 1.0))[:3]


def unsupported(nodes) -> str:
    return next(name for name, row in cells(nodes.table).items() if row["count_check"])


def test_the_table_marks_what_the_counts_do_not_support_and_lists_what_was_removed(a_panel):
    found = rows(a_panel)
    name = unsupported(a_panel.nodes)
    assert [row["Lesion"] for row in found] == ["Lesion 1", "Lesion 2", "Lesion 3", "Removed 1"]
    for row in found[:3]:
        assert row["Counts"].startswith("⚠ z +" if row["Lesion"] == name else "✓ z ")
    assert found[3]["Use"] == found[3]["Site"] == ""
    assert found[3]["Counts"].startswith("⚠ z -")
    assert found[3]["SUVmax"].startswith("5.0 | ")
    assert "noise" in a_panel.ui.lesionTableView.node.GetColumnDescription("Counts")
    said = a_panel.ui.countCheckLabel
    assert said.visible and f"Not supported by the counts: {name}." in said.text


def test_a_click_on_a_removed_hot_spot_brings_the_planes_there_and_rejects_nothing(a_panel, monkeypatch):
    went_to = []
    for module in ("lesion_panel", "reading_panel"):
        monkeypatch.setattr(f"AMDiffModule.{module}.centre_views", lambda scene, ras: went_to.append(ras))
    for column in (0, 1):
        a_panel.ui.lesionTableView.click_cell(3, column)
    below = slicer.app.layoutManager().table_views[1]
    a_panel.widget.resultsLoaded(a_panel.nodes)
    below.click_row(3)
    assert len(went_to) == 3
    for ras in went_to:
        # A voxel of 4 x 4 x 5 mm; the spot is compared in blocks of it.
        np.testing.assert_allclose(ras, removed_ras(), atol=2.5)
    a_panel.ui.acceptRejectButton.click()
    assert "no lesion" in a_panel.ui.statusLabel.text
    assert [row["Use"] for row in rows(a_panel)] == ["✓", "✓", "✓", ""]


def test_a_lesion_drawn_by_hand_is_held_against_the_counts_too(a_panel):
    nodes = a_panel.nodes
    paint(nodes, add_lesion(nodes.segmentation, (1.0, 0.0, 0.0)), box(*REMOVED))
    measure(a_panel.widget)
    by_hand = rows(a_panel)[3]
    assert by_hand["Lesion"] == "Lesion 4" and by_hand["Counts"].startswith("↓ z -")
    assert by_hand["SUVmax"].endswith(")*")
    assert [row["Lesion"] for row in rows(a_panel)][4:] == ["Removed 1"]


def test_marks_lie_at_the_lesion_and_at_the_hot_spot_and_follow_the_reader(a_host, doubtful):
    name = unsupported(doubtful)
    assert labels(doubtful) == [f"{name} ?", "Removed 1"]
    position = [0.0, 0.0, 0.0]
    marks_of(doubtful).GetNthControlPointPositionWorld(1, position)
    np.testing.assert_allclose(position, removed_ras(), atol=2.5)
    assert marks_of(doubtful).GetLocked()


def test_a_rejected_lesion_is_marked_no_more_and_an_honest_result_has_no_marks(a_panel):
    name = unsupported(a_panel.nodes)
    reject(a_panel.nodes.segmentation, f"lesion_{name.split()[1]}", "other")
    measure(a_panel.widget)
    assert labels(a_panel.nodes) == ["Removed 1"]
    assert "Not supported" not in a_panel.ui.countCheckLabel.text
    honest = add_patient(a_panel.host.scene, name="honest")
    assert marks_of(honest) is None and removed_hot_spots(honest.denoised) == []


def test_marks_show_in_the_planes_and_as_they_project_on_the_mips(a_host, doubtful):
    show_side_by_side(a_host.scene, doubtful, Look())
    planes, projected = (marks_of(doubtful).GetNthDisplayNode(which) for which in (0, 1))
    mips = {node.GetID() for _volume, _view, node, _composite in slice_views(a_host.scene, MIP)}
    shown = {projected.GetNthViewNodeID(index) for index in range(projected.GetNumberOfViewNodeIDs())}
    assert shown == mips and len(mips) == 2
    assert projected.GetSliceProjection() and not planes.GetSliceProjection()
    in_planes = {planes.GetNthViewNodeID(index) for index in range(planes.GetNumberOfViewNodeIDs())}
    assert not in_planes & mips and "vtkMRMLSliceNodeAMDiffDenoisedAxial" in in_planes
    fill_views(a_host.scene, doubtful, Look(lesions=False))
    assert not planes.GetVisibility() and not projected.GetVisibility()


def test_a_saved_scene_keeps_marks_checks_and_removed_hot_spots(a_host, doubtful, tmp_path):
    update_table(doubtful)
    before, spots = cells(doubtful.table), removed_hot_spots(doubtful.denoised)
    assert len(spots) == 1
    a_host.write_bundle(tmp_path / "scene.mrb")
    again = open_host(tmp_path / "second cache")
    assert again.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    found = find_results(again.scene, again.scene.GetFirstNodeByName("PET"))
    assert cells(found.table) == before
    assert removed_hot_spots(found.denoised) == spots
    assert labels(found) == labels(doubtful)
    assert again.scene.GetFirstNodeByName("PET count check (AMDiff)") is marks_of(found)
    update_table(found)
    assert cells(found.table) == before
