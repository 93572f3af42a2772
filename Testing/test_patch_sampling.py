"""Which patches are drawn, and that the variations keep images and labels together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from AMDiffLib.errors import BadInput
from AMDiffLib.training.config import PatchConfig
from AMDiffLib.training.dataset import Subject
from AMDiffLib.training.patch_sampling import PatchSampler, Prefetcher

PLAIN = PatchConfig(flip_probability=0.0, scale_range=(1.0, 1.0), affine_probability=0.0)
SHAPE = (48, 40, 64)


def a_subject(name: str, levels=(5.0, 20.0), *, lesion_at=((10, 10, 10), (40, 30, 50))) -> Subject:
    """A subject whose high-count SUV encodes the position, with a large and a one-voxel lesion."""
    x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]][2]
    high = (1.0 + x / 8).astype(np.float16)
    lesions = np.zeros(SHAPE, dtype=np.uint8)
    for number, (lz, ly, lx) in enumerate(lesion_at, start=1):
        reach = 3 if number == 1 else 1
        lesions[lz : lz + reach, ly : ly + reach, lx : lx + reach] = number
    instances = tuple(np.flatnonzero(lesions == n) for n in range(1, len(lesion_at) + 1))
    return Subject(
        name=name,
        scanner="toy",
        low_count={level: (high * 2).astype(np.float16) for level in levels},
        high_count=high,
        organs=np.where(x > 31, 2, 0).astype(np.uint8),
        lesions=lesions,
        body=np.arange(high.size),
        lesion_voxels=instances,
        spacing=(4.0, 4.0, 4.0),
    )


def sampler(subjects, config=PLAIN, *, batch_size=2, seed=0) -> PatchSampler:
    return PatchSampler(subjects, patch_size=16, batch_size=batch_size, seed=seed, config=config)


def test_a_batch_depends_on_seed_and_step_alone():
    subjects = [a_subject("a"), a_subject("b")]
    first, again = sampler(subjects).batch(7), sampler(subjects).batch(7)
    assert torch.equal(first.low_count, again.low_count)
    assert first.origins == again.origins
    assert not torch.equal(first.high_count, sampler(subjects).batch(8).high_count)
    assert not torch.equal(first.high_count, sampler(subjects, seed=1).batch(7).high_count)


@pytest.mark.parametrize("ahead", [0, 3])
def test_batches_are_those_of_their_steps_cut_ahead_or_not(ahead):
    patches = sampler([a_subject("a")])
    with Prefetcher(patches, first_step=5, ahead=ahead) as batches:
        for step in (5, 6, 7, 8, 9, 10):
            assert torch.equal(next(batches).high_count, patches.batch(step).high_count)


def test_shapes_and_types():
    batch = sampler([a_subject("a")]).batch(0)
    assert batch.low_count.shape == batch.high_count.shape == (2, 1, 16, 16, 16)
    assert batch.organs.shape == batch.lesions.shape == (2, 16, 16, 16)
    assert batch.low_count.dtype == torch.float32
    assert batch.organs.dtype == torch.uint8


def test_half_of_the_patches_hold_a_lesion_and_the_small_one_is_drawn_as_often():
    patches = sampler([a_subject("a")])
    drawn = [patches.batch(step) for step in range(200)]
    on_lesion = [b.lesions[slot] for b in drawn for slot in range(2) if b.origins[slot].endswith("lesion")]
    assert len(on_lesion) == 200
    assert all((lesions > 0).any() for lesions in on_lesion)
    small = sum(bool((lesions == 2).any()) for lesions in on_lesion)
    assert small == pytest.approx(100, abs=25)  # 3.5 standard deviations of a fair coin


def test_count_levels_are_drawn_equally_whatever_their_number_of_subjects():
    subjects = [a_subject("a", (5.0, 20.0)), *(a_subject(str(n), (20.0,)) for n in range(4))]
    patches = sampler(subjects)
    origins = [origin for step in range(200) for origin in patches.batch(step).origins]
    assert sum(" 5 %" in origin for origin in origins) == pytest.approx(200, abs=35)


def test_subjects_without_lesions_serve_the_body_patches():
    subjects = [a_subject("healthy", lesion_at=()), a_subject("ill")]
    origins = [o for step in range(30) for o in sampler(subjects).batch(step).origins]
    assert {o.split()[0] for o in origins if o.endswith("lesion")} == {"ill"}
    assert {o.split()[0] for o in origins} == {"healthy", "ill"}
    only_healthy = sampler([a_subject("healthy", lesion_at=())]).batch(0)
    assert not (only_healthy.lesions > 0).any()


def test_a_flip_turns_images_and_labels_together():
    flipped = sampler([a_subject("a")], replace(PLAIN, flip_probability=1.0)).batch(3)
    plain = sampler([a_subject("a")]).batch(3)
    assert torch.equal(flipped.high_count, plain.high_count.flip(-1))
    assert torch.equal(flipped.organs, plain.organs.flip(-1))


def test_the_intensity_factor_is_the_same_for_both_images_and_within_its_range():
    patches = sampler([a_subject("a")], replace(PLAIN, scale_range=(0.8, 1.25)))
    factors = set()
    for step in range(20):
        batch, plain = patches.batch(step), sampler([a_subject("a")]).batch(step)
        factor = float((batch.high_count / plain.high_count).mean(dim=(1, 2, 3, 4))[0])
        assert torch.allclose(batch.low_count, 2 * batch.high_count)
        assert 0.8 <= factor <= 1.25
        factors.add(round(factor, 3))
    assert len(factors) > 10


def test_turning_and_zooming_keeps_labels_on_the_image():
    config = replace(PLAIN, affine_probability=1.0, rotation_degrees=8.0)
    for step in range(10):
        batch = sampler([a_subject("a")], config).batch(step)
        assert set(batch.organs.unique().tolist()) <= {0, 2}
        # Organ voxels have SUV > 4.9; nearest and linear interpolation differ by half a voxel at most.
        inside, outside = batch.organs == 2, batch.organs == 0
        if inside.any() and outside.any():
            assert (
                float(batch.high_count[:, 0][inside].min())
                > float(batch.high_count[:, 0][outside].max()) - 0.2
            )


def test_a_partial_scan_is_a_run_of_slices_as_they_were_with_air_above_and_below():
    config = replace(PLAIN, partial_probability=1.0, partial_slices=(4, 9))
    lengths = set()
    for step in range(20):
        batch, plain = sampler([a_subject("a")], config).batch(step), sampler([a_subject("a")]).batch(step)
        for patch in range(2):
            kept = batch.high_count[patch, 0].flatten(1).any(dim=1).nonzero()[:, 0].tolist()
            assert kept == list(range(kept[0], kept[0] + len(kept)))
            for name in ("low_count", "high_count", "organs", "lesions"):
                part = getattr(batch, name)[patch].squeeze(0)
                whole = getattr(plain, name)[patch].squeeze(0)
                assert torch.equal(part[kept], whole[kept])
                assert part.count_nonzero() == whole[kept].count_nonzero()
            lengths.add(len(kept))
    assert lengths == set(range(4, 10))


def test_a_volume_smaller_than_the_patch_is_continued_with_air():
    patches = PatchSampler([a_subject("a")], patch_size=64, batch_size=1, seed=0, config=PLAIN)
    batch = patches.batch(0)
    assert batch.high_count.shape == (1, 1, 64, 64, 64)
    assert float(batch.high_count[0, 0, 48:].abs().max()) == 0.0
    assert float(batch.high_count[0, 0, :48, :40].min()) == 1.0


def test_no_subject_is_bad_input():
    with pytest.raises(BadInput, match="no subject to train on"):
        sampler([])
