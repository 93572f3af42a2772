"""A cohort and models so small that a training step takes a fraction of a second."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from AMDiffLib.networks.config import COMPACT, PAPER, AMDiffConfig, DenoiserConfig, SegmenterConfig
from AMDiffLib.training.checkpoint import load_tensors
from AMDiffLib.training.config import FAST_TRAINING, OptimiserConfig, TrainingConfig
from AMDiffLib.training.patch_sampling import Batch

REPOSITORY = Path(__file__).resolve().parents[1]

TINY_MODEL = replace(
    COMPACT,
    name="tiny",
    denoiser=DenoiserConfig(channels=(8, 8, 8, 16), num_head_channels=8),
    segmenter=SegmenterConfig(channels=4, blocks=3, d_state=2, full_resolution_channels=2),
)
TINY_PAPER_MODEL = replace(
    PAPER,
    name="tiny-paper",
    voxel_size_mm=4.0,
    denoiser=replace(PAPER.denoiser, channels=(8, 8, 8, 16), norm_num_groups=8, num_head_channels=8),
    revision=replace(PAPER.revision, channels=4),
    segmenter=replace(PAPER.segmenter, channels=4, d_state=2),
)
TINY_TRAINING = replace(
    FAST_TRAINING,
    patch_size=16,
    epochs=6,
    warm_up_first_epoch=1,
    warm_up_last_epoch=4,
    optimiser=OptimiserConfig(ramp_steps=2),
)


def write_cohort(folder: Path) -> Path:
    """Write three warm ellipsoids with a liver and a hot spot, at 10 and 20 % counts; return the manifest."""
    random = np.random.default_rng(0)
    z, y, x = np.mgrid[:32, :32, :32]
    body = (z - 16) ** 2 + (y - 16) ** 2 + (x - 16) ** 2 < 14**2
    cases = []
    for number in range(3):
        high = np.where(body, 1.0, 0.0)
        organs = np.where(body & (x > 18), 2, 0)
        lesions = ((z - 12) ** 2 + (y - 16) ** 2 + (x - 10 - number) ** 2 < 9).astype(np.uint8)
        high = high + 1.5 * (organs == 2) + 6.0 * lesions
        files = {"high_count": high.astype(np.float32), "organs": organs.astype(np.uint8), "lesions": lesions}
        for level in (10, 20):
            files["low_count"] = random.poisson(high * level).astype(np.float32) / level
            entry = {"subject": f"case-{number}", "scanner": "toy", "counts_percent": level}
            for key, array in files.items():
                suffix = f"-{level}" if key == "low_count" else ""
                entry[key] = f"{number}-{key}{suffix}.nrrd"
                image = sitk.GetImageFromArray(array)
                image.SetSpacing((4.0, 4.0, 4.0))
                sitk.WriteImage(image, folder / entry[key], useCompression=True)
            cases.append(entry)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"format": "amdiff-manifest", "version": 1, "cases": cases}))
    return manifest


def write_config(
    folder: Path, model: AMDiffConfig = TINY_MODEL, training: TrainingConfig = TINY_TRAINING
) -> Path:
    """Write a configuration for `train --config` and return its path."""
    path = folder / f"{model.name}.json"
    path.write_text(json.dumps({"model": model.to_dict(), "training": training.to_dict()}))
    return path


def two_patches(lesion_slices: slice) -> Batch:
    """Two patches of noise whose lower half is liver, with a cube of lesion at these slices."""
    high = 5.0 * torch.rand(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    organs = torch.zeros(2, 16, 16, 16, dtype=torch.uint8)
    organs[:, :8] = 2
    lesions = torch.zeros_like(organs)
    lesions[:, lesion_slices, 6:9, 6:9] = 1
    return Batch(low_count=high + 1.0, high_count=high, organs=organs, lesions=lesions, origins=("a", "b"))


def command(manifest: Path, config: Path, output: Path, *more: str, steps: int = 6) -> list[str]:
    """Return the options of a training on one thread of the processor that logs every step."""
    given = {"manifest": manifest, "config": config, "output": output, "steps": steps}
    given |= {"threads": 1, "device": "cpu", "log-every": 1, "tensorboard": "off"}
    return [*(part for name, value in given.items() for part in (f"--{name}", str(value))), *more]


def environment() -> dict[str, str]:
    """Return what a process needs to find the library, with one thread."""
    return os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def weights_of(run: Path) -> dict[str, Tensor]:
    """Return all tensors of a run's checkpoint: weights, their average, the optimiser's moments."""
    return load_tensors(run / "checkpoint.safetensors")[0]
