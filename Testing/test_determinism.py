"""The same input, model, seed, device, tile and threads: the same bytes; else differences that are stated."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from fault_bench import fingerprint
from job_processes import ON_ONE_CORE, run_command
from small_cases import a_patient, a_tiny_model, saved_tiny_model, written_patient

from AMDiffLib.inference.pipeline import denoise_and_segment
from AMDiffLib.inference.tiling import Tiling
from AMDiffLib.progress import SilentReporter


def denoised(**changes) -> np.ndarray:
    options = {"steps": None, "seed": 0, "device": "cpu", "tile": 32, "reporter": SilentReporter()} | changes
    return denoise_and_segment(
        a_patient((40, 36, 44)), a_tiny_model().to(options["device"]), **options
    ).denoised


def test_two_processes_write_the_same_voxels_segments_and_measurements(tmp_path):
    """With two steps, so that noise is drawn again in between, and several overlapping tiles."""
    scan = written_patient(tmp_path / "scan.nrrd", a_patient((24, 36, 44)))
    model = saved_tiny_model(tmp_path / "tiny", uncertainty=True)
    options = ["--units", "SUVbw", "--model", model, "--tile", 32, *ON_ONE_CORE]
    for name in ("first", "second"):
        end = run_command(scan, *options, "--output-dir", tmp_path / name)
        assert end.code == 0, end.log
    first = fingerprint(tmp_path / "first")
    assert set(first) >= {"denoised.nrrd", "uncertainty.nrrd", "segmentation.seg.nrrd", "measurements.json"}
    assert fingerprint(tmp_path / "second") == first
    run = json.loads((tmp_path / "first" / "report.json").read_text(encoding="utf-8"))["run"]
    assert (run["threads"], run["seed"], run["tiles"] > 1) == (1, 0, True)
    assert set(run["tile_voxels"].values()) == {32}
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "first" / "denoised.nrrd")))
    assert image.std() > 0.1


def test_the_order_of_the_tiles_changes_nothing_but_the_last_digits_of_sums(monkeypatch):
    """Noise is seeded by position: tiles in another order get the same."""
    expected = denoised()
    forward = Tiling.over.__func__

    def backward(cls, body, **options):
        tiling = forward(cls, body, **options)
        assert len(tiling.starts) > 1
        return cls(shape=tiling.shape, tile_shape=tiling.tile_shape, starts=tiling.starts[::-1])

    monkeypatch.setattr(Tiling, "over", classmethod(backward))
    found = denoised()
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)


def test_another_number_of_threads_changes_the_last_digits_only(monkeypatch):
    """In float32; in bfloat16 a model of random weights makes whole digits of its roundings."""
    monkeypatch.setattr("AMDiffLib.inference.tiled_model.precision_of", lambda device: torch.float32)
    before = torch.get_num_threads()
    found = {}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found[threads] = denoised()
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-2, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_gpu_gives_the_same_again_and_what_a_processor_gives_within_two_percent():
    """The GPU computes in bfloat16, of 8 bits: 0.4 % a rounding; single voxels may differ by more."""
    first, second, processor = denoised(device="cuda"), denoised(device="cuda"), denoised()
    np.testing.assert_array_equal(first, second)
    inside = processor > 0.1
    assert np.median(np.abs(first - processor)[inside] / processor[inside]) < 0.02
    assert abs(first[inside].mean() / processor[inside].mean() - 1) < 0.01
