"""Running from the panel on real nodes and real jobs: one volume, a queue, and a GPU that fails."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import slicer
from AMDiffModule.job import JobEvent, JobOutcome, JobState
from AMDiffModule.result_report import report_of
from AMDiffModule.run_queue import ItemState, RunQueue
from panel_cases import add_patient, item_above, process_until
from qt_stand_ins import process_events
from slicer_host import open_host
from slicer_stand_ins import open_module
from small_cases import saved_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_tiny_model(tmp_path_factory.mktemp("Modelle für Köln") / "tiny")


@pytest.fixture
def a_module(tmp_path, monkeypatch, model):
    host = open_host(tmp_path / "cache")
    module, widget = open_module(host, monkeypatch, models=[str(model)])
    widget.parameterNode.model = str(model)
    # A user's temporary folder as it may be on Windows.
    monkeypatch.setattr("tempfile.tempdir", str(folder_of(tmp_path)))
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, host=host)
    widget.cleanup()


def folder_of(tmp_path):
    folder = tmp_path / "Jürgen Müller" / "Temporäre Dateien"
    folder.mkdir(parents=True)
    return folder


def wait(a_module) -> None:
    process_until(lambda: not a_module.widget.logic.isRunning)


def result_of(node):
    return slicer.mrmlScene.GetFirstNodeByName(f"{node.GetName()} denoised (AMDiff)")


def states(a_module) -> list[ItemState]:
    return [item.state for item in queue_panel(a_module).queue.items]


def queue_panel(a_module):
    return next(panel for panel in a_module.widget.panels if type(panel).__name__ == "QueuePanel")


def test_patients_of_the_hierarchy_are_run_one_after_the_other_each_result_beside_its_input(a_module):
    first, bad, third = add_patient("A"), add_patient("B", empty=True), add_patient("C")
    a_module.widget.enter()
    # A patient, a study and a volume are chosen; what is chosen twice is taken once.
    a_module.ui.queueTreeView.selected = [
        item_above(first, 2),
        item_above(bad, 1),
        item_above(third, 0),
        item_above(third, 2),
    ]
    a_module.ui.addSelectedButton.click()
    assert a_module.ui.queueListWidget.items == [
        "1. Patient A, A: waiting",
        "2. Patient B, B: waiting",
        "3. Patient C, C: waiting",
    ]
    a_module.ui.runQueueButton.click()
    assert a_module.ui.queueListWidget.items[0] == "1. Patient A, A: running"
    assert not a_module.ui.runQueueButton.enabled
    assert a_module.ui.runButton.text == "Cancel"
    wait(a_module)
    assert states(a_module) == [ItemState.DONE, ItemState.FAILED, ItemState.DONE]
    assert "All voxels are zero" in a_module.ui.queueListWidget.items[1]
    assert a_module.ui.statusLabel.text.startswith("2 of 3 volumes are done. 1 failed:")
    assert result_of(bad) is None
    for node in (first, third):
        assert item_above(result_of(node), 1) == item_above(node, 1)
    assert not a_module.ui.runOnCpuButton.visible
    # The log goes into reports of problems.
    assert not any("Patient" in line for line in a_module.ui.logText.lines)
    assert "Patient" not in a_module.ui.statusLabel.text


def test_cancel_stops_the_queue_and_what_waits_can_be_started_again(a_module):
    for name in "AB":
        add_patient(name)
    a_module.widget.enter()
    a_module.ui.addAllPetButton.click()
    a_module.ui.runQueueButton.click()
    a_module.ui.runButton.click()
    assert a_module.ui.statusLabel.text == "Cancelling..."
    wait(a_module)
    assert states(a_module) == [ItemState.CANCELLED, ItemState.WAITING]
    assert "Cancelled" in a_module.ui.statusLabel.text
    assert a_module.ui.runQueueButton.enabled
    a_module.ui.clearQueueButton.click()
    assert a_module.ui.queueListWidget.items == []
    assert not a_module.ui.runQueueButton.enabled


def test_nothing_else_can_be_started_while_a_run_goes_on(a_module):
    node = add_patient("A")
    a_module.widget.enter()
    a_module.ui.runButton.click()
    run = a_module.widget.logic.run
    a_module.widget.runPanel.run(RunQueue.of([node]))
    assert a_module.widget.logic.run is run
    with pytest.raises(RuntimeError):
        a_module.widget.logic.start(a_module.widget.parameterNode)
    for name in ("inputSelector", "modelComboBox", "modelFolderButton", "deviceComboBox", "stepsSpinBox"):
        assert not getattr(a_module.ui, name).enabled


def test_all_pet_of_the_scene_is_all_in_suv_or_of_modality_pt(a_module):
    from_suv, unknown, from_dicom = (
        add_patient("SUV"),
        add_patient("unknown", marked=False),
        add_patient("PT", marked=False),
    )
    a_module.ui.addAllPetButton.click()
    assert [item.volume for item in queue_panel(a_module).queue.items] == [from_suv]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(from_dicom), "DICOM.Modality", "PT")
    from_dicom.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    a_module.ui.addAllPetButton.click()
    assert [item.volume for item in queue_panel(a_module).queue.items] == [from_suv, from_dicom]
    a_module.ui.queueTreeView.selected = [item_above(unknown, 0)]
    a_module.ui.addSelectedButton.click()
    assert "does not say in which unit" in a_module.ui.statusLabel.text
    assert len(queue_panel(a_module).queue.items) == 2


def test_a_volume_that_is_removed_leaves_the_queue(a_module):
    nodes = [add_patient(name) for name in "AB"]
    a_module.ui.addAllPetButton.click()
    slicer.mrmlScene.RemoveNode(nodes[0])
    a_module.widget.updatePanels()
    assert a_module.ui.queueListWidget.items == ["1. Patient B, B: waiting"]
    a_module.ui.queueListWidget.setCurrentRow(0)
    a_module.ui.removeFromQueueButton.click()
    assert a_module.ui.queueListWidget.items == []
    a_module.ui.addSelectedButton.click()
    assert "No volume is selected" in a_module.ui.statusLabel.text


def test_without_a_usable_gpu_the_processor_is_offered_and_not_taken(a_module):
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch can use a GPU here")
    node = add_patient("A")
    a_module.widget.enter()
    assert not a_module.ui.runOnCpuButton.visible
    a_module.widget.parameterNode.device = a_module.module.Device.CUDA
    a_module.ui.runButton.click()
    wait(a_module)
    assert "finds no NVIDIA GPU" in a_module.ui.statusLabel.text
    assert result_of(node) is None
    assert a_module.ui.runOnCpuButton.visible
    a_module.ui.runOnCpuButton.click()
    assert not a_module.ui.runOnCpuButton.visible
    wait(a_module)
    assert result_of(node) is not None
    # The model of random weights states no envelope: there is something to warn of.
    warnings = report_of(result_of(node))["warnings"]
    assert any("does not state which scans" in text for text in warnings)
    assert a_module.ui.statusLabel.text.split("\n") == ["Done.", *(f"Note: {text}" for text in warnings)]
    # The choice is the user's, and stays.
    assert a_module.widget.parameterNode.device is a_module.module.Device.CUDA


@pytest.mark.parametrize(
    ("kind", "gpu", "offered"),
    [("out_of_memory", True, True), ("out_of_memory", False, False), ("bad_input", True, False)],
)
def test_the_processor_is_offered_where_the_graphics_card_was_too_small(
    a_module, monkeypatch, kind, gpu, offered
):
    """A card too small cannot be had here: how the job ended is put in its place."""
    add_patient("A")
    a_module.widget.enter()
    a_module.widget.devicePanel.devices = [{"kind": "cuda" if gpu else "cpu", "usable": True}]
    a_module.ui.runButton.click()
    run = a_module.widget.logic.run
    run.close()
    ended = JobOutcome(state=JobState.FAILED, exit_code=3, kind=kind, text="It ended so.")
    monkeypatch.setattr(type(run), "outcome", ended)
    process_events()
    assert a_module.ui.runOnCpuButton.visible is offered


def test_progress_shows_the_share_the_time_left_and_the_stage_and_all_is_in_the_log(a_module):
    add_patient("A")
    a_module.widget.enter()
    show = a_module.widget.runPanel.show
    show(JobEvent(type="stage", text="Denoising"))
    assert a_module.ui.statusLabel.text == "Denoising"
    show(JobEvent(type="progress", value=0.42, remaining_s=12.4))
    assert a_module.ui.progressBar.value == 42
    assert "about 12 s left" in a_module.ui.progressBar.format
    show(JobEvent(type="warning", text="The GPU cannot be used. The CPU is used instead."))
    assert a_module.ui.logText.lines[-1] == "The GPU cannot be used. The CPU is used instead."
    show(JobEvent(type="log", text="a line"))
    assert a_module.ui.logText.lines[-1] == "a line"
