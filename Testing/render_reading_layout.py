"""Draw the reading layout of a saved scene without a screen, by Slicer's own slice and display logics.

Only the frame is drawn here: the bars above the views, and the table, which Slicer draws with Qt.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

# VTK reads it when it is imported: a render window without a screen.
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import slicer
import vtk
from PIL import Image, ImageDraw, ImageFont
from vtk.util.numpy_support import vtk_to_numpy

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "AMDiff"), str(REPOSITORY / "Testing")]

from AMDiffModule.choices import DenoisedView  # noqa: E402
from AMDiffModule.fusion import find_ct  # noqa: E402
from AMDiffModule.lesion_table import fill_lesion_table  # noqa: E402
from AMDiffModule.reading_layout import layout_descriptions, register_layouts, show_layout  # noqa: E402
from AMDiffModule.reading_views import Look, fill_views, fit_to_patient, use_windows  # noqa: E402
from AMDiffModule.result_report import report_of  # noqa: E402
from AMDiffModule.scene_import import ResultNodes, find_results  # noqa: E402
from AMDiffModule.trust_facts import removed_hot_spots  # noqa: E402
from slicer_host import SlicerHost, open_host  # noqa: E402

_BAR_HEIGHT = 22
_GAP = 3
_DISPLAYABLE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a view lies in the picture, in pixels, its bar included; `view` is its XML element."""

    view: ElementTree.Element
    left: int
    top: int
    width: int
    height: int


def main(arguments: list[str] | None = None) -> int:
    """Draw one picture; return the exit code."""
    command = argparse.ArgumentParser(prog="render_reading_layout.py", description=__doc__)
    command.add_argument("scene", type=Path, help="a .mrb with results, such as the demo's scene.mrb")
    command.add_argument("picture", type=Path, help="the PNG to write")
    command.add_argument("--layout", choices=("side-by-side", "mips", "denoised"), default="side-by-side")
    command.add_argument("--size", type=int, nargs=2, default=(1600, 1000), metavar=("WIDTH", "HEIGHT"))
    command.add_argument("--suv", type=float, default=7.0, help="upper end of the window; default 7")
    command.add_argument(
        "--denoised-view",
        choices=[choice.value for choice in DenoisedView],
        default=DenoisedView.PET.value,
        help="what the planes of the denoised half show",
    )
    command.add_argument("--organs", action="store_true", help="show the organs too")
    command.add_argument("--ct", action="store_true", help="show the CT of the study below the PET")
    options = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="AMDiff-render-") as folder:
        host = open_host(Path(folder))
        register_layouts(host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode"))
        host.scene.ReadFromMRB(str(options.scene.resolve()), True)
        nodes = first_results(host.scene)
        look = Look(
            suv_window=options.suv,
            denoised_view=DenoisedView(options.denoised_view),
            organs=options.organs,
            ct=find_ct(host.scene, nodes.input) if options.ct else None,
        )
        identities = dict(zip(("side-by-side", "mips", "denoised"), layout_descriptions(), strict=True))
        picture = render(host, nodes, look, identity=identities[options.layout], size=tuple(options.size))
        picture.save(options.picture, optimize=True)
    return 0


def first_results(scene) -> ResultNodes:
    """Return the results of the first volume in the scene that has some. Raises SystemExit when none has."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        nodes = find_results(scene, scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode"))
        if nodes is not None:
            return nodes
    raise SystemExit("The scene holds no results of AMDiff.")


def render(
    host: SlicerHost, nodes: ResultNodes, look: Look, *, identity: int, size: tuple[int, int]
) -> Image.Image:
    """Show the results in the layout `identity` and return the picture of `size` (width, height) pixels."""
    show_layout(host.scene, identity)
    layout = ElementTree.fromstring(layout_descriptions()[identity])
    places = list(divide(layout, 0, 0, *size))
    for place in places:
        if place.view.get("class") == "vtkMRMLSliceNode":
            slice_node = host.scene.GetSingletonNode(place.view.get("singletontag"), "vtkMRMLSliceNode")
            slice_node.SetDimensions(place.width, place.height - _BAR_HEIGHT, 1)
    use_windows(nodes, look)
    fill_views(host.scene, nodes, look)
    fit_to_patient(host.scene, nodes)
    picture = Image.new("RGB", size, "#404040")
    for place in places:
        draw_bar(picture, place, label_of(place, host.scene))
        inside = (place.left, place.top + _BAR_HEIGHT)
        if place.view.get("class") == "vtkMRMLSliceNode":
            slice_node = host.scene.GetSingletonNode(place.view.get("singletontag"), "vtkMRMLSliceNode")
            picture.paste(slice_image(host, slice_node), inside)
        else:
            lesions = slicer.vtkMRMLTableNode()
            removed = removed_hot_spots(nodes.denoised)
            fill_lesion_table(lesions, nodes.table, report_of(nodes.denoised), removed)
            picture.paste(table_image(lesions, place.width, place.height - _BAR_HEIGHT), inside)
    return picture


def divide(element: ElementTree.Element, left: int, top: int, width: int, height: int):
    """Yield the place of every view of a layout in the given rectangle, by the shares of its items."""
    if element.tag == "view":
        yield Place(view=element, left=left, top=top, width=width - _GAP, height=height - _GAP)
        return
    shares = np.cumsum([0, *(int(item.get("splitSize")) for item in element)])
    shares = shares / shares[-1]
    for item, start, end in zip(element, shares[:-1], shares[1:], strict=True):
        if element.get("type") == "horizontal":
            first, last = round(left + width * start), round(left + width * end)
            yield from divide(item[0], first, top, last - first, height)
        else:
            first, last = round(top + height * start), round(top + height * end)
            yield from divide(item[0], left, first, width, last - first)


def slice_image(host: SlicerHost, slice_node) -> Image.Image:
    """Render one slice view: the image of its logic, and over it what the displayable managers draw."""
    logic = host.application_logic.GetSliceLogic(slice_node)
    width, height = slice_node.GetDimensions()[:2]
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(1.0, 1.0, 1.0)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(width, height)
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(logic.GetImageDataConnection())
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    renderer.AddViewProp(actor)
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(host.application_logic)
    for name in _DISPLAYABLE_MANAGERS:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    managers = factory.InstantiateDisplayableManagers(renderer)
    managers.SetMRMLDisplayableNode(slice_node)
    # The crosshair is placed when its node changes, and this view has only now begun to listen.
    host.scene.GetSingletonNode("default", "vtkMRMLCrosshairNode").Modified()
    notice_legends(logic.GetSliceCompositeNode())
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    data = grab.GetOutput()
    pixels = vtk_to_numpy(data.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
    managers.SetMRMLDisplayableNode(None)
    return Image.fromarray(np.ascontiguousarray(pixels))


def notice_legends(composite) -> None:
    """Let a view that has only now begun to listen make the legends that were there before it."""
    composite.SetInteractionFlags(composite.ForegroundVolumeFlag)
    composite.Modified()  # the first time makes them, the second shows them
    composite.Modified()
    composite.SetInteractionFlags(0)


def label_of(place: Place, scene) -> str:
    """Return what the view's bar says."""
    return scene.GetSingletonNode(place.view.get("singletontag"), place.view.get("class")).GetLayoutLabel()


def draw_bar(picture: Image.Image, place: Place, label: str) -> None:
    """Draw the view's bar: its label on its colour."""
    color = next((entry.text for entry in place.view if entry.get("name") == "viewcolor"), "#606060")
    draw = ImageDraw.Draw(picture)
    right, bottom = place.left + place.width - 1, place.top + _BAR_HEIGHT - 1
    draw.rectangle((place.left, place.top, right, bottom), fill=color)
    draw.text((place.left + 6, place.top + 4), label, fill="white", font=_font(13, bold=True))


def table_image(table_node, width: int, height: int) -> Image.Image:
    """Draw as many rows and columns of the table as fit, as the table view shows them."""
    image = Image.new("RGB", (width, height), "white")
    draw, font, bold = ImageDraw.Draw(image), _font(12), _font(12, bold=True)
    left = 6
    for column in range(table_node.GetNumberOfColumns()):
        name = table_node.GetColumnName(column)
        unit = table_node.GetColumnUnitLabel(name)
        title = table_node.GetColumnTitle(name) + (f" [{unit}]" if unit else "")
        cells = [_shown(table_node.GetCellText(row, column)) for row in range(table_node.GetNumberOfRows())]
        wide = int(max(bold.getlength(title), *(font.getlength(cell) for cell in cells))) + 14
        if left + wide > width:
            break
        draw.rectangle((left - 6, 0, left + wide, 19), fill="#E4E4E4")
        draw.text((left, 3), title, fill="black", font=bold)
        for row, cell in enumerate(cells):
            draw.text((left, 22 + 17 * row), cell, fill="black", font=font)
        left += wide
    return image


def _shown(cell: str) -> str:
    return "" if cell == "nan" else cell


def _font(size: int, *, bold: bool = False):
    from matplotlib import font_manager

    weight = "bold" if bold else "normal"
    return ImageFont.truetype(font_manager.findfont(f"DejaVu Sans:weight={weight}"), size)


if __name__ == "__main__":
    sys.exit(main())
