"""Texture of liver noise, real beside simulated: autocorrelation and coefficient of variation.

The real series is a DICOM folder with a box of liver given by its centre. The simulated scans are of people
of about its weight and height on the scanner preset, with its voxels, dose, uptake time, minutes per bed and
scatter fraction, at as many prompts per slice of the box as its header counts in (0054,1310). The same trend
is taken from both. Nothing else is taken from the series.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.ndimage
import torch
from noise_statistics import NoiseTexture, noise_texture, sampling_error
from real_series import RealScan, box_around, describe, read_series
from study_output import study_parser, table, write_json

from AMDiffLib.simulation.acquisition import Measurement, acquire, counted
from AMDiffLib.simulation.phantom import Phantom, make_phantom, person_of
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS, Scanner

_DIRECTIONS = ("transaxial", "axial", "anterior-posterior", "left-right")
_LAGS = 4
_LEAST_DEPTH_MM = 6.0
_MARGIN_MM = 60.0
"""Slices simulated beyond the box, so that scatter and filters see what they would in a whole body."""


@dataclass(frozen=True, kw_only=True)
class SimulatedLiver:
    """Noise in the liver of one simulated person, by realisation, and what stands behind it.

    `sensitivity_factor` is what the preset's sensitivity was multiplied by for the prompts of the real scan;
    `anatomy` is the texture of the image reconstructed from the expected counts, without noise.
    """

    seed: int
    weight_kg: float
    height_cm: float
    sensitivity_factor: float
    anatomy: NoiseTexture
    textures: list[NoiseTexture]


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--series", type=Path, required=True, help="folder of the real DICOM PET series")
    parser.add_argument(
        "--centre", type=float, nargs=3, required=True, metavar=("X", "Y", "Z"),
        help="centre of the box of liver in the real series, mm, LPS",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=int, nargs=3, default=(12, 12, 12), metavar=("D", "H", "W"),
        help="size of both boxes in voxels, slices first (default 12 12 12)",
    )  # fmt: skip
    parser.add_argument("--preset", default="discovery-st", choices=sorted(SCANNERS))
    parser.add_argument("--people", type=int, default=6, help="simulated people (default 6)")
    parser.add_argument("--realisations", type=int, default=3, help="noise realisations of each (default 3)")
    protocol = parser.add_argument_group("what the header does not say; default: the preset's")
    protocol.add_argument("--angles", type=int, help="projection angles")
    protocol.add_argument("--subsets", type=int)
    protocol.add_argument(
        "--axial-weights",
        type=float,
        nargs=2,
        metavar=("CENTRE", "NEIGHBOUR"),
        help="three-point axial filter",
    )
    options = parser.parse_args(arguments)

    volume, headers = read_series(options.series)
    box = box_around(volume, options.centre, options.size)
    scan = describe(volume, headers, box[0])
    real = noise_texture(volume.suv[box], lags=_LAGS)
    error = sampling_error(real, options.size, seed=options.seed)
    people, pictures = [], [(volume.suv, box)]
    protocol = {name: getattr(options, name) for name in ("angles", "subsets", "axial_weights")}
    protocol = {name: value for name, value in protocol.items() if value is not None}
    scanner = replace(_as_scanned(SCANNERS[options.preset], scan), **protocol)
    for seed in _people_like(scan, options.seed):
        simulated = _simulate(scanner, scan, seed, options)
        if simulated is None:
            continue
        liver, image, place = simulated
        people.append(liver)
        pictures.append((image, place))
        print(f"person {len(people)} of {options.people}", file=sys.stderr)
        if len(people) == options.people:
            break
    _report(options, scan, real, error, people)
    _draw(options.output / "boxes.png", pictures[:4], scan.spacing_mm)
    return 0


def _as_scanned(scanner: Scanner, scan: RealScan) -> Scanner:
    return replace(
        scanner,
        voxel_mm=scan.spacing_mm,
        uptake_minutes=scan.uptake_minutes,
        minutes=scan.minutes,
        scatter_fraction=scan.scatter_fraction,
    )


def _people_like(scan: RealScan, first_seed: int) -> Iterator[int]:
    """Yield seeds of people of the patient's sex, within 8 kg and 8 cm of weight and height, arms raised."""
    seed = first_seed
    while True:
        person = person_of(seed)
        alike = abs(person.weight_kg - scan.weight_kg) < 8 and abs(person.height_mm / 10 - scan.height_cm) < 8
        if alike and person.female == scan.female and person.arms_up:
            yield seed
        seed += 1


def _simulate(
    scanner: Scanner, scan: RealScan, seed: int, options
) -> tuple[SimulatedLiver, np.ndarray, tuple[slice, ...]] | None:
    """Scan one person; return its noise, and one image with its box; None where the box does not fit."""
    half = tuple(size / 2 for size in scan.spacing_mm)
    field_of_view = 128 * scan.spacing_mm[2]
    phantom = make_phantom(
        seed, spacing_mm=half, field_of_view_mm=field_of_view, device=options.device, healthy_share=1.0
    )
    whole = phantom.coarsened()
    place = _box_of_liver(whole, options.size)
    if place is None:
        return None
    margin = round(_MARGIN_MM / scan.spacing_mm[0])
    first, last = max(place[0].start - margin, 0), min(place[0].stop + margin, whole.suv.shape[0])
    slab = _slab(phantom, 2 * first, 2 * last)
    place = (slice(place[0].start - first, place[0].stop - first), *place[1:])

    measurement = acquire(slab, scanner, levels_percent=[100], seed=seed, injected_mbq=scan.injected_mbq)
    prompts = float(measurement.expected[:, place[0]].sum(dtype=torch.float64)) / scanner.tof_gain
    factor = scan.prompts_per_slice / (prompts / options.size[0])
    measurement = _with_sensitivity(measurement, factor)
    settings = scanner.reconstruction_on(scan.spacing_mm)
    noise_free = osem(replace(measurement, counts={100.0: measurement.expected}), settings)[100.0]
    textures = []
    for number in range(options.realisations):
        noisy = counted(measurement, levels_percent=[100], seed=1000 * seed + number)
        image = osem(noisy, settings)[100.0].cpu().numpy()
        textures.append(noise_texture(image[place], lags=_LAGS))
    liver = SimulatedLiver(
        seed=seed,
        weight_kg=phantom.weight_kg,
        height_cm=phantom.height_cm,
        sensitivity_factor=factor,
        anatomy=noise_texture(noise_free.cpu().numpy()[place], lags=_LAGS),
        textures=textures,
    )
    return liver, image, place


def _with_sensitivity(measurement: Measurement, factor: float) -> Measurement:
    """Return the measurement, without counts, of a scanner `factor` times as sensitive."""
    parts = ("expected", "sensitivity", "unattenuated", "scatter", "randoms")
    return replace(measurement, counts={}, **{name: getattr(measurement, name) * factor for name in parts})


def _box_of_liver(phantom: Phantom, size: tuple[int, int, int]) -> tuple[slice, ...] | None:
    """Return the box of `size` voxels deepest in the liver; None where it comes near another organ."""
    liver = (phantom.structures == phantom.structure_names.index("liver")).cpu().numpy()
    depth = scipy.ndimage.distance_transform_edt(liver, sampling=phantom.spacing_mm)
    # A filter's window of n voxels starts n // 2 before its centre.
    lowest = scipy.ndimage.minimum_filter(depth, size, mode="constant")
    centre = np.unravel_index(int(lowest.argmax()), lowest.shape)
    if lowest[centre] < _LEAST_DEPTH_MM:
        return None
    return tuple(slice(int(c) - n // 2, int(c) - n // 2 + n) for c, n in zip(centre, size, strict=True))


def _slab(phantom: Phantom, first: int, last: int) -> Phantom:
    parts = ("suv", "attenuation", "organs", "lesions", "structures")
    return replace(phantom, **{name: getattr(phantom, name)[first:last] for name in parts})


def _report(options, scan: RealScan, real: NoiseTexture, error: tuple, people: list[SimulatedLiver]) -> None:
    """Print and write the comparison."""
    textures = [texture for person in people for texture in person.textures]
    rows, results = [], {}
    for direction in _DIRECTIONS:
        simulated = np.array([texture.correlation[direction] for texture in textures])
        by_person = simulated.reshape(len(people), -1, _LAGS).mean(axis=1)
        for lag in range(_LAGS):
            rows.append(
                (f"{direction}, lag {lag + 1}", f"{real.correlation[direction][lag]:.3f}",
                 f"{error[1][direction][lag]:.3f}", f"{by_person[:, lag].mean():.3f}",
                 f"{simulated[:, lag].std(ddof=1):.3f}",
                 f"{by_person[:, lag].mean() - real.correlation[direction][lag]:+.3f}")
            )  # fmt: skip
        results[direction] = {
            "real": real.correlation[direction], "real_standard_error": error[1][direction],
            "simulated": simulated.mean(axis=0), "simulated_sd": simulated.std(axis=0, ddof=1),
        }  # fmt: skip
    variations = np.array([texture.variation for texture in textures])
    ratio = variations.mean() / real.variation
    rows.append(
        ("coefficient of variation", f"{real.variation:.3f}", f"{error[0]:.3f}", f"{variations.mean():.3f}",
         f"{variations.std(ddof=1):.3f}", f"x {ratio:.2f}")
    )  # fmt: skip
    print(f"{scan.model}, septa {scan.collimator}, {scan.prompts_per_slice:,.0f} prompts a slice")
    print(table(["liver noise", "real", "s.e.", "simulated", "SD", "difference"], rows))
    anatomy = [person.anatomy.variation for person in people]
    print(f"coefficient of variation of the simulated livers without noise: {np.mean(anatomy):.3f}")
    factors = [person.sensitivity_factor for person in people]
    print(f"prompts of the real scan over those of the preset as it is: {np.mean(factors):.2f} in the mean")
    write_json(
        options.output / "noise_texture.json",
        {
            "scan": asdict(scan), "preset": options.preset, "size": list(options.size),
            "changed": {name: getattr(options, name) for name in ("angles", "subsets", "axial_weights")},
            "correlation": results,
            "variation": {"real": real.variation, "real_standard_error": error[0], "simulated": variations},
            "mean_suv": {"real": real.mean, "simulated": [texture.mean for texture in textures]},
            "people": [
                {"seed": p.seed, "weight_kg": p.weight_kg, "height_cm": p.height_cm,
                 "sensitivity_factor": p.sensitivity_factor, "anatomy_variation": p.anatomy.variation}
                for p in people
            ],
        },
    )  # fmt: skip


def _draw(path: Path, pictures: list[tuple[np.ndarray, tuple[slice, ...]]], spacing) -> None:
    """Draw the middle slice, coronal and sagittal, through each box; the real series is in the first row."""
    figure, axes = plt.subplots(len(pictures), 3, figsize=(12, 4 * len(pictures)), squeeze=False)
    for row, (image, box) in zip(axes, pictures, strict=True):
        scale = image[box].mean()
        for axis, panel in enumerate(row):
            middle = (box[axis].start + box[axis].stop) // 2
            others = [k for k in range(3) if k != axis]
            panel.imshow(
                np.take(image, middle, axis), cmap="gray_r", vmin=0, vmax=2 * scale,
                aspect=spacing[others[0]] / spacing[others[1]], origin="upper" if axis == 0 else "lower",
            )  # fmt: skip
            corner = (box[others[1]].start - 0.5, box[others[0]].start - 0.5)
            width, height = (box[k].stop - box[k].start for k in others[::-1])
            panel.add_patch(plt.Rectangle(corner, width, height, fill=False, color="tab:red"))
            panel.set_axis_off()
            if axis:
                middle_z = (box[0].start + box[0].stop) / 2
                panel.set_ylim(middle_z - 35, middle_z + 35)
    figure.tight_layout()
    figure.savefig(path, dpi=60)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
