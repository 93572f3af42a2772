"""The DICOM Segmentation and the structured report, read back with pydicom and with highdicom."""

from __future__ import annotations

import json
import shutil

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicerio
from export_cases import POSITIONS, WARNING, a_case, a_source, lesions_of, organs_of, results_of
from trust_cases import HIGH, LOW

from AMDiffLib.errors import BadInput
from AMDiffLib.export.bundle import ExportRequest, write_export
from AMDiffLib.image.reading import read_pet
from AMDiffLib.progress import SilentReporter

EVERYTHING = ExportRequest(dicom=frozenset({"sr"}))
MASKS = {
    "Lesion 1": lesions_of() == 1,
    "Lesion 2": lesions_of() == 2,
    "liver": organs_of() == 2,
    "aorta": organs_of() == 8,
}


def export(folder, source, results, **edited):
    folder.mkdir()
    write_export(folder, EVERYTHING, results=results, source=source, reporter=SilentReporter(), **edited)
    return folder


def edited_results(folder, results, *, change_segments, change_rows):
    """Copy segmentation and measurements, changed, and return their paths."""
    folder.mkdir()
    content = slicerio.read_segmentation(str(results / "segmentation.seg.nrrd"))
    change_segments(content)
    slicerio.write_segmentation(str(folder / "edited.seg.nrrd"), content)
    measured = json.loads((results / "measurements.json").read_text())
    change_rows(measured)
    accepted = [row for row in measured["lesions"] if row["status"] == "accepted"]
    measured["total"]["mtv_ml"] = sum(row["mtv_ml"] for row in accepted)
    (folder / "edited.json").write_text(json.dumps(measured))
    return {"segmentation": folder / "edited.seg.nrrd", "measurements": folder / "edited.json"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Folders of the source, of the results and of the export."""
    folder = tmp_path_factory.mktemp("objects")
    source, results = a_case(folder)
    return source, results, export(folder / "out", source, results)


@pytest.fixture(scope="module")
def headers(case):
    return {
        image.SOPInstanceUID: image
        for image in (pydicom.dcmread(path, stop_before_pixels=True) for path in case[0].iterdir())
    }


@pytest.fixture(scope="module")
def segmentation(case):
    return hd.seg.segread(case[2] / "segmentation.dcm")


@pytest.fixture(scope="module")
def report(case):
    return hd.sr.srread(case[2] / "measurements_sr.dcm")


def test_each_lesion_and_organ_is_a_segment_with_its_snomed_code(segmentation):
    described = {
        item.SegmentLabel: (
            item.SegmentedPropertyCategoryCodeSequence[0].CodeValue,
            item.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            item.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator,
        )
        for item in segmentation.SegmentSequence
    }
    assert described == {
        "Lesion 1": ("49755003", "108369006", "SCT"),  # Morphologically altered structure, Neoplasm
        "Lesion 2": ("49755003", "108369006", "SCT"),
        "liver": ("123037004", "10200004", "SCT"),
        "aorta": ("123037004", "15825003", "SCT"),
    }


def test_segments_are_as_the_model_drew_them_and_say_which_model(segmentation):
    for item in segmentation.SegmentSequence:
        assert item.SegmentAlgorithmType == "AUTOMATIC"
        assert item.SegmentAlgorithmName == "AMDiff amdiff-test"
        (algorithm,) = item.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("AMDiff amdiff-test", "9.8.7")
        assert "weights SHA-256=5eed" in algorithm.AlgorithmParameters


def test_every_frame_lies_on_a_source_slice_and_holds_its_voxels(segmentation, headers, case):
    """By hand from the functional groups, as a reader other than highdicom would."""
    dataset = pydicom.dcmread(case[2] / "segmentation.dcm")
    shared = dataset.SharedFunctionalGroupsSequence[0]
    first = next(iter(headers.values()))
    assert shared.PixelMeasuresSequence[0].PixelSpacing == first.PixelSpacing
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    frames = dataset.pixel_array
    found = {name: np.zeros_like(mask) for name, mask in MASKS.items()}
    names = {item.SegmentNumber: item.SegmentLabel for item in dataset.SegmentSequence}
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = [float(x) for x in groups.PlanePositionSequence[0].ImagePositionPatient]
        derivation = groups.DerivationImageSequence[0].SourceImageSequence[0]
        source = headers[derivation.ReferencedSOPInstanceUID]
        assert position == [float(x) for x in source.ImagePositionPatient]
        index = int(np.argmin(np.abs(np.array(POSITIONS) - (position[2] + 100.0))))
        name = names[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        found[name][index] = frame > 0
    for name, mask in MASKS.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)


def test_highdicom_finds_the_same_voxels_for_each_source_image(segmentation, headers):
    ordered = sorted(headers.values(), key=lambda image: float(image.ImagePositionPatient[2]))
    pixels = segmentation.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in ordered],
        assert_missing_frames_are_empty=True,
        ignore_spatial_locations=True,
    )
    for item in segmentation.SegmentSequence:
        expected = MASKS[item.SegmentLabel]
        np.testing.assert_array_equal(
            pixels[..., item.SegmentNumber - 1], expected, err_msg=item.SegmentLabel
        )


def test_objects_are_filed_in_the_patients_study(segmentation, report, headers):
    source = next(iter(headers.values()))
    for dataset in (segmentation, report):
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
            assert dataset[keyword].value == source[keyword].value
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        assert "not for diagnosis" in dataset.SeriesDescription
    assert segmentation.FrameOfReferenceUID == source.FrameOfReferenceUID


def groups_of(report):
    return {
        group.tracking_identifier: group for group in report.content.get_volumetric_roi_measurement_groups()
    }


def values_of(group):
    """The numbers of a group by name and derivation, with their units."""
    return {
        (item.name.meaning, item.derivation.meaning if item.derivation else None): (
            item.value,
            item.unit.value,
        )
        for item in group.get_measurements()
    }


def test_the_report_holds_the_measured_values_in_coded_units(report, case):
    measured = json.loads((case[1] / "measurements.json").read_text())
    groups = groups_of(report)
    assert set(groups) == set(MASKS)
    for row in measured["lesions"]:
        values = values_of(groups[row["name"]])
        assert {key: unit for key, (_, unit) in values.items()} == {
            ("SUVbw", "Maximum"): "{SUVbw}g/ml",
            ("SUVbw", "Mean"): "{SUVbw}g/ml",
            ("SUVbw", "Peak Value Within ROI"): "{SUVbw}g/ml",
            ("Metabolic Volume", None): "ml",
            ("Total Lesion Glycolysis", None): "g",
        }
        assert values["SUVbw", "Maximum"][0] == pytest.approx(row["suv_max_g_per_ml"], rel=1e-12)
        assert values["SUVbw", "Mean"][0] == pytest.approx(row["suv_mean_g_per_ml"], rel=1e-12)
        assert values["SUVbw", "Peak Value Within ROI"][0] == pytest.approx(
            row["suv_peak_g_per_ml"], rel=1e-12
        )
        assert values["Metabolic Volume", None][0] == pytest.approx(row["mtv_ml"], rel=1e-12)
        assert values["Total Lesion Glycolysis", None][0] == pytest.approx(row["tlg_g"], rel=1e-12)
    liver = next(row for row in measured["organs"] if row["name"] == "liver")
    values = values_of(groups["liver"])
    assert values["SUVbw", "Mean"] == (pytest.approx(liver["suv_mean_g_per_ml"], rel=1e-12), "{SUVbw}g/ml")
    assert values["Volume", None] == (pytest.approx(liver["volume_ml"], rel=1e-12), "ml")


def uncertainty_of(group) -> dict[tuple, list]:
    """Lower and upper range of uncertainty of each number of a group, with their unit."""
    found = {}
    for item in group.get_measurements():
        ranges = [
            (each.name.value, each.value, each.unit.value)
            for each in item[0].get("ContentSequence", ())
            if each.RelationshipType == "HAS PROPERTIES"
        ]
        found[item.name.meaning, item.derivation.meaning if item.derivation else None] = sorted(ranges)
    return found


def texts_in(dataset) -> list[str]:
    """All texts of a report."""
    return [str(element.value) for element in dataset.iterall() if element.keyword == "TextValue"]


def test_intervals_are_ranges_of_measurement_uncertainty_in_the_unit_of_the_value(report, case):
    """Codes of CID 225: 371886008 for the upper range, 371885007 for the lower."""
    rows = {row["name"]: row for row in json.loads((case[1] / "measurements.json").read_text())["lesions"]}
    for name, row in rows.items():
        found = uncertainty_of(groups_of(report)[name])
        for quantity, value, unit in (
            (("SUVbw", "Maximum"), row["suv_max_g_per_ml"], "{SUVbw}g/ml"),
            (("Metabolic Volume", None), row["mtv_ml"], "ml"),
            (("Total Lesion Glycolysis", None), row["tlg_g"], "g"),
        ):
            assert found[quantity] == [
                ("371885007", pytest.approx(value * (1 - LOW)), unit),
                ("371886008", pytest.approx(value * (HIGH - 1)), unit),
            ]
    assert uncertainty_of(groups_of(report)["liver"])["Volume", None] == []


def test_an_interval_that_leaves_the_value_out_is_not_written_as_a_range_of_it(tmp_path):
    """The model is biased by more than the interval is wide: there is no range around the value."""
    source = a_source(tmp_path / "source")
    results = results_of(tmp_path / "results", read_pet(source), bias=0.3)
    report = hd.sr.srread(export(tmp_path / "out", source, results) / "measurements_sr.dcm")
    assert uncertainty_of(groups_of(report)["Lesion 1"])["SUVbw", "Maximum"] == []


def test_what_has_no_code_is_said_in_words(report):
    said = texts_in(report)
    assert any("90 % intervals" in text and "false lesions" in text for text in said)
    assert "Lesion 2: not supported by the counts (z +5.2)" in said
    assert WARNING in said
    assert not any(text.startswith("Lesion 1:") for text in said)


def test_the_totals_are_the_sums_over_the_lesions(report, case):
    rows = json.loads((case[1] / "measurements.json").read_text())["lesions"]
    (total,) = report.content.get_image_measurement_groups()
    values = values_of(total)
    assert total.tracking_identifier == "All lesions"
    assert values["Metabolic Volume", None][0] == pytest.approx(sum(row["mtv_ml"] for row in rows))
    assert values["Total Lesion Glycolysis", None][0] == pytest.approx(sum(row["tlg_g"] for row in rows))


def test_groups_refer_to_their_segments_and_share_their_tracking_uids(report, segmentation, headers):
    for name, group in groups_of(report).items():
        reference = group.referenced_segment
        assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        (number,) = reference.referenced_segment_numbers
        item = segmentation.SegmentSequence[number - 1]
        assert item.SegmentLabel == name
        assert (item.TrackingID, item.TrackingUID) == (name, group.tracking_uid)
        series = next(iter(headers.values())).SeriesInstanceUID
        assert reference.source_series_for_segmentation.value == series


def test_lesions_are_neoplasms_with_the_organ_they_lie_in_as_site(report):
    groups = groups_of(report)
    assert groups["Lesion 1"].finding_type.value == "108369006"
    assert [site.value.value for site in groups["Lesion 1"].finding_sites] == ["10200004"]  # liver
    # Beside an organ is not in it.
    assert not groups["Lesion 2"].finding_sites
    assert groups["aorta"].finding_type.value == "15825003"


def test_suvmax_refers_to_the_derived_image_that_holds_it(report, case):
    item = next(
        item
        for item in groups_of(report)["Lesion 1"].get_measurements()
        if item.derivation and item.derivation.meaning == "Maximum"
    )
    (uid,) = [image.referenced_sop_instance_uid for image in item.referenced_images]
    images = [pydicom.dcmread(path) for path in (case[2] / "denoised_pet").iterdir()]
    image = next(image for image in images if image.SOPInstanceUID == uid)
    plane = int(np.argmin(np.abs(np.array(POSITIONS) - (float(image.ImagePositionPatient[2]) + 100.0))))
    suv = image.pixel_array * float(image.RescaleSlope) * 7.0 / float(image.WindowWidth)
    assert suv[lesions_of()[plane] == 1].max() == pytest.approx(item.value, rel=1e-4)


def test_the_observer_is_a_device_and_no_person_has_verified_the_report(report):
    (observer,) = report.content.get_observer_contexts()
    assert observer.observer_type.meaning == "Device"
    assert observer.observer_identifying_attributes.name == "AMDiff amdiff-test"
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")


def test_the_report_lists_everything_it_rests_on_as_evidence(report, segmentation, headers, case):
    listed = {
        image.ReferencedSOPInstanceUID
        for study in (
            *report.get("CurrentRequestedProcedureEvidenceSequence", []),
            *report.get("PertinentOtherEvidenceSequence", []),
        )
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }
    derived = {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
        for path in (case[2] / "denoised_pet").iterdir()
    }
    assert listed == {segmentation.SOPInstanceUID} | derived | set(headers)


def test_tracking_uids_stay_the_same_in_a_second_export_and_object_uids_do_not(case, segmentation, tmp_path):
    again = hd.seg.segread(export(tmp_path / "again", *case[:2]) / "segmentation.dcm")
    assert [item.TrackingUID for item in again.SegmentSequence] == [
        item.TrackingUID for item in segmentation.SegmentSequence
    ]
    assert again.SOPInstanceUID != segmentation.SOPInstanceUID


def test_an_edited_segment_is_semiautomatic_and_one_of_the_readers_own_manual(case, tmp_path):
    def erase_a_slice_and_add_a_lesion(content):
        content["voxels"][0, :, :, 8][content["voxels"][0, :, :, 8] == 2] = 0
        content["voxels"][0, 2:4, 2:4, 1] = 3
        # As the Segment Editor adds it: without the code of a neoplasm.
        content["segments"].append({"id": "Segment_1", "name": "Mine", "labelValue": 3, "layer": 0})

    def measure_again(measured):
        row = measured["lesions"][1]
        row["mtv_ml"] /= 2
        measured["lesions"].append(
            {**row, "name": "Mine", "label": 3, "mtv_ml": 4 * 20.0 * 3.26363636 / 1000}
        )

    edited = edited_results(
        tmp_path / "edited",
        case[1],
        change_segments=erase_a_slice_and_add_a_lesion,
        change_rows=measure_again,
    )
    found = hd.seg.segread(export(tmp_path / "out", *case[:2], **edited) / "segmentation.dcm")
    assert {item.SegmentLabel: item.SegmentAlgorithmType for item in found.SegmentSequence} == {
        "Lesion 1": "AUTOMATIC",
        "Lesion 2": "SEMIAUTOMATIC",
        "Mine": "MANUAL",
        "liver": "AUTOMATIC",
        "aorta": "AUTOMATIC",
    }
    mine = next(item for item in found.SegmentSequence if item.SegmentLabel == "Mine")
    assert mine.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert "SegmentationAlgorithmIdentificationSequence" not in mine


def test_a_rejected_lesion_is_in_neither_object_nor_in_the_totals(case, tmp_path):
    def reject(measured):
        measured["lesions"][0]["status"] = "rejected"

    edited = edited_results(
        tmp_path / "edited", case[1], change_segments=lambda content: None, change_rows=reject
    )
    out = export(tmp_path / "out", *case[:2], **edited)
    labels = [item.SegmentLabel for item in hd.seg.segread(out / "segmentation.dcm").SegmentSequence]
    assert labels == ["Lesion 2", "liver", "aorta"]
    report = hd.sr.srread(out / "measurements_sr.dcm")
    assert set(groups_of(report)) == set(labels)
    row = json.loads((case[1] / "measurements.json").read_text())["lesions"][1]
    (total,) = report.content.get_image_measurement_groups()
    assert values_of(total)["Metabolic Volume", None][0] == pytest.approx(row["mtv_ml"])


def test_measurements_of_other_voxels_than_the_segments_are_refused(case, tmp_path):
    def shrink(content):
        content["voxels"][0, :, :, 8] = 0

    edited = edited_results(
        tmp_path / "edited", case[1], change_segments=shrink, change_rows=lambda measured: None
    )
    with pytest.raises(BadInput, match=r"Lesion 2 measures 0.59 mL in the segmentation and 1.17 mL"):
        export(tmp_path / "out", *case[:2], **edited)


def test_a_total_of_other_lesions_is_refused(case, tmp_path):
    measured = json.loads((case[1] / "measurements.json").read_text())
    measured["lesions"][0]["status"] = "rejected"
    (tmp_path / "edited.json").write_text(json.dumps(measured))
    with pytest.raises(BadInput, match=r"measure 1.17 mL together, and the total says 4.31 mL"):
        export(
            tmp_path / "out",
            *case[:2],
            segmentation=case[1] / "segmentation.seg.nrrd",
            measurements=tmp_path / "edited.json",
        )


def test_two_lesions_of_one_name_are_refused(case, tmp_path):
    def rename(measured):
        measured["lesions"][1]["name"] = "Lesion 1"

    edited = edited_results(
        tmp_path / "edited", case[1], change_segments=lambda content: None, change_rows=rename
    )
    with pytest.raises(BadInput, match="Several lesions are called Lesion 1"):
        export(tmp_path / "out", *case[:2], **edited)


def test_names_with_umlauts_arrive_in_every_object(tmp_path):
    source, results = a_case(tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen")

    edited = edited_results(
        tmp_path / "edited",
        results,
        change_segments=lambda content: None,
        change_rows=lambda measured: measured["lesions"][0].update(name="Läsion ä"),
    )
    # As Slicer writes it; pynrrd knows only ASCII.
    content = edited["segmentation"].read_bytes()
    edited["segmentation"].write_bytes(content.replace(b"_Name:=Lesion 1", "_Name:=Läsion ä".encode()))
    out = export(tmp_path / "out", source, results, **edited)
    objects = [out / "segmentation.dcm", out / "measurements_sr.dcm", *(out / "denoised_pet").iterdir()]
    assert {str(pydicom.dcmread(path).PatientName) for path in objects} == {"Müller^Jürgen"}
    assert pydicom.dcmread(objects[0]).SegmentSequence[0].SegmentLabel == "Läsion ä"
    assert "Läsion ä" in groups_of(hd.sr.srread(objects[1]))


def test_an_edited_segmentation_without_its_measurements_is_refused(case, tmp_path):
    path = case[1] / "segmentation.seg.nrrd"
    with pytest.raises(BadInput, match="give both"):
        export(tmp_path / "out", *case[:2], segmentation=path)


def test_results_of_another_series_are_refused(case, tmp_path):
    source, _ = a_case(tmp_path / "other")
    with pytest.raises(BadInput, match="were computed from the series"):
        export(tmp_path / "out", source, case[1])


def test_a_denoised_volume_of_another_grid_is_refused(case, tmp_path):
    results = shutil.copytree(case[1], tmp_path / "results")
    image = sitk.ReadImage(str(results / "denoised.nrrd"))
    image.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(image, str(results / "denoised.nrrd"))
    with pytest.raises(BadInput, match="not lie on the grid"):
        export(tmp_path / "out", case[0], results)
