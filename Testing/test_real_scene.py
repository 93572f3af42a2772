"""A real series in the scene: Slicer's copy in Bq/mL is measured as the library measures the DICOM files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from AMDiffModule.node_marks import low_count_agrees
from AMDiffModule.patient_facts import facts_of
from AMDiffModule.scene_import import import_results
from AMDiffModule.scene_measurement import update_table
from lesion_cases import cells
from slicer_host import open_host

from AMDiffLib.image.reading import read_pet
from AMDiffLib.inference.lesions import label_lesions
from AMDiffLib.inference.pipeline import Result
from AMDiffLib.inference.result_files import write_results
from AMDiffLib.progress import SilentReporter


def in_becquerel(folder):
    """Read the series by GDCM, as Slicer does, into a node."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    return slicer.util.addVolumeFromArray(values, ijkToRAS=np.diag([-1, -1, 1, 1]) @ matrix, name="GE")


def test_the_ge_series_is_measured_in_suv_from_its_values_in_becquerel(pet_data, tmp_path, monkeypatch):
    monkeypatch.setattr("AMDiffLib.inference.result_files.write_overview", lambda *arguments: None)
    folder = pet_data / "sts001-ge-fdg" / "FDG_PET" / "image"
    volume = read_pet(folder)
    lesions = label_lesions(volume.suv > 6.0, spacing=volume.spacing, minimum_ml=2.0, suv=volume.suv)
    organs = np.where((volume.suv > 1.5) & (volume.suv < 3.0), 2, 0).astype(np.uint8)
    result = Result(denoised=0.9 * volume.suv, lesions=lesions > 0, organs=organs)
    write_results(tmp_path, volume, result, SilentReporter())
    (tmp_path / "report.json").write_text(json.dumps({"input": volume.source}), encoding="utf-8")

    host = open_host(tmp_path / "cache")
    nodes = import_results(host.scene, in_becquerel(folder), tmp_path)
    assert low_count_agrees(nodes.denoised)
    by_job = cells(nodes.table)
    update_table(nodes)
    in_scene = cells(nodes.table)
    assert list(in_scene) == list(by_job) and "Lesion 1" in in_scene
    for name, row in by_job.items():
        for column, value in row.items():
            if column.endswith(("_g_per_ml", "_ml", "_g", "_ratio")):
                assert float(in_scene[name][column]) == pytest.approx(float(value), rel=2e-5, nan_ok=True)
    # The header's own entries: 1.63 m, 71 kg, injected 45 min before.
    facts = facts_of(nodes.segmentation)
    assert (facts.height_m, facts.weight_kg, facts.sex) == (1.63, 71.0, "M")
    assert facts.uptake_minutes == pytest.approx(45.2, abs=0.05)
    # PERCIST is measured in the job and in the scene, where the headers say how large the patient is.
    lean_per_weight = 9270.0 / (6680.0 + 216.0 * 71.0 / 1.63**2)
    row = in_scene["Lesion 1"]
    expected = lean_per_weight * float(row["low_count_suv_peak_g_per_ml"])
    assert float(row["low_count_sul_peak_g_per_ml"]) == pytest.approx(expected, rel=1e-4)
