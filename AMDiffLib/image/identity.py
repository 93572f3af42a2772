"""Keeping the patient's identity out of what is written and said."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

_IDENTIFYING = (
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
    for keyword in _IDENTIFYING:
        value = str(header.get(keyword) or "").strip()
        words.add(value)
        words.update(re.split(r"[\^=\\,;\s\[\]']+", value))
    # Longest first, so that no part of a longer word is left standing; initials would match anywhere.
    for word in sorted((word for word in words if len(word) >= 3), key=len, reverse=True):
        text = re.sub(re.escape(word), _WITHHELD, text, flags=re.IGNORECASE)
    return text
