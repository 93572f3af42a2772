"""From a scan to the result on its grid: the body is found, nothing hot is lost, and runs repeat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage
from small_cases import TWO_STEPS, a_patient, a_tiny_model
from torch import nn

from AMDiffLib.diffusion.schedule import NoiseSchedule
from AMDiffLib.errors import BadInput, Cancelled, OutOfMemory
from AMDiffLib.inference.body_mask import body_mask
from AMDiffLib.inference.config import InferenceConfig
from AMDiffLib.inference.count_conservation import conserve_counts
from AMDiffLib.inference.device import runs_on
from AMDiffLib.inference.grid import ModelGrid
from AMDiffLib.inference.pipeline import denoise_and_segment, sampling_timesteps
from AMDiffLib.networks.config import COMPACT, PAPER
from AMDiffLib.progress import SilentReporter


class Recorder(SilentReporter):
    """Remembers all that a job reports."""

    def __init__(self):
        super().__init__()
        self.stages, self.fractions = [], []

    def stage(self, name, text=None):
        self.stages.append(name)

    def progress(self, fraction):
        self.fractions.append(fraction)


class ModelThatCopies(nn.Module):
    """Predicts the low-count image as it is; what is above SUV 5 is lesion, what is above 0.5 is liver."""

    largest_tile = 1000
    uncertainty = None

    def __init__(self, *, lesion_threshold=0.5):
        super().__init__()
        segmenter = dataclasses.replace(COMPACT.segmenter, lesion_threshold=lesion_threshold)
        self.config = dataclasses.replace(
            COMPACT, voxel_size_mm=4.0, diffusion=TWO_STEPS, segmenter=segmenter
        )
        self.schedule = NoiseSchedule()
        self.seen = []

    def to_normalised(self, suv):
        return suv - 1.0

    def to_suv(self, x):
        return x + 1.0

    def predict_x0(self, x_t, low_count_suv, t):
        self.seen.append((int(t[0]), tuple(x_t.shape[2:])))
        if max(x_t.shape) > self.largest_tile:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 3145728 bytes.")
        return self.to_normalised(low_count_suv)

    def revise(self, denoised_suv, low_count_suv):
        return denoised_suv

    def segment(self, revised_suv, low_count_suv):
        lesion = 10.0 * (revised_suv - 5.0)
        liver = 10.0 * (revised_suv - 0.5)
        others = torch.full_like(liver, -30.0).repeat(1, 6, 1, 1, 1)
        return (
            torch.cat([torch.zeros_like(lesion), lesion], dim=1),
            torch.cat([torch.zeros_like(liver), liver, others], dim=1),
        )


def run(volume, model, *, steps=None, seed=0, tile=32, reporter=None, **chosen):
    return denoise_and_segment(
        volume,
        model,
        steps=steps,
        seed=seed,
        device="cpu",
        tile=tile,
        reporter=reporter or SilentReporter(),
        config=InferenceConfig(**chosen),
    )


def a_ball(shape, spacing, radius_mm, *, inside, outside=0.0):
    """A PetVolume with a ball around the middle of the volume; also its exact mask."""
    half = [(n - 1) / 2 * step for n, step in zip(shape, spacing[::-1], strict=True)]
    z, y, x = np.meshgrid(*(np.linspace(-h, h, n) for h, n in zip(half, shape, strict=True)), indexing="ij")
    mask = x**2 + y**2 + z**2 < radius_mm**2
    suv = np.where(mask, inside, outside).astype(np.float32)
    return dataclasses.replace(a_patient(shape, spacing), suv=suv), mask


def dice(a, b):
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_a_model_that_copies_gives_the_scan_back_up_to_its_hottest_voxel():
    volume = a_patient()
    result = run(volume, ModelThatCopies())
    body = body_mask(volume.suv, volume.spacing)
    assert result.denoised.max() == pytest.approx(40.0, rel=1e-5)
    assert np.abs(result.denoised - volume.suv)[body].max() < 1e-4
    assert np.array_equal(result.lesions[body], volume.suv[body] >= 5.0)


def test_a_voxel_is_lesion_from_the_models_own_probability_on():
    volume = a_patient()
    body = body_mask(volume.suv, volume.spacing)
    result = run(volume, ModelThatCopies(lesion_threshold=0.9))
    # Of probability 0.9 is SUV 5 + ln(9) / 10.
    assert np.array_equal(result.lesions[body], volume.suv[body] >= 5.0 + np.log(9.0) / 10.0)
    assert result.details["lesion_threshold"] == 0.9


def test_air_around_the_patient_is_zero_and_holds_no_organ():
    volume = a_patient()
    air = ~body_mask(volume.suv, volume.spacing)
    result = run(volume, ModelThatCopies())
    assert volume.suv[air].max() > 0
    assert result.denoised[air].max() == 0
    assert not result.lesions[air].any()
    assert not result.organs[air].any()


def test_results_lie_on_the_grid_of_a_scan_of_other_voxels():
    volume, ball = a_ball((40, 50, 52), (2.7, 2.7, 3.3), 50.0, inside=8.0)
    result = run(volume, ModelThatCopies())
    assert result.denoised.shape == result.lesions.shape == result.organs.shape == volume.suv.shape
    assert result.denoised.dtype == np.float32
    assert result.lesions.dtype == bool
    assert result.organs.dtype == np.uint8
    assert set(np.unique(result.organs)) == {0, 2}
    assert dice(result.lesions, ball) > 0.97
    assert result.denoised.min() >= 0
    centre = result.denoised[18:22, 22:28, 23:29]
    assert np.abs(centre - 8.0).max() < 0.08


def test_a_scan_at_nearly_the_models_voxel_size_is_not_interpolated():
    near = ModelGrid.of(a_patient(spacing=(4.07, 4.07, 4.0)), 4.0)
    far = ModelGrid.of(a_patient(spacing=(4.07, 4.07, 3.0)), 4.0)
    assert not near.resampled
    assert far.resampled
    assert far.spacing == pytest.approx((4.0, 4.0, 4.0))


def test_a_resampled_scan_keeps_its_place_in_space():
    tilted = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
    volume, _ = a_ball((48, 60, 44), (3.0, 2.5, 3.5), 40.0, inside=3.0)
    volume = dataclasses.replace(volume, direction=tilted, origin=(40.0, -10.0, 7.0))
    grid = ModelGrid.of(volume, 4.0)

    def centre_of_mass(image):
        array = sitk.GetArrayFromImage(image)
        index = [float(i) for i in (np.argwhere(array > 1.5).mean(axis=0))[::-1]]
        return np.array(image.TransformContinuousIndexToPhysicalPoint(index))

    assert np.abs(centre_of_mass(grid.image) - centre_of_mass(grid.reference)).max() < 0.2


def test_probabilities_are_interpolated_as_simpleitk_does():
    volume, _ = a_ball((30, 44, 40), (3.0, 2.6, 3.5), 45.0, inside=3.0)
    grid = ModelGrid.of(volume, 4.0)
    crop = tuple(grid.cropped_body().shape)
    liver = np.random.default_rng(1).random(crop, dtype=np.float32)
    probabilities = np.zeros((9, *crop), np.float32)
    probabilities[2], probabilities[1], probabilities[0] = liver, 1.0 - liver, liver
    lesions, organs = grid.classes_on_input_grid(probabilities, 0.5)

    whole = np.zeros(grid.body.shape, np.float32)
    whole[grid.box] = liver[tuple(slice(0, part.stop - part.start) for part in grid.box)]
    whole[~grid.body] = 0
    image = sitk.GetImageFromArray(whole)
    image.CopyInformation(grid.image)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image, grid.reference, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    )
    certain = np.abs(expected - 0.5) > 1e-4
    assert np.array_equal(lesions[certain], expected[certain] > 0.5)
    assert np.array_equal(organs[certain] == 2, expected[certain] > 0.5)


def test_an_organ_drawn_finer_than_the_model_sees_has_no_blocks():
    shape, spacing = (90, 90, 90), (1.5, 1.5, 1.5)
    volume, _ = a_ball(shape, spacing, 60.0, inside=1.0)
    grid = ModelGrid.of(volume, 4.0)
    crop = grid.cropped_body().shape
    middle = [(grid.body.shape[a] - 1) / 2 - grid.box[a].start for a in range(3)]
    z, y, x = np.meshgrid(*(np.arange(n) - m for n, m in zip(crop, middle, strict=True)), indexing="ij")
    distance = 30.0 - 4.0 * np.sqrt(x**2 + y**2 + z**2)
    probabilities = np.zeros((9, *crop), np.float32)
    probabilities[2] = 1.0 / (1.0 + np.exp(-distance))
    probabilities[1] = 1.0 - probabilities[2]
    _, organs = grid.classes_on_input_grid(probabilities, 0.5)
    _, exact = a_ball(shape, spacing, 30.0, inside=1.0)
    blocks = sitk.GetImageFromArray(np.zeros(grid.body.shape, np.uint8))
    blocks.CopyInformation(grid.image)
    coarse = np.zeros(grid.body.shape, np.uint8)
    coarse[grid.box] = (probabilities[2] > 0.5)[tuple(slice(0, part.stop - part.start) for part in grid.box)]
    nearest = sitk.GetImageFromArray(coarse)
    nearest.CopyInformation(blocks)
    nearest = sitk.GetArrayFromImage(
        sitk.Resample(nearest, grid.reference, sitk.Transform(), sitk.sitkNearestNeighbor)
    )
    assert dice(organs == 2, exact) > 0.985
    assert dice(nearest == 1, exact) < 0.97


def test_the_same_input_gives_the_same_arrays_and_another_seed_another_image():
    volume, model = a_patient((32, 32, 48)), a_tiny_model()
    first, again, other = run(volume, model), run(volume, model), run(volume, model, seed=1)
    assert np.array_equal(first.denoised, again.denoised)
    assert np.array_equal(first.lesions, again.lesions)
    assert np.array_equal(first.organs, again.organs)
    assert not np.array_equal(first.denoised, other.denoised)


def test_each_step_sees_the_fused_volume_of_the_step_before():
    class PredictsTheTilesMean(ModelThatCopies):
        def __init__(self):
            super().__init__()
            self.tiles = []

        def predict_x0(self, x_t, low_count_suv, t):
            self.tiles.append((int(t[0]), x_t.clone()))
            return torch.ones_like(x_t) * x_t.mean()

    model = PredictsTheTilesMean()
    volume = dataclasses.replace(a_patient((32, 32, 48)), suv=np.ones((32, 32, 48), np.float32))
    run(volume, model, tile=32)
    left, right = (tile for t, tile in model.tiles if t == 50)
    # Tiles of 32 in 48 share 16 voxels; there both must see one and the same image.
    assert torch.equal(left[..., 16:], right[..., :16])


def test_progress_rises_to_the_end_and_every_stage_is_named():
    reporter = Recorder()
    run(a_patient(), ModelThatCopies(), reporter=reporter)
    assert reporter.stages == ["prepare", "denoise", "revise", "segment", "restore"]
    assert reporter.fractions == sorted(reporter.fractions)
    assert reporter.fractions[-1] == pytest.approx(1.0)


def test_without_segments_the_image_is_the_same_and_nothing_is_marked():
    reporter, volume = Recorder(), a_patient()
    image_alone = run(volume, ModelThatCopies(), segment=False, reporter=reporter)
    assert np.array_equal(image_alone.denoised, run(volume, ModelThatCopies()).denoised)
    assert not image_alone.lesions.any()
    assert not image_alone.organs.any()
    assert image_alone.lesions.shape == image_alone.organs.shape == volume.suv.shape
    assert "segment" not in reporter.stages
    assert reporter.fractions[-1] == pytest.approx(1.0)


def test_the_uncertainty_map_lies_on_the_scan_and_is_the_models_own():
    class ModelThatIsSureOfHalf(ModelThatCopies):
        """The left half of a tile has an SD of 0.5, the right one of 1.5: overlapping tiles disagree."""

        uncertainty = nn.Identity()

        def uncertainty_sd(self, revised_suv, low_count_suv):
            sd = torch.full_like(revised_suv, 0.5)
            sd[..., sd.shape[-1] // 2 :] = 1.5
            return sd

    model, reporter = ModelThatIsSureOfHalf(), Recorder()
    volume = dataclasses.replace(a_patient((32, 32, 48)), suv=np.ones((32, 32, 48), np.float32))
    result = run(volume, model, tile=32, reporter=reporter)
    assert "uncertainty" in reporter.stages
    assert result.details["seconds"]["uncertainty"] >= 0
    row = result.sd[16, 16]
    # Tiles of 32 begin at 0 and 16: alone 0.5 at first, 1.5 at last.
    assert row[:16] == pytest.approx(np.full(16, 0.5))
    assert row[32:] == pytest.approx(np.full(16, 1.5))
    # Between them the first says 1.5, the second 0.5; in the middle both weigh the same: the mean variance.
    assert row[23:25].mean() == pytest.approx(np.sqrt((0.5**2 + 1.5**2) / 2), rel=0.02)
    assert run(volume, ModelThatCopies(), tile=32).sd is None


def test_the_uncertainty_map_of_a_finer_scan_is_interpolated_without_overshoot():
    class ModelThatIsSureBelowSuv5(ModelThatCopies):
        uncertainty = nn.Identity()

        def uncertainty_sd(self, revised_suv, low_count_suv):
            return torch.where(revised_suv < 5.0, 0.25, 2.0)

    volume = a_patient((80, 72, 88), (2.0, 2.0, 2.0))
    sd = run(volume, ModelThatIsSureBelowSuv5(), tile=48).sd
    body = ndimage.binary_erosion(body_mask(volume.suv, volume.spacing), iterations=5)
    assert sd.shape == volume.suv.shape
    assert sd.dtype == np.float32
    assert sd[body].min() == pytest.approx(0.25)
    assert sd.max() == pytest.approx(2.0)


def test_a_cancelled_job_stops_within_a_tile():
    class CancelsItself(Recorder):
        def progress(self, fraction):
            super().progress(fraction)
            if len(self.fractions) == 3:
                self.cancellation.request("the test asked")

    reporter = CancelsItself()
    with pytest.raises(Cancelled, match="the test asked"):
        run(a_patient(), ModelThatCopies(), reporter=reporter)
    assert len(reporter.fractions) == 3


def test_where_memory_runs_out_the_tiles_become_smaller_and_the_result_stays():
    model, reporter = ModelThatCopies(), Recorder()
    model.largest_tile = 32
    volume = a_patient((32, 64, 80))
    result = run(volume, model, tile=64, reporter=reporter)
    assert result.details["tile_voxels"]["denoise"] == 32
    assert any("32 voxels" in text for text in reporter.warnings)
    assert np.array_equal(result.denoised, run(volume, ModelThatCopies(), tile=32).denoised)


def test_where_no_tile_fits_the_error_says_what_was_needed_and_tried():
    model = ModelThatCopies()
    model.largest_tile = 16
    with pytest.raises(OutOfMemory, match=r"3 MB.*free \d+ MB.*1 x 64, 1 x 32"):
        run(a_patient((32, 64, 80)), model, tile=64)


def test_a_fault_that_is_not_about_memory_is_not_taken_for_it():
    class Faulty(ModelThatCopies):
        def revise(self, denoised_suv, low_count_suv):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        run(a_patient(), Faulty())


def test_the_details_say_how_the_result_was_made():
    details = run(a_patient(), ModelThatCopies(), seed=7).details
    assert (details["sampler"], details["steps"], details["timesteps"], details["seed"]) == (
        "few_step",
        2,
        [150, 50],
        7,
    )
    assert set(details["seconds"]) == {"prepare", "denoise", "revise", "segment", "restore"}


def test_steps_are_the_configured_ones_or_evenly_spaced():
    few = TWO_STEPS
    assert sampling_timesteps(few, None) == (150, 50)
    assert sampling_timesteps(few, 2) == (150, 50)
    assert sampling_timesteps(few, 1) == (150,)
    assert sampling_timesteps(few, 3) == (150, 100, 50)
    assert sampling_timesteps(PAPER.diffusion, None) == tuple(range(250, 0, -1))
    with pytest.raises(BadInput, match="1 to 150"):
        sampling_timesteps(few, 151)
    with pytest.raises(BadInput, match="always takes 250"):
        sampling_timesteps(PAPER.diffusion, 8)


def test_ancestral_sampling_visits_every_timestep_once():
    model = ModelThatCopies()
    model.config = dataclasses.replace(
        PAPER,
        voxel_size_mm=4.0,
        diffusion=dataclasses.replace(PAPER.diffusion, timesteps=6, sampling_timesteps=(6,)),
    )
    model.schedule = NoiseSchedule(6)
    result = run(a_patient((32, 32, 32)), model, tile=64)
    assert [t for t, _ in model.seen] == [6, 5, 4, 3, 2, 1]
    assert result.details["steps"] == 6


def test_arms_and_injection_sites_belong_to_the_body_and_speckle_does_not():
    shape, spacing = (60, 60, 100), (4.0, 4.0, 4.0)
    z, y, x = np.meshgrid(*(4.0 * (np.arange(n) - (n - 1) / 2) for n in shape), indexing="ij")
    rng = np.random.default_rng(3)
    trunk = (x / 90) ** 2 + (y / 70) ** 2 < 1
    arm = (x - 150) ** 2 + y**2 < 30**2
    site = (np.abs(x + 150) < 6) & (np.abs(y) < 6) & (np.abs(z - 60) < 6)
    suv = np.abs(rng.normal(0, 0.05, shape))
    suv[trunk | arm] = rng.gamma(2.0, 0.3, int((trunk | arm).sum()))
    suv[site] = 300.0
    mask = body_mask(suv.astype(np.float32), spacing)
    assert mask[trunk | arm].all()
    assert mask[site].all()
    far = (
        ((x / 130) ** 2 + (y / 110) ** 2 > 1)
        & ((x - 150) ** 2 + y**2 > 70**2)
        & ((x + 150) ** 2 + y**2 > 60**2)
    )
    assert not mask[far].any()


def test_a_volume_without_a_patient_is_refused():
    faint = np.full((20, 20, 20), 0.01, np.float32)
    with pytest.raises(BadInput, match="No patient was found"):
        body_mask(faint, (4.0, 4.0, 4.0))


def test_counts_are_brought_back_region_by_region_and_within_limits():
    rng = np.random.default_rng(4)
    shape = (60, 40, 40)
    truth = np.full(shape, 2.0, np.float32)
    low_count = truth + rng.normal(0, 0.5, shape).astype(np.float32)
    body = np.ones(shape, dtype=bool)
    body[:, :4] = False
    denoised = truth * np.linspace(0.85, 1.1, 60, dtype=np.float32)[:, None, None]
    conserved = conserve_counts(denoised, low_count, body, (4.0, 4.0, 4.0))
    assert np.abs(conserved[:, 4:].mean(axis=(1, 2)) - 2.0)[5:-5].max() < 0.02
    assert np.array_equal(conserved[:, :4], denoised[:, :4])
    far_off = conserve_counts(truth * 0.1, low_count, body, (4.0, 4.0, 4.0))
    assert far_off[30, 20, 20] == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((8, 6), ["sm_80", "sm_90"], True),
        ((6, 1), ["sm_75", "sm_80", "sm_90"], False),
        ((12, 0), ["sm_80", "sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((9, 0), ["sm_90a"], True),
        ((10, 0), ["sm_100", "sm_120"], True),
        ((7, 5), ["sm_80", "compute_80"], False),
    ],
)
def test_a_gpu_is_matched_with_what_torch_was_built_for(capability, built_for, runs):
    assert runs_on(capability, built_for) is runs
