"""What the panel says of the chosen scan, asked of a real background process; and what it remembers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import slicer
from AMDiffModule.input_facts import facts_text, warnings_text
from AMDiffModule.model_panel import is_model_folder
from AMDiffModule.node_marks import is_said_to_be_suv
from panel_cases import add_dicom_volume, add_patient, process_until
from qt_stand_ins import process_events
from slicer_host import open_host
from slicer_stand_ins import open_module
from small_cases import saved_tiny_model

from AMDiffLib.description.scan import describe_scan
from AMDiffLib.inference.envelope import KEY, Envelope
from AMDiffLib.inference.weights import read_config, write_config

ENVELOPE = Envelope(
    voxel_mm=(2.0, 6.0),
    axial_mm=(900.0, 1100.0),
    liver_noise=(0.05, 0.6),
    cross_section_cm2=(50.0, 900.0),
    mean_suv=(0.5, 5.0),
    highest_suv=(10.0, 60.0),
    counts_percent=(5.0, 100.0),
    scanners=("mct",),
    subjects=3,
    simulated=True,
)


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    host = open_host(tmp_path / "cache")
    module, widget = open_module(host, monkeypatch, models=["amdiff-compact"])
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, host=host)
    widget.cleanup()


def choose(a_module, node) -> None:
    a_module.ui.inputSelector.setCurrentNode(node)


def test_a_scan_from_dicom_is_described_by_its_headers(a_module, tmp_path, monkeypatch):
    changes = {"PatientSize": "1.75", "PatientSex": "F"}
    choose(a_module, add_dicom_volume(tmp_path / "Müller PET", monkeypatch, **changes))
    process_until(lambda: a_module.ui.inputFactsLabel.text)
    assert a_module.ui.inputFactsLabel.visible
    for words in (
        "FDG -- fluorodeoxyglucose (F-18), ACME Tomograph",
        "44 x 36 x 24 voxels of 4 x 4 x 4 mm",
        "350 MBq injected, imaged 60 min later, 2 min per bed position",
        "1 Bq/mL = 0.0002921 SUV",  # 70 kg / (350 MBq after 60 min of 18F)
        "Weight, height and sex are in the header",
    ):
        assert words in a_module.ui.inputFactsLabel.text
    for word in ("FAMILY", "GIVEN", "MRN4711", "Müller"):
        assert word not in a_module.ui.inputFactsLabel.text


def test_what_is_wrong_with_a_scan_is_said_before_a_run(a_module, tmp_path, monkeypatch):
    choose(a_module, add_dicom_volume(tmp_path / "pet", monkeypatch, PatientWeight=None))
    process_until(lambda: a_module.ui.inputWarningsLabel.text)
    assert "no patient weight" in a_module.ui.inputWarningsLabel.text
    assert "ACME Tomograph" in a_module.ui.inputFactsLabel.text


def test_dicom_files_that_are_gone_are_said(a_module, tmp_path, monkeypatch):
    node = add_dicom_volume(tmp_path / "pet", monkeypatch)
    for path in (tmp_path / "pet").iterdir():
        path.unlink()
    choose(a_module, node)
    process_until(lambda: a_module.ui.inputWarningsLabel.text)
    assert "of which 0 are in its database" in a_module.ui.inputWarningsLabel.text


def test_a_scan_unlike_those_of_the_models_training_is_said_before_a_run(a_module, tmp_path):
    """The patient of 13 cm along the body; another model, another answer."""
    lengths = {"adults": (900.0, 1100.0), "pieces": (100.0, 200.0)}
    for name, axial_mm in lengths.items():
        folder = saved_tiny_model(tmp_path / name)
        write_config(folder, {**read_config(folder), KEY: replace(ENVELOPE, axial_mm=axial_mm).to_dict()})
    label = a_module.ui.inputWarningsLabel
    a_module.widget.parameterNode.model = str(tmp_path / "adults")
    choose(a_module, add_patient("A"))
    process_until(lambda: label.text)
    assert "13 cm along the body (trained: 90 to 110 cm)" in label.text and label.visible
    a_module.widget.parameterNode.model = str(tmp_path / "pieces")
    process_until(lambda: "90 to 110 cm" not in label.text and a_module.ui.inputFactsLabel.text)
    assert "along the body" not in label.text


def test_a_volume_in_suv_is_described_by_its_image_alone(a_module, tmp_path):
    a_module.widget.parameterNode.model = str(saved_tiny_model(tmp_path / "tiny"))  # it states no envelope
    choose(a_module, add_patient("A"))
    process_until(lambda: a_module.ui.inputFactsLabel.text)
    assert a_module.ui.inputFactsLabel.text == "32 x 32 x 32 voxels of 4 x 4 x 4 mm"
    assert not a_module.ui.inputWarningsLabel.visible


def test_a_change_of_the_voxels_is_looked_at_again(a_module):
    node = add_patient("A")
    choose(a_module, node)
    process_until(lambda: a_module.ui.inputFactsLabel.text)
    slicer.util.updateVolumeFromArray(node, 0.0 * slicer.util.arrayFromVolume(node))
    a_module.widget.enter()
    process_until(lambda: a_module.ui.inputWarningsLabel.text)
    assert "All voxels are zero" in a_module.ui.inputWarningsLabel.text


def test_choosing_another_volume_ends_the_process_that_looks_at_the_first(a_module):
    choose(a_module, add_patient("A"))
    panel = a_module.widget.panels[0]
    process_events()
    first = panel._inquiry
    assert first is not None
    choose(a_module, add_patient("B", marked=False))
    assert panel._inquiry is None
    assert first._job.outcome is not None
    assert not first._folder.path.exists()


def test_the_unit_is_asked_once_for_each_volume(a_module):
    first, second = add_patient("A", marked=False), add_patient("B", marked=False)
    choose(a_module, first)
    assert not a_module.ui.runButton.enabled
    a_module.ui.valuesAreSuvCheckBox.checked = True
    assert a_module.ui.runButton.enabled
    assert "Ready" in a_module.ui.inputStatusLabel.text
    choose(a_module, second)
    assert not a_module.ui.valuesAreSuvCheckBox.checked
    assert not a_module.ui.runButton.enabled
    choose(a_module, first)
    assert a_module.ui.valuesAreSuvCheckBox.checked
    assert a_module.ui.runButton.enabled
    a_module.ui.valuesAreSuvCheckBox.checked = False
    assert not is_said_to_be_suv(first)


def test_the_answer_survives_a_saved_scene(a_module, tmp_path):
    choose(a_module, add_patient("A", marked=False))
    a_module.ui.valuesAreSuvCheckBox.checked = True
    a_module.host.write_bundle(tmp_path / "scene.mrb")
    a_module.host.scene.Clear(0)
    assert a_module.host.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False, None)
    node = a_module.host.scene.GetFirstNodeByName("A")
    assert is_said_to_be_suv(node)
    a_module.widget.initializeParameterNode()
    choose(a_module, node)
    assert a_module.ui.valuesAreSuvCheckBox.checked
    assert a_module.ui.runButton.enabled


def test_a_ct_from_dicom_is_refused(a_module, tmp_path, monkeypatch):
    node = add_dicom_volume(tmp_path / "ct", monkeypatch)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    choose(a_module, node)
    assert "modality CT" in a_module.ui.inputStatusLabel.text
    assert not a_module.ui.runButton.enabled


def test_the_processors_are_asked_for_and_shown(a_module):
    add_patient("A")
    a_module.widget.enter()
    label = a_module.ui.deviceStatusLabel
    process_until(lambda: label.text and "Looking" not in label.text)
    assert label.text.startswith("Processor: ")
    assert a_module.widget.devicePanel.devices[0]["kind"] == "cpu"


def test_a_model_folder_of_the_users_own_can_be_chosen(a_module, tmp_path, monkeypatch):
    model = saved_tiny_model(tmp_path / "Modelle für Köln" / "tiny")
    monkeypatch.setattr(a_module.widget, "askForFolder", lambda title: str(model))
    a_module.ui.modelFolderButton.click()
    assert a_module.widget.parameterNode.model == str(model)
    assert a_module.ui.modelComboBox.currentText == str(model)
    monkeypatch.setattr(a_module.widget, "askForFolder", lambda title: str(tmp_path))
    a_module.ui.modelFolderButton.click()
    assert "holds no model" in a_module.ui.statusLabel.text
    assert a_module.widget.parameterNode.model == str(model)
    monkeypatch.setattr(a_module.widget, "askForFolder", lambda title: "")
    a_module.ui.modelFolderButton.click()
    assert a_module.widget.parameterNode.model == str(model)
    assert is_model_folder(model) and not is_model_folder(tmp_path)


def test_the_facts_of_the_real_scan_in_words(pet_data):
    """Values of the header as published with the series (TCIA): 389 MBq, 71 kg, 1.63 m, 45 min."""
    scan = describe_scan(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image")
    text = facts_text(scan)
    for words in (
        "GE MEDICAL SYSTEMS Discovery ST",
        "389 MBq",
        "45 min later",
        "4 min per bed",
        "% at SUV 2.0",
    ):
        assert words in text
    assert "STS_001" not in text
    assert warnings_text(scan).startswith("Note: The slice gaps are uneven")
