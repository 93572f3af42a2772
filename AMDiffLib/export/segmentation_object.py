"""Lesions and organs as a DICOM Segmentation on the slices of the source series."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from AMDiffLib.errors import BadInput
from AMDiffLib.export.codes import code_of
from AMDiffLib.export.identifiers import SEGMENTATION_SERIES, series_number, tracking_uid
from AMDiffLib.export.result_set import ResultSet
from AMDiffLib.export.segments import Origin, Segment
from AMDiffLib.export.software import MANUFACTURER, MODEL_NAME
from AMDiffLib.export.source_series import SourceSeries


def segmentation_object(source: SourceSeries, results: ResultSet) -> hd.seg.Segmentation:
    """Return a binary DICOM Segmentation: a segment for each lesion and organ, a frame for each slice of it.

    Geometry, patient, study and frame of reference are those of the source images, which it refers to.

    Raises:
        BadInput: there is no segment to write.
    """
    if not results.segments:
        raise BadInput(
            "There is neither lesion nor organ to write as DICOM Segmentation. Export the denoised PET alone."
        )
    masks = np.empty((*results.volume.suv.shape, len(results.segments)), np.uint8)
    for channel, segment in enumerate(results.segments):
        np.equal(segment.layer, segment.value, out=masks[..., channel], casting="unsafe")
    software = results.software
    return hd.seg.Segmentation(
        source_images=list(source.headers),
        pixel_array=masks,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(number, segment, source, results)
            for number, segment in enumerate(results.segments, start=1)
        ],
        series_instance_uid=generate_uid(),
        series_number=series_number(source, SEGMENTATION_SERIES),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=software.version,
        device_serial_number=software.serial_number,
        content_label="AMDIFF",
        content_description="Lesions and organs. Not for diagnosis",
        series_description="AMDiff segmentation (AI, not for diagnosis)",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _description(
    number: int, segment: Segment, source: SourceSeries, results: ResultSet
) -> hd.seg.SegmentDescription:
    by_model = segment.origin is not Origin.MANUAL
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.name[:64],
        segmented_property_category=code_of(segment.structure.category),
        segmented_property_type=code_of(segment.structure.type),
        algorithm_type=segment.origin.value,
        algorithm_identification=results.software.algorithm_identification() if by_model else None,
        tracking_uid=tracking_uid(source, segment.identifier),
        tracking_id=segment.name[:64],
        display_color=hd.color.CIELabColor.from_rgb(*segment.structure.colour),
    )
