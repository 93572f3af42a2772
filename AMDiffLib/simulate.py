"""Simulate low-count 18F-FDG PET of random people: `python -m AMDiffLib.simulate --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:  # started as a file, as `Slicer --python-script` does
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AMDiffLib import command
from AMDiffLib.cancellation import stop_on_signals
from AMDiffLib.errors import BadInput
from AMDiffLib.progress import Cancellation, ConsoleReporter, JsonLinesReporter, SilentReporter
from AMDiffLib.simulation.named_cohorts import NAMED_COHORTS

DESCRIPTION = """\
Simulate whole-body 18F-FDG PET: random anatomy and lesions, scatter, randoms, counts, OSEM.

Count levels are percent of the scan's duration. They stand for a shorter scan, not for a lower dose, with
which randoms would fall faster than trues. Each level's counts are a part of every higher level's.

The data are made on voxels of half the reconstruction's, with a blur that the reconstruction does not model
(but for quadra) and with imperfect estimates of scatter and randoms. Still, whoever evaluates a model on this
simulator's data that was trained on this simulator's data must say so.
"""
EPILOG = """\
The output folder receives manifest.json, which `AMDiffLib.train` and `AMDiffLib.evaluate` read, and one
folder per subject with NRRD volumes: low_count_<level>, high_count, truth (noise-free SUV), organs, lesions,
and ct and nac_<level> where asked for. An interrupted cohort is continued by the same command.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line of the simulator."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.simulate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the cohort")
    p.add_argument(
        "--cohort",
        choices=tuple(NAMED_COHORTS),
        help="scanner, number of people, levels, seed and --vary of a cohort with a name, as in the AMDiff "
        "paper's Table 1; options given beside it count",
    )
    p.add_argument(
        "--scanner",
        default="mct",
        metavar="NAMES",
        help="one or more of mct, vision, uexplorer, quadra, discovery-st, by comma; they take turns "
        "(default: %(default)s)",
    )
    p.add_argument("--subjects", type=_positive, default=1, metavar="N", help="how many people (default: 1)")
    p.add_argument(
        "--first-subject",
        type=_not_negative,
        default=0,
        metavar="N",
        help="number of the first person (default: 0)",
    )
    p.add_argument(
        "--levels",
        metavar="PERCENT",
        help="count levels in percent of the scan's duration, by comma (default: those of the scanner in "
        "Table 1 of the AMDiff paper)",
    )
    p.add_argument(
        "--seed", type=_not_negative, default=0, help="the same seed gives the same people (default: 0)"
    )
    p.add_argument(
        "--vary",
        action="store_true",
        help="let resolution, scatter, randoms, iterations and post-filter vary between subjects, for "
        "training data",
    )
    p.add_argument(
        "--voxel-mm",
        default="4",
        metavar="MM|native",
        help="side of the reconstruction's voxels, or native: the scanner's own (default: %(default)s)",
    )
    p.add_argument("--ct", action="store_true", help="also write the CT, in Hounsfield units")
    p.add_argument(
        "--nac", action="store_true", help="also reconstruct without attenuation and scatter correction"
    )
    p.add_argument(
        "--healthy-share",
        type=float,
        default=0.12,
        metavar="SHARE",
        help="share of people without lesions, 0 to 1 (default: %(default)s)",
    )
    p.add_argument(
        "--label-map",
        type=Path,
        metavar="FILE",
        help="anatomy from a label map (NIfTI, NRRD, MetaImage) instead of random people; uptake and lesions "
        "stay random",
    )
    p.add_argument(
        "--label-map-ct", type=Path, metavar="FILE", help="the label map's CT in Hounsfield units, if any"
    )
    p.add_argument(
        "--label-names",
        metavar="FILE|TASK",
        help="what the labels mean, where the file does not say: a JSON file of names by label value, or "
        "TotalSegmentator's task, total or total_v1",
    )
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")
    p.add_argument(
        "--batch",
        type=_positive,
        default=1,
        metavar="N",
        help="subjects reconstructed at once; more than 1 pays on a GPU only (default: 1)",
    )
    p.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (default: one for each core)")
    p.add_argument(
        "--progress",
        choices=("text", "json"),
        default="text",
        help="text: a progress bar; json: one JSON object a line (default: %(default)s)",
    )
    return p


def main(arguments: list[str] | None = None, *, cancellation: Cancellation | None = None) -> int:
    """Run the simulator until it is done or `cancellation` is requested; return the exit code."""
    options = _options(arguments)
    if options.progress == "json":
        reporter: SilentReporter = JsonLinesReporter(
            command.take_stdout_for_json(), cancellation=cancellation
        )
    else:
        reporter = ConsoleReporter(cancellation=cancellation)
    return command.run(lambda: _simulate(options, reporter), reporter)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; a named cohort gives the defaults of what is not said."""
    commands = parser()
    options = commands.parse_args(arguments)
    if options.cohort is not None:
        commands.set_defaults(**vars(NAMED_COHORTS[options.cohort]))
        options = commands.parse_args(arguments)
    return options


def _simulate(options: argparse.Namespace, reporter: SilentReporter) -> None:
    command.require_packages("numpy", "scipy", "SimpleITK", "torch", "tqdm")
    import torch

    from AMDiffLib.inference.device import choose_device
    from AMDiffLib.simulation.cohort import write_cohort
    from AMDiffLib.simulation.subject import SimulationSettings

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.label_map is None and (options.label_map_ct or options.label_names):
        raise BadInput("--label-map-ct and --label-names need --label-map, the anatomy that they belong to.")
    scanners = _scanners(options.scanner)
    settings = SimulationSettings(
        scanners=scanners,
        seed=options.seed,
        levels_percent=_levels(options.levels, scanners),
        voxel_mm=_voxel_mm(options.voxel_mm),
        vary=options.vary,
        nac=options.nac,
        healthy_share=_share(options.healthy_share),
        label_map=options.label_map,
        label_map_ct=options.label_map_ct,
        label_names=options.label_names,
    )
    written = write_cohort(
        options.output,
        settings,
        subjects=options.subjects,
        first_subject=options.first_subject,
        ct=options.ct,
        device=choose_device(options.device, reporter),
        batch=options.batch,
        reporter=reporter,
    )
    names = list(written)
    reporter.done(output_dir=str(options.output), subjects=len(names))


def _scanners(text: str) -> tuple[str, ...]:
    from AMDiffLib.simulation.scanner import SCANNERS

    scanners = tuple(text.split(","))
    unknown = sorted(set(scanners) - set(SCANNERS))
    if unknown:
        raise BadInput(f"Unknown scanner {', '.join(unknown)}. Choose from {', '.join(SCANNERS)}.")
    return scanners


def _levels(text: str | None, scanners: tuple[str, ...]) -> tuple[float, ...] | None:
    from AMDiffLib.simulation.scanner import SCANNERS

    if text is None:
        return None
    try:
        levels = tuple(float(level) for level in text.split(","))
    except ValueError:
        raise BadInput(
            f"--levels {text!r} is not a list of numbers. Give percentages such as 5,10,20."
        ) from None
    if len(set(levels)) < len(levels):
        raise BadInput(f"--levels {text} names a level twice. Give each once.")
    for name in scanners:
        highest = 100 * SCANNERS[name].high_count_factor
        if not all(0 < level <= highest for level in levels):
            raise BadInput(f"--levels {text} holds a level outside 0 to {highest:g} %, the most of {name}.")
    return levels


def _voxel_mm(text: str) -> float | None:
    if text == "native":
        return None
    try:
        voxel_mm = float(text)
    except ValueError:
        voxel_mm = 0.0
    if not 1.0 <= voxel_mm <= 8.0:
        raise BadInput(f"--voxel-mm is {text!r}; a size from 1 to 8 mm, or native, is expected.")
    return voxel_mm


def _share(share: float) -> float:
    if not 0 <= share <= 1:
        raise BadInput(f"--healthy-share is {share:g}; a share from 0 to 1 is expected.")
    return share


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


if __name__ == "__main__":
    stop = Cancellation()
    stop_on_signals(stop)
    command.start(lambda: main(cancellation=stop))
