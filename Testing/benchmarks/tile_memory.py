"""Memory that a tile takes in each network: what the automatic choice of the tile is based on.

    python Testing/benchmarks/tile_memory.py --output tile-memory-benchmark.json

Each network computes one tile in a process of its own (forked, so that the packages are loaded once), on one
thread; the growth of its resident memory from before the network to the peak is fitted with a line over the
tile's voxels. The constants of `AMDiffLib/inference/tile_memory.py` lie above all that is measured so, and
above the growth of the address space, which is in the JSON beside it.
About five minutes on an idle core.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
from pathlib import Path
from unittest import mock

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from passes import model_of  # noqa: E402

from AMDiffLib.inference import tiled_model  # noqa: E402
from AMDiffLib.networks import selective_scan  # noqa: E402
from AMDiffLib.networks.amdiff import AMDiff  # noqa: E402
from AMDiffLib.networks.config import PAPER  # noqa: E402
from AMDiffLib.progress import SilentReporter  # noqa: E402

NETWORKS = ("denoise", "revise", "uncertainty", "segment")
PRECISIONS = ("bfloat16", "float32")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    p.add_argument("--model", default="amdiff-compact", metavar="NAME|FOLDER|paper")
    p.add_argument("--tiles", default="48,64,96,112", help="sides in voxels (default: %(default)s)")
    p.add_argument("--without-numba", action="store_true", help="scan in plain PyTorch")
    p.add_argument("--networks", default=",".join(NETWORKS), help="default: all")
    p.add_argument("--precisions", default=",".join(PRECISIONS), help="default: both")
    return p


def main() -> None:
    """Measure all; print a table."""
    options = parser().parse_args()
    torch.set_num_threads(1)
    model = AMDiff(PAPER).eval() if options.model == "paper" else model_of(options.model)
    if options.without_numba:
        selective_scan.numba_installed = lambda: False
    sides = [int(side) for side in options.tiles.split(",")]
    rows = []
    print(f"{'network':12s} {'precision':10s} {'MB by tile':40s} {'bytes a voxel':>14s} {'start, MB':>10s}")
    for network in options.networks.split(","):
        for precision in options.precisions.split(","):
            peaks = [in_own_process(model, network, precision, side) for side in sides]
            rows.append({"network": network, "precision": precision, **line(sides, peaks)})
            by_tile = ", ".join(
                f"{side}: {peak['resident'] / 2**20:.0f}" for side, peak in zip(sides, peaks, strict=True)
            )
            print(
                f"{network:12s} {precision:10s} {by_tile:40s} {rows[-1]['bytes_per_voxel']:14.0f} "
                f"{rows[-1]['start_bytes'] / 2**20:10.0f}",
                flush=True,
            )
    if options.output:
        figures = {"model": options.model, "tiles": sides, "networks": rows}
        options.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def in_own_process(*arguments: object) -> dict[str, int]:
    """Return what `growth` does, measured in a process that has done nothing else."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(growth, arguments)


def line(sides: list[int], peaks: list[dict[str, int]]) -> dict:
    """Return the line through the growth of resident memory over a tile's voxels."""
    slope, start = np.polyfit([side**3 for side in sides], [peak["resident"] for peak in peaks], 1)
    return {"bytes_per_voxel": slope, "start_bytes": start, "peaks": peaks}


def growth(model: AMDiff, network: str, precision: str, side: int) -> dict[str, int]:
    """Return by how much resident memory and address space grow while `network` computes one tile."""
    body = np.ones((side, side, side), dtype=bool)
    suv = 3.0 * torch.rand(side, side, side, generator=torch.Generator().manual_seed(0))
    reporter = SilentReporter()
    with mock.patch.object(tiled_model, "precision_of", lambda device: getattr(torch, precision)):
        tiled = tiled_model.TiledModel(
            model,
            body,
            device=torch.device("cpu"),
            tile=side,
            overlap=16,
            steps=1,
            work=tiled_model.WorkDone(reporter, steps=1, uncertainty=True),
            reporter=reporter,
        )
    t = model.config.diffusion.sampling_timesteps[0]
    run = {
        "denoise": lambda: tiled.denoise(suv, lambda predict_x0: predict_x0(suv, t)),
        "revise": lambda: tiled.revise(suv, suv),
        "uncertainty": lambda: tiled.uncertainty_sd(suv, suv),
        "segment": lambda: tiled.segment(suv, suv),
    }[network]
    before = status("VmRSS"), status("VmSize")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts here
    with torch.inference_mode():
        run()
    return {"resident": status("VmHWM") - before[0], "address_space": status("VmPeak") - before[1]}


def status(name: str) -> int:
    """Return a figure of this process' memory, bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024


if __name__ == "__main__":
    main()
