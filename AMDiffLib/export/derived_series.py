"""The denoised PET as a derived DICOM PET series on the slices of its source."""

from __future__ import annotations

import copy
import warnings as python_warnings
from collections.abc import Iterator
from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

from AMDiffLib.errors import BadInput
from AMDiffLib.export.codes import code_sequence
from AMDiffLib.export.identifiers import PET_SERIES, series_number
from AMDiffLib.export.result_set import ResultSet
from AMDiffLib.export.software import (
    MANUFACTURER,
    MODEL_NAME,
    NOT_FOR_DIAGNOSIS,
    Software,
    scanner_contribution,
)
from AMDiffLib.export.source_series import SourceSeries
from AMDiffLib.image.decay import decay_reference
from AMDiffLib.image.dicom_series import AI_IMAGE_TYPE
from AMDiffLib.image.radionuclides import identify

SERIES_DESCRIPTION = "AMDiff denoised (AI-processed, not for diagnosis)"

_LARGEST_STORED = 32767
_SUV_WINDOW = (0.0, 7.0)
# Said of the source's stored pixels, or of its files, and not true of new ones.
_NOT_INHERITED = (
    "SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries", "PixelPaddingValue", "PixelPaddingRangeLimit", "WindowCenter",
    "WindowWidth", "WindowCenterWidthExplanation", "VOILUTSequence", "RescaleType",
    "RealWorldValueMappingSequence", "IconImageSequence", "DigitalSignaturesSequence",
    "MACParametersSequence", "OriginalAttributesSequence", "ReferencedImageSequence",
    "InstanceCreatorUID",
    "StationName", "DeviceSerialNumber", "InstitutionName", "InstitutionAddress",
    "PixelData", "FloatPixelData",
    # Of dynamic series, which are never exported; some scanners write it into static ones.
    "NumberOfTimeSlices",
)  # fmt: skip


def derived_pet(source: SourceSeries, results: ResultSet, *, now: datetime) -> Iterator[Dataset]:
    """Yield the slices of the derived series, ready to be saved, in the order of the source's slices.

    Patient, study, frame of reference, position, orientation, dose and decay stay the source's, so that SUV
    computed from the new headers is the denoised SUV, to within half a Rescale Slope. Stored values are
    signed 16 bits with a slope of each slice's own. Values are in Bq/mL, or, where the source's counts or
    SUV are not, in g/mL (SUVbw).

    Raises:
        BadInput: the source holds several injections or no time, as `suv_conversion` says.
    """
    common = _common(source, results.software, now)
    series_uid = generate_uid()
    for header, factor, suv in zip(source.headers, source.factors, results.denoised, strict=True):
        image = _inherited(header)
        image.update(common)
        image.SOPInstanceUID = generate_uid()
        image.SeriesInstanceUID = series_uid
        image.SourceImageSequence = Sequence([_reference(header)])
        per_unit = float(factor) if source.units == "BQML" else 1.0
        _store(image, suv.astype(np.float64) / per_unit)
        image.WindowCenter = f"{np.mean(_SUV_WINDOW) / per_unit:.9g}"
        image.WindowWidth = f"{np.ptp(_SUV_WINDOW) / per_unit:.9g}"
        yield image


def _common(source: SourceSeries, software: Software, now: datetime) -> Dataset:
    """What all slices of the new series share, in place of what the source says."""
    first = source.headers[0]
    image = Dataset()
    image.SOPClassUID = PositronEmissionTomographyImageStorage
    # PET images know no SECONDARY (PS3.3 C.8.9.4.1.1); the third value is free.
    image.ImageType = ["DERIVED", "PRIMARY", AI_IMAGE_TYPE]
    image.InstanceCreationDate = image.ContentDate = now.strftime("%Y%m%d")
    image.InstanceCreationTime = image.ContentTime = now.strftime("%H%M%S")
    image.SeriesNumber = series_number(source, PET_SERIES)
    image.SeriesDescription = SERIES_DESCRIPTION
    image.Manufacturer = MANUFACTURER
    image.ManufacturerModelName = MODEL_NAME
    image.DeviceSerialNumber = software.serial_number
    image.SoftwareVersions = software.version
    image.DerivationDescription = (
        f"AI-processed: denoised by the neural networks of {software.algorithm_name} {software.version} "
        f"(weights SHA-256 {software.checksum[:16]}) from the source images, a whole volume at a time. "
        f"Synthetic: not a measurement. {NOT_FOR_DIAGNOSIS}."
    )
    image.DerivationCodeSequence = code_sequence(codes.DCM.ArtificialIntelligence)
    image.ImageComments = f"AI-processed (AMDiff). {NOT_FOR_DIAGNOSIS}."
    earlier = list(first.get("ContributingEquipmentSequence") or [])
    image.ContributingEquipmentSequence = Sequence(
        [*copy.deepcopy(earlier), scanner_contribution(first), software.contribution(now)]
    )
    if source.units != "BQML":
        image.Units, image.SUVType = "GML", "BW"
    elif str(first.DecayCorrection).strip().upper() == "START":
        image.update(_decay_reference(source))
    return image


def _decay_reference(source: SourceSeries) -> Dataset:
    """Series Date and Time that are the moment which the values are decay-corrected to.

    A scanner's own later reconstruction says that moment in private attributes, which are not inherited.
    """
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        item = source.headers[0].RadiopharmaceuticalInformationSequence[0]
        _, half_life, _ = identify(item)
        moment, name, _ = decay_reference(source.headers, half_life)
    image = Dataset()
    if name != "series time":
        image.SeriesDate = moment.strftime("%Y%m%d")
        image.SeriesTime = moment.strftime("%H%M%S.%f")
    return image


def _inherited(header: Dataset) -> Dataset:
    image = copy.deepcopy(header)
    image.remove_private_tags()
    for keyword in _NOT_INHERITED:
        if keyword in image:
            delattr(image, keyword)
    for tag in [tag for tag in image if 0x6000 <= tag.tag.group <= 0x60FF]:
        del image[tag.tag]  # overlays are burnt on the source's own pixels
    return image


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = code_sequence(codes.DCM.SourceImageForImageProcessingOperation)
    return item


def _store(image: Dataset, values: np.ndarray) -> None:
    """Write (rows, columns) float64 values as signed 16-bit integers times the slice's slope."""
    largest = float(np.abs(values).max())
    # Rounded up in the 16 characters that a decimal string has, so that the largest value still fits.
    slope = f"{largest / _LARGEST_STORED * (1 + 1e-8):.9e}" if largest > 0 else "1"
    stored = np.rint(values / float(slope))
    if np.abs(stored).max() > _LARGEST_STORED:
        raise BadInput(f"A slice holds the value {largest:g}, which does not fit into 16 bits.")
    image.RescaleSlope, image.RescaleIntercept = slope, "0"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    image.LossyImageCompression = image.get("LossyImageCompression") or "00"
    image.add_new("PixelData", "OW", stored.astype("<i2").tobytes())
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta = meta
