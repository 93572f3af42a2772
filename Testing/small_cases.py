"""A patient and a model small enough for a test: what the inference tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.networks.config import DiffusionConfig

TWO_STEPS = DiffusionConfig(sampling_timesteps=(150, 50))


def a_patient(
    shape: tuple[int, int, int] = (40, 36, 44), spacing: tuple[float, float, float] = (4.0, 4.0, 4.0)
):
    """An elliptic trunk of SUV 1 in noisy air, with a lesion of SUV 10 and a bladder of SUV 40."""
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    z, y, x = z * spacing[2], y * spacing[1], x * spacing[0]
    rng = np.random.default_rng(5)
    suv = np.abs(rng.normal(0.0, 0.01, shape))
    trunk = (x / 65) ** 2 + (y / 48) ** 2 < 1
    suv[trunk] = 1.0 + rng.normal(0.0, 0.3, int(trunk.sum()))
    suv[(x - 20) ** 2 + y**2 + (z - 20) ** 2 < 10**2] = 10.0
    suv[x**2 + y**2 + (z + 45) ** 2 < 16**2] = 40.0
    return PetVolume(
        suv=np.maximum(suv, 0).astype(np.float32),
        spacing=spacing,
        origin=(-80.0, -70.0, 12.5),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        source={"path": "a_patient"},
    )


def a_tiny_model(seed: int = 0, *, uncertainty: bool = False):
    """An AMDiff model of few channels with random weights, with the uncertainty head if asked for."""
    import torch

    from AMDiffLib.networks.amdiff import AMDiff
    from AMDiffLib.networks.config import (
        AMDiffConfig,
        DenoiserConfig,
        RevisionConfig,
        SegmenterConfig,
        UncertaintyConfig,
    )

    config = AMDiffConfig(
        name="tiny",
        diffusion=TWO_STEPS,
        denoiser=DenoiserConfig(channels=(8, 16, 16, 16), norm_num_groups=4, num_head_channels=8),
        revision=RevisionConfig(channels=4),
        segmenter=SegmenterConfig(channels=4, d_state=4, full_resolution_channels=2),
        uncertainty=UncertaintyConfig(channels=4) if uncertainty else None,
    )
    torch.manual_seed(seed)
    model = AMDiff(config).eval().requires_grad_(False)
    # Layers that start at zero would make the outputs independent of the inputs.
    for parameter in model.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    return model


def saved_tiny_model(folder: Path, *, uncertainty: bool = False) -> Path:
    """Write the tiny model into `folder` and return it."""
    from AMDiffLib.inference.weights import save_model

    save_model(a_tiny_model(uncertainty=uncertainty), folder, "A model of random weights, for tests.")
    return folder


def written_patient(path: Path, volume: PetVolume | None = None) -> Path:
    """Write the patient (or `volume`) as an image file of `path`'s format and return the path."""
    volume = volume or a_patient()
    sitk.WriteImage(volume.with_array(volume.suv), str(path))
    return path
