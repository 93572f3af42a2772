"""Results in a real MRML scene: units, geometry, segments voxel by voxel, the table; all of them or none."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import slicer
from AMDiffModule.display import is_lesion
from AMDiffModule.export import UnusableVolume, reason_unusable, write_input
from AMDiffModule.node_marks import is_marked_as_suv, is_synthetic, mark_as_suv, remember_said_suv
from AMDiffModule.scene_import import ImportFailed, import_results
from slicer_host import open_host

from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.writing import write_denoised, write_segmentation
from AMDiffLib.quantification.measurements import measure

SHAPE = (12, 10, 8)  # z, y, x
# Oblique and unequal, so that a swapped axis or a lost direction shows.
ANGLE = math.radians(20.0)
IJK_TO_RAS = np.array(
    [
        [-4.0 * math.cos(ANGLE), 5.0 * math.sin(ANGLE), 0.0, 31.0],
        [-4.0 * math.sin(ANGLE), -5.0 * math.cos(ANGLE), 0.0, 17.0],
        [0.0, 0.0, 3.0, -220.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.fixture
def a_pet_node(a_host):
    values = np.random.default_rng(3).uniform(0.0, 9.0, SHAPE).astype(np.float32)
    node = slicer.util.addVolumeFromArray(values, ijkToRAS=IJK_TO_RAS, name="PET 10 %")
    mark_as_suv(node)
    return node


def organ_labels(*, without: tuple[int, ...] = ()) -> np.ndarray:
    """Every organ in a block of its own size, in an order that is not that of the labels."""
    organs = np.zeros(SHAPE, np.uint8)
    for column, label in enumerate((5, 2, 8, 3, 7, 4, 6)):
        if label not in without:
            organs[: label + 1, :, column] = label
    return organs


def lesion_instances() -> np.ndarray:
    """Three lesions, the second of which lies within an organ."""
    lesions = np.zeros(SHAPE, np.int32)
    lesions[0, 0, 0:3] = 1
    lesions[1, 2:4, 1] = 2
    lesions[10, 5, 6] = 3
    return lesions


def write_results(folder: Path, pet_node, organs: np.ndarray, lesions: np.ndarray) -> Path:
    """What the worker writes, by the worker's own functions."""
    work = folder / "input"
    work.mkdir()
    job_input = write_input(pet_node, work)
    volume = read_pet(job_input.path, units="SUVbw")
    results = folder / "results"
    results.mkdir()
    write_denoised(results / "denoised.nrrd", volume, volume.suv * 0.5)
    write_segmentation(results / "segmentation.seg.nrrd", volume, lesions, organs)
    measurements = measure(volume.suv * 0.5, lesions, organs, volume=volume)
    measurements.to_csv(results / "measurements.csv")
    measurements.to_json(results / "measurements.json")
    return results


def node_names(scene) -> list[str]:
    return sorted(
        f"{scene.GetNthNode(i).GetID()} {scene.GetNthNode(i).GetName()}"
        for i in range(scene.GetNumberOfNodes())
    )


def segments_of(segmentation_node) -> dict[str, object]:
    segmentation = segmentation_node.GetSegmentation()
    found = (segmentation.GetNthSegment(i) for i in range(segmentation.GetNumberOfSegments()))
    return {segment.GetName(): segment for segment in found}


def voxels_of(segmentation_node, name: str, reference_node) -> np.ndarray:
    segmentation = segmentation_node.GetSegmentation()
    identity = segmentation.GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, identity, reference_node) > 0


def ijk_to_ras(volume_node) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_the_input_file_has_the_nodes_values_and_geometry(a_pet_node, tmp_path):
    job_input = write_input(a_pet_node, tmp_path)
    assert job_input.arguments == ("--units", "SUVbw")
    assert b"encoding: raw" in job_input.path.read_bytes()[:1000]
    volume = read_pet(job_input.path, units="SUVbw")
    np.testing.assert_array_equal(volume.suv, slicer.util.arrayFromVolume(a_pet_node))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ IJK_TO_RAS
    np.testing.assert_allclose(volume.origin, lps[:3, 3], atol=1e-5)
    np.testing.assert_allclose(volume.spacing, (4.0, 5.0, 3.0), rtol=1e-6)
    np.testing.assert_allclose(
        np.reshape(volume.direction, (3, 3)), lps[:3, :3] / np.array([4.0, 5.0, 3.0]), atol=1e-6
    )


def test_writing_the_input_leaves_no_trace_in_the_scene(a_host, a_pet_node, tmp_path):
    before = node_names(a_host.scene)
    write_input(a_pet_node, tmp_path)
    assert node_names(a_host.scene) == before
    assert a_pet_node.GetStorageNode() is None


def test_the_denoised_node_has_values_unit_geometry_and_says_that_it_is_synthetic(
    a_host, a_pet_node, tmp_path
):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    nodes = import_results(a_host.scene, a_pet_node, results)
    assert nodes.denoised.GetName() == "PET 10 % denoised (AMDiff)"
    expected = slicer.util.arrayFromVolume(a_pet_node) * 0.5
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(nodes.denoised), expected)
    np.testing.assert_allclose(ijk_to_ras(nodes.denoised), IJK_TO_RAS, atol=1e-5)
    assert is_marked_as_suv(nodes.denoised)
    quantity = nodes.denoised.GetVoxelValueQuantity()
    assert (quantity.GetCodeValue(), quantity.GetCodingSchemeDesignator()) == ("126400", "DCM")
    assert is_synthetic(nodes.denoised)
    assert "Synthetic" in nodes.denoised.GetDescription()
    display = nodes.denoised.GetDisplayNode()
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 7.0)
    assert not display.GetAutoWindowLevel()


@pytest.mark.parametrize("missing", [(), (2,), (3, 8), (2, 3, 4, 5, 6, 7)])
def test_every_segment_holds_its_own_voxels_with_organs_missing(a_host, a_pet_node, tmp_path, missing):
    organs, lesions = organ_labels(without=missing), lesion_instances()
    results = write_results(tmp_path, a_pet_node, organs, lesions)
    nodes = import_results(a_host.scene, a_pet_node, results)
    names = {2: "liver", 3: "lung", 4: "bone", 5: "muscle", 6: "kidney", 7: "spleen", 8: "aorta"}
    expected = {name: organs == label for label, name in names.items() if label not in missing}
    expected |= {f"Lesion {number}": lesions == number for number in (1, 2, 3)}
    assert set(segments_of(nodes.segmentation)) == set(expected)
    for name, voxels in expected.items():
        np.testing.assert_array_equal(voxels_of(nodes.segmentation, name, a_pet_node), voxels, err_msg=name)


def test_results_without_any_lesion_or_organ_are_results_too(a_host, a_pet_node, tmp_path):
    results = write_results(tmp_path, a_pet_node, np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.int32))
    nodes = import_results(a_host.scene, a_pet_node, results)
    assert segments_of(nodes.segmentation) == {}
    assert nodes.table.GetCellText(0, 0) == "All lesions"


def test_segments_have_colours_and_terminology(a_host, a_pet_node, tmp_path):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    segments = segments_of(import_results(a_host.scene, a_pet_node, results).segmentation)
    assert {name for name, segment in segments.items() if is_lesion(segment)} == {
        "Lesion 1",
        "Lesion 2",
        "Lesion 3",
    }
    np.testing.assert_allclose(segments["liver"].GetColor(), np.array([255, 168, 4]) / 255, atol=2e-3)


def test_the_segmentation_refers_to_the_input_and_the_results_lie_in_its_study(a_host, a_pet_node, tmp_path):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_host.scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.CreateItem(study, a_pet_node)
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    nodes = import_results(a_host.scene, a_pet_node, results)
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert nodes.segmentation.GetNodeReference(role) is a_pet_node
    for node in (nodes.denoised, nodes.segmentation, nodes.table):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_the_table_has_typed_columns_with_titles_units_and_definitions(a_host, a_pet_node, tmp_path):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    table = import_results(a_host.scene, a_pet_node, results).table
    titles = [table.GetColumnTitle(table.GetColumnName(column)) for column in range(9)]
    assert titles == [
        "Name",
        "Kind",
        "Status",
        "Rejected as",
        "Location",
        "SUVmax, low-count",
        "SUVmax, denoised",
        "SUVmean, low-count",
        "SUVmean, denoised",
    ]
    units = [table.GetColumnUnitLabel(name) for name in ("suv_max_g_per_ml", "mtv_ml", "tlg_g", "volume_ml")]
    assert units == ["g/mL", "mL", "g", "mL"]
    assert "1 mL sphere" in table.GetColumnDescription("suv_peak_g_per_ml")
    columns = table.GetTable()
    assert columns.GetColumnByName("tlg_g").GetClassName() == "vtkDoubleArray"
    assert columns.GetColumnByName("name").GetClassName() == "vtkStringArray"
    assert table.GetNumberOfRows() == 3 + 1 + 7 + 2
    # Lesion 2 is two voxels of 4 x 5 x 3 mm.
    row = [table.GetCellText(r, 0) for r in range(table.GetNumberOfRows())].index("Lesion 2")
    assert columns.GetColumnByName("mtv_ml").GetValue(row) == pytest.approx(0.12)
    suv = slicer.util.arrayFromVolume(a_pet_node)[1, 2:4, 1] * 0.5
    assert columns.GetColumnByName("tlg_g").GetValue(row) == pytest.approx(0.12 * suv.mean(), rel=1e-5)
    assert math.isnan(columns.GetColumnByName("volume_ml").GetValue(row))


def test_results_survive_a_bundle(a_host, a_pet_node, tmp_path):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    nodes = import_results(a_host.scene, a_pet_node, results)
    counts = {
        name: voxels_of(nodes.segmentation, name, a_pet_node).sum()
        for name in segments_of(nodes.segmentation)
    }
    a_host.write_bundle(tmp_path / "scene.mrb")

    again = open_host(tmp_path / "second cache")
    (tmp_path / "unpacked").mkdir()
    assert again.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    denoised = again.scene.GetFirstNodeByName("PET 10 % denoised (AMDiff)")
    assert is_marked_as_suv(denoised) and is_synthetic(denoised)
    assert denoised.GetDisplayNode().GetWindowLevelMax() == 7.0
    segmentation = again.scene.GetFirstNodeByName("PET 10 % segmentation (AMDiff)")
    reference = again.scene.GetFirstNodeByName("PET 10 %")
    assert {name: voxels_of(segmentation, name, reference).sum() for name in counts} == counts
    assert is_lesion(segments_of(segmentation)["Lesion 1"])
    table = again.scene.GetFirstNodeByName("PET 10 % measurements (AMDiff)")
    assert table.GetNumberOfRows() == 13
    assert table.GetColumnUnitLabel("tlg_g") == "g"


@pytest.mark.parametrize("broken", ["denoised.nrrd", "segmentation.seg.nrrd", "measurements.csv"])
@pytest.mark.parametrize("how", ["missing", "garbage", "empty"])
def test_a_failure_half_way_leaves_the_scene_as_it_was(a_host, a_pet_node, tmp_path, broken, how):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    file = results / broken
    file.unlink()
    if how != "missing":
        file.write_bytes(b"name,tlg_g\nLesion 1,many\n" if how == "garbage" else b"")
    before = node_names(a_host.scene)
    with pytest.raises(ImportFailed):
        import_results(a_host.scene, a_pet_node, results)
    assert node_names(a_host.scene) == before


class DicomDatabase:
    """Slicer's DICOM database, as far as the module asks it."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")

    def seriesForFile(self, file: str) -> str:
        return "series"

    def studyForSeries(self, series: str) -> str:
        return "study"

    def seriesForStudy(self, study: str) -> list[str]:
        return ["series", "maps"]

    def filesForSeries(self, series: str) -> list[str]:
        return [file for uid, file in self.files.items() if uid.startswith("map") == (series == "maps")]

    def fileValue(self, file: str, tag: str) -> str:
        assert tag == "0008,0016"
        return "1.2.840.10008.5.1.4.1.1.67" if "map" in Path(file).name else "1.2.840.10008.5.1.4.1.1.128"


@pytest.fixture
def a_dicom_node(a_host):
    node = slicer.util.addVolumeFromArray(np.ones(SHAPE, np.int16), name="PET AC")
    node.SetAttribute("DICOM.instanceUIDs", "1.2.1 1.2.2")
    return node


def test_a_dicom_volume_is_handed_over_as_its_files_and_value_maps(a_dicom_node, tmp_path, monkeypatch):
    files = {}
    for uid in ("1.2.1", "1.2.2", "map 1"):
        path = tmp_path / f"{uid}.dcm"
        path.write_bytes(uid.encode())
        files[uid] = str(path)
    monkeypatch.setattr(slicer, "dicomDatabase", DicomDatabase(files), raising=False)
    (tmp_path / "job").mkdir()
    job_input = write_input(a_dicom_node, tmp_path / "job")
    assert job_input.arguments == ()
    assert sorted(path.read_bytes() for path in job_input.path.iterdir()) == [b"1.2.1", b"1.2.2", b"map 1"]


def test_a_dicom_volume_whose_files_are_gone_is_refused(a_dicom_node, tmp_path, monkeypatch):
    monkeypatch.setattr(slicer, "dicomDatabase", DicomDatabase({}), raising=False)
    with pytest.raises(UnusableVolume, match="2 DICOM files, of which 0"):
        write_input(a_dicom_node, tmp_path)


def test_a_dicom_volume_without_a_database_is_refused(a_dicom_node, tmp_path):
    with pytest.raises(UnusableVolume, match="no DICOM database"):
        write_input(a_dicom_node, tmp_path)


def test_unusable_volumes_are_refused_with_a_reason(a_host, a_pet_node):
    assert reason_unusable(a_pet_node) == ""
    assert "Choose a PET volume" in reason_unusable(None)

    unmarked = slicer.util.addVolumeFromArray(np.ones(SHAPE, np.float32), name="CT")
    assert "does not say in which unit" in reason_unusable(unmarked)
    remember_said_suv(unmarked, True)
    assert reason_unusable(unmarked) == ""
    remember_said_suv(unmarked, False)

    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    unmarked.SetVoxelValueUnits(units)
    assert "Hounsfield unit" in reason_unusable(unmarked)

    slice_node = slicer.util.addVolumeFromArray(np.ones((1, 5, 5), np.float32), name="slice")
    assert "single slice" in reason_unusable(slice_node)

    labels = slicer.util.addVolumeFromArray(
        np.ones(SHAPE, np.uint8), name="labels", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    assert "label map" in reason_unusable(labels)

    empty = a_host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert "holds no image" in reason_unusable(empty)

    transform = a_host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    a_pet_node.SetAndObserveTransformNodeID(transform.GetID())
    assert "'Registration'" in reason_unusable(a_pet_node)


def test_a_result_is_not_denoised_again(a_host, a_pet_node, tmp_path):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    nodes = import_results(a_host.scene, a_pet_node, results)
    assert "itself a result" in reason_unusable(nodes.denoised)


def test_segments_that_are_not_what_the_job_measured_are_not_taken(a_host, a_pet_node, tmp_path):
    results = write_results(tmp_path, a_pet_node, organ_labels(), lesion_instances())
    table = results / "measurements.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    spleen = next(row for row in rows if row["name"] == "spleen")
    spleen["volume_ml"] = str(float(spleen["volume_ml"]) + 0.06)  # a voxel more
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    before = node_names(a_host.scene)
    with pytest.raises(ImportFailed, match="spleen"):
        import_results(a_host.scene, a_pet_node, results)
    assert node_names(a_host.scene) == before
