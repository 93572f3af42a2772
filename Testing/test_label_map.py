"""Phantoms from label maps: geometry, edges, tissue from CT, and what is refused."""

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from AMDiffLib.errors import BadInput
from AMDiffLib.labels import ORGANS
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.label_classes import classes_of, label_classes, task_names
from AMDiffLib.simulation.label_files import read_label_map
from AMDiffLib.simulation.label_map import phantom_from_label_map
from AMDiffLib.simulation.label_painter import LabelPainter
from AMDiffLib.simulation.placed_volume import PlacedVolume
from AMDiffLib.simulation.tissue import label_of
from AMDiffLib.simulation.uptake import UPTAKE

LIVER, SPLEEN, COLON = 5, 1, 20
OPTIONS = {"seed": 1, "spacing_mm": (4.0, 4.0, 4.0), "field_of_view_mm": 256.0, "healthy_share": 1.0}


@pytest.fixture
def a_map(tmp_path):
    """A function that writes a map with balls {label: (centre in mm LPS, radius)} and returns its path."""

    def write(
        balls,
        *,
        direction=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        spacing=(3.0, 3.0, 3.0),
        size=(60, 60, 50),
        name="map.nrrd",
    ):
        image = sitk.Image(size, sitk.sitkUInt8)
        image.SetSpacing(spacing)
        image.SetDirection(np.asarray(direction, float).ravel())
        half = np.asarray(direction) @ ((np.array(size) - 1) / 2 * spacing)
        image.SetOrigin(-half)
        values = sitk.GetArrayFromImage(image)
        index = np.stack(np.indices(values.shape)[::-1], axis=-1)
        points = (index * spacing) @ np.asarray(direction).T - half
        for label, (centre, radius) in balls.items():
            values[np.linalg.norm(points - centre, axis=-1) < radius] = label
        made = sitk.GetImageFromArray(values)
        made.CopyInformation(image)
        sitk.WriteImage(made, str(tmp_path / name))
        return tmp_path / name

    return write


def test_every_class_of_totalsegmentator_is_known():
    assert len(task_names("total")) == 117
    assert len(task_names("total_v1")) == 104
    # Numbers of the public class map.
    assert task_names("total")[5] == "liver" and task_names("total")[117] == "costal_cartilages"
    assert task_names("total_v1")[7] == "aorta" and task_names("total_v1")[104] == "urinary_bladder"
    for task in ("total", "total_v1"):
        assert len(classes_of(task_names(task))) == len(task_names(task))


def test_classes_are_painted_with_what_the_simulator_has():
    for name, drawn in label_classes().items():
        assert drawn.paint.uptake in UPTAKE, name
        assert drawn.core is None or drawn.core.uptake in UPTAKE, name
        assert label_of(drawn.paint.structure) == drawn.organ, name
        assert 0 <= drawn.attenuation <= 0.13, name
    found = {drawn.organ for drawn in label_classes().values()} - {0}
    assert found == {organ.label for organ in ORGANS}


def rotated(degrees_about_z, degrees_about_x):
    c, s = math.cos(math.radians(degrees_about_z)), math.sin(math.radians(degrees_about_z))
    a, b = math.cos(math.radians(degrees_about_x)), math.sin(math.radians(degrees_about_x))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, a, -b], [0, b, a]])


@pytest.mark.parametrize(
    "direction",
    [
        pytest.param(np.eye(3), id="upright"),
        pytest.param(np.diag([-1.0, -1.0, 1.0]), id="NIfTI's RAS"),
        pytest.param([[0, 0, 1], [1, 0, 0], [0, -1, 0]], id="sagittal, from below"),
        pytest.param(rotated(25, 15), id="oblique"),
    ],
)
def test_a_ball_keeps_place_and_volume_in_any_orientation(a_map, direction):
    balls = {LIVER: ((-30.0, 12.0, 0.0), 22.0), SPLEEN: ((30.0, -12.0, 20.0), 12.0)}
    phantom = phantom_from_label_map(
        a_map(balls, direction=direction), label_names="total", **OPTIONS | {"spacing_mm": (2.0,) * 3}
    )

    names = phantom.structure_names
    k, j, i = torch.nonzero(phantom.organs == 2, as_tuple=True)
    a, b, c = torch.nonzero(phantom.organs == 7, as_tuple=True)
    # The middle of the labels' box lies in the grid's middle.
    offset = np.array(
        [float(i.float().mean() - c.float().mean()), float(j.float().mean() - b.float().mean())]
    )
    assert offset * 2.0 == pytest.approx([-60.0, 24.0], abs=0.7)
    assert float(k.float().mean() - a.float().mean()) * 2.0 == pytest.approx(-20.0, abs=0.7)
    for label, radius in ((2, 22.0), (7, 12.0)):
        volume = float((phantom.organs == label).sum()) * 8.0
        assert volume == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.05)
    assert "liver" in names and phantom.suv.shape[0] % 2 == 0


def test_edges_of_coarse_labels_are_soft(a_map):
    phantom = phantom_from_label_map(a_map({LIVER: ((0, 0, 0), 30.0)}), label_names="total", **OPTIONS)
    row = phantom.suv[phantom.suv.shape[0] // 2, phantom.suv.shape[1] // 2]
    liver = float(row[len(row) // 2])
    edge = row[len(row) // 2 - 9 : len(row) // 2 - 5] / liver

    # Not from nothing to all within one voxel.
    assert ((edge > 0.35) & (edge < 0.9)).any()


def test_neighbours_meet_without_a_seam():
    canvas = Canvas((4, 4, 20), (2.0, 2.0, 2.0))
    painter = LabelPainter(canvas, {drawn.paint.uptake: 3.0 for drawn in label_classes().values()}, None)
    matrix = np.array([[1 / 3, 0, 0, 8.0], [0, 1 / 3, 0, 8.0], [0, 0, 1 / 3, 8.0]])
    left = torch.zeros(17, 17, 17)
    left[..., :8] = 1
    for values, name in ((left, "liver"), (1 - left, "spleen")):
        painter.paint(PlacedVolume(values=values, matrix=matrix), (3.0,) * 3, label_classes()[name])

    assert torch.allclose(canvas.suv, torch.full_like(canvas.suv, 3.0), atol=1e-5)


def a_ct(path, like, *, table=True):
    """A cylinder of fat with a gas bubble on a table, in a second geometry of its own."""
    reader = sitk.ReadImage(str(like))
    reference = sitk.Image([90, 110, 60], sitk.sitkFloat32)
    reference.SetSpacing((2.0, 2.0, 3.0))
    reference.SetOrigin((-89.0, -89.0, reader.GetOrigin()[2] - 6))
    k, j, i = np.indices((60, 110, 90))
    x, y, z = i * 2.0 - 89, j * 2.0 - 89, k * 3.0 + reference.GetOrigin()[2]
    units = np.full(x.shape, -1000.0, np.float32)
    units[np.hypot(x, y) < 70] = -100
    units[(np.hypot(x, y) > 45) & (np.hypot(x, y) < 60)] = 50
    units[(x + 30) ** 2 + y**2 + z**2 < 10**2] = -1000
    if table:
        units[(y > 78) & (y < 82)] = 0
    image = sitk.GetImageFromArray(units)
    image.CopyInformation(reference)
    sitk.WriteImage(image, str(path))
    return path


def test_ct_gives_attenuation_outline_and_tissue(a_map, tmp_path):
    labels = a_map({COLON: ((-30.0, 0.0, 0.0), 20.0), LIVER: ((20.0, 0.0, 0.0), 20.0)})
    phantom = phantom_from_label_map(
        labels,
        ct=a_ct(tmp_path / "ct.nii.gz", labels),
        label_names="total",
        **OPTIONS | {"spacing_mm": (2.0,) * 3},
    )
    middle, centre = phantom.suv.shape[0] // 2, phantom.suv.shape[1] // 2

    def at(x, y):
        # The grid's middle is that of the labels' box, at x = -5 mm.
        return middle, centre + round(y / 2), centre + round((x + 5) / 2)

    names = phantom.structure_names
    # 9.6e-5 (HU + 1000) for fat, and what lies beyond the break for muscle.
    assert float(phantom.attenuation[at(0, -35)]) == pytest.approx(9.6e-5 * 900, rel=0.01)
    assert float(phantom.attenuation[at(0, -52)]) == pytest.approx(0.0471 + 5.10e-5 * 1050, rel=0.01)
    assert names[phantom.structures[at(0, -52)]] == "skeletal muscle"
    assert names[phantom.structures[at(0, -64)]] == "subcutaneous fat"
    assert phantom.organs[at(0, -52)] == label_of("skeletal muscle")
    # Gas in the colon takes up nothing, its contents do.
    assert float(phantom.suv[at(-30, 0)]) < 0.05
    assert float(phantom.suv[at(-30, 15)]) > 0.2
    # The table is not part of the body.
    assert float(phantom.attenuation[at(0, 80)]) == 0
    assert float(phantom.suv[at(0, 80)]) == 0


def test_the_same_seed_gives_the_same_person(a_map):
    path = a_map({LIVER: ((0, 0, 0), 30.0)})
    first, again = (phantom_from_label_map(path, label_names="total", **OPTIONS) for _ in range(2))
    other = phantom_from_label_map(path, label_names="total", **OPTIONS | {"seed": 2})

    assert torch.equal(first.suv, again.suv)
    assert not torch.equal(first.suv, other.suv)


def test_names_of_slicer_segments_are_read(a_map):
    path = a_map({3: ((0, 0, 0), 20.0)})
    image = sitk.ReadImage(str(path))
    image.SetMetaData("Segment0_LabelValue", "3")
    image.SetMetaData("Segment0_Name", "Aorta")
    image.SetMetaData("Segment0_ID", "Segment_1")
    sitk.WriteImage(image, str(path))

    assert read_label_map(path).names == {3: "Aorta"}
    assert classes_of(read_label_map(path).names)[3].organ == 8


def test_names_may_come_from_a_json_file_and_leave_labels_out(a_map, tmp_path):
    path = a_map({1: ((-25, 0, 0), 20.0), 9: ((25, 0, 0), 20.0)})
    (tmp_path / "names.json").write_text(json.dumps({"9": "spleen"}))
    phantom = phantom_from_label_map(path, label_names=tmp_path / "names.json", **OPTIONS)

    assert set(phantom.organs.unique().tolist()) - {0, label_of("skeletal muscle")} == {7}


@pytest.mark.parametrize(
    ("balls", "names", "message"),
    [
        ({}, "total", "is empty"),
        ({1: ((0, 0, 0), 20)}, None, "does not say what its labels 1 are"),
        ({1: ((0, 0, 0), 20)}, "total_v3", "no label scheme 'total_v3'"),
        ({1: ((0, 0, 0), 20), 2: ((40, 0, 0), 9)}, {"1": "liver", "2": "flux_capacitor"}, "2 flux_capacitor"),
        ({1: ((0, 0, 0), 20)}, {"5": "liver"}, "none of the labels"),
        ({1: ((0, 0, 0), 20)}, ["liver"], "does not list label names"),
    ],
)
def test_label_maps_that_say_too_little_are_refused(a_map, tmp_path, balls, names, message):
    path = a_map(balls)
    if not (names is None or isinstance(names, str)):
        (tmp_path / "names.json").write_text(json.dumps(names))
        names = tmp_path / "names.json"

    with pytest.raises(BadInput, match=message):
        phantom_from_label_map(path, label_names=names, **OPTIONS)


def test_what_is_no_label_map_is_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no label map"):
        read_label_map(tmp_path / "absent.nii.gz")
    (tmp_path / "text.nrrd").write_text("no image")
    with pytest.raises(BadInput, match="cannot be read"):
        read_label_map(tmp_path / "text.nrrd")
    sitk.WriteImage(sitk.Image([4, 4, 4, 3], sitk.sitkUInt8), str(tmp_path / "moving.nii"))
    with pytest.raises(BadInput, match="4 dimensions"):
        read_label_map(tmp_path / "moving.nii")
    fractions = sitk.GetImageFromArray(np.full((4, 4, 4), 0.5, np.float32))
    sitk.WriteImage(fractions, str(tmp_path / "fractions.nii"))
    with pytest.raises(BadInput, match="not whole numbers"):
        read_label_map(tmp_path / "fractions.nii")


def test_a_ct_of_something_else_is_refused(a_map, tmp_path):
    labels = a_map({LIVER: ((20.0, 0.0, 0.0), 20.0)})
    path = a_ct(tmp_path / "ct.nrrd", labels)
    image = sitk.ReadImage(str(path))

    def written(image):
        sitk.WriteImage(image, str(path))
        return {"ct": path, "label_names": "total", **OPTIONS}

    with pytest.raises(BadInput, match="not in Hounsfield units"):
        phantom_from_label_map(labels, **written(sitk.Clamp(image, sitk.sitkFloat32, 0, 100)))
    origin = image.GetOrigin()
    image.SetOrigin(np.add(origin, (500, 0, 0)))
    with pytest.raises(BadInput, match="nothing of what is labelled lies in the CT"):
        phantom_from_label_map(labels, **written(image))
    image.SetOrigin(np.subtract(origin, (70, 0, 0)))
    with pytest.raises(BadInput, match=r"only \d+% of what is labelled lies in the CT"):
        phantom_from_label_map(labels, **written(image))
    image.SetOrigin(np.add(origin, (0, -105, 0)))
    with pytest.raises(BadInput, match="labelled as solid is air"):
        phantom_from_label_map(labels, **written(image))


def test_a_real_torso_becomes_a_phantom(pet_data):
    folder = pet_data / "torso-labels"
    labels = folder / "example_seg_fast_force_split.nii.gz"
    assert len(read_label_map(labels).names) == 61
    phantom = phantom_from_label_map(
        labels, ct=folder / "example_ct.nii.gz", **OPTIONS | {"field_of_view_mm": 400.0}
    )

    def mean(volume, structure):
        return float(volume[phantom.structures == phantom.structure_names.index(structure)].mean())

    voxel_ml = 0.064
    liver = phantom.organs == 2
    # Counted in the label map: 41,692 voxels of 27 mm3.
    assert float(liver.sum()) * voxel_ml == pytest.approx(41692 * 0.027, rel=0.02)
    # The liver is on the right, above the bladder.
    k, _, i = torch.nonzero(liver, as_tuple=True)
    below, _, _ = torch.nonzero(
        phantom.structures == phantom.structure_names.index("urinary bladder"), as_tuple=True
    )
    assert float(i.float().mean()) < phantom.suv.shape[2] / 2 - 10
    assert float(k.float().mean()) > float(below.float().mean()) + 20
    assert mean(phantom.attenuation, "liver") == pytest.approx(0.0995, abs=0.001)
    assert 0.086 < mean(phantom.attenuation, "subcutaneous fat") < 0.091
    assert mean(phantom.attenuation, "hip") > 0.104
    # The body has some 24 L over 336 mm.
    body_ml = float((phantom.structures > 0).sum()) * voxel_ml
    assert 22_000 < body_ml < 27_000
    assert phantom.weight_kg == pytest.approx(0.107 * body_ml / 33.6, rel=0.3)
    assert {2, 3, 4, 5, 6, 7, 8} <= set(phantom.organs.unique().tolist())
