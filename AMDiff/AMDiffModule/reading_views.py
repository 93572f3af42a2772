"""From results and the reader's choices to what every reading view shows."""

from __future__ import annotations

from dataclasses import dataclass

from .choices import DenoisedView
from .count_marks import show_count_marks
from .difference import difference_of
from .display import PET_RAINBOW, USUAL_SUV_WINDOW, show_lesions_and_organs, use_pet_window
from .fusion import use_soft_tissue_window
from .measurement_table import first_lesion_ras
from .mip_outlines import keep_off_mips, show_mip_outlines
from .node_marks import low_count_agrees, suv_factor_of_input
from .overlay import find_overlay, overlay_of
from .reading_layout import (
    DENOISED,
    SIDE_BY_SIDE,
    Volumes,
    annotate_views,
    centre_views,
    link_views,
    show_layout,
    show_table,
    show_volumes,
    slice_views,
)
from .result_maps import MapKind, find_map, show_legend
from .translation import _
from .view_fit import body_extent, fit_views, volume_extent

_LEGEND_VIEW = "Axial"  # the widest, so that the legend covers no patient


class MapMissing(ValueError):
    """A map that was asked for is not in the scene; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the reader chose to see; `ct` is a volume node, or None for the PET alone."""

    suv_window: float = USUAL_SUV_WINDOW
    lesions: bool = True
    organs: bool = False
    denoised_view: DenoisedView = DenoisedView.PET
    ct: object | None = None
    overlay_color_node_id: str = PET_RAINBOW
    pet_opacity: float = 0.5


def show_side_by_side(scene, nodes, look: Look | None = None) -> None:
    """Lay out `nodes` (ResultNodes) side by side with their input, fitted, at the first lesion."""
    look = look or Look()
    show_layout(scene, SIDE_BY_SIDE)
    use_windows(nodes, look)
    fill_views(scene, nodes, look)
    fit_to_patient(scene, nodes)


def use_windows(nodes, look: Look) -> None:
    """Show both volumes in the chosen SUV window, whatever the unit of the input.

    An input whose values are not those that the job read keeps its own window: its SUV is not known.
    """
    for node, factor in _in_suv(nodes):
        use_pet_window(node, upper_suv=look.suv_window, suv_factor=factor)


def displays_in_suv(scene, nodes) -> list[tuple]:
    """Return the display nodes that share the SUV window, each with what turns its values into SUV."""
    found = []
    for node, factor in _in_suv(nodes):
        for shown in (node, find_overlay(scene, node)):
            if shown is not None:
                found.append((shown.GetDisplayNode(), factor))
    return found


def _in_suv(nodes) -> list[tuple]:
    low_count = [(nodes.input, suv_factor_of_input(nodes.denoised))]
    return [(nodes.denoised, 1.0), *(low_count if low_count_agrees(nodes.denoised) else [])]


def fill_views(scene, nodes, look: Look) -> None:
    """Put volumes, outlines and table into the views; where the views are in the patient stays.

    Raises:
        DifferenceImpossible: the difference was chosen, and the input was changed since the run.
        MapMissing: a map was chosen, and the result has none.
    """
    kind = look.denoised_view.map_kind()
    overlays = {}
    if look.ct is not None:
        for name, node in (("low_count_overlay", nodes.input), ("denoised_overlay", nodes.denoised)):
            overlays[name] = overlay_of(scene, node, color_node_id=look.overlay_color_node_id)
    volumes = Volumes(
        low_count=nodes.input,
        denoised=nodes.denoised,
        low_count_in_suv=low_count_agrees(nodes.denoised),
        difference=difference_of(scene, nodes) if look.denoised_view is DenoisedView.DIFFERENCE else None,
        map=_map_of(nodes, kind) if kind else None,
        map_label=kind.view_label if kind else "",
        ct=look.ct,
        pet_opacity=look.pet_opacity,
        **overlays,
    )
    if look.ct is not None:
        use_soft_tissue_window(look.ct)
    link_views(scene)
    annotate_views(scene)
    show_volumes(scene, volumes)
    views = slice_views(scene, _LEGEND_VIEW)
    places = [slice_node.GetID() for volume, _view, slice_node, _composite in views if volume == DENOISED]
    show_legend(scene, nodes.denoised, kind, places)
    show_table(scene, nodes.table)
    keep_off_mips(scene, nodes.segmentation)
    show_lesions_and_organs(nodes.segmentation, lesions=look.lesions, organs=look.organs)
    show_mip_outlines(scene, nodes.segmentation, nodes.denoised, visible=look.lesions)
    show_count_marks(scene, nodes, visible=look.lesions)


def _map_of(nodes, kind: MapKind):
    found = find_map(nodes.denoised, kind)
    if found is None:
        raise MapMissing(
            _(
                "The results of '{name}' hold no such map: it was removed from the scene, or they were made "
                "by an older version or a model without it. Run again to have it."
            ).format(name=nodes.input.GetName())
        )
    return found


def fit_to_patient(scene, nodes, *, at: tuple[float, float, float] | None = None) -> None:
    """Fit the body into the views and go to the point `at`, in mm RAS, or else to the first lesion."""
    fit_views(scene, body=body_extent(nodes.denoised), volume=volume_extent(nodes.denoised))
    point = at or first_lesion_ras(nodes.table)
    if point is not None:
        centre_views(scene, point)
