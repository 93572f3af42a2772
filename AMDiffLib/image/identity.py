"""Keeping the patient's identity out of what is written and said."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

IDENTIFYING = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientBirthDate",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_WITHHELD = "[withheld]"


def without_identity(text: str, header: Dataset) -> str:
    """Return `text` with every part of the header's patient name, IDs and birth date replaced.

    Folder names and series descriptions are free text, and often hold a name.
    """
    words: set[str] = set()
    for keyword in IDENTIFYING:
        value = str(header.get(keyword) or "").strip()
        words.add(value)
        words.update(re.split(r"[\^=\\,;\s\[\]']+", value))
    # Longest first, so that no part of a longer word is left standing; initials would match anywhere.
    for word in sorted((word for word in words if len(word) >= 3), key=len, reverse=True):
        text = re.sub(re.escape(word), _WITHHELD, text, flags=re.IGNORECASE)
    return text


def code_string(value: object) -> str:
    """Return a coded header value as it may be quoted: in a damaged header it can be any text, a name too."""
    text = str(value).strip()
    if not text:
        return "(none given)"
    return text if re.fullmatch(r"[A-Z0-9_ ]{1,16}", text) else "(no valid code)"
