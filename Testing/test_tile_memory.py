"""The tile is chosen by the memory that is free; where there is enough, it is the one that was asked for."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from job_processes import ON_ONE_CORE, JobServer
from small_cases import a_patient, a_tiny_model, written_patient

from AMDiffLib.inference import tiled_model
from AMDiffLib.inference.memory import free_in_control_groups, free_system_memory
from AMDiffLib.inference.pipeline import denoise_and_segment
from AMDiffLib.inference.tile_memory import tile_bytes
from AMDiffLib.networks.config import COMPACT, PAPER
from AMDiffLib.progress import SilentReporter

MEGABYTE = 2**20
PRECISIONS = (torch.bfloat16, torch.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Forks jobs from one process that has loaded the packages."""
    server = JobServer(tmp_path_factory.mktemp("jobs"))
    yield server
    server.close()


def a_large_patient():
    """Noisy tissue of SUV 1 that fills a ball of 84 voxels across; with its margin, a tile of 96."""
    shape = (96, 96, 96)
    axis = np.arange(96) - 47.5
    inside = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < 42**2
    suv = inside * np.random.default_rng(0).normal(1.0, 0.2, shape).clip(0.0)
    return dataclasses.replace(a_patient(shape), suv=suv.astype(np.float32))


def a_run(tile: int, monkeypatch, free_mb: int | None):
    """The tiny model on a small patient, with so much memory free."""
    free = None if free_mb is None else free_mb * MEGABYTE
    monkeypatch.setattr(tiled_model, "free_memory", lambda device: free)
    reporter = SilentReporter()
    volume = a_patient((48, 36, 44))
    result = denoise_and_segment(
        volume, a_tiny_model(), steps=None, seed=0, device="cpu", tile=tile, reporter=reporter
    )
    return result, reporter.warnings


def test_a_job_with_little_memory_takes_smaller_tiles_before_it_runs_out(server, tmp_path):
    scan = written_patient(tmp_path / "scan.nrrd", a_large_patient())
    end = server.run(scan, "--units", "SUVbw", "--output-dir", tmp_path / "out", *ON_ONE_CORE, memory_mb=650)
    assert end.code == 0, end.log
    warnings = [line["text"] for line in end.lines if line["type"] == "warning"]
    assert not any("ran out" in text for text in warnings)
    assert any("MB of memory are free: tiles of" in text for text in warnings)
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["run"]["tile_voxels"]["segment"] < 96
    assert report["run"]["tile_voxels"]["revise"] == 96


def test_with_enough_memory_the_tile_is_the_one_that_was_asked_for(monkeypatch):
    plenty, warnings = a_run(48, monkeypatch, 64_000)
    assert set(plenty.details["tile_voxels"].values()) == {48}
    assert warnings == []
    unknown, _ = a_run(48, monkeypatch, None)
    assert np.array_equal(unknown.denoised, plenty.denoised)


def test_the_smallest_tile_is_tried_however_little_is_free(monkeypatch):
    scarce, warnings = a_run(48, monkeypatch, 1)
    assert set(scarce.details["tile_voxels"].values()) == {32}
    assert len(warnings) == 1
    asked_for, _ = a_run(32, monkeypatch, 64_000)
    assert np.array_equal(scarce.denoised, asked_for.denoised)
    assert np.array_equal(scarce.organs, asked_for.organs)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("stage", ["denoise", "revise", "uncertainty", "segment"])
def test_a_gigabyte_holds_the_default_tile_of_the_shipped_networks(stage, precision):
    assert tile_bytes(stage, COMPACT, precision, 96**3) < 0.8 * 2**30


@pytest.mark.parametrize(
    ("config", "stage", "precision", "side", "megabytes"),
    [
        (COMPACT, "denoise", torch.bfloat16, 112, 389),
        (COMPACT, "denoise", torch.float32, 112, 436),
        (COMPACT, "revise", torch.bfloat16, 112, 111),
        (COMPACT, "revise", torch.float32, 96, 267),
        (COMPACT, "uncertainty", torch.float32, 96, 267),
        (COMPACT, "segment", torch.bfloat16, 112, 618),
        (COMPACT, "segment", torch.float32, 112, 704),
        (PAPER, "denoise", torch.bfloat16, 64, 376),
        (PAPER, "segment", torch.bfloat16, 64, 216),
    ],
)
def test_the_estimate_is_above_what_was_measured_and_of_its_size(config, stage, precision, side, megabytes):
    """Growth of the address space, by benchmarks/tile_memory.py on one core of a Xeon with AMX."""
    assert megabytes < tile_bytes(stage, config, precision, side**3) / MEGABYTE < 2.5 * megabytes


def test_nothing_is_estimated_for_networks_that_were_not_measured():
    other = dataclasses.replace(COMPACT, segmenter=dataclasses.replace(COMPACT.segmenter, kind="swin_unetr"))
    assert tile_bytes("segment", other, torch.float32, 96**3) is None


def test_the_least_of_all_limits_of_a_job_counts(tmp_path):
    """Version 2 of the control groups: a step of 8 GB in a job of 4 GB."""
    job = tmp_path / "cgroup" / "slurm" / "job_7"
    (job / "step_0").mkdir(parents=True)
    for folder, most in ((job / "step_0", "8589934592"), (job, "4294967296"), (job.parent, "max")):
        (folder / "memory.max").write_text(most + "\n")
        (folder / "memory.current").write_text("1073741824\n")
        (folder / "memory.stat").write_text("anon 1000\ninactive_file 104857600\nactive_file 7\n")
    own = tmp_path / "own"
    own.write_text("0::/slurm/job_7/step_0\n")
    assert free_in_control_groups(own, tmp_path / "cgroup") == (4096 - 1024 + 100) * MEGABYTE


def test_a_container_sees_its_limit_at_the_root(tmp_path):
    """Version 1, where the path is the host's and the mount the container's own group."""
    root = tmp_path / "cgroup" / "memory"
    root.mkdir(parents=True)
    (root / "memory.limit_in_bytes").write_text("2147483648\n")
    (root / "memory.usage_in_bytes").write_text("536870912\n")
    (root / "memory.stat").write_text("cache 5\ntotal_inactive_file 0\n")
    own = tmp_path / "own"
    own.write_text("11:cpu,cpuacct:/docker/4f2\n4:memory:/docker/4f2\n")
    assert free_in_control_groups(own, tmp_path / "cgroup") == 1536 * MEGABYTE


def test_no_limit_leaves_what_the_computer_has(tmp_path):
    assert free_in_control_groups(tmp_path / "absent", tmp_path) is None
    assert free_system_memory() > 100 * MEGABYTE
