"""Result files carry geometry, units, names, colours and codes, and load in Slicer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from AMDiffLib.image.terminology import TERMINOLOGY_CONTEXT, terminology_context
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.image.writing import write_denoised, write_segmentation
from AMDiffLib.labels import LESION, ORGANS, SEMANTIC_CLASSES

TERMINOLOGY_FILE = (
    Path(__file__).resolve().parents[1] / "Resources/Terminologies/AMDiff-segmentation-terminology.json"
)
ABSENT = "spleen"


@pytest.fixture
def a_volume() -> PetVolume:
    tilt = np.deg2rad(10.0)
    direction = (1.0, 0.0, 0.0, 0.0, np.cos(tilt), -np.sin(tilt), 0.0, np.sin(tilt), np.cos(tilt))
    suv = np.random.default_rng(2).gamma(2.0, 1.0, (18, 20, 22)).astype(np.float32)
    return PetVolume(
        suv=suv, spacing=(4.07283, 4.07283, 3.27), origin=(-248.7, -1 / 3, 1021.5), direction=direction
    )


@pytest.fixture
def organs(a_volume) -> np.ndarray:
    """All organs but one, each a block of its own size."""
    organs = np.zeros(a_volume.suv.shape, np.uint8)
    for organ in ORGANS:
        if organ.name != ABSENT:
            organs[2 * organ.label - 4 : 2 * organ.label - 2, 3:15, 3 : 3 + organ.label] = organ.label
    return organs


@pytest.fixture
def lesions(a_volume) -> np.ndarray:
    """Two lesions, the first inside the liver (label 2) and beyond it."""
    lesions = np.zeros(a_volume.suv.shape, np.int32)
    lesions[0:3, 4:7, 4:8] = 1
    lesions[9:11, 17:19, 15:20] = 2
    return lesions


@pytest.fixture
def a_segmentation_file(a_volume, lesions, organs, tmp_path) -> Path:
    path = tmp_path / "segmentation.seg.nrrd"
    write_segmentation(path, a_volume, lesions, organs)
    return path


def expected_counts(lesions: np.ndarray, organs: np.ndarray) -> dict[str, int]:
    counts = {f"Lesion {n}": int((lesions == n).sum()) for n in (1, 2)}
    present = [organ for organ in ORGANS if organ.name != ABSENT]
    return counts | {organ.name: int((organs == organ.label).sum()) for organ in present}


def test_denoised_has_the_grid_of_the_input_to_the_last_digit(a_volume, tmp_path):
    write_denoised(tmp_path / "denoised.nrrd", a_volume, a_volume.suv * 0.5)
    image = sitk.ReadImage(str(tmp_path / "denoised.nrrd"))
    assert image.GetPixelID() == sitk.sitkFloat32
    assert image.GetSize() == (22, 20, 18)
    assert image.GetOrigin() == a_volume.origin
    # NRRD stores spacing times direction, so the last bit of the product may differ.
    assert image.GetSpacing() == pytest.approx(a_volume.spacing, rel=1e-15)
    assert image.GetDirection() == pytest.approx(a_volume.direction, rel=0, abs=1e-15)
    assert np.array_equal(sitk.GetArrayFromImage(image), a_volume.suv * 0.5)


def test_denoised_says_its_unit_and_that_it_is_synthetic(a_volume, tmp_path):
    write_denoised(tmp_path / "denoised.nrrd", a_volume, a_volume.suv)
    header = (tmp_path / "denoised.nrrd").read_bytes()[:2000]
    assert b"voxel_units:={SUVbw}g/ml" in header
    assert b"voxel_content:=synthetic: AI-denoised" in header
    assert sitk.ReadImage(str(tmp_path / "denoised.nrrd")).GetMetaData("voxel_units") == "{SUVbw}g/ml"


def test_denoised_with_infinite_values_or_on_another_grid_is_refused(a_volume, tmp_path):
    with pytest.raises(ValueError, match="finite"):
        write_denoised(tmp_path / "denoised.nrrd", a_volume, np.full_like(a_volume.suv, np.inf))
    with pytest.raises(ValueError, match="shape"):
        write_denoised(tmp_path / "denoised.nrrd", a_volume, a_volume.suv[1:])
    assert not list(tmp_path.iterdir())


def test_segments_read_back_with_names_and_voxels_although_lesion_and_liver_overlap(
    a_segmentation_file, a_volume, lesions, organs
):
    segmentation = slicerio.read_segmentation(str(a_segmentation_file))
    counts = {s["name"]: int(slicerio.segment_mask(segmentation, s).sum()) for s in segmentation["segments"]}
    assert counts == expected_counts(lesions, organs)
    liver, lesion = (slicerio.segment_mask(segmentation, name).T for name in ("liver", "Lesion 1"))
    assert np.array_equal(liver, organs == 2)
    assert (liver & lesion).sum() == ((organs == 2) & (lesions == 1)).sum() > 0
    corner = np.array([21, 19, 17])
    point = a_volume.with_array(a_volume.suv).TransformIndexToPhysicalPoint(corner.tolist())
    assert (segmentation["ijkToLPS"] @ [*corner, 1])[:3] == pytest.approx(point, abs=1e-9)


def test_more_than_255_lesions_keep_their_numbers(a_volume, organs, tmp_path):
    lesions = np.zeros(a_volume.suv.shape, np.int32)
    lesions.reshape(-1)[:300] = np.arange(1, 301)
    write_segmentation(tmp_path / "many.seg.nrrd", a_volume, lesions, organs)
    segmentation = slicerio.read_segmentation(str(tmp_path / "many.seg.nrrd"))
    for n in (1, 255, 256, 300):
        assert np.flatnonzero(slicerio.segment_mask(segmentation, f"Lesion {n}").T).tolist() == [n - 1]


def load_in_slicer(path: Path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    return slicer, scene, node


def voxel_counts_in_slicer(slicer, node) -> dict[str, int]:
    from vtk.util.numpy_support import vtk_to_numpy

    counts = {}
    segmentation = node.GetSegmentation()
    for identifier in segmentation.GetSegmentIDs():
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(identifier, image)
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        counts[segmentation.GetSegment(identifier).GetName()] = int((values > 0).sum())
    return counts


def test_slicer_loads_every_segment_with_its_voxels(a_segmentation_file, lesions, organs):
    slicer, _scene, node = load_in_slicer(a_segmentation_file)
    assert voxel_counts_in_slicer(slicer, node) == expected_counts(lesions, organs)
    assert node.GetSegmentation().GetNumberOfLayers() == 2


def test_slicer_loads_colours_and_codes(a_segmentation_file):
    slicer, _scene, node = load_in_slicer(a_segmentation_file)
    by_name = {organ.name: organ for organ in ORGANS} | {"Lesion 1": LESION, "Lesion 2": LESION}
    entry = slicer.vtkSlicerTerminologyEntry()
    segmentation = node.GetSegmentation()
    for identifier in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(identifier)
        structure = by_name[segment.GetName()]
        assert [round(c * 255) for c in segment.GetColor()] == list(structure.colour)
        tag = segment.GetTerminology()
        assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(tag, entry)
        kind, category = entry.GetTypeObject(), entry.GetCategoryObject()
        assert (kind.GetCodeValue(), kind.GetCodingSchemeDesignator()) == structure.type[:2]
        assert kind.GetCodeMeaning() == structure.type[2]
        assert (category.GetCodeValue(), category.GetCodingSchemeDesignator()) == structure.category[:2]
        assert entry.GetTerminologyContextName() == TERMINOLOGY_CONTEXT


def test_slicer_places_a_segment_where_it_was(a_segmentation_file, a_volume, lesions):
    slicer, _scene, node = load_in_slicer(a_segmentation_file)
    identifier = node.GetSegmentation().GetSegmentIdBySegmentName("Lesion 2")
    centre_ras = node.GetSegmentCenterRAS(identifier)
    indices = np.argwhere(lesions == 2)
    middle = ((indices.min(axis=0) + indices.max(axis=0)) / 2)[::-1]
    image = a_volume.with_array(a_volume.suv)
    x, y, z = image.TransformContinuousIndexToPhysicalPoint(middle.tolist())
    # Slicer returns the centre of the nearest voxel.
    assert centre_ras == pytest.approx((-x, -y, z), abs=max(a_volume.spacing))
    matrix = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(identifier, matrix)
    assert matrix.GetSpacing() == pytest.approx(a_volume.spacing)


@pytest.mark.parametrize("with_organs", [True, False])
def test_a_patient_without_lesions_loads_in_slicer(a_volume, organs, tmp_path, with_organs):
    path = tmp_path / "segmentation.seg.nrrd"
    shown = organs if with_organs else np.zeros_like(organs)
    write_segmentation(path, a_volume, np.zeros(organs.shape, np.int32), shown)
    slicer, _scene, node = load_in_slicer(path)
    assert len(voxel_counts_in_slicer(slicer, node)) == (6 if with_organs else 0)


def test_terminology_file_holds_the_classes_of_the_labels():
    content = json.loads(TERMINOLOGY_FILE.read_text(encoding="utf-8"))
    assert content == terminology_context()
    assert content["SegmentationCategoryTypeContextName"] == TERMINOLOGY_CONTEXT
    found = {
        (
            (category["CodeValue"], category["CodingSchemeDesignator"], category["CodeMeaning"]),
            (kind["CodeValue"], kind["CodingSchemeDesignator"], kind["CodeMeaning"]),
            tuple(kind["recommendedDisplayRGBValue"]),
            kind["3dSlicerLabel"],
            kind["3dSlicerIntegerLabel"],
        )
        for category in content["SegmentationCodes"]["Category"]
        for kind in category["Type"]
    }
    assert found == {(s.category, s.type, s.colour, s.name, s.label) for s in SEMANTIC_CLASSES}


def test_slicer_loads_the_terminology_file_and_recognises_the_segments(a_segmentation_file):
    slicer, scene, node = load_in_slicer(a_segmentation_file)
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    logic.SetMRMLScene(scene)
    assert logic.LoadTerminologyFromFile(str(TERMINOLOGY_FILE)) == TERMINOLOGY_CONTEXT
    assert logic.GetNumberOfCategoriesInTerminology(TERMINOLOGY_CONTEXT) == len(
        {s.category for s in SEMANTIC_CLASSES}
    )
    entry = slicer.vtkSlicerTerminologyEntry()
    label = LESION.name
    assert logic.FindTypeInTerminologyBy3dSlicerLabel(TERMINOLOGY_CONTEXT, label, entry)
    assert logic.SerializeTerminologyEntry(entry) == (
        node.GetSegmentation().GetSegment("lesion_1").GetTerminology()
    )
