"""A patient in the scene as AMDiff leaves it, and edits of it such as the Segment Editor makes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import slicer
import vtk
from AMDiffModule.node_marks import mark_as_suv
from AMDiffModule.scene_import import import_results
from trust_cases import a_calibration, an_sd_map
from vtk.util.numpy_support import vtk_to_numpy

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.pipeline import Result
from AMDiffLib.inference.provenance import count_facts, uncertainty_facts
from AMDiffLib.inference.result_files import write_report, write_results
from AMDiffLib.progress import SilentReporter
from AMDiffLib.quantification.count_consistency import CountConsistency
from AMDiffLib.quantification.removed_uptake import removed_hot_spots

SHAPE = (36, 32, 34)  # z, y, x
SPACING = (4.0, 4.0, 5.0)
VOXEL_ML = 0.08
IJK_TO_RAS = np.array(
    [[-4.0, 0.0, 0.0, 60.0], [0.0, -4.0, 0.0, 50.0], [0.0, 0.0, 5.0, -300.0], [0.0, 0.0, 0.0, 1.0]]
)
LIVER, AORTA = 2, 8
REMOVED = np.s_[8:11, 24:27, 5:8]
"""A hot spot of SUV 5 in the input of a doubtful result, which its output lacks."""
WARNING = "The voxels are larger than those that the model was trained on."
DENOISING = 0.9
"""The denoised volume is the low-count one times this, so that the two are told apart."""


def organ_labels() -> np.ndarray:
    """A liver of 18 x 16 x 14 voxels (90 x 64 x 56 mm) and an aorta of 5 x 5 x 30."""
    organs = np.zeros(SHAPE, np.uint8)
    organs[2:20, 2:18, 2:16] = LIVER
    organs[3:33, 22:27, 22:27] = AORTA
    return organs


def lesion_mask() -> np.ndarray:
    """Three lesions of 60, 27 and 12 voxels, away from liver and aorta."""
    mask = np.zeros(SHAPE, bool)
    mask[26:31, 4:8, 4:7] = True
    mask[26:29, 14:17, 4:7] = True
    mask[26:29, 4:6, 14:16] = True
    return mask


def low_count_suv(seed: int = 0) -> np.ndarray:
    """SUV 1 in tissue, 2 in the liver, 1.5 in the aorta, 6, 9 and 12 in the lesions, with a little noise."""
    suv = np.ones(SHAPE, np.float32)
    organs = organ_labels()
    suv[organs == LIVER], suv[organs == AORTA] = 2.0, 1.5
    suv[26:31, 4:8, 4:7], suv[26:29, 14:17, 4:7], suv[26:29, 4:6, 14:16] = 6.0, 9.0, 12.0
    noise = np.random.default_rng(seed).uniform(0.95, 1.05, SHAPE)
    return (suv * noise).astype(np.float32)


def add_patient(scene, *, name: str = "PET", seed: int = 0, doubtful: bool = False, **source):
    """Add a PET node and import the results of a job on it; returns ResultNodes.

    `source` is added to what the report says of the input. A `doubtful` result has a lesion that the counts
    do not support, the one of 27 voxels, and has removed the hot spot `REMOVED` of the input.
    """
    pet = slicer.util.addVolumeFromArray(_images(seed, doubtful)[0], ijkToRAS=IJK_TO_RAS, name=name)
    mark_as_suv(pet)
    results = job_results(seed, tuple(source.items()), doubtful=doubtful)
    return import_results(scene, pet, Path(results.name))


def _images(seed: int, doubtful: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the low-count and the denoised SUV."""
    suv = low_count_suv(seed)
    denoised = (suv * DENOISING).astype(np.float32)
    if doubtful:
        suv[REMOVED] = 5.0
        denoised[26:29, 14:17, 4:7] *= 5.0
    return suv, denoised


@cache
def job_results(
    seed: int, source: tuple[tuple[str, object], ...], *, doubtful: bool = False
) -> TemporaryDirectory:
    """Write the results of a job by its own functions, once for all tests."""
    folder = TemporaryDirectory()
    suv, denoised = _images(seed, doubtful)
    volume = PetVolume(
        suv=suv,
        spacing=SPACING,
        origin=(-60.0, -50.0, -300.0),  # as in IJK_TO_RAS, in LPS
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        source={"path": "PET.nrrd", **dict(source)},
    )
    result = Result(denoised=denoised, lesions=lesion_mask(), organs=organ_labels(), sd=an_sd_map(denoised))
    calibration = a_calibration()
    consistency = CountConsistency.of(suv, denoised, SPACING)
    removed = removed_hot_spots(consistency, suv, denoised, volume)
    files = write_results(Path(folder.name), volume, result, SilentReporter(), calibration, consistency)
    write_report(
        Path(folder.name),
        volume,
        model_config={"name": "none", "sha256": "0" * 64, "model": {}},
        run={},
        uncertainty=uncertainty_facts(result, calibration),
        count_consistency=count_facts(consistency, removed, seconds=0.0),
        warnings=[WARNING],
        files=files,
    )
    return folder


def paint(nodes, segment_id: str, voxels: np.ndarray) -> None:
    """Make `voxels` (z, y, x, bool) the segment, by the call with which the Segment Editor ends a stroke."""
    image = slicer.vtkOrientedImageData()
    matrix = vtk.vtkMatrix4x4()
    nodes.input.GetIJKToRASMatrix(matrix)
    image.SetDimensions(*voxels.shape[::-1])
    image.SetImageToWorldMatrix(matrix)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = voxels.ravel()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, nodes.segmentation, segment_id, logic.MODE_REPLACE)


def box(*slices: slice) -> np.ndarray:
    """Return voxels that are True in a box."""
    voxels = np.zeros(SHAPE, bool)
    voxels[slices] = True
    return voxels


def cells(table_node) -> dict[str, dict[str, str]]:
    """Return the rows of a table of measurements by name, each a dictionary of texts by column name."""
    names = [table_node.GetColumnName(column) for column in range(table_node.GetNumberOfColumns())]
    rows = {}
    for row in range(table_node.GetNumberOfRows()):
        texts = {name: table_node.GetCellText(row, column) for column, name in enumerate(names)}
        rows[texts["name"]] = texts
    return rows
