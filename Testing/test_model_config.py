"""The model's configuration: what is published, what is written to JSON and what is refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import (
    BASE,
    COMPACT,
    PAPER,
    PRESETS,
    AMDiffConfig,
    DiffusionConfig,
    IntensityConfig,
    SegmenterConfig,
)
from AMDiffLib.training.config import TRAINING_PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_a_configuration_survives_json(preset):
    written = json.dumps(PRESETS[preset].to_dict())
    assert AMDiffConfig.from_dict(json.loads(written)) == PRESETS[preset]


def test_the_paper_preset_is_as_published():
    assert PAPER.diffusion.timesteps == 250
    assert (PAPER.diffusion.prediction, PAPER.diffusion.sampler, PAPER.diffusion.start) == (
        "epsilon",
        "ancestral",
        "noise",
    )
    assert (PAPER.intensity.kind, PAPER.intensity.suv_at_one) == ("cutoff", 20.0)
    assert PAPER.denoiser.attention_levels == (False, False, False, True)
    segmenter = PAPER.segmenter
    assert (segmenter.channels, segmenter.blocks, segmenter.d_state) == (32, 3, 16)
    assert (segmenter.norm, segmenter.activate_logits, segmenter.res_mamba) == ("batch", True, True)


def test_the_compact_preset_starts_from_the_low_count_image_and_needs_no_batch():
    assert (COMPACT.diffusion.sampler, COMPACT.diffusion.start) == ("few_step", "low_count")
    assert 1 <= len(COMPACT.diffusion.sampling_timesteps) <= 8
    assert COMPACT.segmenter.norm != "batch"


def test_the_base_preset_is_finer_and_40_mb_in_half_precision():
    assert BASE.voxel_size_mm < COMPACT.voxel_size_mm
    assert BASE.denoiser.shuffle == 1
    with torch.device("meta"):
        parameters = sum(p.numel() for p in AMDiff(BASE).parameters())
    assert parameters <= 20e6


def test_every_preset_says_how_it_is_trained():
    assert set(TRAINING_PRESETS) == set(PRESETS)


def test_missing_groups_take_their_defaults():
    assert AMDiffConfig.from_dict({"name": "new"}) == AMDiffConfig(name="new")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"name": "x", "colour": 1}, "unknown key 'colour'"),
        ({"name": "x", "segmenter": {"depth": 5}}, r"unknown key 'segmenter\.depth'"),
        ({"name": "x", "segmenter": 3}, "'segmenter' is 3"),
        ({}, "name"),
        (
            {"name": "x", "intensity": {"kind": "log"}},
            r"intensity\.kind is 'log'; expected one of cutoff, sqrt",
        ),
        ({"name": "x", "voxel_size_mm": 0}, "voxel_size_mm is 0"),
    ],
)
def test_what_cannot_be_a_configuration_is_named(values, named):
    with pytest.raises(ValueError, match=named):
        AMDiffConfig.from_dict(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "ancestral"}, "cannot start from 'low_count'"),
        ({"sampling_timesteps": (50, 150)}, "must fall"),
        ({"sampling_timesteps": (300,)}, r"lie in 1\.\.250"),
        ({"sampling_timesteps": (10, 0)}, r"lie in 1\.\.250"),
        ({"prediction": "score"}, "expected one of epsilon, x0, v"),
    ],
)
def test_a_diffusion_that_cannot_run_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(DiffusionConfig(), **change)


def test_an_image_drawn_from_predicted_noise_needs_a_limit():
    with pytest.raises(ValueError, match="needs the cut-off of intensity"):
        replace(PAPER, intensity=IntensityConfig(kind="sqrt"))


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        SegmenterConfig().channels = 3
