"""How noise and activity follow the counts: one simulated person, many noise realisations at every level.

Noise is the standard deviation of each voxel across realisations, averaged over the liver (its spatial
spread would also hold texture); Poisson counting makes it fall with the square root of the counts, slope
-0.5. Levels stand for shorter scans. Bias is that of the mean of the realisations.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import scipy.ndimage
from noise_statistics import RunningMoments, log_log_slope
from study_output import study_parser, table, write_json

from AMDiffLib.simulation.acquisition import Measurement, acquire, counted
from AMDiffLib.simulation.phantom import Phantom, make_phantom
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS
from AMDiffLib.simulation.tissue import LIVER, LUNG

_LEVELS = (2.5, 5.0, 10.0, 20.0, 40.0, 100.0)


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return the exit code."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--preset", default="mct", choices=sorted(SCANNERS))
    parser.add_argument("--voxel-mm", type=float, default=4.0, help="reconstructed voxels (default 4)")
    parser.add_argument("--realisations", type=int, default=20, help="default 20")
    options = parser.parse_args(arguments)

    scanner = SCANNERS[options.preset]
    fine = make_phantom(options.seed, spacing_mm=(options.voxel_mm / 2,) * 3, device=options.device)
    measurement = acquire(fine, scanner, levels_percent=[100], seed=options.seed)
    phantom = fine.coarsened()
    del fine
    settings = scanner.reconstruction_on(phantom.spacing_mm)
    moments = {level: RunningMoments() for level in _LEVELS}
    totals: dict[float, list[float]] = {level: [] for level in _LEVELS}
    events = dict.fromkeys(_LEVELS, 0)
    for number in range(options.realisations):
        scan = counted(measurement, levels_percent=_LEVELS, seed=1000 * options.seed + number)
        _check_nesting(scan)
        for level, image in osem(scan, settings).items():
            volume = image.cpu().numpy()
            moments[level].add(volume)
            totals[level].append(float(volume.sum(dtype=np.float64)))
            events[level] += scan.effective_counts(level)
        print(f"realisation {number + 1} of {options.realisations}", file=sys.stderr)
    _report(options, phantom, moments, totals, events)
    return 0


def _check_nesting(scan: Measurement) -> None:
    """Hold every bin of each level against the next higher level.

    Raises:
        ValueError: a level counted an event that a higher one did not.
    """
    for lower, higher in pairwise(_LEVELS):
        if bool((scan.counts[lower] > scan.counts[higher]).any()):
            raise ValueError(f"{lower:g} % holds counts that {higher:g} % does not: levels are not nested.")


def _regions(phantom: Phantom) -> dict[str, np.ndarray]:
    """Return masks: liver and lung without their borders and lesions, and the body."""

    def inner(label: int) -> np.ndarray:
        mask = (phantom.organs == label) & (phantom.lesions == 0)
        return scipy.ndimage.binary_erosion(mask.cpu().numpy(), iterations=2)

    body = (phantom.structures > 0).cpu().numpy()
    return {"liver": inner(LIVER), "lung": inner(LUNG), "body": body}


def _report(
    options,
    phantom: Phantom,
    moments: dict[float, RunningMoments],
    totals: dict[float, list[float]],
    events: dict[float, int],
) -> None:
    """Print and write the results."""
    regions = _regions(phantom)
    truth = phantom.suv.cpu().numpy()
    noise = {level: float(m.standard_deviation[regions["liver"]].mean()) for level, m in moments.items()}
    slope = log_log_slope(list(events.values()), list(noise.values()))
    reference = np.array(totals[100.0])
    rows, results = [], {}
    for level, moment in moments.items():
        means = {name: float(moment.mean[mask].mean()) for name, mask in regions.items()}
        full = {name: float(moments[100.0].mean[mask].mean()) for name, mask in regions.items()}
        ratios = np.array(totals[level]) / reference
        entry = {
            "effective_counts": events[level] / options.realisations,
            "liver_noise": noise[level],
            "liver_variation": noise[level] / means["liver"],
            "total_activity_over_100_percent": float(np.mean(totals[level]) / reference.mean()),
            "standard_error_of_total": float(ratios.std(ddof=1) / np.sqrt(len(ratios))),
            "bias_to_100_percent": {name: means[name] / full[name] - 1 for name in regions},
            "bias_to_truth": {name: means[name] / float(truth[regions[name]].mean()) - 1 for name in regions},
        }  # fmt: skip
        results[f"{level:g}"] = entry
        rows.append(
            (f"{level:g} %", f"{entry['effective_counts'] / 1e6:.1f}", f"{entry['liver_variation']:.1%}",
             f"{entry['total_activity_over_100_percent'] - 1:+.2%} ± {entry['standard_error_of_total']:.2%}",
             *(f"{entry['bias_to_100_percent'][name]:+.2%}" for name in regions),
             *(f"{entry['bias_to_truth'][name]:+.2%}" for name in regions))
        )  # fmt: skip
    header = ["level", "Mcounts", "liver noise", "total activity to 100 %"]
    header += [f"{name} to 100 %" for name in regions] + [f"{name} to truth" for name in regions]
    print(table(header, rows))
    # A bend would show between neighbouring levels.
    local = [log_log_slope([events[a], events[b]], [noise[a], noise[b]]) for a, b in pairwise(_LEVELS)]
    print(f"slope of log liver noise against log counts: {slope:.3f}")
    print("slopes between neighbouring levels: " + ", ".join(f"{value:.3f}" for value in local))
    print(
        f"nested: in all {options.realisations} realisations, every bin of a level lies within the next one's"
    )
    write_json(
        options.output / "count_scaling.json",
        {
            "preset": options.preset, "voxel_mm": options.voxel_mm, "realisations": options.realisations,
            "slope": slope, "slopes_between_levels": local, "levels": results,
        },
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
