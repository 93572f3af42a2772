"""PET radionuclides: which one a DICOM header names, and its half-life."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from AMDiffLib.errors import BadInput
from AMDiffLib.image.identity import code_string

# Relative difference allowed between the header's half-life and the physical one. Scanners write
# 6588 or 6586.2 s for F-18; the wrong nuclide or unit is off by far more.
HALF_LIFE_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class Radionuclide:
    """A positron emitter; `codes` are its SNOMED CT and SNOMED RT values in DICOM CID 4020."""

    name: str
    half_life_s: float
    codes: tuple[str, ...]


# Half-lives: DDEP / NNDC evaluations; codes: DICOM PS3.16 CID 4020 "PET Radionuclide".
PET_RADIONUCLIDES = (
    Radionuclide(name="F-18", half_life_s=6586.2, codes=("77004003", "C-111A1")),
    Radionuclide(name="C-11", half_life_s=1221.7, codes=("40565003", "C-105A1")),
    Radionuclide(name="N-13", half_life_s=597.9, codes=("21576001", "C-107A1")),
    Radionuclide(name="O-15", half_life_s=122.24, codes=("129504001", "C-B1038")),
    Radionuclide(name="Sc-44", half_life_s=14551.0, codes=("126600",)),
    Radionuclide(name="Cu-62", half_life_s=580.4, codes=("422934004", "C-127A5")),
    Radionuclide(name="Cu-64", half_life_s=45724.0, codes=("3932008", "C-127A2")),
    Radionuclide(name="Ga-68", half_life_s=4069.7, codes=("35337001", "C-131A3")),
    Radionuclide(name="Rb-82", half_life_s=75.5, codes=("79197006", "C-159A2")),
    Radionuclide(name="Y-86", half_life_s=53064.0, codes=("10738001", "C-162A3")),
    Radionuclide(name="Zr-89", half_life_s=282280.0, codes=("63360001", "C-168A4")),
    Radionuclide(name="I-124", half_life_s=360806.0, codes=("40937006", "C-114A5")),
)

_BY_NAME = {nuclide.name: nuclide for nuclide in PET_RADIONUCLIDES}
_BY_CODE = {code: nuclide for nuclide in PET_RADIONUCLIDES for code in nuclide.codes}

_SYMBOLS = {
    "FLUORINE": "F", "FLUOR": "F", "CARBON": "C", "NITROGEN": "N", "OXYGEN": "O", "SCANDIUM": "Sc",
    "COPPER": "Cu", "GALLIUM": "Ga", "RUBIDIUM": "Rb", "YTTRIUM": "Y", "ZIRCONIUM": "Zr", "IODINE": "I",
    "LUTETIUM": "Lu", "TECHNETIUM": "Tc", "INDIUM": "In", "ACTINIUM": "Ac", "SAMARIUM": "Sm",
    "THALLIUM": "Tl", "HOLMIUM": "Ho", "TERBIUM": "Tb", "BISMUTH": "Bi", "RADIUM": "Ra", "LEAD": "Pb",
}  # fmt: skip
_SYMBOLS |= {symbol.upper(): symbol for symbol in _SYMBOLS.values()}
_ELEMENT = "|".join(sorted(_SYMBOLS, key=len, reverse=True))
# "18F", "^18^Fluorine", "[18F]", "F-18", "Fluorine F^18^", "Lu 177"
_MASS_FIRST = re.compile(rf"(?<![0-9A-Z])(\d{{2,3}}M?)[\s^\-]*({_ELEMENT})(?![A-Z])")
_MASS_LAST = re.compile(rf"(?<![A-Z])({_ELEMENT})[\s^\-]*(\d{{2,3}}M?)(?![0-9])")


def nuclide_in_text(text: str) -> str | None:
    """Return the nuclide that free text names, as "F-18" or "Lu-177", or None."""
    upper = text.upper()
    if match := _MASS_FIRST.search(upper):
        mass, element = match.groups()
    elif match := _MASS_LAST.search(upper):
        element, mass = match.groups()
    else:
        return None
    return f"{_SYMBOLS[element]}-{mass.lower()}"


def named_nuclides(radiopharmaceutical: Dataset) -> dict[str, str]:
    """Return the nuclides an item of the Radiopharmaceutical Information Sequence names, by attribute."""
    named: dict[str, str] = {}
    for item in radiopharmaceutical.get("RadionuclideCodeSequence") or []:
        code = str(item.get("CodeValue", "")).strip()
        if code in _BY_CODE:
            named["Radionuclide Code"] = _BY_CODE[code].name
        elif nuclide := nuclide_in_text(str(item.get("CodeMeaning", ""))):
            named["Radionuclide Code"] = nuclide
        elif code:
            named["Radionuclide Code"] = f"code {code_string(code.upper())}"
    texts = [str(radiopharmaceutical.get("Radiopharmaceutical") or "")]
    texts += [
        str(item.get("CodeMeaning", ""))
        for item in radiopharmaceutical.get("RadiopharmaceuticalCodeSequence") or []
    ]
    for text in texts:
        if nuclide := nuclide_in_text(text):
            named["Radiopharmaceutical"] = nuclide
    return named


def identify(radiopharmaceutical: Dataset) -> tuple[Radionuclide | None, float | None, list[str]]:
    """Find the PET radionuclide and its half-life in an item of the Radiopharmaceutical Information Sequence.

    Returns:
        The nuclide (None where the header says nothing at all), the half-life in seconds, and warnings.

    Raises:
        BadInput: the nuclide is no positron emitter we know, or name and half-life contradict each other.
    """
    named = named_nuclides(radiopharmaceutical)
    for attribute, name in named.items():
        if name not in _BY_NAME:
            raise BadInput(
                f"This series is marked as PET, but its {attribute} is {name}, which is not a PET "
                f"radionuclide this software knows ({', '.join(_BY_NAME)}). Choose an 18F-FDG PET series."
            )
    if len(set(named.values())) > 1:
        raise BadInput(
            "The header contradicts itself: "
            + " but ".join(f"its {attribute} is {name}" for attribute, name in named.items())
            + ". Have the series exported again from the scanner with the right radiopharmaceutical."
        )
    nuclide = _BY_NAME[next(iter(named.values()))] if named else None
    half_life = positive_number(radiopharmaceutical, "RadionuclideHalfLife")
    if half_life is None:
        if nuclide is None:
            return None, None, []
        warning = f"The header gives no half-life; that of {nuclide.name} ({nuclide.half_life_s} s) was used."
        return nuclide, nuclide.half_life_s, [warning]
    if nuclide is None:
        nuclide = min(PET_RADIONUCLIDES, key=lambda known: abs(known.half_life_s - half_life))
        if _differ(half_life, nuclide.half_life_s):
            raise BadInput(
                f"The header names no radionuclide, and its half-life of {half_life:g} s belongs to no PET "
                "radionuclide (18F: 6586 s). Choose an 18F-FDG PET series."
            )
    elif _differ(half_life, nuclide.half_life_s):
        raise BadInput(
            f"The header gives {nuclide.name} a half-life of {half_life:g} s; expected "
            f"{nuclide.half_life_s:g} s. Either the radionuclide or the half-life is wrong: have the series "
            "exported again."
        )
    return nuclide, half_life, []


def tracer_warnings(radiopharmaceutical: Dataset, nuclide: Radionuclide | None) -> list[str]:
    """Say where the tracer is not known to be 18F-FDG, the one the models are made for."""
    if nuclide is None:
        return ["The header does not name the radionuclide; the models are made for 18F-FDG."]
    if nuclide.name != "F-18":
        return [
            f"The tracer is labelled with {nuclide.name}; the models are made for 18F-FDG. SUVs are "
            "converted rightly."
        ]
    texts = [str(radiopharmaceutical.get("Radiopharmaceutical") or "")]
    codes = set()
    for item in radiopharmaceutical.get("RadiopharmaceuticalCodeSequence") or []:
        texts.append(str(item.get("CodeMeaning", "")))
        codes.add(str(item.get("CodeValue", "")).strip())
    words = " ".join(texts).upper()
    # C-B1031 and 35321007 are Fluorodeoxyglucose F-18 in SNOMED RT and CT.
    if not words.strip() or codes & {"C-B1031", "35321007"}:
        return []
    without_punctuation = re.sub(r"[^A-Z]", "", words)
    if any(name in without_punctuation for name in ("FDG", "DEOXYGLUCOSE", "DESOXYGLUCOSE")):
        return []
    # Many headers name only the label ("18F", "Fluorine"), which says nothing against FDG.
    if without_punctuation in {"F", "FF", "FLUORINE", "FLUORINEF", "SOLUTION", "UNKNOWN", "OTHER"}:
        return []
    return ["The header names a tracer other than 18F-FDG; the models are made for 18F-FDG."]


def positive_number(header: Dataset, keyword: str) -> float | None:
    """Return a numeric attribute, or None where it is absent, empty, zero, negative or not a number."""
    try:
        value = float(header.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if 0 < value < float("inf") else None


def _differ(half_life: float, physical: float) -> bool:
    return abs(half_life / physical - 1) > HALF_LIFE_TOLERANCE
