"""The module's panel on stand-ins with small volumes and a small model: what the panel tests share."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import slicer
from AMDiffModule.node_marks import mark_as_suv
from dicom_builder import DEFAULT_FACTOR, write_series
from qt_stand_ins import process_events
from small_cases import a_patient

STORED_STEP = 5.0  # Bq/mL; the bladder stays within 16 bits


def add_patient(name: str, *, marked: bool = True, empty: bool = False):
    """Add a small patient to the scene, in a study of a subject of its own, and return the volume node."""
    values = a_patient((32, 32, 32)).suv * (0.0 if empty else 1.0)
    node = slicer.util.addVolumeFromArray(values, ijkToRAS=np.diag([-4.0, -4.0, 4.0, 1.0]), name=name)
    if marked:
        mark_as_suv(node)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    subject = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), f"Patient {name}")
    study = hierarchy.CreateStudyItem(subject, f"Study {name}")
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        item = hierarchy.CreateItem(study, node)
    hierarchy.SetItemParent(item, study)
    return node


def item_above(node, levels: int) -> int:
    """The subject hierarchy item `levels` above a node's."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    for _level in range(levels):
        item = hierarchy.GetItemParent(item)
    return item


def process_until(condition, *, timeout_s: float = 90.0) -> None:
    """Let the timers fire until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        process_events()
        time.sleep(0.02)


class DicomDatabase:
    """Slicer's DICOM database of one series in a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = {str(number): str(path) for number, path in enumerate(sorted(folder.iterdir()))}

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")

    def instanceValue(self, uid: str, tag: str) -> str:
        return ""

    def seriesForFile(self, file: str) -> str:
        return "series"

    def studyForSeries(self, series: str) -> str:
        return "study"

    def seriesForStudy(self, study: str) -> list[str]:
        return ["series"]

    def filesForSeries(self, series: str) -> list[str]:
        return list(self.files.values())

    def fileValue(self, file: str, tag: str) -> str:
        return "1.2.840.10008.5.1.4.1.1.128"


def add_dicom_volume(folder: Path, monkeypatch, **changes):
    """Write the small patient as a DICOM series, and add a volume that was loaded from it."""
    volume = a_patient((24, 36, 44))
    stored = np.round(volume.suv / DEFAULT_FACTOR / STORED_STEP).astype(np.int16)
    write_series(
        folder,
        stored,
        positions=[4.0 * index for index in range(len(stored))],
        pixel_spacing=(4.0, 4.0),
        RescaleSlope=str(STORED_STEP),
        **changes,
    )
    database = DicomDatabase(folder)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    node = slicer.util.addVolumeFromArray(stored.astype(np.float32) * STORED_STEP, name="PET AC")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(database.files))
    return node
