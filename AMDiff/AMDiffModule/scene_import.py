"""From the results folder to nodes in the scene: all of them, or none."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .count_marks import update_count_marks
from .display import show_lesions_and_organs, use_pet_window
from .import_check import check_against_job
from .measurement_table import fill_table
from .node_marks import (
    is_marked_as_suv,
    mark_as_suv,
    mark_as_synthetic,
    remember_low_count_agrees,
    remember_suv_factor,
)
from .patient_facts import facts_of_report, remember
from .result_maps import KINDS, describe_map
from .result_report import remember_report
from .subject_hierarchy import put_beside
from .translation import _

INPUT_ROLE = "AMDiff.input"
DENOISED_ROLE = "AMDiff.denoised"


class ImportFailed(RuntimeError):
    """The results could not be loaded; the scene is as it was before."""


@dataclass(frozen=True, kw_only=True)
class ResultNodes:
    """What a run adds to the scene, and the `input` that it was computed from."""

    input: object
    denoised: object
    segmentation: object
    table: object


def import_results(scene, input_node, results: Path) -> ResultNodes:
    """Load the denoised volume, the segmentation and the table of `results`, into the study of `input_node`.

    Raises:
        ImportFailed: a file is missing or cannot be read, or the segments in the scene are not what the job
            measured; every node added so far has been removed.
    """
    with _all_or_nothing(scene):
        name = input_node.GetName()
        denoised = _load_denoised(scene, results / "denoised.nrrd", f"{name} denoised (AMDiff)")
        path = results / "segmentation.seg.nrrd"
        segmentation = _load_segmentation(scene, path, f"{name} segmentation (AMDiff)")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(input_node)
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", f"{name} measurements (AMDiff)")
        fill_table(table, _existing(results / "measurements.csv"), results / "measurements.json")
        for node in (denoised, segmentation, table):
            mark_as_synthetic(node)
            node.AddNodeReferenceID(INPUT_ROLE, input_node.GetID())
            put_beside(scene, node, input_node)
        for node in (segmentation, table):
            node.AddNodeReferenceID(DENOISED_ROLE, denoised.GetID())
        report = _report(results / "report.json")
        # The job may have read DICOM files of which the scene holds a copy in SUV.
        factor = 1.0 if is_marked_as_suv(input_node) else float(report["input"].get("suv_factor") or 1.0)
        remember_suv_factor(denoised, factor)
        remember(segmentation, facts_of_report(report))
        remember_report(denoised, report)
        for kind in KINDS:
            if (results / kind.file).is_file():  # a result of an older version has none
                _load_map(scene, results / kind.file, denoised, input_node, kind)
        use_pet_window(denoised)
        show_lesions_and_organs(segmentation)
        nodes = ResultNodes(input=input_node, denoised=denoised, segmentation=segmentation, table=table)
        differs, low_count_agrees = check_against_job(nodes, results / "measurements.csv")
        if differs:
            raise ImportFailed(differs)
        remember_low_count_agrees(denoised, low_count_agrees)
        update_count_marks(scene, nodes)
    return nodes


def find_results(scene, input_node) -> ResultNodes | None:
    """Return the latest complete results of `input_node`, also in a scene that was saved and loaded again."""
    if input_node is None:
        return None
    for denoised in reversed(_referring(scene, "vtkMRMLScalarVolumeNode", INPUT_ROLE, input_node)):
        segmentations = _referring(scene, "vtkMRMLSegmentationNode", DENOISED_ROLE, denoised)
        tables = _referring(scene, "vtkMRMLTableNode", DENOISED_ROLE, denoised)
        if segmentations and tables:
            return ResultNodes(
                input=input_node, denoised=denoised, segmentation=segmentations[-1], table=tables[-1]
            )
    return None


def _referring(scene, class_name: str, role: str, node) -> list:
    """Return the nodes of a class that refer to `node` in this role, in the order they were added."""
    count = scene.GetNumberOfNodesByClass(class_name)
    nodes = [scene.GetNthNodeByClass(index, class_name) for index in range(count)]
    return [found for found in nodes if found.GetNodeReferenceID(role) == node.GetID()]


def _load_denoised(scene, path: Path, name: str):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    _read(scene, "vtkMRMLVolumeArchetypeStorageNode", path, node)
    node.CreateDefaultDisplayNodes()
    mark_as_suv(node)
    # The words reach whoever opens the scene or an export of it, without this module.
    node.SetDescription(_("Synthetic: computed by AMDiff from a low-count PET. Not for diagnosis."))
    return node


def _load_map(scene, path: Path, denoised, input_node, kind) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.stem)
    _read(scene, "vtkMRMLVolumeArchetypeStorageNode", path, node)
    describe_map(scene, node, denoised, kind, input_node.GetName())
    put_beside(scene, node, input_node)


def _load_segmentation(scene, path: Path, name: str):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    _read(scene, "vtkMRMLSegmentationStorageNode", path, node)
    node.CreateDefaultDisplayNodes()
    return node


def _read(scene, storage_class: str, path: Path, node) -> None:
    """Read a file into a node that then does not refer to it: the job's folder is about to be removed."""
    _existing(path)
    name = node.GetName()
    storage = scene.AddNewNodeByClass(storage_class)
    try:
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            raise ImportFailed(_("The result {file} could not be read.").format(file=path.name))
    finally:
        scene.RemoveNode(storage)
    node.SetName(name)


def _report(report_json: Path) -> dict:
    """Return what the job says of its input; nothing where there is no report."""
    if not report_json.is_file():
        return {"input": {}}
    return json.loads(report_json.read_text(encoding="utf-8"))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ImportFailed(_("The result {file} is missing.").format(file=path.name))
    return path


@contextmanager
def _all_or_nothing(scene):
    """Remove every node that was added inside, if what is inside fails."""
    before = set(_node_ids(scene))
    try:
        yield
    except Exception as error:
        for identity in reversed(_node_ids(scene)):
            node = scene.GetNodeByID(identity)
            if identity not in before and node is not None:
                scene.RemoveNode(node)
        if isinstance(error, ImportFailed):
            raise
        raise ImportFailed(
            _("The results could not be loaded into the scene: {error}").format(error=error)
        ) from error


def _node_ids(scene) -> list[str]:
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [node.GetID() for node in nodes if node.GetID()]
