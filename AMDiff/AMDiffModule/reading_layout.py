"""The layouts for reading: low-count and denoised PET side by side, three planes and a MIP each, a table.

They have view nodes of their own, so that the user's layouts stay as they are. Planes and MIPs are groups of
their own: a click or a scroll in one moves the others of its group, and the MIPs keep their slab.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

import slicer

from .translation import _

SIDE_BY_SIDE, MIP_ONLY, DENOISED_ONLY = 72101, 72102, 72103
LOW_COUNT, DENOISED = "LowCount", "Denoised"
PLANES = ("Axial", "Coronal", "Sagittal")
MIP = "Mip"
TABLE_TAG = "AMDiffTable"
_PLANES_GROUP, _MIP_GROUP = 72101, 72102
# What the bar above each view says, and its colour: both tell the two volumes apart (Okabe-Ito).
_LABELS = {LOW_COUNT: _("Low-count"), DENOISED: _("Denoised")}
_NOT_IN_SUV_LABEL = _("Low-count, SUV not known")
_DIFFERENCE_LABEL = _("Difference")
_CROSSHAIR_COLOR = (0.0, 0.45, 0.70)  # the default, light yellow, is lost on white
_COLORS = {LOW_COUNT: "#0072B2", DENOISED: "#D55E00"}


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """The nodes to show; overlays lie on `ct`.

    In the planes of the denoised half, `difference` takes the place of the denoised volume, and `map` lies
    over it; the bar above the view then says `map_label`.
    """

    low_count: object
    denoised: object
    low_count_in_suv: bool = True
    difference: object | None = None
    map: object | None = None
    map_label: str = ""
    ct: object | None = None
    low_count_overlay: object | None = None
    denoised_overlay: object | None = None
    pet_opacity: float = 0.5


def register_layouts(layout_node) -> None:
    """Make the layouts known, once; `layout_node` is the scene's vtkMRMLLayoutNode."""
    for identity, description in layout_descriptions().items():
        if not layout_node.IsLayoutDescription(identity):
            layout_node.AddLayoutDescription(identity, description)


def layout_descriptions() -> dict[int, str]:
    """Return the layouts as Slicer's XML, by identity."""
    halves = _row((500, _half(LOW_COUNT)), (500, _half(DENOISED)))
    mips = _row((500, _slice_view(LOW_COUNT, MIP)), (500, _slice_view(DENOISED, MIP)))
    label = _property("viewlabel", _("Lesions: low-count | denoised"))
    table = f'<view class="vtkMRMLTableViewNode" singletontag="{TABLE_TAG}">{label}</view>'
    return {
        SIDE_BY_SIDE: _column((780, halves), (220, table)),
        MIP_ONLY: mips,
        DENOISED_ONLY: _column((780, _half(DENOISED)), (220, table)),
    }


def show_layout(scene, identity: int) -> None:
    """Switch the main window to one of the layouts; its views come into the scene with that."""
    layout_node = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    register_layouts(layout_node)
    layout_node.SetViewArrangement(identity)


def shown_layout(scene) -> int | None:
    """Return which of these layouts the main window shows; None when it shows another one."""
    layout_node = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    identity = layout_node.GetViewArrangement() if layout_node is not None else None
    return identity if identity in (SIDE_BY_SIDE, MIP_ONLY, DENOISED_ONLY) else None


def view_tag(volume: str, view: str) -> str:
    """Return the singleton tag of the view of `volume` (LOW_COUNT, DENOISED) in `view` (a plane, MIP)."""
    return f"AMDiff{volume}{view}"


def slice_views(scene, *views: str) -> Iterator[tuple]:
    """Yield (volume, view, slice node, composite node) of those of `views` that have come into the scene."""
    for volume in (LOW_COUNT, DENOISED):
        for view in views:
            tag = view_tag(volume, view)
            slice_node = scene.GetSingletonNode(tag, "vtkMRMLSliceNode")
            composite = scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")
            if slice_node is not None and composite is not None:
                yield volume, view, slice_node, composite


def link_views(scene) -> None:
    """Link the planes with one another, and the MIPs with one another."""
    for _volume, view, slice_node, composite in slice_views(scene, *PLANES, MIP):
        # Not left to the layout: a saved scene holds a view's group only as yes or no.
        slice_node.SetViewGroup(_MIP_GROUP if view == MIP else _PLANES_GROUP)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)


def annotate_views(scene) -> None:
    """Show in every view which side is which, and in the axial one and the MIP how long a centimetre is."""
    for _volume, view, slice_node, _composite in slice_views(scene, *PLANES, MIP):
        slice_node.SetOrientationMarkerType(slice_node.OrientationMarkerTypeAxes)
        slice_node.SetOrientationMarkerSize(slice_node.OrientationMarkerSizeSmall)
        if view in ("Axial", MIP):
            slice_node.SetRulerType(slice_node.RulerTypeThin)
            slice_node.SetRulerColor(slice_node.RulerColorBlack)


def show_volumes(scene, volumes: Volumes) -> None:
    """Put the volumes into the views."""
    for volume, view, slice_node, composite in slice_views(scene, *PLANES, MIP):
        low_count = volume == LOW_COUNT
        pet = volumes.low_count if low_count else volumes.denoised
        background, foreground, opacity, label = pet, None, 0.0, _label(volume, view)
        if low_count and not volumes.low_count_in_suv:
            label = _NOT_IN_SUV_LABEL
        if view != MIP:
            if volume == DENOISED and volumes.difference is not None:
                background, label = volumes.difference, _DIFFERENCE_LABEL
            elif volume == DENOISED and volumes.map is not None:
                # Opaque where it is coloured, so that its colours are those of its legend.
                foreground, opacity, label = volumes.map, 1.0, volumes.map_label
            elif volumes.ct is not None:
                overlay = volumes.low_count_overlay if low_count else volumes.denoised_overlay
                background, foreground, opacity = volumes.ct, overlay, volumes.pet_opacity
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetForegroundOpacity(opacity)
        composite.SetLabelVolumeID(None)
        slice_node.SetLayoutLabel(label)


def show_table(scene, table_node) -> None:
    """Put the table of measurements below the views."""
    view = scene.GetSingletonNode(TABLE_TAG, "vtkMRMLTableViewNode")
    if view is not None:
        view.SetTableNodeID(table_node.GetID())


def centre_views(scene, ras: tuple[float, float, float]) -> None:
    """Bring a point, in mm RAS, into the middle of every plane, and mark it; the MIPs stay whole."""
    for _volume, _view, slice_node, _composite in slice_views(scene, *PLANES):
        slice_node.JumpSliceByCentering(*ras)
    crosshair = scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*ras)
        crosshair.SetCrosshairColor(*_CROSSHAIR_COLOR)
        crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.ShowBasic)


def marked_point(scene) -> tuple[float, float, float] | None:
    """Return the point that was last marked, in mm RAS; None when nothing is marked."""
    crosshair = scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    if crosshair is None or crosshair.GetCrosshairMode() == crosshair.NoCrosshair:
        return None
    return tuple(crosshair.GetCrosshairRAS())


def _half(volume: str) -> str:
    """Return axial over coronal and sagittal, and the MIP, which is as tall as the patient, beside them."""
    upright = _row((500, _slice_view(volume, "Coronal")), (500, _slice_view(volume, "Sagittal")))
    planes = _column((380, _slice_view(volume, "Axial")), (620, upright))
    return _row((620, planes), (380, _slice_view(volume, MIP)))


def _slice_view(volume: str, view: str) -> str:
    properties = {
        "orientation": "Coronal" if view == MIP else view,
        "viewlabel": _label(volume, view),
        "viewcolor": _COLORS[volume],
        "viewgroup": str(_MIP_GROUP if view == MIP else _PLANES_GROUP),
    }
    content = "".join(_property(name, value) for name, value in properties.items())
    return f'<view class="vtkMRMLSliceNode" singletontag="{view_tag(volume, view)}">{content}</view>'


def _label(volume: str, view: str) -> str:
    """Return what a view's bar says; the bars of the narrow upright views have room for little."""
    name = _LABELS[volume]
    if view == MIP:
        return _("{volume} MIP").format(volume=name)
    if volume == DENOISED and view == "Axial":
        return _("{volume} (synthetic)").format(volume=name)
    return name


def _property(name: str, value: str) -> str:
    return f'<property name="{name}" action="default">{escape(value)}</property>'


def _row(*items: tuple[int, str]) -> str:
    return _split("horizontal", items)


def _column(*items: tuple[int, str]) -> str:
    return _split("vertical", items)


def _split(direction: str, items: tuple[tuple[int, str], ...]) -> str:
    """Return a layout that the user can re-divide; sizes are shares, Slicer 5.8 takes them for equal."""
    content = "".join(f'<item splitSize="{size}">{item}</item>' for size, item in items)
    return f'<layout type="{direction}" split="true">{content}</layout>'
