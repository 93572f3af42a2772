"""A patient with results in the scene, for the tests of reading: a block of tissue with two hot lesions."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from AMDiffModule.measurement_table import fill_table
from AMDiffModule.node_marks import mark_as_suv, mark_as_synthetic, remember_suv_factor
from AMDiffModule.scene_import import DENOISED_ROLE, INPUT_ROLE, ResultNodes

SHAPE = (40, 30, 36)  # z, y, x
SPACING_MM = (4.0, 5.0, 3.0)  # x, y, z
ORIGIN_RAS = (70.0, 75.0, -60.0)
# Voxel indices z, y, x: one lesion at the front of the volume and one at its back.
FRONT, BACK = np.s_[30:33, 0:3, 10:13], np.s_[8:11, 27:30, 20:24]
LESIONS = {"Lesion 1": FRONT, "Lesion 2": BACK}
_BODY = np.s_[4:36, :, 6:30]
_TERMINOLOGY = "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^{}~^^~~^^~^^"


def ijk_to_ras() -> np.ndarray:
    """Return the matrix of a scanner's volume: voxels run to the patient's left and back."""
    matrix = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    matrix[:3, 3] = ORIGIN_RAS
    return matrix


def centre_ras(region) -> tuple[float, float, float]:
    """Return the centre of a region of voxels (slices along z, y, x), in mm RAS."""
    z, y, x = ((axis.start + axis.stop - 1) / 2 for axis in region)
    return tuple(float(value) for value in (ijk_to_ras() @ (x, y, z, 1.0))[:3])


def suv_array(seed: int = 1) -> np.ndarray:
    """Return tissue of SUV 1 in air, with lesions of SUV 8, and noise."""
    suv = np.zeros(SHAPE, np.float32)
    suv[_BODY] = 1.0
    for region in LESIONS.values():
        suv[region] = 8.0
    noise = 0.1 * np.random.default_rng(seed).standard_normal(SHAPE)
    return (suv + noise * (suv > 0)).astype(np.float32)


def add_results(scene, folder, name: str, *, suv_factor: float = 1.0, seed: int = 1) -> ResultNodes:
    """Add an input of values SUV / `suv_factor`, and its results; `folder` is for a file in between."""
    suv = suv_array(seed)
    low_count = slicer.util.addVolumeFromArray(suv / suv_factor, ijkToRAS=ijk_to_ras(), name=name)
    if suv_factor == 1.0:
        mark_as_suv(low_count)
    denoised_suv = np.where(suv > 4, 8.0, np.where(suv != 0, 1.0, 0.0)).astype(np.float32)
    denoised = slicer.util.addVolumeFromArray(denoised_suv, ijkToRAS=ijk_to_ras(), name=f"{name} denoised")
    mark_as_suv(denoised)
    segmentation = _add_segmentation(scene, denoised, name)
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", f"{name} measurements")
    _fill(table, folder / f"{name}.csv")
    for node in (denoised, segmentation, table):
        mark_as_synthetic(node)
        node.AddNodeReferenceID(INPUT_ROLE, low_count.GetID())
    for node in (segmentation, table):
        node.AddNodeReferenceID(DENOISED_ROLE, denoised.GetID())
    remember_suv_factor(denoised, suv_factor)
    return ResultNodes(input=low_count, denoised=denoised, segmentation=segmentation, table=table)


def _add_segmentation(scene, volume, name: str):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} segmentation")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    regions = {lesion: ("108369006^Neoplasm", region) for lesion, region in LESIONS.items()}
    regions["liver"] = ("10200004^Liver", np.s_[12:20, 8:20, 8:20])
    for segment_name, (code, region) in regions.items():
        voxels = np.zeros(SHAPE, np.uint8)
        voxels[region] = 1
        segment_id = node.GetSegmentation().AddEmptySegment(segment_name, segment_name, (0.8, 0.2, 0.1))
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segment_id, volume)
        node.GetSegmentation().GetSegment(segment_id).SetTag("TerminologyEntry", _TERMINOLOGY.format(code))
    return node


def _fill(table, path) -> None:
    lines = ["kind,label,name,tlg_g,centroid_l_mm,centroid_p_mm,centroid_s_mm"]
    for label, (lesion, region) in enumerate(LESIONS.items(), start=1):
        right, anterior, superior = centre_ras(region)
        lines.append(f"lesion,{label},{lesion},10,{-right},{-anterior},{superior}")
    lines.append("total,,All lesions,20,,,")
    path.write_text("\n".join(lines) + "\n")
    fill_table(table, path)


def matrix_of(volume_node) -> np.ndarray:
    """Return a volume node's matrix from voxel indices to RAS."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def add_ct(scene, name: str, study: int):
    """Add a volume in Hounsfield units to an item of the subject hierarchy."""
    ct = slicer.util.addVolumeFromArray(np.zeros(SHAPE, np.int16), ijkToRAS=ijk_to_ras(), name=name)
    hounsfield = slicer.vtkCodedEntry()
    hounsfield.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    ct.SetVoxelValueUnits(hounsfield)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.CreateItem(study, ct)
    return ct
