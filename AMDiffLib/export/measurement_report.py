"""The measurements as a DICOM structured report after TID 1500, on the segments and the denoised images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom as hd
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from AMDiffLib.export.codes import code_of
from AMDiffLib.export.identifiers import REPORT_SERIES, series_number, tracking_uid
from AMDiffLib.export.result_set import ResultSet
from AMDiffLib.export.segments import Segment
from AMDiffLib.export.software import MANUFACTURER, MODEL_NAME, NOT_FOR_DIAGNOSIS, Software
from AMDiffLib.export.source_series import SourceSeries
from AMDiffLib.export.trust import count_check_sentence, interval_of, interval_sentence
from AMDiffLib.labels import LESION, ORGANS
from AMDiffLib.quantification.column_definitions import INTERVALS

SERIES_DESCRIPTION = "AMDiff measurements (AI, not for diagnosis)"

_SUV_UNIT = Code("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
_MILLILITRE = Code("ml", "UCUM", "ml")
_GRAM = Code("g", "UCUM", "g")
_QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")

# Column of measurements.json: name, unit, derivation, method.
_QUANTITIES = {
    "suv_max_g_per_ml": (codes.DCM.Suvbw, _SUV_UNIT, codes.SCT.Maximum, None),
    "suv_mean_g_per_ml": (codes.DCM.Suvbw, _SUV_UNIT, codes.SCT.Mean, None),
    "suv_peak_g_per_ml": (codes.DCM.Suvbw, _SUV_UNIT, codes.DCM.PeakValueWithinROI, None),
    "mtv_ml": (
        codes.DCM.MetabolicVolume, _MILLILITRE, None, codes.DCM.SumOfSegmentedVoxelMethodForVolume,
    ),
    "tlg_g": (codes.DCM.TotalLesionGlycolysis, _GRAM, None, None),
    "volume_ml": (codes.SCT.Volume, _MILLILITRE, None, codes.DCM.SumOfSegmentedVoxelMethodForVolume),
}  # fmt: skip


_TOTAL_ENDS = frozenset(name for ends in INTERVALS.values() for name in ends)


def measurement_report(
    source: SourceSeries,
    results: ResultSet,
    segmentation: hd.seg.Segmentation,
    denoised: Sequence[Dataset],
) -> sr.Comprehensive3DSR:
    """Return a TID 1500 Measurement Report: a volumetric ROI group (TID 1411) a segment, and the totals.

    Each group refers to its segment of `segmentation`; SUVmax refers to the image that holds the maximum; the
    image library lists the images measured, `denoised`. The observer is a device: no person has verified the
    report. Tracking identifiers are those of the segments. Intervals are ranges of measurement uncertainty;
    what the count check found is said in words, for DICOM has no code for it.
    """
    software = results.software
    groups = [
        _group(number, segment, source, results, segmentation, denoised)
        for number, segment in enumerate(results.segments, start=1)
    ]
    if any(segment.is_lesion for segment in results.segments):
        groups.append(_totals(source, results, denoised))
    content = sr.MeasurementReport(
        observation_context=_observation_context(software),
        procedure_reported=codes.LN.PETUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=list(denoised),
    )
    said = [interval_sentence(results.report), *(results.report.get("warnings") or [])]
    _add_remarks(content, [sentence for sentence in said if sentence])
    return sr.Comprehensive3DSR(
        evidence=[*denoised, segmentation, *source.headers],
        content=content,
        series_instance_uid=generate_uid(),
        series_number=series_number(source, REPORT_SERIES),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=software.version,
        device_serial_number=software.serial_number,
        series_description=SERIES_DESCRIPTION,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )


def _observation_context(software: Software) -> sr.ObservationContext:
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=software.device_uid,
                name=software.algorithm_name,
                manufacturer_name=MANUFACTURER,
                model_name=MODEL_NAME,
                serial_number=software.serial_number,
            ),
        )
    )


def _algorithm(software: Software) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=software.algorithm_name,
        version=software.version,
        parameters=[f"{name}: {value}" for name, value in software.parameters.items()] + [NOT_FOR_DIAGNOSIS],
    )


def _properties(
    value: float, interval: tuple[float, float] | None, unit: Code
) -> sr.MeasurementProperties | None:
    """The interval as upper and lower range of measurement uncertainty (TID 310, CID 225), in its own unit.

    A range is a distance from the value, so an interval that leaves the value out, because the model is
    biased, cannot be said in this way and is not.
    """
    if interval is None or not interval[0] <= value <= interval[1]:
        return None
    properties = sr.MeasurementProperties()
    for name, distance in (
        (codes.SCT.RangeOfUpperMeasurementUncertainty, interval[1] - value),
        (codes.SCT.RangeOfLowerMeasurementUncertainty, value - interval[0]),
    ):
        properties.append(
            sr.NumContentItem(
                name=name,
                value=distance,
                unit=unit,
                relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return properties


def _comment(text: str) -> sr.TextContentItem:
    """A remark in words: a row of type TEXT of TID 1411, and of the Qualitative Evaluations of TID 1500."""
    return sr.TextContentItem(
        name=codes.DCM.Comment, value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS
    )


def _add_remarks(content: sr.MeasurementReport, sentences: Sequence[str]) -> None:
    """Add what is said of the whole report as its Qualitative Evaluations."""
    if not sentences:
        return
    container = sr.ContainerContentItem(
        name=_QUALITATIVE_EVALUATIONS, relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = sr.ContentSequence([_comment(sentence) for sentence in sentences])
    content[0].ContentSequence.append(container)


def _group(
    number: int,
    segment: Segment,
    source: SourceSeries,
    results: ResultSet,
    segmentation: hd.seg.Segmentation,
    denoised: Sequence[Dataset],
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    row = results.row_of(segment)
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid(source, segment.identifier), identifier=segment.name[:64]
        ),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(source.series_uid),
        ),
        finding_category=code_of(segment.structure.category),
        finding_type=code_of(segment.structure.type),
        finding_sites=_sites(segment, row),
        algorithm_id=_algorithm(results.software),
        measurements=_measurements(row, _image_of_maximum(segment, results, denoised)),
    )
    if sentence := count_check_sentence(row):
        group[0].ContentSequence.append(_comment(sentence))
    return group


def _totals(
    source: SourceSeries, results: ResultSet, denoised: Sequence[Dataset]
) -> sr.MeasurementsAndQualitativeEvaluations:
    """The sums over all lesions that were not rejected."""
    lesions = results.lesions
    total = {
        **{name: value for name, value in results.measurements["total"].items() if name in _TOTAL_ENDS},
        "suv_max_g_per_ml": max(row["suv_max_g_per_ml"] for row in lesions),
        "mtv_ml": sum(row["mtv_ml"] for row in lesions),
        "tlg_g": sum(row["tlg_g"] for row in lesions),
    }
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid(source, "all lesions"), identifier="All lesions"
        ),
        finding_category=code_of(LESION.category),
        finding_type=code_of(LESION.type),
        algorithm_id=_algorithm(results.software),
        measurements=_measurements(total, None),
    )


def _sites(segment: Segment, row: dict[str, Any]) -> list[sr.FindingSite] | None:
    """The organ that an organ is, or that a lesion lies in; beside the nearest organ is no site."""
    if not segment.is_lesion:
        return [sr.FindingSite(code_of(segment.structure.type))]
    inside = row.get("location_distance_mm") == 0
    organ = next((organ for organ in ORGANS if organ.name == row.get("location")), None)
    return [sr.FindingSite(code_of(organ.type))] if inside and organ else None


def _image_of_maximum(segment: Segment, results: ResultSet, denoised: Sequence[Dataset]) -> Dataset:
    mask = segment.mask()
    slices = mask.any(axis=(1, 2)).nonzero()[0]
    highest = max(slices, key=lambda k: results.denoised[k][mask[k]].max())
    return denoised[int(highest)]


def _measurements(row: dict[str, Any], image_of_maximum: Dataset | None) -> list[sr.Measurement]:
    measured = []
    for column, (name, unit, derivation, method) in _QUANTITIES.items():
        if row.get(column) is None:
            continue
        images = None
        if column == "suv_max_g_per_ml" and image_of_maximum is not None:
            images = [sr.SourceImageForMeasurement.from_source_image(image_of_maximum)]
        measured.append(
            sr.Measurement(
                name=name,
                value=float(row[column]),
                unit=unit,
                derivation=derivation,
                method=method,
                referenced_images=images,
                properties=_properties(float(row[column]), interval_of(row, column), unit),
            )
        )
    return measured
