"""The table follows the segmentation: measured in the scene as the job measures, also after a reload."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from AMDiffModule.lesion_marks import (
    REASONS,
    accept,
    add_lesion,
    is_lesion,
    lesion_numbers,
    reject,
    rejected_as,
    type_code,
)
from AMDiffModule.measurement_table import remarks_of
from AMDiffModule.node_marks import remember_suv_factor
from AMDiffModule.patient_facts import PatientFacts, facts_of, remember
from AMDiffModule.scene_import import find_results, import_results
from AMDiffModule.scene_measurement import measure_scene, update_table
from lesion_cases import (
    DENOISING,
    VOXEL_ML,
    add_patient,
    box,
    cells,
    job_results,
    lesion_mask,
    low_count_suv,
    paint,
)
from slicer_host import open_host


@pytest.fixture
def a_host(tmp_path):
    return open_host(tmp_path / "cache")


@pytest.fixture
def nodes(a_host):
    return add_patient(a_host.scene)


def segment(nodes, segment_id: str):
    return nodes.segmentation.GetSegmentation().GetSegment(segment_id)


def reloaded(host, nodes, tmp_path):
    """Save the scene as a bundle, open it in another scene, and find the results of the same input there."""
    bundle = tmp_path / "scene.mrb"
    bundle.unlink(missing_ok=True)
    host.write_bundle(bundle)
    again = open_host(tmp_path / f"cache {id(bundle)}")
    assert again.scene.ReadFromMRB(str(bundle), True)
    return again, find_results(again.scene, again.scene.GetFirstNodeByName(nodes.input.GetName()))


def test_measuring_the_scene_gives_the_table_that_the_job_wrote(nodes):
    before = cells(nodes.table)
    assert list(before) == [
        *(f"Lesion {n}" for n in (1, 2, 3)),
        "All lesions",
        *("liver", "lung", "bone", "muscle", "kidney", "spleen", "aorta"),
        "liver reference",
        "blood pool reference",
    ]
    update_table(nodes)
    assert cells(nodes.table) == before


def test_low_count_and_denoised_columns_are_of_their_own_volume(nodes):
    update_table(nodes)
    found = cells(nodes.table)
    suv = low_count_suv()[26:31, 4:8, 4:7].astype(float)
    lesion = next(row for row in found.values() if float(row["mtv_ml"]) == pytest.approx(60 * VOXEL_ML))
    assert float(lesion["low_count_suv_max_g_per_ml"]) == pytest.approx(suv.max(), rel=1e-5)
    assert float(lesion["suv_max_g_per_ml"]) == pytest.approx(DENOISING * suv.max(), rel=1e-5)
    assert float(lesion["low_count_tlg_g"]) == pytest.approx(suv.sum() * VOXEL_ML, rel=1e-5)


def test_the_table_follows_an_edit_and_only_what_was_edited_changes(nodes):
    before = cells(nodes.table)
    voxels = box(slice(26, 28), slice(4, 8), slice(4, 7))
    lesion = next(name for name, row in before.items() if float(row["mtv_ml"] or "nan") == 60 * VOXEL_ML)
    paint(nodes, f"lesion_{lesion.split()[1]}", voxels)
    update_table(nodes)
    after = cells(nodes.table)
    assert float(after[lesion]["mtv_ml"]) == pytest.approx(24 * VOXEL_ML)
    mean = DENOISING * low_count_suv()[voxels].astype(float).mean()
    assert float(after[lesion]["suv_mean_g_per_ml"]) == pytest.approx(mean, rel=1e-5)
    untouched = [name for name in before if name not in (lesion, "All lesions")]
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    total = float(before["All lesions"]["mtv_ml"]) - 36 * VOXEL_ML
    assert float(after["All lesions"]["mtv_ml"]) == pytest.approx(total)


def test_an_edit_by_another_segment_takes_voxels_away_and_overlap_is_counted_in_both(nodes):
    voxels = lesion_mask() & box(slice(0, 36), slice(0, 8), slice(0, 8))  # the one of 60
    organ = voxels & box(slice(26, 28), slice(0, 32), slice(0, 34))
    liver = low_count_suv() * 0 + 0
    liver[2:20, 2:18, 2:16] = 1
    paint(nodes, "liver", (liver > 0) | organ)
    update_table(nodes)
    after = cells(nodes.table)
    # Lesions and organs are two layers: the lesion keeps its voxels, and the liver's values leave them out.
    assert float(after["liver"]["volume_ml"]) == pytest.approx(18 * 16 * 14 * VOXEL_ML)
    inside = [float(row["location_inside_percent"] or "nan") for row in after.values()]
    assert sum(value == pytest.approx(40.0) for value in inside) == 1


def test_a_new_lesion_is_measured_and_a_deleted_one_disappears(nodes):
    added = add_lesion(nodes.segmentation, (1.0, 0.0, 0.0))
    assert added == "lesion_4" and is_lesion(segment(nodes, added))
    update_table(nodes)
    assert "Lesion 4" not in cells(nodes.table)  # nothing drawn yet
    voxels = box(slice(24, 26), slice(20, 22), slice(6, 8))
    paint(nodes, added, voxels)
    nodes.segmentation.GetSegmentation().RemoveSegment("lesion_2")
    update_table(nodes)
    after = cells(nodes.table)
    assert [name for name in after if name.startswith("Lesion")] == ["Lesion 1", "Lesion 3", "Lesion 4"]
    assert float(after["Lesion 4"]["mtv_ml"]) == pytest.approx(8 * VOXEL_ML)
    assert after["All lesions"]["lesion_count"].startswith("3")


def test_a_segment_of_the_editors_own_making_is_a_lesion_once_its_terminology_says_so(nodes):
    segmentation = nodes.segmentation.GetSegmentation()
    own = segmentation.AddEmptySegment("Segment_1", "node beside the aorta")
    paint(nodes, own, box(slice(24, 26), slice(20, 22), slice(6, 8)))
    update_table(nodes)
    assert "node beside the aorta" not in cells(nodes.table)
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    segment(nodes, own).SetTag(
        tag,
        "Segmentation category and type - DICOM master list~SCT^49755003^Morphologically Altered Structure"
        "~SCT^108369006^Neoplasm~SCT^86049000^Primary~Anatomic codes - DICOM master list~^^~^^",
    )
    assert type_code(segment(nodes, own)) == "108369006"
    assert lesion_numbers(nodes.segmentation)[own] == 4
    update_table(nodes)
    assert float(cells(nodes.table)["node beside the aorta"]["mtv_ml"]) == pytest.approx(8 * VOXEL_ML)


def test_a_rejected_lesion_is_greyed_kept_and_out_of_the_totals_until_it_is_accepted_again(nodes):
    before = cells(nodes.table)
    colour = segment(nodes, "lesion_1").GetColor()
    reject(nodes.segmentation, "lesion_1", "bladder")
    update_table(nodes)
    after = cells(nodes.table)
    assert rejected_as(segment(nodes, "lesion_1")) == "bladder"
    assert len(set(segment(nodes, "lesion_1").GetColor())) == 1  # grey
    assert (after["Lesion 1"]["status"], after["Lesion 1"]["rejected_as"]) == ("rejected", "bladder")
    assert after["Lesion 1"]["tlg_g"] == before["Lesion 1"]["tlg_g"]
    left = float(before["All lesions"]["tlg_g"]) - float(before["Lesion 1"]["tlg_g"])
    assert float(after["All lesions"]["tlg_g"]) == pytest.approx(left, rel=1e-4)
    reject(nodes.segmentation, "lesion_1", "ureter")  # another reason keeps the first colour
    accept(nodes.segmentation, "lesion_1")
    update_table(nodes)
    assert segment(nodes, "lesion_1").GetColor() == pytest.approx(colour, abs=1e-6)
    assert cells(nodes.table) == before
    with pytest.raises(ValueError, match="gall bladder"):
        reject(nodes.segmentation, "lesion_1", "gall bladder")
    assert "bladder" in REASONS


def test_edited_and_rejected_lesions_give_the_same_table_after_a_bundle_is_loaded(a_host, nodes, tmp_path):
    paint(nodes, "lesion_2", box(slice(26, 30), slice(13, 17), slice(4, 8)))
    paint(nodes, add_lesion(nodes.segmentation, (1.0, 0.0, 0.0)), box(*(slice(22, 24),) * 2, slice(6, 8)))
    reject(nodes.segmentation, "lesion_1", "ureter")
    remember(nodes.segmentation, PatientFacts(height_m=1.7, weight_kg=70.0, sex="F", percist=True))
    update_table(nodes)
    before = cells(nodes.table)
    _, again = reloaded(a_host, nodes, tmp_path)
    assert cells(again.table) == before
    assert facts_of(again.segmentation) == facts_of(nodes.segmentation)
    assert rejected_as(segment(again, "lesion_1")) == "ureter"
    update_table(again)
    assert cells(again.table) == before
    accept(again.segmentation, "lesion_1")
    update_table(again)
    assert cells(again.table)["All lesions"]["lesion_count"].startswith("4")


def test_three_patients_in_one_scene_keep_apart(a_host, tmp_path):
    patients = [add_patient(a_host.scene, name=f"PET {n}", seed=n) for n in range(3)]
    tables = [cells(patient.table) for patient in patients]
    assert tables[0] != tables[1] != tables[2]
    reject(patients[1].segmentation, "lesion_1", "bladder")
    paint(patients[2], "lesion_1", box(slice(26, 28), slice(4, 8), slice(4, 7)))
    remember(patients[0].segmentation, PatientFacts(deauville=True))
    for patient in patients:
        update_table(patient)
    after = [cells(patient.table) for patient in patients]
    assert [table["All lesions"]["lesion_count"][0] for table in after] == ["3", "2", "3"]
    assert after[0]["All lesions"]["deauville_score"].startswith("5")
    assert after[1]["All lesions"]["deauville_score"] == after[2]["All lesions"]["deauville_score"] == "nan"
    assert after[1]["Lesion 2"] == tables[1]["Lesion 2"]
    assert after[2]["Lesion 1"] != tables[2]["Lesion 1"]
    again, _ = reloaded(a_host, patients[0], tmp_path)
    for patient, table in zip(patients, after, strict=True):
        found = find_results(again.scene, again.scene.GetFirstNodeByName(patient.input.GetName()))
        assert cells(found.table) == table
        update_table(found)
        assert cells(found.table) == table


def test_a_low_count_volume_in_becquerel_is_measured_in_suv(nodes):
    expected = cells(nodes.table)
    array = slicer.util.arrayFromVolume(nodes.input)
    array *= 4000.0
    remember_suv_factor(nodes.denoised, 1 / 4000.0)
    update_table(nodes)
    found = cells(nodes.table)
    for name in ("Lesion 1", "liver"):
        for column in ("low_count_suv_max_g_per_ml", "suv_max_g_per_ml"):
            assert float(found[name][column]) == pytest.approx(float(expected[name][column]), rel=1e-5)


def test_body_measures_and_uptake_time_come_from_the_report_and_percist_says_what_is_missing(
    a_host,
):
    source = {"height_m": 1.78, "weight_kg": 110.0, "sex": "M", "uptake_minutes": 61.5}
    nodes = add_patient(a_host.scene, **source)
    assert facts_of(nodes.segmentation) == PatientFacts(**source)
    without = add_patient(a_host.scene, name="other")
    assert facts_of(without.segmentation) == PatientFacts()
    for patient in (nodes, without):
        remember(patient.segmentation, PatientFacts(**(source if patient is nodes else {}), percist=True))
        update_table(patient)
    lean = 71.916 / 110.0
    row = cells(nodes.table)["Lesion 1"]
    assert float(row["sul_peak_g_per_ml"]) == pytest.approx(lean * float(row["suv_peak_g_per_ml"]), rel=1e-4)
    assert row["percist_measurable"] == "yes"
    assert cells(without.table)["Lesion 1"]["sul_peak_g_per_ml"] == "nan"
    assert any("height" in remark for remark in remarks_of(without.table))
    assert remarks_of(nodes.table) == []


def test_a_segmentation_on_another_grid_is_brought_to_the_volumes(nodes):
    before = measure_scene(nodes)[0]
    shifted = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    nodes.segmentation.SetAndObserveTransformNodeID(shifted.GetID())
    assert measure_scene(nodes)[0] == before  # a transform that moves nothing
    matrix = np.eye(4)
    matrix[2, 3] = 5.0  # one slice up
    shifted.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    moved = measure_scene(nodes)[0]
    for here, there in zip(before.lesions, moved.lesions, strict=True):
        assert there.mtv_ml == pytest.approx(here.mtv_ml)
        assert there.centroid_index[2] == pytest.approx(here.centroid_index[2] + 1.0)


def test_what_is_drawn_outside_the_volume_is_cut_off(nodes):
    shifted = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[2, 3] = 40.0  # eight slices up: the lesions' highest slice is 30 of 36
    shifted.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    nodes.segmentation.SetAndObserveTransformNodeID(shifted.GetID())
    measured = measure_scene(nodes)[0]
    assert sum(lesion.mtv_ml for lesion in measured.lesions) == pytest.approx((24 + 18 + 8) * VOXEL_ML)


def test_a_low_count_volume_out_of_proportion_to_suv_has_no_values_rather_than_wrong_ones(a_host):
    """As of a series without decay correction, each slice of which has its own factor."""
    pet = add_patient(a_host.scene).input
    slices = slicer.util.arrayFromVolume(pet)
    slices *= np.linspace(0.8, 1.2, len(slices))[:, None, None]
    nodes = import_results(a_host.scene, pet, Path(job_results(0, ()).name))
    by_job = cells(nodes.table)["Lesion 1"]
    assert by_job["low_count_suv_max_g_per_ml"] != "nan"
    update_table(nodes)
    found = cells(nodes.table)["Lesion 1"]
    assert found["low_count_suv_max_g_per_ml"] == "nan"
    assert found["suv_max_g_per_ml"] == by_job["suv_max_g_per_ml"]
    assert any("not in proportion to SUV" in remark for remark in remarks_of(nodes.table))
