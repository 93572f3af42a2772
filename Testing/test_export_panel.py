"""The export section of the panel: real nodes, edited and rejected, through the real command to files."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import highdicom as hd
import numpy as np
import pydicom
import pytest
import slicer
import vtk
from AMDiffModule.export_job import _in_suv
from AMDiffModule.job import JobState
from AMDiffModule.lesion_marks import reject
from AMDiffModule.result_report import report_of
from AMDiffModule.scene_import import find_results, import_results
from dicom_builder import DEFAULT_FACTOR
from export_cases import IDENTITY, a_case, denoised_of, lesions_of
from lesion_cases import paint
from panel_cases import DicomDatabase, process_until
from slicer_host import open_host
from slicer_stand_ins import open_module

from AMDiffLib.image.reading import read_pet

EVERYTHING = ["denoised_pet", "measurements.csv", "measurements_sr.dcm", "report.pdf", "segmentation.dcm"]


class Unanswered:
    """A job that never ends."""

    outcome = None

    def __init__(self, command, **options) -> None:
        self.poll = self.close = lambda: None


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return a_case(tmp_path_factory.mktemp("Jürgen Müller"))


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    host = open_host(tmp_path / "cache")
    # What other sections ask of the scan and of this computer is not the matter here.
    monkeypatch.setattr("AMDiffModule.inquiry.Job", Unanswered)
    _, widget = open_module(host, monkeypatch, models=["amdiff-compact"])
    chosen = tmp_path / "Für das Archiv"
    chosen.mkdir()
    monkeypatch.setattr(widget, "askForFolder", lambda title: str(chosen))
    panel = next(panel for panel in widget.panels if type(panel).__name__ == "ExportPanel")
    yield SimpleNamespace(widget=widget, ui=widget.ui, host=host, panel=panel, chosen=chosen)
    widget.cleanup()


def add_scan(scene, source, monkeypatch, *, in_database: bool = True):
    """Add the scan as Slicer loads it from DICOM: in Bq/mL, with the UIDs of its files."""
    volume = read_pet(source)
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.block(
        [[np.diag(volume.spacing), np.reshape(volume.origin, (3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]
    )
    node = slicer.util.addVolumeFromArray(volume.suv / DEFAULT_FACTOR, ijkToRAS=matrix, name="PET AC")
    if in_database:
        database = DicomDatabase(source)
        monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
        node.SetAttribute("DICOM.instanceUIDs", " ".join(database.files))
    return node


@pytest.fixture
def nodes(a_module, case, monkeypatch):
    """The results of the case, imported into the scene and chosen in the panel."""
    return show(
        a_module,
        import_results(a_module.host.scene, add_scan(a_module.host.scene, case[0], monkeypatch), case[1]),
    )


def show(a_module, nodes):
    a_module.widget.parameterNode.inputVolume = nodes.input
    a_module.widget.updatePanels()
    return nodes


def export(a_module):
    """Click on Export, wait for its end, and return the folder it made."""
    before = set(a_module.chosen.iterdir())
    a_module.ui.exportButton.click()
    process_until(lambda: a_module.panel.job is None)
    new = set(a_module.chosen.iterdir()) - before
    assert len(new) == 1, a_module.ui.exportStatusLabel.text
    return new.pop()


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def algorithm_types(folder) -> dict[str, str]:
    found = hd.seg.segread(folder / "segmentation.dcm")
    return {item.SegmentLabel: item.SegmentAlgorithmType for item in found.SegmentSequence}


def test_a_click_writes_everything_that_is_ticked_into_a_folder_without_a_name(a_module, nodes):
    assert a_module.ui.exportButton.enabled
    folder = export(a_module)
    assert names_in(folder) == EVERYTHING
    assert "Not for diagnosis" in a_module.ui.exportStatusLabel.text
    assert str(folder) in a_module.ui.exportStatusLabel.text
    said = " ".join([folder.name, *a_module.ui.logText.lines, a_module.ui.exportStatusLabel.text])
    assert not any(part in said for part in (*IDENTITY.values(), "FAMILY"))
    # The patient is where they belong: in the DICOM objects.
    assert pydicom.dcmread(folder / "segmentation.dcm").PatientID == IDENTITY["PatientID"]
    # What nobody edited comes out of the scene as the model's own.
    assert algorithm_types(folder) == dict.fromkeys(("Lesion 1", "Lesion 2", "liver", "aorta"), "AUTOMATIC")
    item = hd.seg.segread(folder / "segmentation.dcm").SegmentSequence[0]
    assert item.SegmentAlgorithmName == "AMDiff amdiff-test"
    assert_suv_is_the_denoised(folder / "denoised_pet")


def assert_suv_is_the_denoised(series) -> None:
    images = sorted(
        (pydicom.dcmread(path) for path in series.iterdir()),
        key=lambda image: float(image.ImagePositionPatient[2]),
    )
    slopes = np.array([float(image.RescaleSlope) for image in images])[:, None, None] * DEFAULT_FACTOR
    suv = np.stack([image.pixel_array for image in images]) * slopes
    assert (np.abs(suv - denoised_of()) <= slopes / 2 + np.spacing(np.abs(denoised_of()))).all()


def test_an_edit_and_a_rejection_go_out_with_the_measurements_of_now(a_module, nodes):
    left = lesions_of() == 1
    left[:4] = False
    paint(nodes, "lesion_1", left)
    nodes.segmentation.GetSegmentation().GetSegment("lesion_1").SetName("Läsion ä")
    reject(nodes.segmentation, "lesion_2", "ureter")
    folder = export(a_module)
    assert algorithm_types(folder) == {
        "Läsion ä": "SEMIAUTOMATIC",
        "liver": "AUTOMATIC",
        "aorta": "AUTOMATIC",
    }
    with (folder / "measurements.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert float(rows["Läsion ä"]["suv_max_g_per_ml"]) == pytest.approx(denoised_of()[left].max(), rel=1e-5)
    assert (rows["Lesion 2"]["status"], rows["Lesion 2"]["rejected_as"]) == ("rejected", "ureter")
    assert float(rows["All lesions"]["mtv_ml"]) == float(rows["Läsion ä"]["mtv_ml"])
    report = hd.sr.srread(folder / "measurements_sr.dcm")
    group = next(
        group
        for group in report.content.get_volumetric_roi_measurement_groups()
        if group.tracking_identifier == "Läsion ä"
    )
    volume = next(item for item in group.get_measurements() if item.name.meaning == "Metabolic Volume")
    assert volume.value == pytest.approx(float(rows["Läsion ä"]["mtv_ml"]), rel=1e-5)


def test_a_scene_that_was_saved_and_loaded_again_exports_the_same(a_module, nodes, tmp_path):
    a_module.host.write_bundle(tmp_path / "scene.mrb")
    report = report_of(nodes.denoised)
    scene = a_module.host.scene
    a_module.widget.onSceneStartClose(None, None)
    scene.Clear(False)
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    a_module.widget.onSceneEndClose(None, None)
    again = find_results(scene, scene.GetFirstNodeByName("PET AC"))
    assert report_of(again.denoised) == report
    show(a_module, again)
    for name in ("exportReport", "exportPet", "exportTable", "exportPage"):
        setattr(a_module.widget.parameterNode, name, False)
    folder = export(a_module)
    assert names_in(folder) == ["segmentation.dcm"]
    assert set(algorithm_types(folder).values()) == {"AUTOMATIC"}


def test_without_dicom_the_reason_is_said_and_table_and_page_are_written(a_module, case, monkeypatch):
    nodes = import_results(
        a_module.host.scene, add_scan(a_module.host.scene, case[0], monkeypatch, in_database=False), case[1]
    )
    show(a_module, nodes)
    assert "was not loaded from DICOM" in a_module.ui.exportReasonLabel.text
    assert a_module.ui.exportReasonLabel.visible
    for widget in (a_module.ui.exportReportCheckBox, a_module.ui.exportIdentityCheckBox):
        assert not widget.enabled
    a_module.widget.parameterNode.exportPage = False
    assert names_in(export(a_module)) == ["measurements.csv"]


def test_files_that_left_the_database_are_said(a_module, case, monkeypatch):
    node = add_scan(a_module.host.scene, case[0], monkeypatch)
    slicer.dicomDatabase.files.clear()
    show(a_module, import_results(a_module.host.scene, node, case[1]))
    assert "not in this computer's DICOM database" in a_module.ui.exportReasonLabel.text


def test_the_low_count_scan_of_the_page_is_in_suv(nodes, case):
    np.testing.assert_allclose(slicer.util.arrayFromVolume(_in_suv(nodes)), read_pet(case[0]).suv, rtol=1e-5)
    matrices = [vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()]
    nodes.input.GetIJKToRASMatrix(matrices[0])
    _in_suv(nodes).GetIJKToRASMatrix(matrices[1])
    np.testing.assert_allclose(*(slicer.util.arrayFromVTKMatrix(matrix) for matrix in matrices))


def test_what_the_report_refers_to_comes_along_and_nothing_ticked_is_nothing_to_do(a_module, nodes):
    ui, parameters = a_module.ui, a_module.widget.parameterNode
    assert not ui.exportSegmentationCheckBox.enabled
    parameters.exportReport = False
    assert ui.exportSegmentationCheckBox.enabled
    for name in ("exportSegmentation", "exportPet", "exportTable", "exportPage"):
        setattr(parameters, name, False)
    assert not ui.exportButton.enabled
    parameters.exportPage = True
    assert ui.exportIdentityCheckBox.enabled
    assert ui.exportButton.enabled


def test_an_export_can_be_cancelled_and_leaves_nothing(a_module, nodes):
    a_module.ui.exportButton.click()
    job = a_module.panel.job
    assert job.outcome is None
    assert a_module.ui.exportButton.text == "Cancel export"
    assert a_module.ui.exportProgressBar.visible
    assert not a_module.ui.exportTableCheckBox.enabled
    a_module.ui.exportButton.click()
    assert not a_module.ui.exportButton.enabled
    process_until(lambda: a_module.panel.job is None)
    assert job.outcome.state is JobState.CANCELLED
    assert "Cancelled" in a_module.ui.exportStatusLabel.text
    assert list(a_module.chosen.iterdir()) == []
    assert not job.folder.path.exists()
    assert a_module.ui.exportButton.enabled


def test_closing_the_scene_ends_an_export(a_module, nodes):
    a_module.ui.exportButton.click()
    job = a_module.panel.job
    a_module.widget.onSceneStartClose(None, None)
    assert a_module.panel.job is None
    assert job.outcome is not None
    assert not job.folder.path.exists()


def test_a_folder_that_cannot_be_written_is_said(a_module, nodes, monkeypatch):
    blocked = a_module.chosen / "a file"
    blocked.write_text("not a folder")
    monkeypatch.setattr(a_module.widget, "askForFolder", lambda title: str(blocked))
    a_module.ui.exportButton.click()
    process_until(lambda: a_module.panel.job is None)
    assert "cannot be written" in a_module.ui.exportStatusLabel.text
    assert a_module.ui.exportStatusLabel.text in a_module.ui.logText.lines


def test_no_folder_chosen_is_no_export(a_module, nodes, monkeypatch):
    monkeypatch.setattr(a_module.widget, "askForFolder", lambda title: "")
    a_module.ui.exportButton.click()
    assert a_module.panel.job is None
    a_module.ui.exportFolderButton.click()
    assert a_module.panel.job is None


def test_packages_that_are_declined_are_said(a_module, nodes, monkeypatch):
    def declined(requirements):
        from AMDiffModule.packages import PackagesMissing

        raise PackagesMissing(f"{requirements.name}: declined")

    monkeypatch.setattr("AMDiffModule.export_panel.ensure_packages", declined)
    a_module.ui.exportButton.click()
    assert a_module.panel.job is None
    assert a_module.ui.exportStatusLabel.text == "requirements-export.txt: declined"
