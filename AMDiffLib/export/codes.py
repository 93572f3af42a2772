"""Codes of `AMDiffLib.labels` and pydicom in the forms that DICOM objects take."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code


def code_of(triple: tuple[str, str, str]) -> Code:
    """Return a code of `AMDiffLib.labels` (value, scheme, meaning) as pydicom's."""
    value, scheme, meaning = triple
    return Code(value, scheme, meaning)


def code_sequence(code: Code) -> Sequence:
    """Return a code sequence of one item."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return Sequence([item])
