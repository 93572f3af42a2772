"""The measurements of one patient in the scene: from the segments as they are now to the table."""

from __future__ import annotations

from types import SimpleNamespace

import slicer
import vtk

from .count_comparison import CountComparison
from .lesion_marks import lesion_numbers, rejected_as, tag_of, type_code
from .measurement_table import fill_from_rows, remember_remarks
from .measuring_library import organs as organ_classes
from .measuring_library import quantification
from .node_marks import low_count_agrees, suv_factor_of_input
from .patient_facts import facts_of
from .result_maps import UNCERTAINTY, find_map
from .result_report import report_of
from .segment_voxels import layers_of
from .translation import _
from .trust_facts import calibration_of, remember_lesions_by_hand, sizes_calibrated_ml


def update_table(nodes):
    """Measure the lesions and organs of `nodes`, which are ResultNodes, anew and fill their table.

    Returns:
        The Measurements of the denoised volume and those of the low-count input, None where the input in the
        scene does not hold the SUV that the job computed with.
    """
    return quantification("steps").finished(update_table_in_steps(nodes, CountComparison()))


def update_table_in_steps(nodes, counts: CountComparison):
    """Do the same as a generator that yields between pieces; `counts` keeps what edits do not change."""
    denoised, low_count, by_hand = yield from _measure(nodes, counts)
    columns = quantification("column_definitions").COLUMNS
    fill_from_rows(nodes.table, quantification("tables").text_rows(denoised, low_count), columns)
    remarks = list(denoised.remarks)
    if low_count is None:
        remarks.append(
            _(
                "No low-count values: the values of '{name}' are not in proportion to SUV. Load it as SUV "
                "(PETDICOM extension) to have them."
            ).format(name=nodes.input.GetName())
        )
    remarks += _interval_remarks(denoised.lesions, by_hand, calibration_of(report_of(nodes.denoised)))
    remember_remarks(nodes.table, remarks)
    remember_lesions_by_hand(nodes.table, by_hand)
    return denoised, low_count


def measure_scene(nodes, counts: CountComparison | None = None):
    """Return the Measurements of the denoised volume and of the low-count input, as the segments are now.

    Without `counts`, lesions are not compared with the counts.
    """
    return quantification("steps").finished(_measure(nodes, counts))[:2]


def _interval_remarks(lesions, by_hand: set[int], calibration) -> list[str]:
    """Say which lesions have intervals that were not found with lesions like them."""
    measured = [lesion for lesion in lesions if lesion.intervals]
    if not measured:
        return []
    smallest, largest = sizes_calibrated_ml(calibration)
    drawn = [lesion.name for lesion in measured if lesion.number in by_hand]
    other = [lesion.name for lesion in measured if not smallest <= lesion.mtv_ml <= largest]
    remarks = []
    if drawn:
        text = _(
            "Drawn or changed by hand: {names}. The 90 % intervals were found for outlines that the model "
            "drew; for these lesions they are those of such an outline of the same size and uncertainty."
        )
        remarks.append(text.format(names=", ".join(drawn)))
    if other:
        text = _(
            "Smaller or larger than the lesions that the 90 % intervals were found with ({smallest:.2g} to "
            "{largest:.3g} mL): {names}. Their intervals may be too narrow."
        )
        remarks.append(text.format(names=", ".join(other), smallest=smallest, largest=largest))
    return remarks


def _measure(nodes, counts: CountComparison | None):
    """Return the Measurements of both volumes, and the numbers of the lesions that were drawn by hand."""
    import numpy as np

    measurements = quantification("measurements")
    anatomy = yield from read_anatomy_in_steps(nodes.segmentation, nodes.denoised)
    facts = facts_of(nodes.segmentation)
    options = measurements.MeasureOptions(
        deauville=facts.deauville,
        percist=facts.percist,
        body=quantification("lean_body_mass").BodyMeasures(
            height_m=facts.height_m, weight_kg=facts.weight_kg, sex=facts.sex
        ),
    )
    low_count_suv, low_count, consistency = None, None, None
    if low_count_agrees(nodes.denoised):
        low_count_suv = slicer.util.arrayFromVolume(nodes.input)
        factor = suv_factor_of_input(nodes.denoised)
        if factor != 1.0:
            low_count_suv = np.asarray(low_count_suv * factor, np.float32)
            yield
        if counts is not None:
            consistency = yield from counts.in_steps(nodes, low_count_suv, anatomy.grid.spacing)
    suv, uncertainty = slicer.util.arrayFromVolume(nodes.denoised), _uncertainty(nodes.denoised)
    denoised = yield from measurements.in_steps(suv, anatomy, options, uncertainty, consistency)
    by_hand = yield from _lesions_by_hand(nodes.segmentation, anatomy)
    if low_count_suv is not None:
        low_count = yield from measurements.in_steps(low_count_suv, anatomy, options)
    return denoised, low_count, by_hand


def _uncertainty(denoised_node):
    """Return what intervals are made from: map and constants; None where the result has not both."""
    calibration, sd = calibration_of(report_of(denoised_node)), find_map(denoised_node, UNCERTAINTY)
    if calibration is None or sd is None:
        return None
    return quantification("intervals").Uncertainty(
        sd=slicer.util.arrayFromVolume(sd), calibration=calibration
    )


def _lesions_by_hand(segmentation_node, anatomy):
    """Return the numbers of the lesions whose voxels are not those that the model drew; a generator."""
    checksums = quantification("voxel_checksum")
    segmentation = segmentation_node.GetSegmentation()
    ids = {number: segment_id for segment_id, number in lesion_numbers(segmentation_node).items()}
    found = set()
    for lesion in anatomy.lesions:
        yield
        drawn_as = tag_of(segmentation.GetSegment(ids[lesion.number]), checksums.CHECKSUM_TAG)
        if drawn_as != checksums.region_checksum(lesion, anatomy.organs.shape):
            found.add(lesion.number)
    return found


def organ_label(segment) -> int | None:
    """Return the label value in AMDiffLib.labels of the segment's type; None where it is no such organ."""
    code = type_code(segment)
    return next((organ.label for organ in organ_classes() if organ.type[0] == code), None)


def read_anatomy_in_steps(segmentation_node, volume_node, numbers: dict[str, int] | None = None):
    """Read lesions and organs on the grid of a volume, as an AMDiffLib Anatomy; a generator.

    A lesion is a segment of the type Neoplasm, or one of `numbers` (lesion number by segment id) where these
    are given; an organ is a segment of a type in AMDiffLib.labels.
    """
    import numpy as np

    segmentation = segmentation_node.GetSegmentation()
    numbers = lesion_numbers(segmentation_node) if numbers is None else numbers
    organ_labels = {each: organ_label(segmentation.GetSegment(each)) for each in segmentation.GetSegmentIDs()}
    organs = np.zeros(volume_node.GetImageData().GetDimensions()[::-1], np.uint8)
    lesions = []
    for layer in layers_of(segmentation_node, volume_node):
        yield
        largest = max(int(layer.labels.max()), *layer.segment_ids)
        organ_of, lesion_of = np.zeros(largest + 1, np.uint8), np.zeros(largest + 1, np.int32)
        for value, segment_id in layer.segment_ids.items():
            organ_of[value] = organ_labels[segment_id] or 0
            lesion_of[value] = numbers.get(segment_id, 0)
        if organ_of.any():
            yield
            there = organ_of[layer.labels]
            np.copyto(organs[layer.box], there, where=there > 0)
        if lesion_of.any():
            yield
            lesions += _lesions(lesion_of[layer.labels], layer.box, segmentation, numbers)
    lesions.sort(key=lambda lesion: lesion.number)
    grid = _grid(volume_node)
    return (yield from quantification("anatomy").Anatomy.in_steps(lesions, organs, grid))


def _lesions(instances, box, segmentation, numbers) -> list:
    """Return the LesionRegions of an array of lesion numbers that lies at `box` in the volume."""
    from dataclasses import replace

    ids = {number: segment_id for segment_id, number in numbers.items()}
    found = []
    for region in quantification("lesion_regions").regions_of(instances):
        segment = segmentation.GetSegment(ids[region.number])
        place = tuple(
            slice(side.start + outer.start, side.stop + outer.start)
            for side, outer in zip(region.box, box, strict=True)
        )
        found.append(replace(region, box=place, name=segment.GetName(), rejected_as=rejected_as(segment)))
    return found


def _grid(volume_node):
    """Return the volume's geometry as AMDiffLib has it: LPS."""
    import numpy as np

    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ slicer.util.arrayFromVTKMatrix(matrix)
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    return SimpleNamespace(
        spacing=tuple(float(size) for size in spacing),
        origin=tuple(float(position) for position in to_lps[:3, 3]),
        direction=tuple(float(cosine) for cosine in (to_lps[:3, :3] / spacing).ravel()),
    )
