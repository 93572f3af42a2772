"""A process that has loaded the packages, and forks one job at each request on its stdin.

Loading takes most of a short job's time; a forked job is a process of its own in all else. Requests and
answers are lines of JSON: {"run": module, "arguments": [...], ...} starts a job and answers with its process
id, {"wait": id} answers with its exit code when it has ended (negative: the signal).
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from pathlib import Path

PRELOADED = (
    "SimpleITK",
    "torch",
    "monai.networks.nets",
    "slicerio",
    "pydicom",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "AMDiffLib.denoise_segment",
    "AMDiffLib.image.reading",
    "AMDiffLib.inference.device",
    "AMDiffLib.inference.result_files",
    "AMDiffLib.inference.pipeline",
)


def _become_job(request: dict) -> None:
    """Run the command in this forked process; never returns."""
    os.setsid()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(request[name], flags, 0o600), number)
    if "memory_mb" in request:  # beyond what the process has now
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (request["memory_mb"] << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if "file_kb" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_kb"] << 10, request["file_kb"] << 10))
    if "fault" in request:
        from fault_hooks.sitecustomize import install

        install(**request["fault"])
    code = importlib.import_module(request["run"]).main(request["arguments"])
    sys.stdout.flush()
    sys.exit(code)


def serve() -> None:
    """Answer requests until stdin closes."""
    for name in PRELOADED:
        importlib.import_module(name)
    print(json.dumps("ready"), flush=True)
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _become_job(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
