"""A small job to put faults into, and the verdict on what a fault has left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from job_processes import ON_ONE_CORE, Finished, JobServer, StartedJob, processes_of_group
from small_cases import a_patient, saved_tiny_model, written_patient

from AMDiffLib.inference.output_folder import OutputFolder

NAMED = ("bad_input", "out_of_memory", "bad_checkpoint", "cancelled", "cannot_write")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a fault did: what the user sees, what remains, and what is `wrong` about it (nothing: passed)."""

    fault: str
    seen: str
    remains: str
    wrong: tuple[str, ...] = ()


class Bench:
    """A scan, a model and older results, all small; jobs on them, and what is to be expected of these."""

    def __init__(self, folder: Path) -> None:
        """Make them in `folder`, and run the job once without a fault."""
        self.folder = folder
        self._count = 0
        (folder / "prints").mkdir()
        self.server = JobServer(folder / "prints")
        (folder / "input").mkdir()
        self.scan = written_patient(folder / "input" / "scan.nrrd", a_patient((24, 24, 24)))
        self.model = saved_tiny_model(folder / "input" / "tiny", uncertainty=True)
        self.large_scan = written_patient(folder / "input" / "large.nrrd", a_patient((24, 24, 44)))
        self._inputs = self._input_checksums()
        self.older = self._results_of("older", "--seed", 1)
        (self.older / "notes.txt").write_text("of a physician")
        self.whole = fingerprint(self._results_of("whole"))
        self.whole_older = fingerprint(self.older)

    def close(self) -> None:
        """End the process that starts the jobs."""
        self.server.close()

    def new_folder(self, *, older: bool = False) -> Path:
        """A folder for one fault; the job is to write into its "out", which may hold older results."""
        self._count += 1
        folder = self.folder / f"fault {self._count}"
        folder.mkdir()
        if older:
            shutil.copytree(self.older, folder / "out")
        return folder

    def arguments(self, folder: Path, *options: object, scan: Path | None = None) -> list[object]:
        """The command line of a job; a later option replaces an earlier one."""
        job = [scan or self.scan, "--units", "SUVbw", "--model", self.model, "--output-dir", folder / "out"]
        return [*job, *ON_ONE_CORE, "--stop-when-stdin-closes", "--steps", 1, "--tile", 32, *options]

    def start(self, folder: Path, *options: object, scan: Path | None = None, **request) -> StartedJob:
        """Start a job; `request` as the job server takes it."""
        return self.server.start(*self.arguments(folder, *options, scan=scan), **request)

    def _results_of(self, name: str, *options: object) -> Path:
        (self.folder / name).mkdir()
        end = self.start(self.folder / name, *options).finish()
        assert end.code == 0, end
        return self.folder / name / "out"

    def _input_checksums(self) -> dict[str, str]:
        files = sorted(path for path in (self.folder / "input").rglob("*") if path.is_file())
        return {str(path): _checksum(path) for path in files}

    def judge(
        self,
        fault: str,
        folder: Path,
        ends: Sequence[tuple[StartedJob, Finished]],
        *,
        kinds: Sequence[str],
        left: str = "",
        out: Path | None = None,
        whole: dict[str, str] | None = None,
    ) -> Verdict:
        """Say what jobs on `folder` have left, and what is wrong about it.

        Args:
            kinds: how they may end: kinds of named errors, "done", "killed", "crashed".
            left: what must be in the output folder then: "nothing", "older", "whole", or any of them where
                empty; "whole" where one of the jobs says that it is done.
            out: the output folder, by default "out" in `folder`.
            whole: the fingerprint of whole results, where they are not those of the usual job.
        """
        out, whole = out or folder / "out", whole or self.whole
        wrong = [f"process {pid} is left" for job, _ in ends for pid in processes_of_group(job.process_id)]
        if self._input_checksums() != self._inputs:
            wrong.append("the input or the model has changed")
        seen = [_seen(end) for _, end in ends]
        for kind, text in seen:
            if kind not in kinds:
                wrong.append(f"it ended as {kind}, not as {' or '.join(kinds)}")
            if len(text) < 30 and kind in NAMED:
                wrong.append(f"the reason is not named: '{text}'")
        hidden = _hidden(folder)
        found = self.content(out, whole)
        remains = found if not hidden else f"{found}; a hidden folder until the next run"
        if hidden and not any(kind in ("killed", "crashed") for kind, _ in seen):
            wrong.append("a temporary folder is left, and the job was not killed")
        if found == "parts" and (out / "report.json").exists():
            wrong.append("parts of a result have the report of a whole one")
        if hidden:
            _begin_the_next_run(out)
            found = self.content(out, whole)
            if _hidden(folder):
                wrong.append("the next run has not cleared up")
            remains += f", then {found}"
        elif found == "parts":
            wrong.append("parts of a result are left")
        if any(kind == "done" for kind, _ in seen):
            left = "whole"
        if left and found != left:
            wrong.append(f"there is {found} in the output folder; {left} was expected")
        shown = " / ".join(dict.fromkeys(text for _, text in seen))
        return Verdict(fault=fault, seen=shown, remains=remains, wrong=tuple(wrong))

    def content(self, out: Path, whole: dict[str, str]) -> str:
        """What is in an output folder: nothing, whole or older results, or parts."""
        if not out.exists() or not any(out.iterdir()):
            return "nothing"
        found = fingerprint(out)
        return "whole" if found == whole else "older" if found == self.whole_older else "parts"


def fingerprint(out: Path) -> dict[str, str]:
    """Checksums of a result's files; the report, which holds times, counts by the files that it names.

    Empty where there is no report, or one of its files is missing: no result.
    """
    try:
        names = json.loads((out / "report.json").read_text(encoding="utf-8"))["files"]
        return {name: "" if name == "report.json" else _checksum(out / name) for name in sorted(names)}
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def small_disk(folder: Path, *, kilobytes: int) -> Iterator[Path | None]:
    """A file system of that size in memory; None where this user may not mount one."""
    disk = folder / "disk"
    disk.mkdir()
    options = ["-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", *options], capture_output=True, check=False)
    except FileNotFoundError:
        yield None
        return
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".amdiff-*")]


def _begin_the_next_run(out: Path) -> None:
    output = OutputFolder(out, overwrite=True)
    output.prepare()
    output.discard()


def _seen(end: Finished) -> tuple[str, str]:
    """How a job ended: its kind, and what its user reads."""
    if end.code == -signal.SIGKILL:
        return "killed", "(the process is gone)"
    if end.code in (-signal.SIGSEGV, -signal.SIGABRT):
        fatal = [line for line in end.log.splitlines() if line.startswith("Fatal Python error")]
        return "crashed", f"{''.join(fatal)} (compiled code of a package; the log says where)"
    errors = [line for line in end.lines if line["type"] == "error"]
    if errors:
        return errors[-1]["kind"], f"{errors[-1]['kind']}: {errors[-1]['text']}"
    if end.code == 0 and end.lines and end.lines[-1]["type"] == "done":
        texts = [line["text"] for line in end.lines if line["type"] == "warning"]
        return "done", " ".join(["done.", *(text for text in texts if text.startswith("Memory ran out"))])
    last = end.log.strip().splitlines()[-1:] or [""]
    return f"exit code {end.code}", last[0]


def _checksum(path: Path) -> str:
    # pynrrd writes the time into a comment of the header.
    return hashlib.sha256(re.sub(rb"\n# on [^\n]*\n", b"\n", path.read_bytes(), count=1)).hexdigest()
