"""Single passes of the networks: their work on a scan, and their seconds in turns."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import torch
from measuring import synchronize
from monai.inferers import sliding_window_inference
from work import gmac, windows

from AMDiffLib.image.resampling import to_spacing
from AMDiffLib.inference.body_mask import body_mask
from AMDiffLib.inference.config import InferenceConfig
from AMDiffLib.inference.device import autocast, precision_of
from AMDiffLib.inference.tiling import Tiling, padded_length
from AMDiffLib.inference.weights import load_model, model_folder
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import PAPER, AMDiffConfig

PUBLISHED_SHAPE, PUBLISHED_VOXEL_MM, PUBLISHED_WINDOW, PUBLISHED_STEPS = (620, 440, 440), 2.04, 128, 250
PUBLISHED_PFLOP = 110.6  # 80 windows x 250 passes x 2.765 TMAC of the 64-channel network, inferred
STRIDES = {"no overlap": 128, "stride 32": 32}


def model_of(name: str) -> AMDiff:
    """Return an installed model or a folder's, on the CPU."""
    return load_model(model_folder(name), torch.device("cpu"))


def work_of_scan(scan: sitk.Image, config: AMDiffConfig, tile: int) -> list[dict]:
    """Return tiles and multiplications for the published grid: published, and ours at its voxels and at
    theirs.

    Ours for all of the grid, and for the patient of `scan` in it.
    """
    published = gmac(PAPER, [PUBLISHED_WINDOW] * 3)
    rows = []
    for name, stride in STRIDES.items():
        count = windows(PUBLISHED_SHAPE, PUBLISHED_WINDOW, stride)
        tiles = dict.fromkeys(published, count)
        rows.append(_row(f"published, {name}", published, tiles, PUBLISHED_STEPS))
    steps = len(config.diffusion.sampling_timesteps)
    for voxel in (config.voxel_size_mm, PUBLISHED_VOXEL_MM):
        for where, body in (("whole grid", None), ("body", scan)):
            tilings = {cubes: _tiling(body, voxel, tile, cubes=cubes) for cubes in (False, True)}
            by_shape = {cubes: gmac(config, tiling.tile_shape) for cubes, tiling in tilings.items()}
            counted = {name: by_shape[name == "segment"][name] for name in by_shape[True]}
            tiles = {name: len(tilings[name == "segment"].starts) for name in counted}
            rows.append(_row(f"ours, {voxel:g} mm, {where}", counted, tiles, steps))
    for row in rows:
        row["times_less"] = rows[0]["pflop"] / row["pflop"]
    return rows


def _row(way: str, counted: dict[str, float], tiles: dict[str, int], steps: int) -> dict:
    passes = {name: steps if name == "denoise" else 1 for name in counted}
    total = sum(passes[name] * tiles[name] * counted[name] for name in counted)
    return {
        "way": way,
        "passes": passes,
        "tiles": tiles,
        "gmac_per_tile_and_pass": counted,
        "pflop": 2e-6 * total,
    }


def _tiling(scan: sitk.Image | None, voxel_mm: float, tile: int, *, cubes: bool) -> Tiling:
    """Our tiles over the whole published grid, or over the box of the patient of `scan`, at `voxel_mm`."""
    if scan is None:
        body = np.ones([round(n * PUBLISHED_VOXEL_MM / voxel_mm) for n in PUBLISHED_SHAPE], bool)
    else:
        image = to_spacing(scan, voxel_mm)
        body = body_mask(sitk.GetArrayViewFromImage(image), image.GetSpacing())
        occupied = [np.flatnonzero(body.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        body = body[tuple(slice(found[0], found[-1] + 1) for found in occupied)]
    body = np.pad(body, [(0, padded_length(n) - n) for n in body.shape])
    return Tiling.over(body, tile=tile, overlap=InferenceConfig().overlap, cubes=cubes)


def seconds_of_passes(model: AMDiff, options: argparse.Namespace) -> dict:
    """Return the median seconds and the work of one pass of each network, measured in turns."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    published = AMDiff(PAPER).eval()
    work = {}
    for whose, network, side in (("published", published, options.window), ("ours", model, options.tile)):
        counted = gmac(network.config, [side] * 3)
        for kind, function in _passes(network, side, device).items():
            work[f"{whose} {kind}"] = function, counted[kind]
    seconds: dict[str, list[float]] = {name: [] for name in work}
    with torch.inference_mode(), autocast(device, precision_of(device)):
        for turn in range(options.turns + 1):
            for name, (function, _) in work.items():
                synchronize(options.device)
                began = time.perf_counter()
                function()
                synchronize(options.device)
                if turn:  # the first one warms up
                    seconds[name].append(time.perf_counter() - began)
    figures: dict = {"window": options.window, "tile": options.tile}
    for name, (_, operations) in work.items():
        median = statistics.median(seconds[name])
        figures[name] = {"seconds": median, "gmac": operations, "tflop_per_s": 2e-3 * operations / median}
    return figures


def _passes(network: AMDiff, side: int, device: torch.device) -> dict[str, Callable[[], object]]:
    network.to(device, memory_format=torch.channels_last_3d)
    image = 3.0 * torch.rand(1, 1, side, side, side, device=device)
    t = torch.full((1,), network.config.diffusion.sampling_timesteps[0], device=device)
    runs: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "denoise": lambda x: network.predict_x0(x, x, t),
        "revise": lambda x: network.revise(x, x),
        "segment": lambda x: torch.cat(network.segment(x, x), dim=1),
    }
    if network.uncertainty is not None:
        runs["uncertainty"] = lambda x: network.uncertainty_sd(x, x)
    return {
        kind: lambda run=run: sliding_window_inference(image, (side,) * 3, 1, run)
        for kind, run in runs.items()
    }
