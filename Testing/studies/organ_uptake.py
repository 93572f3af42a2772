"""Organ means and lesion sizes of simulated people beside those of real ones.

Organ means are of the painted structures without their border voxels and without lesions, once in the truth
and, for some of the people, in their high-count images. The reference is a CSV of organ uptake in healthy
people. If both were distributed alike, 90 % of the people would lie within its 5th to 95th percentile; of 50
people, 80 to 98 %. Lesion volumes stand beside Table 1 of the AMDiff paper.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from lesion_sizes import lesion_table
from organ_reference import ROWS, TOGETHER, Reference, read_reference
from study_output import study_parser, table, write_json

from AMDiffLib.simulation.acquisition import acquire
from AMDiffLib.simulation.phantom import Phantom, make_phantom
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS

_FEWEST_VOXELS = 10
_FEWEST_PEOPLE = 0.4
_EXPECTED_INSIDE = (0.80, 0.98)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--reference", type=Path, required=True, help="CSV of organ uptake in healthy people")
    parser.add_argument("--people", type=int, default=50, help="default 50")
    parser.add_argument("--images", type=int, default=6, help="people who are also scanned (default 6)")
    parser.add_argument("--voxel-mm", type=float, default=2.0, help="voxels of the truth (default 2)")
    parser.add_argument("--preset", default="mct", choices=sorted(SCANNERS), help="scanner of the images")
    options = parser.parse_args(arguments)

    reference = read_reference(options.reference)
    truths, images, volumes, counts, unjudged = [], [], [], [], set()
    for index in range(options.people):
        phantom = make_phantom(
            [options.seed, index], spacing_mm=(options.voxel_mm,) * 3, device=options.device
        )
        truths.append(organ_means(phantom, phantom.suv))
        number, sizes = torch.unique(phantom.lesions[phantom.lesions > 0], return_counts=True)
        volumes += [float(size) * options.voxel_mm**3 / 1000 for size in sizes]
        counts.append(len(number))
        unjudged |= set(phantom.structure_names) - set(ROWS) - {s for part in TOGETHER.values() for s in part}
        if index < options.images:
            coarse, image = _high_count_image(phantom, options)
            images.append((organ_means(coarse, coarse.suv), organ_means(coarse, image)))
        print(f"person {index + 1} of {options.people}", file=sys.stderr)
    _report(options, reference, truths, images, unjudged - {""})
    print()
    print(lesion_table(volumes, options.people))
    print(f"lesions a person: {np.mean(counts):.1f}; without any: {np.mean(np.array(counts) == 0):.0%}")
    write_json(options.output / "lesion_sizes.json", {"volumes_ml": volumes, "lesions_per_person": counts})
    return 0


def organ_means(phantom: Phantom, image: torch.Tensor) -> dict[str, float]:
    """Return the mean of `image` in each organ's voxels all six neighbours of which are the same organ."""
    organs = list(ROWS)
    number = {name: organs.index(name) + 1 for name in organs}
    number |= {part: number[whole] for whole, parts in TOGETHER.items() for part in parts}
    lookup = torch.tensor([number.get(name, 0) for name in phantom.structure_names], device=image.device)
    organ = lookup[phantom.structures.int()]
    inner = (organ > 0) & (phantom.lesions == 0)
    for axis in range(3):
        same = organ.narrow(axis, 1, organ.shape[axis] - 1) == organ.narrow(axis, 0, organ.shape[axis] - 1)
        inner.narrow(axis, 1, organ.shape[axis] - 1).logical_and_(same)
        inner.narrow(axis, 0, organ.shape[axis] - 1).logical_and_(same)
    chosen = organ[inner]
    voxels = torch.bincount(chosen, minlength=len(organs) + 1)
    sums = torch.bincount(chosen, weights=image[inner].double(), minlength=len(organs) + 1)
    return {
        name: float(sums[k] / voxels[k])
        for k, name in enumerate(organs, start=1)
        if voxels[k] >= _FEWEST_VOXELS
    }


def _high_count_image(phantom: Phantom, options) -> tuple[Phantom, torch.Tensor]:
    """Scan the phantom; return it on the image's grid, and the high-count image."""
    scanner = SCANNERS[options.preset]
    level = 100.0 * scanner.high_count_factor
    measurement = acquire(phantom, scanner, levels_percent=[level], seed=options.seed)
    coarse = phantom.coarsened()
    return coarse, osem(measurement, scanner.reconstruction_on(coarse.spacing_mm))[level]


def _report(
    options, reference: dict[str, Reference], truths: list[dict], images: list[tuple], unjudged: set[str]
) -> None:
    """Print and write the organ table."""
    rows, results, outside, thin = [], {}, [], []
    for organ, expected in reference.items():
        values = np.array([means[organ] for means in truths if organ in means])
        if len(values) < _FEWEST_PEOPLE * len(truths):
            thin.append(f"{organ} ({len(values)})")
            continue
        inside = float(np.mean((values >= expected.low) & (values <= expected.high)))
        ratios = [found[organ] / true[organ] for true, found in images if organ in true and organ in found]
        if not _EXPECTED_INSIDE[0] <= inside <= _EXPECTED_INSIDE[1]:
            outside.append(organ)
        low, high = np.quantile(values, (0.05, 0.95))
        rows.append(
            (organ, len(values), f"{expected.mean:.2f} ({expected.low:.2f}-{expected.high:.2f})",
             f"{values.mean():.2f} ({low:.2f}-{high:.2f})", f"{inside:.0%}",
             f"{np.mean(ratios):.2f}" if ratios else "")
        )  # fmt: skip
        results[organ] = {
            "people": len(values), "reference_mean": expected.mean, "reference_p05": expected.low,
            "reference_p95": expected.high, "mean": values.mean(), "p05": low, "p95": high, "inside": inside,
            "image_over_truth": ratios,
        }  # fmt: skip
    header = ["organ", "people", "reference (5-95 %)", "simulated (5-95 %)", "inside", "image / truth"]
    print(table(header, rows))
    print(f"organs with {_EXPECTED_INSIDE[0]:.0%} to {_EXPECTED_INSIDE[1]:.0%} of the people inside: "
          f"{len(rows) - len(outside)} of {len(rows)}; others: {', '.join(outside) or 'none'}")  # fmt: skip
    print(f"too thin for these voxels in most people: {', '.join(thin) or 'none'}")
    print(f"painted, and not in the reference: {', '.join(sorted(unjudged))}")
    write_json(
        options.output / "organ_uptake.json",
        {"organs": results, "outside": outside, "too_thin": thin, "not_in_reference": sorted(unjudged)},
    )


if __name__ == "__main__":
    sys.exit(main())
