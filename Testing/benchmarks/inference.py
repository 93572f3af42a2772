"""Work, seconds and memory of denoising and segmenting, beside the published way to do it.

    python Testing/benchmarks/inference.py --output inference-benchmark.json

(1) Multiplications for a scan of 440 x 440 x 620 voxels of 2.04 mm, by the published configuration (250
ancestral steps on 128 x 128 x 128 windows, with and without overlap) and by ours. (2) Seconds of one pass
of each network, in turns; the published configuration's go through MONAI's sliding window, and from one
window and one step are extrapolated to a scan: 250 steps are not measured. (3) Whole jobs, from the start
of the process to its end, on scans of 100 to 800 slices made of one by mirroring it: seconds by stage, peak
memory, how both grow.
About six minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402

SAMPLE = REPOSITORY / "Resources" / "SampleData" / "simulated-low-count-fdg-pet.nrrd"
WIDTH = 200  # voxels across, of the scans of the whole jobs
CASE_SLICES = 400


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    p.add_argument("--model", default="amdiff-compact", metavar="NAME|FOLDER")
    p.add_argument("--scan", type=Path, default=SAMPLE, help="SUVbw at the model's voxels (default: sample)")
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    p.add_argument("--turns", type=int, default=3, help="measurements of each pass (default: 3)")
    p.add_argument("--tile", type=int, default=96, help="ours (default: 96)")
    p.add_argument("--window", type=int, default=128, help="the published configuration's (default: 128)")
    p.add_argument("--slices", default="100,200,300,400,600,800", help="of the jobs (default: %(default)s)")
    return p


def main() -> None:
    """Measure all; print a table."""
    options = parser().parse_args()
    scan = sitk.ReadImage(str(options.scan))
    # Jobs first: this process is small then, and so are its copies.
    jobs = [whole_job(scan, int(slices), options) for slices in options.slices.split(",")]
    from passes import PUBLISHED_PFLOP, model_of, seconds_of_passes, work_of_scan

    model = model_of(options.model)
    figures = {
        "device": options.device,
        "threads": options.threads,
        "model": options.model,
        "published_pflop": PUBLISHED_PFLOP,
        "work": work_of_scan(scan, model.config, options.tile),
        "passes": seconds_of_passes(model, options),
        "jobs": jobs,
        "growth": growth(jobs),
    }
    figures["extrapolated"] = extrapolated(figures)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print_tables(figures)


def whole_job(scan: sitk.Image, slices: int, options: argparse.Namespace) -> dict:
    """Run the command on `scan` brought to 200 x 200 x `slices` voxels; return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        path, results = Path(folder, "scan.nrrd"), Path(folder, "results")
        resized = of_size(scan, slices)
        sitk.WriteImage(resized, str(path), useCompression=False)
        command = [sys.executable, "-m", "AMDiffLib.denoise_segment", str(path), "--units", "SUVbw"]
        command += ["--output-dir", str(results), "--model", options.model, "--device", options.device]
        command += ["--threads", str(options.threads), "--tile", str(options.tile), "--progress", "json"]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
        seconds = time.perf_counter() - began
        run = json.loads((results / "report.json").read_text(encoding="utf-8"))["run"]
    stages = run["seconds"]
    return {
        "shape": resized.GetSize(),
        "voxels": int(np.prod(resized.GetSize())),
        "body_voxels": body_voxels(resized),
        "tiles": run["tiles"],
        "steps": run["steps"],
        "precision": run["precision"],
        "seconds": seconds,
        "stages": {"start": seconds - sum(stages.values()), **stages},
        "peak_memory_mb": run["peak_memory_mb"],
        "gpu_memory_mb": run.get("gpu_memory_mb"),
    }


def of_size(scan: sitk.Image, slices: int) -> sitk.Image:
    """Return `scan` mirrored along its axis until it has `slices`, in the middle of 200 x 200 voxels."""
    array = sitk.GetArrayFromImage(scan)
    there_and_back = np.concatenate([array, array[::-1]])
    array = np.concatenate([there_and_back] * (slices // len(there_and_back) + 1))[:slices]
    around = [(0, 0), *(((WIDTH - n) // 2, WIDTH - n - (WIDTH - n) // 2) for n in array.shape[1:])]
    resized = sitk.GetImageFromArray(np.pad(array, around))
    resized.SetSpacing(scan.GetSpacing())
    return resized


def body_voxels(scan: sitk.Image) -> int:
    """Return how many voxels are not air."""
    from AMDiffLib.inference.body_mask import body_mask

    return int(body_mask(sitk.GetArrayViewFromImage(scan), scan.GetSpacing()).sum())


def growth(jobs: list[dict]) -> dict:
    """Return how seconds grow with body voxels (least squares), and memory with voxels."""
    voxels = np.array([job["body_voxels"] for job in jobs], float)
    seconds = np.array([job["seconds"] for job in jobs])
    result = {"memory_over_voxels": [[job["voxels"], job["peak_memory_mb"]] for job in jobs]}
    if len(jobs) > 2:
        slope, start = np.polyfit(voxels, seconds, 1)
        unexplained = ((seconds - slope * voxels - start) ** 2).sum() / (
            (seconds - seconds.mean()) ** 2
        ).sum()
        result |= {"seconds_per_million": slope * 1e6, "start_seconds": start, "r_squared": 1.0 - unexplained}
    return result


def extrapolated(figures: dict) -> dict:
    """Return what the published configuration would take for the scan of the case, from one window."""
    from passes import PUBLISHED_STEPS, STRIDES
    from work import windows

    case = next((job for job in figures["jobs"] if job["shape"][2] == CASE_SLICES), None)
    if case is None:
        return {}
    passes = figures["passes"]
    per_window = PUBLISHED_STEPS * passes["published denoise"]["seconds"]
    per_window += passes["published revise"]["seconds"] + passes["published segment"]["seconds"]
    result = {}
    for name, stride in STRIDES.items():
        count = windows(case["shape"], passes["window"], min(stride, passes["window"]))
        result[name] = {
            "windows": count,
            "seconds": count * per_window,
            "times_ours": count * per_window / case["seconds"],
        }
    return result


def print_tables(figures: dict) -> None:
    """Print what was measured."""
    print(f"{figures['model']} on {figures['device']}, {figures['threads']} thread(s)\n")
    print("a scan of 440 x 440 x 620 voxels of 2.04 mm (published, inferred: 110 PFLOP)")
    print(
        "  way                      steps   tiles (segmenter)  GMAC a step   segmenter      PFLOP  times less"
    )
    for row in figures["work"]:
        tiles, counted = row["tiles"], row["gmac_per_tile_and_pass"]
        print(
            f"  {row['way']:25s}{row['passes']['denoise']:6d} {tiles['denoise']:7d} ({tiles['segment']:d})"
            f"{counted['denoise']:21.1f} {counted['segment']:11.1f} {row['pflop']:10.4f} "
            f"{row['times_less']:12.5g}"
        )
    print(f"\none pass, seconds (published: a window of {figures['passes']['window']} voxels a side)")
    for name, row in figures["passes"].items():
        if isinstance(row, dict):
            print(
                f"  {name:22s} {row['seconds']:9.3f} s  {row['gmac']:9.1f} GMAC  "
                f"{row['tflop_per_s']:8.3f} TFLOP/s"
            )
    for name, row in figures["extrapolated"].items():
        print(
            f"  published, {name}: {row['windows']} windows x 250 steps of the 400-slice scan at the model's "
            f"voxels, extrapolated: {row['seconds']:.0f} s, {row['times_ours']:.0f} times ours"
        )
    print("\nwhole jobs: uncompressed NRRD in, files out")
    for job in figures["jobs"]:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in job["stages"].items())
        print(
            f"  {' x '.join(map(str, job['shape']))}: {job['seconds']:.1f} s, "
            f"{job['peak_memory_mb']:.0f} MB, "
            f"{job['tiles']} tiles, {job['body_voxels'] / 1e6:.2f} M body voxels, {job['precision']}\n"
            f"      {stages}"
        )
    if "r_squared" in figures["growth"]:
        line = figures["growth"]
        print(
            f"  time: {line['start_seconds']:.1f} s + {line['seconds_per_million']:.2f} s per million body "
            f"voxels, R^2 {line['r_squared']:.4f}"
        )


if __name__ == "__main__":
    main()
