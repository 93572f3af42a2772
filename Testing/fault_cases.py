"""The faults, one function a kind: each puts it into a real job and returns the verdict."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

from fault_bench import Bench, Verdict, fingerprint, small_disk
from job_processes import StartedJob

_YEARS = 365.25 * 86400.0

# Where a job is in each of its stages, as `fault_hooks` names points.
STAGES: dict[str, dict] = {
    "loading packages": {"at": "import torch"},
    "reading the scan": {"at": "AMDiffLib.image.reading:read_pet"},
    "loading the model": {"at": "AMDiffLib.inference.study:load_model"},
    "finding the patient": {"at": "AMDiffLib.inference.grid:ModelGrid.cropped_body"},
    "denoising": {"at": "AMDiffLib.networks.amdiff:AMDiff.predict_x0"},
    "restoring detail": {"at": "AMDiffLib.networks.amdiff:AMDiff.revise"},
    "estimating the uncertainty": {"at": "AMDiffLib.networks.amdiff:AMDiff.uncertainty_sd"},
    "segmenting": {"at": "AMDiffLib.networks.amdiff:AMDiff.segment"},
    "going back to the scan's grid": {"at": "AMDiffLib.inference.grid:ModelGrid.suv_on_input_grid"},
    "writing the images": {"at": "AMDiffLib.inference.result_files:write_segmentation"},
    "measuring": {"at": "AMDiffLib.inference.result_files:measure_anatomy"},
    "drawing the overview": {"at": "AMDiffLib.inference.result_files:write_overview"},
    "writing the report": {"at": "AMDiffLib.inference.result_files:write_report"},
    "renaming into place": {"at": "AMDiffLib.inference.output_folder:_rename_whole"},
    "renamed, not yet said": {"at": "AMDiffLib.inference.output_folder:_rename_whole", "after": True},
    "moving older results aside": {"at": "pathlib:Path.replace", "call": 3},
    "putting new ones in their place": {"at": "pathlib:Path.replace", "call": 11},
}
_GPU_FULL = {"at": "AMDiffLib.inference.pipeline:denoise_and_segment", "do": "memory"}
_TOO_LATE_TO_STOP = tuple(STAGES)[13:]
_REPLACING = tuple(STAGES)[15:]


def _kill(job: StartedJob) -> None:
    job.send(signal.SIGKILL)


def _terminate(job: StartedJob) -> None:
    job.send(signal.SIGTERM)
    job.send(signal.SIGCONT)


def _close_stdin(job: StartedJob) -> None:
    job.close_stdin()
    job.send(signal.SIGCONT)


ENDS: dict[str, Callable[[StartedJob], None]] = {
    "SIGKILL": _kill,
    "SIGTERM": _terminate,
    "stdin closed": _close_stdin,
}


def ended_in_stage(bench: Bench, stage: str, end: str) -> Verdict:
    """The job is stopped at a point of the stage, ended in this way, and goes on if it can."""
    older = stage in _REPLACING
    folder = bench.new_folder(older=older)
    options = ["--overwrite"] if older else []
    fault = {**STAGES[stage], "do": "stop"}
    if stage == "loading packages":
        arguments = bench.arguments(folder, *options)
        job = StartedJob.cold(bench.folder / "prints" / f"cold {end}", *arguments, fault=fault)
    else:
        job = bench.start(folder, *options, fault=fault)
    job.wait_until_stopped()
    ENDS[end](job)
    kinds, left = (("killed",) if end == "SIGKILL" else ("cancelled",)), "nothing"
    if stage in _TOO_LATE_TO_STOP:
        kinds = kinds if end == "SIGKILL" else ("done",)
        left = "nothing" if stage == "renaming into place" else "whole"
    return bench.judge(f"{end} while {stage}", folder, [(job, job.finish())], kinds=kinds, left=left)


def disk_full(bench: Bench, file: str) -> Verdict:
    """The disk is full in the middle of writing this file of the result."""
    before = 0
    for path in sorted(bench.older.iterdir(), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        if path.name == file:
            break
        before += -(-path.stat().st_size // 4096) * 4 if path.name != "notes.txt" else 0
    # All blocks of 4 kB but the last one of the file: the hardest to notice.
    room = max(4, before + -(-path.stat().st_size // 4096) * 4 - 4)
    folder = bench.new_folder()
    with small_disk(folder, kilobytes=room) as disk:
        if disk is None:
            return _not_possible(f"disk full while writing {file}", "mount a small disk")
        job = bench.start(disk)
        end = job.finish()
        return bench.judge(
            f"disk full while writing {file}", disk, [(job, end)], kinds=["cannot_write"], left="nothing"
        )


def file_limit(bench: Bench, kilobytes: int) -> Verdict:
    """No file may grow beyond this size (RLIMIT_FSIZE)."""
    folder = bench.new_folder()
    job = bench.start(folder, file_kb=kilobytes)
    end = job.finish()
    return bench.judge(
        f"files limited to {kilobytes} kB", folder, [(job, end)], kinds=["cannot_write"], left="nothing"
    )


def read_only(bench: Bench) -> Verdict:
    """The folder that is to hold the results cannot be written."""
    fault = "read-only output folder"
    folder = bench.new_folder()
    with small_disk(folder, kilobytes=4096) as disk:
        if disk is not None:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        elif os.geteuid() != 0:
            disk = folder
            disk.chmod(0o555)
        else:
            return _not_possible(fault, "mount a disk")
        job = bench.start(disk)
        end = job.finish()
        return bench.judge(fault, disk, [(job, end)], kinds=["cannot_write"], left="nothing")


def mount_point(bench: Bench) -> Verdict:
    """The output folder is a mount point, as in a container: it can be filled, and not renamed."""
    folder = bench.new_folder()
    with small_disk(folder, kilobytes=8192) as disk:
        if disk is None:
            return _not_possible("output folder is a mount point", "mount a disk")
        job = bench.start(folder, "--output-dir", disk)
        ends = [(job, job.finish())]
        return bench.judge("output folder is a mount point", folder, ends, kinds=["done"], out=disk)


def memory_limit(bench: Bench, megabytes: int) -> Verdict:
    """The address space may grow by so much only (RLIMIT_AS)."""
    folder = bench.new_folder()
    job = bench.start(folder, memory_mb=megabytes)
    end = job.finish()
    return bench.judge(
        f"memory limited to {megabytes} MB more than the packages take",
        folder,
        [(job, end)],
        # Compiled code does not always look whether it got the memory that it asked for.
        kinds=["out_of_memory", "crashed", "done"],
        left="nothing",
    )


def gpu_full(bench: Bench) -> Verdict:
    """Every layer of the networks finds the GPU full: torch.OutOfMemoryError."""
    folder = bench.new_folder()
    job = bench.start(folder, fault={**_GPU_FULL, "argument": 0})
    ends = [(job, job.finish())]
    return bench.judge("GPU out of memory", folder, ends, kinds=["out_of_memory"], left="nothing")


def gpu_full_for_large_tiles(bench: Bench) -> Verdict:
    """Layers find the GPU full when a tile is larger than 32 voxels."""
    folder, beside = bench.new_folder(), bench.new_folder()
    job = bench.start(folder, "--tile", 48, scan=bench.large_scan, fault={**_GPU_FULL, "argument": 32**3})
    small = bench.start(beside, "--tile", 32, scan=bench.large_scan)
    ends = [(job, job.finish())]
    small.finish()
    name = "GPU out of memory with large tiles"
    return bench.judge(name, folder, ends, kinds=["done"], whole=fingerprint(beside / "out"))


def clock_jump(bench: Bench, years: int) -> Verdict:
    """The clock jumps in the middle of the job."""
    folder = bench.new_folder()
    fault = {**STAGES["denoising"], "do": "clock", "argument": years * _YEARS}
    job = bench.start(folder, fault=fault)
    return bench.judge(f"clock jumps by {years:+d} years", folder, [(job, job.finish())], kinds=["done"])


def two_jobs(bench: Bench) -> Verdict:
    """Two jobs have finished for one output folder, and both put their results there at the same moment."""
    folder = bench.new_folder()
    fault = {**STAGES["renaming into place"], "do": "stop"}
    jobs = [bench.start(folder, fault=fault) for _ in range(2)]
    for job in jobs:
        job.wait_until_stopped()
    for job in jobs:
        job.send(signal.SIGCONT)
    ends = [(job, job.finish()) for job in jobs]
    # The later one must have been refused, and not have done the same again.
    kinds = ["done", "bad_input"] if sorted(end.code for _, end in ends) == [0, 2] else []
    return bench.judge("two jobs at once", folder, ends, kinds=kinds)


def two_jobs_that_replace(bench: Bench) -> Verdict:
    """Two jobs replace older results: one has begun to move files when the other wants to."""
    folder = bench.new_folder(older=True)
    fault = {**STAGES["moving older results aside"], "do": "stop"}
    first = bench.start(folder, "--overwrite", "--seed", 2, fault=fault)
    first.wait_until_stopped()
    second = bench.start(folder, "--overwrite", fault={"at": "pathlib:Path.rmdir", "do": "stop"})
    second.wait_until_stopped()  # it has seen the first one, and gives its lock back
    second.send(signal.SIGCONT)
    first.send(signal.SIGCONT)
    ends = [(first, first.finish()), (second, second.finish())]
    return bench.judge("two jobs at once, replacing older results", folder, ends, kinds=["done"])


def nobody_listens(bench: Bench) -> Verdict:
    """What the job prints cannot be written: its log is on a full disk."""
    folder = bench.new_folder()
    job = bench.start(folder, stdout="/dev/full")
    end = job.finish()
    return bench.judge("log on a full disk", folder, [(job, end)], kinds=["exit code 7"], left="nothing")


def damaged_model(bench: Bench, damage: str) -> Verdict:
    """The model's folder is damaged."""
    folder = bench.new_folder()
    model = folder / "model"
    shutil.copytree(bench.model, model)
    weights, config = model / "model.safetensors", model / "config.json"
    content = bytearray(weights.read_bytes())
    if damage == "weights truncated":
        weights.write_bytes(content[: len(content) // 2])
    elif damage == "one bit of the weights flipped":
        content[len(content) // 2] ^= 16
        weights.write_bytes(content)
    elif damage == "weights missing":
        weights.unlink()
    elif damage == "config.json truncated":
        config.write_bytes(config.read_bytes()[:200])
    else:
        changed = json.loads(config.read_text())
        changed["model"]["voxel_size_mm"] = 5.0
        config.write_text(json.dumps(changed))
    job = bench.start(folder, "--model", model)
    end = job.finish()
    return bench.judge(damage, folder, [(job, end)], kinds=["bad_checkpoint"], left="nothing")


MODEL_DAMAGES = (
    "weights truncated",
    "one bit of the weights flipped",
    "weights missing",
    "config.json truncated",
    "one digit of config.json changed",
)


def all_faults(bench: Bench) -> Iterator[Callable[[], Verdict]]:
    """Every fault of this file."""
    yield partial(two_jobs, bench)
    yield partial(two_jobs_that_replace, bench)
    yield partial(gpu_full, bench)
    yield partial(gpu_full_for_large_tiles, bench)
    for megabytes in (10, 25, 40):
        yield partial(memory_limit, bench, megabytes)
    yield partial(read_only, bench)
    for file in ("denoised.nrrd", "segmentation.seg.nrrd", "measurements.csv", "overview.png", "report.json"):
        yield partial(disk_full, bench, file)
    yield partial(file_limit, bench, 16)
    yield partial(nobody_listens, bench)
    yield partial(mount_point, bench)
    for damage in MODEL_DAMAGES:
        yield partial(damaged_model, bench, damage)
    for years in (-10, 10):
        yield partial(clock_jump, bench, years)
    for stage in STAGES:
        for end in ENDS:
            yield partial(ended_in_stage, bench, stage, end)


def _not_possible(fault: str, what: str) -> Verdict:
    return Verdict(fault=fault, seen=f"not tried: this user may not {what}", remains="", wrong=())
