"""Dates and times of a PET header: parsing, time zones, midnight."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from pydicom.dataset import Dataset

from AMDiffLib.errors import BadInput

_DAY = timedelta(days=1)
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6})\d*)?$")
_DATE_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d+)?)?)?)([+-]\d{4})?$")
# Stands in for a date that de-identification removed; only differences of times are ever used.
_NO_DATE = date(2000, 1, 1)


def parse_date(value: object) -> date | None:
    """Read a DICOM DA value (also the old 'YYYY.MM.DD'); None where it is absent or not a date."""
    digits = _text(value).replace(".", "").replace("-", "")
    try:
        return datetime.strptime(digits, "%Y%m%d").date() if len(digits) == 8 else None
    except ValueError:
        return None


def parse_time(value: object) -> time | None:
    """Read a DICOM TM value (also the old 'HH:MM:SS'); None where it is absent or not a time."""
    match = _TIME.match(_text(value))
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(
            int(hour), int(minute or 0), min(int(second or 0), 59), int((fraction or "0").ljust(6, "0"))
        )
    except ValueError:
        return None


def parse_offset(value: object) -> timedelta | None:
    """Read a UTC offset '&ZZXX'; None where it is absent."""
    match = re.match(r"([+-])(\d{2})(\d{2})$", _text(value))
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if sign == "-" else offset


def parse_date_time(value: object) -> tuple[datetime, timedelta | None] | None:
    """Read a DICOM DT value: clock reading and its UTC offset if it carries one; None without date and
    hour."""
    match = _DATE_TIME.match(_text(value))
    if match is None:
        return None
    day, clock = parse_date(match.group(1)), parse_time(match.group(2))
    if day is None or clock is None:
        return None
    return datetime.combine(day, clock), parse_offset(match.group(3))


def local_date_time(header: Dataset, value: object) -> datetime | None:
    """Read a DT value in the time zone of the header's own dates and times (0008,0201).

    An offset on either side alone says nothing about the other; the clock reading is then taken as local.
    """
    parsed = parse_date_time(value)
    if parsed is None:
        return None
    moment, offset = parsed
    local_offset = parse_offset(header.get("TimezoneOffsetFromUTC"))
    if offset is not None and local_offset is not None:
        moment += local_offset - offset
    return moment


def moment_of(header: Dataset, kind: str, near: datetime | None = None) -> datetime | None:
    """Return a header's date and time of the given kind ("Series", "Acquisition"); None without a time.

    Where that date is missing, the day is the one that brings the time closest to `near`, or else that of
    the series or study.
    """
    clock = parse_time(header.get(f"{kind}Time"))
    if clock is None:
        return local_date_time(header, header.get("AcquisitionDateTime")) if kind == "Acquisition" else None
    day = parse_date(header.get(f"{kind}Date"))
    if day is not None:
        return datetime.combine(day, clock)
    if near is not None:
        moment = datetime.combine(near.date(), clock)
        return min((moment - _DAY, moment, moment + _DAY), key=lambda other: abs(other - near))
    for keyword in ("SeriesDate", "AcquisitionDate", "StudyDate", "ContentDate"):
        if (day := parse_date(header.get(keyword))) is not None:
            return datetime.combine(day, clock)
    return datetime.combine(_NO_DATE, clock)


def injection_moments(header: Dataset, radiopharmaceutical: Dataset, scan: datetime) -> dict[str, datetime]:
    """Return the injection's moment from each tag that gives one, the date-time first.

    The start *time* (0018,1072) has no date: it is the last such time of day not after the scan.
    """
    moments = {}
    clock = parse_time(radiopharmaceutical.get("RadiopharmaceuticalStartTime"))
    start = local_date_time(header, radiopharmaceutical.get("RadiopharmaceuticalStartDateTime"))
    # A date-time in a stated zone cannot be set against a scan in an unstated one; the start time can.
    if start is not None and not (clock is not None and has_unmatched_offset(header, radiopharmaceutical)):
        moments["Radiopharmaceutical Start DateTime"] = start
    if clock is not None:
        moment = datetime.combine(scan.date(), clock)
        moments["Radiopharmaceutical Start Time"] = moment - _DAY if moment > scan else moment
    return moments


def has_unmatched_offset(header: Dataset, radiopharmaceutical: Dataset) -> bool:
    """Tell whether the start date-time carries a UTC offset while the header's own times have none."""
    parsed = parse_date_time(radiopharmaceutical.get("RadiopharmaceuticalStartDateTime"))
    return bool(
        parsed and parsed[1] is not None and parse_offset(header.get("TimezoneOffsetFromUTC")) is None
    )


def uptake_seconds(
    header: Dataset, radiopharmaceutical: Dataset, scan: datetime, longest: timedelta
) -> tuple[float, list[str]]:
    """Return the seconds from injection to `scan`, with warnings.

    Raises:
        BadInput: no injection time, injection after the scan, or longer ago than `longest`.
    """
    moments = injection_moments(header, radiopharmaceutical, scan)
    if not moments:
        raise BadInput(
            "The header has no injection time (Radiopharmaceutical Start Time or Start DateTime), so the SUV "
            "cannot be computed. Have it entered at the scanner and the series exported again."
        )
    plausible = {tag: moment for tag, moment in moments.items() if timedelta(0) <= scan - moment <= longest}
    if not plausible:
        tag, moment = next(iter(moments.items()))
        minutes = (scan - moment).total_seconds() / 60
        found = (
            f"{-minutes:.0f} min after the scan started"
            if minutes < 0
            else f"{minutes / 60:.1f} h before the scan"
        )
        raise BadInput(
            f"By its {tag} the tracer was injected {found}; expected between 0 and "
            f"{longest / timedelta(hours=1):.0f} h before it. The clock or the entry is wrong: correct it at "
            "the scanner and export the series again."
        )
    tag, moment = next(iter(plausible.items()))
    warnings = []
    if len(moments) > len(plausible):
        warnings.append(
            f"Two injection times contradict each other; the {tag} was used, as the other is impossible."
        )
    elif len(moments) == 2 and abs(_difference(moments)) > timedelta(minutes=1):
        minutes = abs(_difference(moments)) / timedelta(minutes=1)
        warnings.append(f"Two injection times in the header differ by {minutes:.0f} min; the {tag} was used.")
    if tag.endswith("DateTime") and has_unmatched_offset(header, radiopharmaceutical):
        warnings.append(
            f"The {tag} states a time zone and the scan does not; both were taken to be in the same zone."
        )
    for name, parse in (("Start DateTime", parse_date_time), ("Start Time", parse_time)):
        value = radiopharmaceutical.get(f"Radiopharmaceutical{name.replace(' ', '')}")
        if _text(value) and parse(value) is None:
            warnings.append(f"The Radiopharmaceutical {name} is not valid; the {tag} was used.")
    if parse_date(header.get("SeriesDate")) is None and tag.endswith("Start Time"):
        warnings.append("The header has no date; the injection was taken to be the last one before the scan.")
    return (scan - moment).total_seconds(), warnings


def _difference(moments: dict[str, datetime]) -> timedelta:
    first, second = moments.values()
    return first - second


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return "" if value is None else str(value).strip(" \0")
