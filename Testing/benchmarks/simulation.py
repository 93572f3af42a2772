"""Seconds and memory of a simulated whole-body subject, and the projector beside rotate-and-sum.

    python Testing/benchmarks/simulation.py --output simulation-benchmark.json

Each voxel size runs in a process of its own, so that its peak memory is its own. On a computer with an NVIDIA
GPU everything is measured there as well.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

LEVELS_PERCENT = (10.0, 100.0)
SEED = [2024, 1]
PROJECTED_SLICES = 32


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    p.add_argument("--scanner", default="mct", help="default: mct")
    p.add_argument(
        "--voxels", default="4,native", help="sizes in mm, or native, by comma (default: 4,native)"
    )
    p.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    p.add_argument("--devices", help="cpu, cuda, or both by comma (default: all there are)")
    p.add_argument("--one", nargs=2, metavar=("VOXEL", "DEVICE"), help=argparse.SUPPRESS)
    return p


def main() -> None:
    """Measure all; print a table."""
    options = parser().parse_args()
    import torch

    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(one_subject(options.scanner, *options.one)))
        return
    devices = options.devices.split(",") if options.devices else ["cpu"]
    if not options.devices and torch.cuda.is_available():
        devices.append("cuda")
    figures: dict = {"torch": torch.__version__, "threads": options.threads, "subjects": [], "projector": []}
    for device in devices:
        figures["projector"].append(projectors(device))
        for voxel in options.voxels.split(","):
            command = [sys.executable, __file__, "--scanner", options.scanner, "--one", voxel, device]
            command += ["--threads", str(options.threads)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures["subjects"].append(json.loads(output.splitlines()[-1]))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print_tables(figures)


def one_subject(name: str, voxel: str, device: str) -> dict:
    """Simulate one subject; return seconds of each stage, and the peak memory up to its end."""
    import torch

    from AMDiffLib.simulation.acquisition import acquire
    from AMDiffLib.simulation.phantom import make_phantom
    from AMDiffLib.simulation.reconstruction import osem
    from AMDiffLib.simulation.scanner import SCANNERS

    scanner = SCANNERS[name]
    spacing = scanner.voxel_mm if voxel == "native" else (float(voxel),) * 3
    stages: dict[str, dict[str, float]] = {}

    def timed(stage: str, work, *arguments, **options):
        began, cpu = time.perf_counter(), time.process_time()
        result = work(*arguments, **options)
        if device == "cuda":
            torch.cuda.synchronize()
        stages[stage] = {
            "seconds": round(time.perf_counter() - began, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "peak_gb": round(peak_gb(device), 2),
        }
        return result

    fine = tuple(side / 2 for side in spacing)
    phantom = timed("phantom", make_phantom, SEED, spacing_mm=fine, device=device)
    measurement = timed("scan", acquire, phantom, scanner, levels_percent=LEVELS_PERCENT, seed=1)
    coarse = timed("labels", phantom.coarsened, 2)
    del phantom
    reconstruction = scanner.reconstruction_on(spacing)
    timed("reconstruction", osem, measurement, reconstruction)
    return {
        "scanner": name,
        "voxel_mm": spacing,
        "shape": tuple(coarse.suv.shape),
        "device": device,
        "levels": len(LEVELS_PERCENT),
        "stages": stages,
        **{
            kind: round(sum(stage[kind] for stage in stages.values()), 2)
            for kind in ("seconds", "cpu_seconds")
        },
        "peak_gb": round(peak_gb(device), 2),
    }


def peak_gb(device: str) -> float:
    """Return the most memory held so far: of the GPU, or of this process."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def projectors(device: str) -> dict:
    """Return milliseconds per slice of a projection by the strip matrix and by rotating and summing."""
    import torch

    from AMDiffLib.simulation.scanner import SCANNERS

    geometry = SCANNERS["mct"].geometry(144, (4.0, 4.0, 4.0))
    strips = geometry.projector(device)
    slices = torch.rand(PROJECTED_SLICES, 144, 144, device=device)
    columns = slices.reshape(PROJECTED_SLICES, -1).T.contiguous()
    sinograms = strips.forward(columns)
    times = {
        "strip_forward_ms": per_slice(lambda: strips.forward(columns), device),
        "strip_transpose_ms": per_slice(lambda: strips.transpose(sinograms), device),
        "rotate_and_sum_ms": per_slice(lambda: rotate_and_sum(slices, geometry.angles), device),
    }
    by_rotation = rotate_and_sum(slices, geometry.angles) * geometry.pixel_mm
    difference = (by_rotation.sum() / sinograms.sum() - 1).item()
    return {
        "device": device,
        **times,
        "ratio": round(times["rotate_and_sum_ms"] / times["strip_forward_ms"], 1),
        "total_differs_by": round(difference, 4),
    }


def rotate_and_sum(slices, angles: int):
    """Project (N, H, W) onto (angles, N, bins): rotate by bilinear interpolation, sum along y; in voxels."""
    import torch
    import torch.nn.functional as F

    rows = []
    for angle in range(angles):
        theta = torch.tensor(torch.pi * angle / angles, device=slices.device)
        rotation = torch.stack(
            [
                torch.stack([theta.cos(), -theta.sin(), torch.zeros_like(theta)]),
                torch.stack([theta.sin(), theta.cos(), torch.zeros_like(theta)]),
            ]
        )
        grid = F.affine_grid(rotation[None], [1, 1, *slices.shape[-2:]], align_corners=False)
        rows.append(F.grid_sample(slices[None], grid, align_corners=False)[0].sum(dim=1))
    return torch.stack(rows)


def per_slice(work, device: str, repeats: int = 3) -> float:
    """Return the shortest of some runs, in milliseconds per slice."""
    import torch

    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return round(min(seconds[1:]) / PROJECTED_SLICES * 1e3, 3)


def print_tables(figures: dict) -> None:
    """Print what was measured."""
    print(f"torch {figures['torch']}, {figures['threads']} threads\n")
    print(
        "one whole-body subject, two count levels: seconds by the clock, seconds of CPU (which other load on"
    )
    print("the computer does not lengthen as much), peak memory up to the end of the stage")
    for subject in figures["subjects"]:
        voxel = " x ".join(f"{side:g}" for side in subject["voxel_mm"])
        print(f"  {subject['scanner']} {voxel} mm, {subject['shape']} voxels, {subject['device']}:")
        for name, stage in {**subject["stages"], "all": subject}.items():
            print(
                f"    {name:15s} {stage['seconds']:8.2f} s {stage['cpu_seconds']:8.2f} s "
                f"{stage['peak_gb']:6.2f} GB"
            )
    print("\nprojector, 144 x 144 x 4 mm, 168 angles, milliseconds a slice")
    for row in figures["projector"]:
        print(
            f"  {row['device']}: strips {row['strip_forward_ms']} forward, {row['strip_transpose_ms']} "
            f"transpose; rotate and sum {row['rotate_and_sum_ms']} forward: {row['ratio']} times as long"
        )


if __name__ == "__main__":
    main()
