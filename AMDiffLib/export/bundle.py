"""Everything that was asked for, written into one folder."""

from __future__ import annotations

import warnings as python_warnings
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from AMDiffLib.errors import BadInput
from AMDiffLib.export.page import write_page
from AMDiffLib.export.result_set import ResultSet, read_results
from AMDiffLib.export.source_series import SourceSeries, read_source_series
from AMDiffLib.export.table import write_table
from AMDiffLib.image.identity import without_identity
from AMDiffLib.image.reading import read_pet
from AMDiffLib.progress import Reporter

SEGMENTATION_FILE = "segmentation.dcm"
REPORT_FILE = "measurements_sr.dcm"
PET_FOLDER = "denoised_pet"
TABLE_FILE = "measurements.csv"
PAGE_FILE = "report.pdf"

DICOM_OBJECTS = ("seg", "sr", "pet")
# Parts of the whole job's time, as measured on a whole-body scan.
_READ_UNTIL, _SEGMENTED_UNTIL, _PET_UNTIL, _DICOM_UNTIL = 0.15, 0.35, 0.50, 0.90


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to write. The structured report refers to the two other objects, and so brings them along.

    `identity`: the patient's name, ID and study date on the page, which is without them otherwise.
    """

    dicom: frozenset[str] = field(default_factory=frozenset)
    table: bool = False
    page: bool = False
    identity: bool = False

    def __post_init__(self) -> None:
        if unknown := sorted(self.dicom - set(DICOM_OBJECTS)):
            raise BadInput(
                f"Unknown DICOM objects: {', '.join(unknown)}; expected {', '.join(DICOM_OBJECTS)}."
            )
        if not (self.dicom or self.table or self.page):
            raise BadInput("Nothing to export was chosen: choose DICOM objects, the table or the page.")
        if "sr" in self.dicom:
            object.__setattr__(self, "dicom", frozenset(DICOM_OBJECTS))


def write_export(
    folder: Path,
    request: ExportRequest,
    *,
    results: Path,
    source: Path,
    reporter: Reporter,
    units: str | None = None,
    series_uid: str | None = None,
    segmentation: Path | None = None,
    measurements: Path | None = None,
) -> list[str]:
    """Write into `folder`, which exists, what `request` asks for, and return the names of files and folders.

    Args:
        results: the folder that denoise_segment wrote.
        source: the scan it was computed from; for DICOM objects a DICOM series.
        units, series_uid: as for `read_pet`.
        segmentation, measurements: edited ones, in place of those in `results`.

    Raises:
        BadInput: results and source do not belong together, or the source lacks what DICOM needs. Cancelled.
    """
    now = datetime.now()
    reporter.stage("read", "Reading the scan and the results")
    # pydicom and highdicom quote names in their warnings; those must not reach a log.
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        series = None
        if request.dicom or request.identity:
            series = read_source_series(source, series_uid=series_uid)
        volume = series.volume if series else read_pet(source, units=units, series_uid=series_uid)
        found = read_results(results, volume, segmentation=segmentation, measurements=measurements)
        reporter.progress(_READ_UNTIL)
        reporter.check_cancelled()
        names = _write_dicom(folder, request.dicom, series, found, now, reporter) if request.dicom else []
        reporter.stage("write", "Writing the table and the page")
        if request.table:
            write_table(folder / TABLE_FILE, found.measurements, found.report)
            names.append(TABLE_FILE)
        if request.page:
            identity = patient_lines(series) if request.identity else ()
            write_page(folder / PAGE_FILE, found, now=now, identity=identity)
            names.append(PAGE_FILE)
    reporter.check_cancelled()
    return names


def _write_dicom(
    folder: Path,
    wanted: frozenset[str],
    series: SourceSeries,
    found: ResultSet,
    now: datetime,
    reporter: Reporter,
) -> list[str]:
    from AMDiffLib.export.derived_series import derived_pet
    from AMDiffLib.export.measurement_report import measurement_report
    from AMDiffLib.export.segmentation_object import segmentation_object

    names = []
    try:
        if "seg" in wanted:
            reporter.stage("segmentation", "Writing the DICOM Segmentation")
            segmentation = segmentation_object(series, found)
            segmentation.save_as(folder / SEGMENTATION_FILE, enforce_file_format=True)
            names.append(SEGMENTATION_FILE)
            reporter.progress(_SEGMENTED_UNTIL)
        if "pet" in wanted:
            reporter.stage("pet", "Writing the denoised PET series")
            (folder / PET_FOLDER).mkdir()
            images = []
            for number, image in enumerate(derived_pet(series, found, now=now), start=1):
                reporter.check_cancelled()
                image.save_as(folder / PET_FOLDER / f"{number:04d}.dcm", enforce_file_format=True)
                del image.PixelData  # the report needs the headers only
                images.append(image)
                share = number / len(series.headers)
                reporter.progress(_SEGMENTED_UNTIL + share * (_PET_UNTIL - _SEGMENTED_UNTIL))
            names.append(PET_FOLDER)
        if "sr" in wanted:
            reporter.check_cancelled()
            reporter.stage("report", "Writing the structured report")
            report = measurement_report(series, found, segmentation, images)
            report.save_as(folder / REPORT_FILE, enforce_file_format=True)
            names.append(REPORT_FILE)
        reporter.progress(_DICOM_UNTIL)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        first_line = next(iter(str(error).splitlines()), "")
        text = without_identity(f"{type(error).__name__}: {first_line}", series.headers[0])
        raise BadInput(
            f"The headers of the source series do not allow DICOM objects to be made of it ({text}). Export "
            "the table and the page instead, or have the series exported from the scanner again."
        ) from None
    return names


def patient_lines(series: SourceSeries) -> tuple[str, ...]:
    """Return what names the patient and the study, for the head of a page that is asked to."""
    header = series.headers[0]
    name = str(header.PatientName).replace("^", " ").strip()
    date = str(header.StudyDate or "")
    study = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 else date
    lines = (("Patient", name), ("ID", str(header.PatientID or "")), ("Study", study))
    return tuple(f"{title}: {value}" for title, value in lines if value)
