"""One export: the results as they are in the scene now, handed to a background process that exports them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import slicer

from .count_comparison import CountComparison
from .export import UnusableVolume, dicom_files, write_nrrd
from .job import Job, JobWithFolder
from .job_folder import JobFolder
from .node_marks import DICOM_UIDS_ATTRIBUTE, suv_factor_of_input
from .result_report import report_of
from .scene_import import ResultNodes
from .scene_measurement import measure_scene
from .translation import _
from .worker import LIBRARY, find_python, library_root, worker_environment


@dataclass(frozen=True, kw_only=True)
class ExportChoices:
    """What is to be written; `report` refers to segmentation and PET, and brings them along."""

    segmentation: bool = False
    report: bool = False
    pet: bool = False
    table: bool = False
    page: bool = False
    identity: bool = False

    @property
    def dicom_objects(self) -> list[str]:
        """The DICOM objects, by the names of the command."""
        wanted = {"seg": self.segmentation, "sr": self.report, "pet": self.pet}
        return [name for name, is_wanted in wanted.items() if is_wanted]

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.dicom_objects) or self.table or self.page

    def arguments(self) -> list[str]:
        """The options of the command."""
        arguments = ["--dicom", ",".join(self.dicom_objects)] if self.dicom_objects else []
        switches = {"--csv": self.table, "--pdf": self.page, "--identity": self.identity and self.page}
        return arguments + [name for name, is_on in switches.items() if is_on]


def reason_for_no_dicom(volume_node) -> str:
    """Return why no DICOM objects can be made of this volume's results; empty when they can."""
    uids = (volume_node.GetAttribute(DICOM_UIDS_ATTRIBUTE) or "").split()
    if not uids:
        return _(
            "No DICOM objects: '{name}' was not loaded from DICOM, so there is no study to put them into."
        ).format(name=volume_node.GetName())
    database = getattr(slicer, "dicomDatabase", None)
    file = database.fileForInstance(uids[0]) if database is not None else ""
    if not file or not Path(file).is_file():
        return _(
            "No DICOM objects: the DICOM files of '{name}' are not in this computer's DICOM database. Import "
            "the series in the DICOM module."
        ).format(name=volume_node.GetName())
    return ""


class ExportJob(JobWithFolder):
    """An export that is running or has ended."""

    def __init__(
        self,
        nodes: ResultNodes,
        choices: ExportChoices,
        folder: Path,
        *,
        slicer_home: str | None = None,
        temporary_folder: Path | None = None,
    ) -> None:
        """Write segments, denoised volume and measurements as they are now, and start the job.

        The export appears in a new folder inside `folder`, named after the time and not after the patient.

        Raises:
            UnusableVolume: the scan's files are not to be found, or something cannot be written.
            WorkerNotFound: the Python interpreter or the library is not where it should be.
        """
        root, python = library_root(), find_python(slicer_home)
        self.output = Path(folder) / f"AMDiff {datetime.now():%Y-%m-%d %H%M%S}"
        self.folder = JobFolder(temporary_folder)
        try:
            source = _write_source(
                nodes, self.folder.input, needs_dicom=choices.identity or bool(choices.dicom_objects)
            )
            results = self.folder.path / "current"
            results.mkdir()
            _write_results(nodes, results)
            command = [str(python), "-m", f"{LIBRARY}.export_results", "--results", str(results), *source]
            command += ["--output", str(self.output), *choices.arguments()]
            command += ["--progress", "json", "--stop-when-stdin-closes"]
            self.job = Job(command, environment=worker_environment(root), folder=self.folder.path)
        except BaseException:
            self.folder.remove()
            raise


def _write_source(nodes: ResultNodes, folder: Path, *, needs_dicom: bool) -> list[str]:
    """Put the scan into `folder`, as its DICOM files or as SUV, and return the options that name it."""
    if needs_dicom:
        if reason := reason_for_no_dicom(nodes.input):
            raise UnusableVolume(reason)
        series = folder / "dicom"
        series.mkdir()
        for number, file in enumerate(dicom_files(nodes.input)):
            shutil.copyfile(file, series / f"{number:05d}.dcm")
        return ["--source", str(series)]
    path = folder / "low_count.nrrd"
    write_nrrd(_in_suv(nodes), path)
    return ["--source", str(path), "--units", "SUVbw"]


def _in_suv(nodes: ResultNodes):
    """Return the input in SUV: itself, or a copy that is not in the scene."""
    factor = suv_factor_of_input(nodes.denoised)
    if factor == 1.0:
        return nodes.input
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.SetName(nodes.input.GetName())
    copy.CopyOrientation(nodes.input)
    image = type(nodes.input.GetImageData())()
    image.DeepCopy(nodes.denoised.GetImageData())
    copy.SetAndObserveImageData(image)
    slicer.util.updateVolumeFromArray(copy, slicer.util.arrayFromVolume(nodes.input) * factor)
    return copy


def _write_results(nodes: ResultNodes, folder: Path) -> None:
    """Write what denoise_segment wrote, as it is in the scene now."""
    write_nrrd(nodes.denoised, folder / "denoised.nrrd")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(folder / "segmentation.seg.nrrd"))
    if not storage.WriteData(nodes.segmentation):
        raise UnusableVolume(
            _("The segmentation could not be written to {folder}. Is there enough free disk space?").format(
                folder=folder
            )
        )
    denoised, low_count = measure_scene(nodes, CountComparison())
    denoised.to_json(folder / "measurements.json", low_count)
    (folder / "report.json").write_text(json.dumps(report_of(nodes.denoised)), encoding="utf-8")
