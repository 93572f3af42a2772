"""What measuring needs to know of the patient, kept in the segmentation so that a saved scene has it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

_ATTRIBUTE = "AMDiff.{}"


@dataclass(frozen=True, kw_only=True)
class PatientFacts:
    """Body measures (m, kg, "M" or "F"), minutes from injection to scan, and which criteria are asked for."""

    height_m: float | None = None
    weight_kg: float | None = None
    sex: str | None = None
    uptake_minutes: float | None = None
    deauville: bool = False
    percist: bool = False


def facts_of(segmentation_node) -> PatientFacts:
    """Return what the segmentation of a patient remembers."""
    found = {}
    for each in fields(PatientFacts):
        text = segmentation_node.GetAttribute(_ATTRIBUTE.format(each.name))
        if text:
            found[each.name] = text if each.name == "sex" else float(text)
    return replace(
        PatientFacts(**found),
        deauville=bool(found.get("deauville")),
        percist=bool(found.get("percist")),
    )


def remember(segmentation_node, facts: PatientFacts) -> None:
    """Write the facts into the segmentation."""
    for each in fields(PatientFacts):
        value = getattr(facts, each.name)
        text = value if each.name == "sex" else None if not value else repr(float(value))
        segmentation_node.SetAttribute(_ATTRIBUTE.format(each.name), text)


def facts_of_report(report: dict) -> PatientFacts:
    """Return what report.json says of its input; nothing that it does not say."""
    source = report.get("input", {})
    names = ("height_m", "weight_kg", "sex", "uptake_minutes")
    # As in the job: PERCIST where there were DICOM headers.
    return PatientFacts(**{name: source.get(name) for name in names}, percist=source.get("format") == "DICOM")
