"""What a segment says of itself: which structure it is, and whether the reader has rejected it."""

from __future__ import annotations

import re

import slicer
import vtk

from .translation import _

REASONS = ("bladder", "ureter", "bowel", "other")

_NEOPLASM_CODE = "108369006"
_REJECTED_TAG = "AMDiff.rejected_as"
_COLOUR_TAG = "AMDiff.accepted_colour"
_LESION_ID = re.compile(r"^lesion_(\d+)$")
_LESION_TERMINOLOGY = (
    "AMDiff~SCT^49755003^Morphologically Altered Structure~SCT^108369006^Neoplasm~^^~Anatomic codes - DICOM "
    "master list~^^~^^"
)
# Of all greys the one that colour-blind readers confuse least with an organ.
_GREY = (0.67, 0.67, 0.67)
_CODE = re.compile(r"^[^^]*\^([^^]+)\^")


def type_code(segment) -> str | None:
    """Return the SNOMED CT code of the segment's type; None without terminology."""
    entry = tag_of(segment, slicer.vtkSegment.GetTerminologyEntryTagName()).split("~")
    found = _CODE.match(entry[2]) if len(entry) > 2 else None
    return found.group(1) if found else None


def is_lesion(segment) -> bool:
    """Return whether the segment's terminology is (108369006, SCT, Neoplasm)."""
    return type_code(segment) == _NEOPLASM_CODE


def add_lesion(segmentation_node, colour: tuple[float, float, float]) -> str:
    """Add an empty lesion with the next number, for the reader to draw; returns its segment id."""
    segmentation = segmentation_node.GetSegmentation()
    number = max(lesion_numbers(segmentation_node).values(), default=0) + 1
    segment = slicer.vtkSegment()
    segment.SetName(_("Lesion {number}").format(number=number))
    segment.SetColor(*colour)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), _LESION_TERMINOLOGY)
    segment_id = f"lesion_{number}"
    segmentation.AddSegment(segment, segment_id)
    _show(segmentation_node, segment_id, outline=1.0, surface=1.0)
    return segment_id


def lesion_numbers(segmentation_node) -> dict[str, int]:
    """Return each lesion's number by segment id: the one AMDiff gave it, or the next free one."""
    lesions = lesion_ids(segmentation_node)
    numbers = {each: int(found.group(1)) for each in lesions if (found := _LESION_ID.match(each))}
    following = max(numbers.values(), default=0)
    for each in lesions:
        if each not in numbers:
            following += 1
            numbers[each] = following
    return numbers


def lesion_ids(segmentation_node) -> list[str]:
    """Return the ids of the lesions, accepted or rejected, in the order of the segmentation."""
    segmentation = segmentation_node.GetSegmentation()
    return [each for each in segmentation.GetSegmentIDs() if is_lesion(segmentation.GetSegment(each))]


def rejected_as(segment) -> str | None:
    """Return what the reader says that the rejected lesion is; None for an accepted one."""
    return tag_of(segment, _REJECTED_TAG) or None


def reason_text(reason: str) -> str:
    """Return one of `REASONS` in the user's language."""
    texts = {"bladder": _("bladder"), "ureter": _("ureter"), "bowel": _("bowel"), "other": _("other")}
    return texts[reason]


def reject(segmentation_node, segment_id: str, reason: str) -> None:
    """Grey a lesion and mark it as something else, in the segment itself, so that a saved scene keeps it.

    Raises ValueError where the reason is not one of `REASONS`.
    """
    if reason not in REASONS:
        raise ValueError(f"the reason is '{reason}', expected one of {', '.join(REASONS)}")
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    if rejected_as(segment) is None:
        segment.SetTag(_COLOUR_TAG, " ".join(f"{channel:.6f}" for channel in segment.GetColor()))
    segment.SetTag(_REJECTED_TAG, reason)
    segment.SetColor(*_GREY)
    _show(segmentation_node, segment_id, outline=0.5, surface=0.15)


def accept(segmentation_node, segment_id: str) -> None:
    """Undo a rejection: mark and colour are as before."""
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    if rejected_as(segment) is None:
        return
    segment.SetColor(*(float(channel) for channel in tag_of(segment, _COLOUR_TAG).split()))
    segment.RemoveTag(_COLOUR_TAG)
    segment.RemoveTag(_REJECTED_TAG)
    _show(segmentation_node, segment_id, outline=1.0, surface=1.0)


def show_rejected(segmentation_node) -> None:
    """Draw rejected lesions more faintly than the others."""
    for segment_id in lesion_ids(segmentation_node):
        if rejected_as(segmentation_node.GetSegmentation().GetSegment(segment_id)) is not None:
            _show(segmentation_node, segment_id, outline=0.5, surface=0.15)


def _show(segmentation_node, segment_id: str, *, outline: float, surface: float) -> None:
    display = segmentation_node.GetDisplayNode()
    if display is not None:
        display.SetSegmentOpacity2DFill(segment_id, 0.0)
        display.SetSegmentOpacity2DOutline(segment_id, outline)
        display.SetSegmentOpacity3D(segment_id, surface)


def tag_of(segment, name: str) -> str:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""
