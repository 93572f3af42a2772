"""The lesion section of the panel, on real nodes: its table, its clicks, and that it follows edits."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import slicer
from AMDiffModule import segment_statistics
from AMDiffModule.lesion_marks import add_lesion, rejected_as
from AMDiffModule.patient_facts import facts_of
from AMDiffModule.scene_import import find_results
from AMDiffModule.trust_facts import warnings_of
from lesion_cases import (
    DENOISING,
    VOXEL_ML,
    WARNING,
    add_patient,
    box,
    cells,
    lesion_mask,
    low_count_suv,
    paint,
)
from qt_stand_ins import QTimer, process_events
from slicer_host import open_host
from slicer_stand_ins import open_module
from trust_cases import HIGH, LOW, VOLUMES_ML

USE, NAME = range(2)


class Unanswered:
    """A job that never ends."""

    outcome = None

    def __init__(self, command, **options) -> None:
        self.poll = self.close = lambda: None


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    host = open_host(tmp_path / "cache")
    # What other sections ask of the scan and of this computer is not the matter here.
    monkeypatch.setattr("AMDiffModule.inquiry.Job", Unanswered)
    module, widget = open_module(host, monkeypatch, models=["amdiff-compact"])
    widget.lesionPanel._follower._quiet_s = 0.05
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, host=host, panel=widget.lesionPanel)
    widget.cleanup()


@pytest.fixture
def nodes(a_module):
    nodes = show(a_module, add_patient(a_module.host.scene))
    wait(a_module)
    return nodes


def show(a_module, nodes):
    a_module.widget.parameterNode.inputVolume = nodes.input
    a_module.widget.updatePanels()
    return nodes


def wait(a_module) -> None:
    """Let the timers run until the edits are measured."""
    deadline = time.monotonic() + 20.0
    while a_module.panel._timer in QTimer.running:
        assert time.monotonic() < deadline
        process_events()
        time.sleep(0.02)


def text(a_module, row: int, column: int) -> str:
    return a_module.ui.lesionTableView.node.GetCellText(row, column)


def cell(a_module, row: int, title: str) -> str:
    return text(a_module, row, titles(a_module).index(title))


def titles(a_module) -> list[str]:
    node = a_module.ui.lesionTableView.node
    return [node.GetColumnTitle(node.GetColumnName(column)) for column in range(node.GetNumberOfColumns())]


def segment(nodes, segment_id: str):
    return nodes.segmentation.GetSegmentation().GetSegment(segment_id)


def test_the_table_has_a_row_per_lesion_with_low_count_and_denoised_values(a_module, nodes):
    measured = cells(nodes.table)["Lesion 1"]
    assert a_module.ui.lesionTableView.node.GetNumberOfRows() == 3
    assert [text(a_module, row, NAME) for row in range(3)] == ["Lesion 1", "Lesion 2", "Lesion 3"]
    assert text(a_module, 0, USE) == "✓"
    low, denoised = (float(part.split()[0]) for part in cell(a_module, 0, "SUVmax").split(" | "))
    assert low == pytest.approx(float(measured["low_count_suv_max_g_per_ml"]), abs=0.051)
    assert denoised == pytest.approx(float(measured["suv_max_g_per_ml"]), abs=0.051)
    shown = [title for title in titles(a_module) if title != "Counts"]
    assert shown[:6] == ["Use", "Lesion", "Site", "SUVmax", "SUVpeak", "MTV [mL]"]
    assert "Deauville" not in titles(a_module)
    assert "3 of 3 lesions accepted" in a_module.ui.lesionTotalsLabel.text
    assert f"TMTV {99 * VOXEL_ML:.1f}" in a_module.ui.lesionTotalsLabel.text


def test_the_panels_table_is_not_saved_and_not_listed(a_module, nodes):
    node = a_module.ui.lesionTableView.node
    assert node.GetHideFromEditors() and not node.GetSaveWithScene()


def test_one_click_on_the_mark_rejects_and_another_accepts(a_module, nodes):
    a_module.ui.rejectReasonComboBox.currentIndex = 1
    a_module.ui.lesionTableView.click_cell(0, USE)
    assert rejected_as(segment(nodes, "lesion_1")) == "ureter"
    wait(a_module)
    assert text(a_module, 0, USE) == "✗ ureter"
    assert "2 of 3 lesions accepted" in a_module.ui.lesionTotalsLabel.text
    a_module.ui.lesionTableView.click_cell(0, USE)
    wait(a_module)
    assert text(a_module, 0, USE) == "✓"
    assert rejected_as(segment(nodes, "lesion_1")) is None


def test_the_button_does_the_same_for_the_selected_row_and_says_when_there_is_none(a_module, nodes):
    a_module.ui.acceptRejectButton.click()
    assert "Click on a lesion" in a_module.ui.statusLabel.text
    a_module.ui.lesionTableView.click_cell(2, NAME)
    a_module.ui.acceptRejectButton.click()
    assert rejected_as(segment(nodes, "lesion_3")) == "bladder"


def test_a_click_on_a_row_brings_all_planes_to_the_lesion(a_module, nodes, monkeypatch):
    went_to = []
    monkeypatch.setattr("AMDiffModule.lesion_panel.centre_views", lambda scene, ras: went_to.append(ras))
    a_module.ui.lesionTableView.click_cell(1, NAME)
    row = cells(nodes.table)["Lesion 2"]
    left, posterior, superior = (float(row[f"centroid_{axis}_mm"]) for axis in "lps")
    assert went_to == [pytest.approx((-left, -posterior, superior), abs=1e-3)]


def test_the_table_follows_an_edit_without_holding_it_up(a_module, nodes):
    paint(nodes, "lesion_1", box(slice(26, 28), slice(4, 8), slice(4, 7)))
    assert a_module.ui.lesionTotalsLabel.text == "Measuring..."
    process_events()  # the hand has not rested yet
    assert a_module.ui.lesionTotalsLabel.text == "Measuring..."
    wait(a_module)
    assert f"{24 * VOXEL_ML:.1f}" in [cell(a_module, row, "MTV [mL]").split()[0] for row in range(3)]
    assert a_module.panel._timer not in QTimer.running


def test_a_deleted_lesion_leaves_the_table_and_a_click_meanwhile_does_nothing(a_module, nodes):
    nodes.segmentation.GetSegmentation().RemoveSegment("lesion_2")
    a_module.ui.lesionTableView.click_cell(1, USE)
    wait(a_module)
    assert [text(a_module, row, NAME) for row in range(2)] == ["Lesion 1", "Lesion 3"]


def test_what_cannot_be_measured_is_said_and_the_table_is_not_passed_off_as_new(a_module, nodes):
    slicer.util.arrayFromVolume(nodes.denoised)[0, 0, 0] = float("nan")
    before = cells(nodes.table)
    a_module.ui.lesionTableView.click_cell(0, USE)
    wait(a_module)
    assert "Not measured" in a_module.ui.lesionTotalsLabel.text
    assert "not finite" in a_module.ui.statusLabel.text
    assert cells(nodes.table) == before


def test_criteria_are_measured_when_they_are_asked_for(a_module, nodes):
    ui = a_module.ui
    assert not ui.heightSpinBox.enabled
    ui.deauvilleCheckBox.checked = True
    ui.percistCheckBox.checked = True
    wait(a_module)
    assert "Deauville" in titles(a_module)
    assert "SULpeak" not in titles(a_module)
    assert "height, weight and sex" in ui.lesionRemarksLabel.text
    assert ui.heightSpinBox.enabled
    ui.heightSpinBox.value, ui.weightSpinBox.value, ui.sexComboBox.currentIndex = 178.0, 110.0, 2
    wait(a_module)
    assert "SULpeak" in titles(a_module) and "Measurable" in titles(a_module)
    assert "PERCIST threshold SUL" in ui.lesionTotalsLabel.text
    assert ui.lesionRemarksLabel.text == ""
    facts = facts_of(nodes.segmentation)
    assert (facts.height_m, facts.weight_kg, facts.sex) == (1.78, 110.0, "M")


def test_each_patient_has_their_own_facts_and_lesions(a_module):
    first = add_patient(a_module.host.scene, name="first", height_m=1.6, weight_kg=60.0, sex="F")
    second = add_patient(a_module.host.scene, name="second", uptake_minutes=61.6)
    show(a_module, first)
    assert a_module.ui.heightSpinBox.value == pytest.approx(160.0)
    assert a_module.ui.uptakeTimeLabel.text == "not known"
    a_module.ui.lesionTableView.click_cell(0, USE)
    # Left before the edit was measured: it is measured now, and into the table of its own patient.
    show(a_module, second)
    assert cells(first.table)["Lesion 1"]["status"] == "rejected"
    assert a_module.ui.heightSpinBox.value == 0.0
    assert a_module.ui.uptakeTimeLabel.text == "62 min"
    assert [text(a_module, row, USE) for row in range(3)] == ["✓"] * 3
    assert facts_of(first.segmentation).height_m == 1.6
    show(a_module, first)
    assert text(a_module, 0, USE) == "✗ bladder"


def test_what_was_edited_while_nobody_followed_is_measured_when_the_module_opens_it(a_module):
    nodes = add_patient(a_module.host.scene)
    paint(nodes, "lesion_1", box(slice(26, 28), slice(4, 8), slice(4, 7)))
    assert float(cells(nodes.table)["Lesion 1"]["mtv_ml"]) == pytest.approx(60 * VOXEL_ML)
    show(a_module, nodes)
    wait(a_module)
    assert float(cells(nodes.table)["Lesion 1"]["mtv_ml"]) == pytest.approx(24 * VOXEL_ML)


def test_what_is_saved_is_the_table_that_is_loaded_and_the_panels_own_is_not(a_module, nodes, tmp_path):
    a_module.ui.lesionTableView.click_cell(0, USE)
    wait(a_module)
    a_module.host.write_bundle(tmp_path / "scene.mrb")
    again = open_host(tmp_path / "again")
    assert again.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    found = find_results(again.scene, again.scene.GetFirstNodeByName("PET"))
    assert cells(found.table) == cells(nodes.table)
    assert cells(found.table)["Lesion 1"]["status"] == "rejected"
    assert again.scene.GetFirstNodeByName("AMDiff lesions") is None


def test_a_new_lesion_opens_the_segment_editor_on_it(a_module, nodes, monkeypatch):
    told = {}
    editor = SimpleNamespace(
        setSegmentationNode=lambda node: told.update(segmentation=node),
        setSourceVolumeNode=lambda node: told.update(volume=node),
        setCurrentSegmentID=lambda identity: told.update(segment=identity),
    )
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: told.update(module=name))
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda name: SimpleNamespace(editor=editor))
    a_module.ui.newLesionButton.click()
    assert told == {
        "module": "SegmentEditor",
        "segmentation": nodes.segmentation,
        "volume": nodes.denoised,
        "segment": "lesion_4",
    }
    assert segment(nodes, "lesion_4").GetName() == "Lesion 4"
    del told["segment"]
    a_module.ui.editLesionsButton.click()
    assert "segment" not in told


def test_without_results_the_section_is_off(a_module, nodes):
    assert a_module.ui.lesionsCollapsibleButton.enabled
    slicer.mrmlScene.RemoveNode(nodes.segmentation)
    a_module.widget.updatePanels()
    assert not a_module.ui.lesionsCollapsibleButton.enabled
    assert a_module.ui.lesionTotalsLabel.text == ""
    assert a_module.ui.lesionTableView.node.GetNumberOfColumns() == 0


def test_nodes_removed_during_a_measurement_end_it(a_module, nodes):
    paint(nodes, "lesion_1", box(slice(26, 28), slice(4, 8), slice(4, 7)))
    slicer.mrmlScene.RemoveNode(nodes.table)
    wait(a_module)
    a_module.host.scene.Clear(0)
    assert a_module.panel._timer not in QTimer.running


def test_the_segment_statistics_plugin_is_registered_once_the_application_has_started(a_module):
    a_module.module.AMDiff(SimpleNamespace())
    assert segment_statistics.register in slicer.app.startupCompleted.slots


def test_values_have_their_interval_and_the_tooltip_says_what_it_covers(a_module, nodes):
    value = DENOISING * low_count_suv()[lesion_mask() & box(slice(0, 36), slice(4, 8), slice(4, 7))].max()
    shown = f"{value:.1f} ({value * LOW:.1f}–{value * HIGH:.1f})"
    lesion = next(row for row in range(3) if cell(a_module, row, "MTV [mL]").startswith("4.8"))
    assert cell(a_module, lesion, "SUVmax").endswith(f" | {shown}")
    assert f"TMTV {99 * VOXEL_ML:.1f} ({99 * VOXEL_ML * LOW:.1f}–" in a_module.ui.lesionTotalsLabel.text
    tip = a_module.ui.lesionTableView.node.GetColumnDescription("SUVmax")
    for said in ("90 %", "full scan time", "simulated PET (3 simulated people)", "false lesions"):
        assert said in tip
    assert a_module.ui.lesionTableView.node.GetColumnDescription("Site") == ""


def test_a_lesion_drawn_or_changed_by_hand_has_an_interval_with_a_star_and_a_remark(a_module, nodes):
    assert "*" not in cell(a_module, 0, "SUVmax")
    paint(nodes, "lesion_2", box(slice(26, 30), slice(13, 17), slice(4, 8)))
    paint(nodes, add_lesion(nodes.segmentation, (1.0, 0.0, 0.0)), box(*(slice(22, 24),) * 2, slice(6, 8)))
    wait(a_module)
    starred = [cell(a_module, row, "SUVmax").endswith(")*") for row in range(4)]
    assert starred == [False, True, False, True]
    assert "Drawn or changed by hand: Lesion 2, Lesion 4." in a_module.ui.lesionRemarksLabel.text
    paint(nodes, "lesion_2", lesion_mask() & box(slice(26, 29), slice(14, 17), slice(4, 7)))
    nodes.segmentation.GetSegmentation().RemoveSegment("lesion_4")
    wait(a_module)
    assert a_module.ui.lesionRemarksLabel.text == ""  # as the model drew it again


def test_a_lesion_of_a_size_that_was_never_calibrated_is_named(a_module, nodes):
    paint(nodes, "lesion_3", box(slice(26, 28), slice(4, 6), slice(14, 15)))
    wait(a_module)
    smallest, largest = VOLUMES_ML
    assert smallest > 4 * VOXEL_ML
    expected = f"({smallest} to {largest:.0f} mL): Lesion 3."
    assert expected in a_module.ui.lesionRemarksLabel.text


def test_what_the_job_warned_of_stays_with_the_result(a_module, nodes, tmp_path):
    assert WARNING in a_module.ui.resultWarningsLabel.text and a_module.ui.resultWarningsLabel.visible
    a_module.host.write_bundle(tmp_path / "scene.mrb")
    again = open_host(tmp_path / "again")
    assert again.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    found = find_results(again.scene, again.scene.GetFirstNodeByName("PET"))
    assert warnings_of(found.denoised) == [WARNING]
