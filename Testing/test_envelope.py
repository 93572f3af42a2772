"""A scan unlike those a model was trained on is said to be so, and what is no patient is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from small_cases import a_patient, saved_tiny_model

from AMDiffLib.description.measures import ScanMeasures
from AMDiffLib.description.scan import describe_scan
from AMDiffLib.errors import BadCheckpoint, BadInput
from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.envelope import KEY, Envelope, outside, refuse_meaningless
from AMDiffLib.inference.study import LoadedModel, Source, StudyOptions, process_study
from AMDiffLib.inference.weights import read_config, write_config
from AMDiffLib.progress import SilentReporter

USUAL = ScanMeasures(
    voxel_mm=(4.0, 4.0), axial_mm=900.0, liver_noise=0.2, body_ml=70e3, cross_section_cm2=800.0, mean_suv=0.7,
    highest_suv=30.0, dose_share=0.7,
)  # fmt: skip


@pytest.fixture
def an_envelope() -> Envelope:
    larger = replace(USUAL, liver_noise=0.5, cross_section_cm2=1000.0, axial_mm=1100.0, mean_suv=0.84)
    return Envelope.around(
        [USUAL, larger], counts_percent=(5.0, 10.0), scanners=("mct",), subjects=2, simulated=True
    )


def a_box(shape=(40, 40, 40), suv=1.0, spacing=(5.0, 5.0, 5.0), **source) -> PetVolume:
    """A box of even uptake in air, 12 voxels narrower than the image along each axis."""
    array = np.zeros(shape, np.float32)
    array[6:-6, 6:-6, 6:-6] = suv
    return PetVolume(
        suv=array, spacing=spacing, origin=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), source=source
    )


def test_the_measures_of_a_box_are_those_of_its_edges():
    """28 voxels of 5 mm; on either side 10 mm to the tenth of a blur of 8 mm, and two voxels of margin."""
    measures = ScanMeasures.of(a_box(weight_kg=5.0))
    assert measures.voxel_mm == (5.0, 5.0)
    assert measures.axial_mm == 200.0
    assert measures.cross_section_cm2 == pytest.approx(18.0**2, rel=0.1)
    assert measures.body_ml == pytest.approx(18.0**3, rel=0.1)
    # SUV 1 in 14^3 cm3 is 2.744 kg of the patient's 5, wherever the mask ends.
    assert measures.dose_share == pytest.approx(2.744 / 5.0, rel=0.01)
    assert measures.highest_suv == 1.0


def test_the_length_is_that_along_the_patient_whatever_the_order_of_axes():
    standing = replace(
        a_box((30, 40, 50), spacing=(4.0, 5.0, 6.0)), direction=(0, 0, 1, 1, 0, 0, 0, 1, 0)
    )  # LPS z runs along the array's y
    assert ScanMeasures.of(standing).axial_mm == 40 * 5.0


def test_an_envelope_spans_its_scans_and_survives_the_configuration(an_envelope):
    assert an_envelope.liver_noise == (0.2, 0.5)
    assert an_envelope.axial_mm == (900.0, 1100.0)
    assert Envelope.of_model({KEY: an_envelope.to_dict()}) == an_envelope
    assert Envelope.of_model({}) is None


@pytest.mark.parametrize("change", [{"mean_suv": None}, {"liver_noise": [0.5, 0.2]}, {"axial_mm": "long"}])
def test_an_envelope_that_is_none_is_refused(an_envelope, change):
    with pytest.raises(BadCheckpoint, match="envelope"):
        Envelope.of_model({KEY: {**an_envelope.to_dict(), **change}})


def test_a_scan_like_those_of_the_training_is_passed_without_a_word(an_envelope):
    refuse_meaningless(USUAL)
    assert outside(USUAL, an_envelope) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"voxel_mm": (1.65, 1.65)}, "voxels of 1.65 mm .trained: 4 mm."),
        ({"voxel_mm": (4.0, 8.0)}, "voxels of 4 to 8 mm"),
        ({"axial_mm": 250.0}, "25 cm along the body .trained: 90 to 110 cm."),
        ({"liver_noise": None}, "no liver-like region"),
        ({"liver_noise": 0.9}, "90 % noise in the liver .trained: 20 to 50 %."),
        ({"liver_noise": 0.05}, "5 % noise"),
        ({"cross_section_cm2": 300.0}, "300 cm2 in cross-section"),
        ({"mean_suv": 0.1}, "attenuation-corrected"),
        ({"highest_suv": 400.0}, "SUV of up to 400"),
        ({"dose_share": 1.3}, "130 % of the injected activity"),
    ],
)
def test_each_way_to_be_unlike_them_is_named_with_both_figures(an_envelope, change, said):
    (warning,) = outside(replace(USUAL, **change), an_envelope)
    assert re.search(said, warning)


def test_a_model_without_envelope_says_that_nothing_was_checked():
    (warning,) = outside(USUAL, None)
    assert "does not state" in warning


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"body_ml": 400.0, "cross_section_cm2": 30.0}, "animal"),
        ({"dose_share": 3.5}, "3.5 times the activity"),
        ({"dose_share": None, "mean_suv": 3000.0}, "no SUV"),
    ],
)
def test_what_no_model_can_make_sense_of_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        refuse_meaningless(replace(USUAL, **change))


def test_the_real_scan_holds_less_activity_than_was_injected(pet_data):
    measures = ScanMeasures.of(read_pet(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image"))
    # Head to knee of a man of 71 kg: some is excreted, some in the legs, none is made.
    assert 0.5 < measures.dose_share < 0.9
    refuse_meaningless(measures)


def test_the_job_warns_in_its_report_and_refuses_before_it_computes(tmp_path, an_envelope):
    folder = saved_tiny_model(tmp_path / "model")
    write_config(folder, {**read_config(folder), KEY: an_envelope.to_dict()})
    reporter = SilentReporter()
    model = LoadedModel.load(folder, "cpu", reporter)
    results = tmp_path / "results"
    results.mkdir()
    patient = replace(a_patient(), source={"format": "NRRD"})
    process = {"source": Source(path=tmp_path), "folder": results, "reporter": reporter, "seconds": {}}
    process_study(patient, model, StudyOptions(tile=32), **process)
    assert any("16 cm along the body" in text for text in reporter.warnings)
    assert "16 cm along the body" in (results / "report.json").read_text()
    tiny = a_box((20, 20, 20), suv=30.0, spacing=(2.0, 2.0, 2.0), format="NRRD")
    with pytest.raises(BadInput, match="animal"):
        process_study(tiny, model, StudyOptions(tile=32), **process)


def test_a_description_holds_the_scan_against_the_model(tmp_path, an_envelope):
    patient = a_patient()
    sitk.WriteImage(patient.with_array(patient.suv), str(tmp_path / "scan.nrrd"))
    facts = describe_scan(tmp_path / "scan.nrrd", units="SUVbw", envelope=an_envelope)
    assert any("along the body" in text for text in facts["warnings"])
    assert facts["problem"] is None


def test_a_sliver_of_a_few_millimetres_is_measured_and_refused():
    sliver = a_box((20, 40, 40), suv=30.0, spacing=(4.0, 4.0, 0.5))
    with pytest.raises(BadInput):
        refuse_meaningless(ScanMeasures.of(sliver))
