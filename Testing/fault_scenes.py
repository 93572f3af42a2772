"""Faults of a job that Slicer has started, beside a real MRML scene."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import slicer
from AMDiffModule.job import JobState
from AMDiffModule.node_marks import mark_as_suv
from AMDiffModule.run import Run
from AMDiffModule.scene_import import ImportFailed
from AMDiffModule.worker import WorkerOptions
from fault_bench import Verdict
from fault_cases import STAGES
from job_processes import ENVIRONMENT, REPOSITORY, processes_of_group, state_of, wait_until
from slicer_host import open_host
from small_cases import a_patient, saved_tiny_model, written_patient

# What Slicer is in such a job: a process that has started the worker, and then does other things.
_SLICER = """
import sys, time
sys.path[:0] = [{module!r}]
from pathlib import Path
from AMDiffModule.job import Job
from AMDiffModule.worker import WorkerOptions, library_root, worker_command, worker_environment
options = WorkerOptions(model={model!r}, device="cpu", steps=1, threads=1)
command = worker_command(Path(sys.executable), Path({scan!r}), Path({out!r}), options, ("--units", "SUVbw"))
job = Job(command, environment=worker_environment(library_root()), folder=Path({folder!r}))
print(job.process_id, flush=True)
time.sleep(3600)
"""


class SceneBench:
    """A scene with a PET volume, and a small model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = saved_tiny_model(folder / "tiny", uncertainty=True)
        self.scan = written_patient(folder / "scan.nrrd", a_patient((24, 24, 24)))
        self.host = open_host(folder / "cache")
        self.node = slicer.util.addVolumeFromArray(a_patient((24, 24, 24)).suv, name="PET 10 %")
        self.node.SetSpacing(4.0, 4.0, 4.0)  # of 1 mm it would be an animal, and be refused
        mark_as_suv(self.node)
        (folder / "jobs").mkdir()

    def scene_state(self) -> str:
        """A checksum of all that the scene would save of its nodes, and of the volume's voxels."""
        scene = self.host.scene
        scene.SetSaveToXMLString(1)
        scene.Commit()
        voxels = slicer.util.arrayFromVolume(self.node).tobytes()
        return hashlib.sha256(scene.GetSceneXMLString().encode() + voxels).hexdigest()


def ended_in_slicer(bench: SceneBench, stage: str, end: str) -> Verdict:
    """The job of the panel's Run is ended in a stage: from outside, or by Cancel."""
    before = bench.scene_state()
    with _fault(stage):
        options = WorkerOptions(model=str(bench.model), device="cpu", steps=1, threads=1)
        run = Run(bench.node, options=options, temporary_folder=bench.folder / "jobs")
    process = run.job.process_id
    said = []
    assert wait_until(lambda: said.extend(run.poll()) or run.outcome or state_of(process) == "T")
    assert run.outcome is None, (run.outcome, said)
    if end == "Cancel":
        run.cancel()
    else:
        os.kill(process, signal.Signals[end])
    os.kill(process, signal.SIGCONT)
    list(run.job.wait(timeout_s=300))
    wrong = []
    if run.state not in (JobState.CANCELLED, JobState.FAILED):
        wrong.append(f"the job ended as {run.state.value}")
    try:
        run.import_results(bench.host.scene)
        wrong.append("results of an ended job were loaded")
    except ImportFailed:
        pass
    if run.state is JobState.FAILED and len(run.outcome.text) < 30:
        wrong.append(f"the reason is not named: '{run.outcome.text}'")
    run.close()
    if bench.scene_state() != before:
        wrong.append("the scene has changed")
    wrong += _left(process, bench.folder / "jobs")
    seen = f"{run.state.value}. {run.outcome.text}" if run.outcome.text else f"{run.state.value}."
    return Verdict(
        fault=f"{end} while {stage}, in Slicer", seen=seen, remains="the scene as it was", wrong=tuple(wrong)
    )


def slicer_gone(bench: SceneBench, stage: str) -> Verdict:
    """The program that started the job is ended by SIGKILL while the job is in this stage."""
    folder = bench.folder / "jobs" / stage
    folder.mkdir()
    program = _SLICER.format(
        module=str(REPOSITORY / "AMDiff"),
        model=str(bench.model),
        scan=str(bench.scan),
        out=str(folder / "out"),
        folder=str(folder),
    )
    with (
        _fault(stage),
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, **os.environ},
        ) as parent,
    ):
        process = int(parent.stdout.readline())
        assert wait_until(lambda: state_of(process) == "T")
        parent.kill()
        parent.wait()
        os.kill(process, signal.SIGCONT)
    gone = wait_until(lambda: state_of(process) in ("", "Z"), 120)
    wrong = [] if gone else ["the job goes on without Slicer"]
    wrong += _left(process, folder)
    folder.rmdir()
    return Verdict(
        fault=f"Slicer gone (SIGKILL) while {stage}",
        seen="(Slicer is gone)",
        remains="nothing",
        wrong=tuple(wrong),
    )


def scene_faults(bench: SceneBench) -> Iterator[Callable[[], Verdict]]:
    """Every fault of this file."""
    for stage in ("loading packages", "denoising", "measuring"):
        for end in ("SIGKILL", "SIGTERM", "Cancel"):
            yield partial(ended_in_slicer, bench, stage, end)
        yield partial(slicer_gone, bench, stage)


def _fault(stage: str):
    folders = [str(REPOSITORY / "Testing" / "fault_hooks"), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, folders))
    fault = json.dumps({**STAGES[stage], "do": "stop"})
    return mock.patch.dict(os.environ, {"PYTHONPATH": path, "AMDIFF_FAULT": fault, "OMP_NUM_THREADS": "1"})


def _left(process: int, folder: Path) -> list[str]:
    """What should not be there any more."""
    wrong = [f"process {pid} is left" for pid in processes_of_group(process)]
    return wrong + [f"{path.name} is left" for path in folder.iterdir()]
