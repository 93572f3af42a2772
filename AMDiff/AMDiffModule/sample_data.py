"""Sample data: a simulated scan for Slicer's Sample Data module, from the extension's own files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import slicer

from .display import use_pet_window
from .node_marks import mark_as_suv
from .translation import _
from .worker import library_root

_FILE = "simulated-low-count-fdg-pet.nrrd"


class SampleDataMissing(RuntimeError):
    """The sample is not where the extension keeps it, or cannot be read."""


def register() -> None:
    """Add the simulated scan to the Sample Data module, where the application has that module."""
    try:
        import SampleData
    except ImportError:
        return
    file = sample_file()
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="AMDiff",
        sampleName=_sample_name(),
        # For `SampleData.downloadSample`, which copies the file and knows no unit.
        uris=file.as_uri(),
        checksums=f"SHA256:{hashlib.sha256(file.read_bytes()).hexdigest()}",
        fileNames=file.name,
        nodeNames=_sample_name(),
        thumbnailFileName=str(file.with_suffix(".png")),
        customDownloader=load,
    )


def load(source=None):
    """Add the simulated scan to `slicer.mrmlScene`, in SUV, and show it; return the volume node.

    `source` is what the Sample Data module hands to a custom downloader.

    Raises:
        SampleDataMissing: its file is gone or damaged.
    """
    file = sample_file()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(file))
    node = slicer.vtkMRMLScalarVolumeNode()
    if not storage.ReadData(node):
        raise SampleDataMissing(_not_read().format(file=file))
    node.SetName(slicer.mrmlScene.GenerateUniqueName(_sample_name()))
    node.SetDescription(_("Simulated by AMDiff: a random phantom, not a patient."))
    mark_as_suv(node)
    slicer.mrmlScene.AddNode(node)
    use_pet_window(node)
    application = slicer.app.applicationLogic()
    application.GetSelectionNode().SetActiveVolumeID(node.GetID())
    application.PropagateVolumeSelection()
    return node


def sample_file() -> Path:
    """Return the file of the simulated scan. Raises SampleDataMissing when it is not there."""
    file = library_root() / "Resources" / "SampleData" / _FILE
    if not file.is_file():
        raise SampleDataMissing(_not_read().format(file=file))
    return file


def _sample_name() -> str:
    return _("Simulated low-count FDG PET")


def _not_read() -> str:
    return _("The sample {file} could not be read. Install the AMDiff extension again.")
