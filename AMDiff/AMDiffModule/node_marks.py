"""What a volume node says of itself: that its voxels are SUV, and that it was computed and not measured."""

from __future__ import annotations

import slicer

DICOM_UIDS_ATTRIBUTE = "DICOM.instanceUIDs"

_SUV_QUANTITY = ("126400", "DCM", "Standardized Uptake Value")
SUV_BODY_WEIGHT = ("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
_SAID_SUV_ATTRIBUTE = "AMDiff.valuesAreSuv"
_SYNTHETIC_ATTRIBUTE = "AMDiff.synthetic"
_LOW_COUNT_DIFFERS_ATTRIBUTE = "AMDiff.low_count_differs"
_SUV_FACTOR_ATTRIBUTE = "AMDiff.inputSuvFactor"


def is_marked_as_suv(volume_node) -> bool:
    """Return whether the node's coded unit is SUV by body weight, in g/mL."""
    units = volume_node.GetVoxelValueUnits()
    if units is None:
        return False
    return (units.GetCodeValue(), units.GetCodingSchemeDesignator()) == SUV_BODY_WEIGHT[:2]


def is_said_to_be_suv(volume_node) -> bool:
    """Return whether the user said that the node's values are SUV by body weight."""
    return volume_node.GetAttribute(_SAID_SUV_ATTRIBUTE) is not None


def remember_said_suv(volume_node, said: bool) -> None:
    """Keep what the user said in the node, so that they are asked once: a saved scene has it too."""
    if said:
        volume_node.SetAttribute(_SAID_SUV_ATTRIBUTE, "1")
    else:
        volume_node.RemoveAttribute(_SAID_SUV_ATTRIBUTE)


def is_in_suv(volume_node) -> bool:
    """Return whether the node's values are SUV by body weight, by its coded unit or by its user's word."""
    return is_marked_as_suv(volume_node) or is_said_to_be_suv(volume_node)


def mark_as_suv(volume_node) -> None:
    """Write quantity (126400, DCM) and unit ({SUVbw}g/ml, UCUM) into the node."""
    volume_node.SetVoxelValueQuantity(coded_entry(*_SUV_QUANTITY))
    volume_node.SetVoxelValueUnits(coded_entry(*SUV_BODY_WEIGHT))


def described_unit(volume_node) -> str:
    """Return the unit that the node states, in words; empty when it states none."""
    units = volume_node.GetVoxelValueUnits()
    return (units.GetCodeMeaning() or units.GetCodeValue() or "") if units is not None else ""


def is_synthetic(node) -> bool:
    """Return whether the node is a result of this module."""
    return node.GetAttribute(_SYNTHETIC_ATTRIBUTE) is not None


def mark_as_synthetic(node) -> None:
    """Say in an attribute, which a saved scene keeps, that the node is a result of this module."""
    node.SetAttribute(_SYNTHETIC_ATTRIBUTE, "1")


def remember_suv_factor(denoised_node, factor: float) -> None:
    """Write into a result what turns its input's values into SUV, in g/mL per unit."""
    denoised_node.SetAttribute(_SUV_FACTOR_ATTRIBUTE, repr(factor))


def suv_factor_of_input(denoised_node) -> float:
    """Return what `remember_suv_factor` wrote."""
    return float(denoised_node.GetAttribute(_SUV_FACTOR_ATTRIBUTE))


def remember_low_count_agrees(denoised_node, agrees: bool) -> None:
    """Write into a result whether its input in the scene holds the SUV that the job computed with."""
    denoised_node.SetAttribute(_LOW_COUNT_DIFFERS_ATTRIBUTE, None if agrees else "1")


def low_count_agrees(denoised_node) -> bool:
    """Return what `remember_low_count_agrees` wrote."""
    return denoised_node.GetAttribute(_LOW_COUNT_DIFFERS_ATTRIBUTE) is None


def coded_entry(value: str, scheme: str, meaning: str):
    """Return a code as Slicer keeps it in nodes."""
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(value, scheme, meaning)
    return entry
