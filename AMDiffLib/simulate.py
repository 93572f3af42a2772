"""Simulate low-count 18F-FDG PET of random people: `python -m AMDiffLib.simulate --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:  # started as a file, as `Slicer --python-script` does
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib.command import end, run
from AMDiffLib.errors import BadInput
from AMDiffLib.progress import ConsoleReporter
from AMDiffLib.simulation.scanner import SCANNERS


def parser() -> argparse.ArgumentParser:
    """Return the command line of the simulator."""
    description = (
        "Simulate whole-body 18F-FDG PET: random anatomy and lesions, counts, OSEM. Levels are percent of "
        "the scan's duration (a shorter scan, not a lower dose); higher levels hold the counts of lower ones."
    )
    command = argparse.ArgumentParser(prog="AMDiffLib.simulate", description=description)
    command.add_argument(
        "--output", type=Path, required=True, help="folder of the cohort; continued if it was interrupted"
    )
    command.add_argument(
        "--scanner",
        default="mct",
        help=f"one or more of {', '.join(SCANNERS)}, comma-separated; they take turns",
    )
    command.add_argument("--subjects", type=int, default=1, help="how many people (default 1)")
    command.add_argument(
        "--first-subject", type=int, default=0, help="number of the first person (default 0)"
    )
    command.add_argument(
        "--levels", default="10", help="count levels in percent, comma-separated (default 10)"
    )
    command.add_argument(
        "--seed", type=int, default=0, help="seed of the cohort; the same seed gives the same people"
    )
    command.add_argument(
        "--vary",
        action="store_true",
        help="let resolution, iterations and post-filter vary between subjects, as training wants",
    )
    command.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator; return the exit code."""
    options = parser().parse_args(arguments)
    return run(lambda: _simulate(options), ConsoleReporter())


def _simulate(options: argparse.Namespace) -> None:
    scanners = options.scanner.split(",")
    unknown = sorted(set(scanners) - set(SCANNERS))
    if unknown:
        raise BadInput(f"Unknown scanner {', '.join(unknown)}. Choose from {', '.join(SCANNERS)}.")
    try:
        levels = [float(level) for level in options.levels.split(",")]
    except ValueError:
        raise BadInput(
            f"--levels {options.levels!r} is not a list of numbers. Give percentages such as 5,10,20."
        ) from None
    for name in scanners:
        highest = 100 * SCANNERS[name].high_count_factor
        if not all(0 < level <= highest for level in levels):
            raise BadInput(
                f"--levels {options.levels} holds a level outside 0 to {highest:g} %, the most of {name}."
            )

    import torch
    from tqdm import tqdm

    from AMDiffLib.simulation.cohort import write_cohort

    if options.threads:
        torch.set_num_threads(options.threads)
    written = write_cohort(
        options.output,
        scanners=scanners,
        subjects=options.subjects,
        levels_percent=levels,
        seed=options.seed,
        vary=options.vary,
        first_subject=options.first_subject,
    )
    for name in tqdm(written, total=options.subjects, desc="simulating", unit="subject"):
        tqdm.write(f"{name} is in {options.output}", file=sys.stderr)


if __name__ == "__main__":
    end(main())
