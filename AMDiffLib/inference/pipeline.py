"""The whole way from a low-count PET volume to a denoised one with lesions and organs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.diffusion.noise import noise_source
from AMDiffLib.diffusion.samplers import ancestral, few_step
from AMDiffLib.errors import BadInput
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.config import InferenceConfig
from AMDiffLib.inference.count_conservation import conserve_counts
from AMDiffLib.inference.grid import ModelGrid
from AMDiffLib.inference.organs import without_stray_parts
from AMDiffLib.inference.tiled_model import Sampler, TiledModel, WorkDone
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import DiffusionConfig, evenly_spaced_timesteps
from AMDiffLib.progress import Reporter

DEFAULTS = InferenceConfig()


@dataclass(kw_only=True)
class Result:
    """What the model made of a scan, on the scan's own grid, (z, y, x).

    denoised: float32 SUVbw over the full range, 0 in the air around the patient (whose counts are noise).
    lesions: bool. organs: uint8, 0 and the labels 2..8; lesions and organs may overlap.
    sd: float32, standard deviation of `denoised`, SUVbw, 0 in air; None of a model without uncertainty head.
    details: steps, sampler, seed, tile, device, precision, model grid, seconds per stage.
    """

    denoised: np.ndarray
    lesions: np.ndarray
    organs: np.ndarray
    sd: np.ndarray | None = None
    details: dict[str, Any] = field(default_factory=dict)


def denoise_and_segment(
    volume: PetVolume,
    model: AMDiff,
    *,
    steps: int | None,
    seed: int,
    device: torch.device | str,
    tile: int,
    reporter: Reporter,
    config: InferenceConfig = DEFAULTS,
) -> Result:
    """Denoise and segment `volume` with `model`, which is on `device` and in evaluation mode.

    The same volume, model, steps, seed, device, tile size and thread count give the same arrays. `steps`
    None: as the model's configuration says. `tile`: side in voxels of the model, a multiple of 16, at least
    32; made smaller by itself where memory runs out. The denoised volume is the revised map of Eq. (6).

    Raises BadInput (no patient in the volume; steps that the sampler cannot take), OutOfMemory, Cancelled.
    """
    clock = _Clock()
    diffusion = model.config.diffusion
    timesteps = sampling_timesteps(diffusion, steps)
    lesion_threshold = model.config.segmenter.lesion_threshold
    reporter.stage("prepare")
    with clock("prepare"):
        grid = ModelGrid.of(volume, model.config.voxel_size_mm)
        low_count = grid.cropped_suv()
        body = grid.cropped_body()
    reporter.check_cancelled()
    has_uncertainty = model.uncertainty is not None
    work = WorkDone(reporter, steps=len(timesteps), uncertainty=has_uncertainty, segment=config.segment)
    tiled = TiledModel(
        model,
        body,
        device=torch.device(device),
        tile=tile,
        overlap=config.overlap,
        steps=len(timesteps),
        work=work,
        reporter=reporter,
    )
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        reporter.stage("denoise")
        with clock("denoise"):
            denoised = tiled.denoise(low_count, _sampler(model, low_count, timesteps, seed))
        reporter.stage("revise")
        with clock("revise"):
            revised = tiled.revise(denoised, low_count)
            del denoised
            if config.conserve_counts:
                revised = torch.from_numpy(
                    conserve_counts(revised.numpy(), low_count.numpy(), body, grid.spacing)
                )
        sd = None
        if has_uncertainty:
            reporter.stage("uncertainty")
            with clock("uncertainty"):
                sd = tiled.uncertainty_sd(revised, low_count)
        probabilities = None
        if config.segment:
            reporter.stage("segment")
            with clock("segment"):
                probabilities = tiled.segment(revised, low_count)
    reporter.check_cancelled()
    reporter.stage("restore")
    with clock("restore"):
        # The probabilities go first, as they take the most memory.
        if probabilities is None:
            lesions, organs = (np.zeros(volume.suv.shape, dtype) for dtype in (bool, np.uint8))
        else:
            lesions, organs = grid.classes_on_input_grid(probabilities.numpy(), lesion_threshold)
            organs = without_stray_parts(organs)
        del probabilities, low_count
        denoised_suv = grid.suv_on_input_grid(revised.numpy())
        del revised
        sd_suv = None if sd is None else grid.sd_on_input_grid(sd.numpy())
    details = {
        "sampler": diffusion.sampler,
        "start": diffusion.start,
        "steps": len(timesteps),
        "timesteps": list(timesteps),
        "seed": seed,
        "tile_voxels": tiled.tiles_used,
        "overlap_voxels": config.overlap,
        "tiles": tiled.tile_count,
        "device": tiled.device_name,
        "precision": tiled.precision_name,
        "threads": torch.get_num_threads(),
        "gpu_memory_mb": tiled.gpu_memory_mb,
        "model_voxel_mm": [float(step) for step in grid.spacing],
        "resampled": grid.resampled,
        "lesion_threshold": lesion_threshold,
        "counts_conserved": config.conserve_counts,
        "seconds": clock.seconds,
    }
    return Result(denoised=denoised_suv, lesions=lesions, organs=organs, sd=sd_suv, details=details)


def sampling_timesteps(diffusion: DiffusionConfig, steps: int | None) -> tuple[int, ...]:
    """The timesteps that `steps` network evaluations visit: the configured ones, or as many evenly spaced
    down from
    the first configured one.

    Raises BadInput where that many are not possible; ancestral sampling takes all T steps, never fewer.
    """
    if diffusion.sampler == "ancestral":
        if steps not in (None, diffusion.timesteps):
            raise BadInput(
                f"{steps} steps were asked for, and this model always takes {diffusion.timesteps} (ancestral "
                "sampling). Leave the number of steps out."
            )
        return tuple(range(diffusion.timesteps, 0, -1))
    if diffusion.sampler == "regression":
        if steps not in (None, 1):
            raise BadInput(f"{steps} steps were asked for, and this model takes one (regression).")
        return diffusion.sampling_timesteps[:1]
    if steps is None or steps == len(diffusion.sampling_timesteps):
        return diffusion.sampling_timesteps
    first = diffusion.sampling_timesteps[0]
    if not 1 <= steps <= first:
        raise BadInput(f"{steps} steps were asked for, and this model can take 1 to {first}.")
    return evenly_spaced_timesteps(first, steps)


def _sampler(model: AMDiff, low_count_suv: Tensor, timesteps: tuple[int, ...], seed: int) -> Sampler:
    """The configured sampler over the whole grid, still to be given its predict_x0(x_t, t)."""
    noise = noise_source(low_count_suv.shape, seed)
    if model.config.diffusion.sampler == "ancestral":
        return lambda predict_x0: ancestral(predict_x0, noise(0), model.schedule, noise)
    low_count = model.to_normalised(low_count_suv)
    if model.config.diffusion.sampler == "regression":
        return lambda predict_x0: predict_x0(low_count, timesteps[0])
    return lambda predict_x0: few_step(predict_x0, low_count, model.schedule, timesteps, noise)


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - began, 3)
