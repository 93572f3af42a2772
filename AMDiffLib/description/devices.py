"""Which processors the networks could run on here, found out by asking and by running something on them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from AMDiffLib.errors import NoKernelImage
from AMDiffLib.inference.memory import free_system_memory

_SECONDS_FOR_THE_DRIVER = 20


def describe_devices() -> list[dict[str, Any]]:
    """Return the CPU first, then every NVIDIA GPU that torch or its driver finds.

    Each has kind ("cpu", "cuda"), name, memory_mb and free_mb (None if unknown), usable, and problem (why
    not, and what to do; None if usable). The CPU also has threads; a GPU compute_capability, and with torch
    built_for (`torch.cuda.get_arch_list`) and tested (whether a kernel was really run).
    """
    return [_cpu(), *_gpus()]


def _cpu() -> dict[str, Any]:
    import torch

    free = free_system_memory()
    return {
        "kind": "cpu",
        "name": _processor_name(),
        "threads": torch.get_num_threads(),
        "memory_mb": _system_memory_mb(),
        "free_mb": None if free is None else free >> 20,
        "usable": True,
        "problem": None,
    }


def _gpus() -> list[dict[str, Any]]:
    import torch

    from AMDiffLib.inference.device import check_cuda

    if not torch.cuda.is_available():
        return [{**gpu, "usable": False, "problem": _why_not_seen()} for gpu in _seen_by_the_driver()]
    found = []
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        try:
            check_cuda(index)
            problem = None
        except NoKernelImage as error:
            problem = str(error)
        # The first use of a GPU that cannot run anything fails here too.
        try:
            free, total = torch.cuda.mem_get_info(index)
        except RuntimeError:
            free, total = None, torch.cuda.get_device_properties(index).total_memory
        found.append(
            {
                "kind": "cuda",
                "name": torch.cuda.get_device_name(index),
                "memory_mb": total >> 20,
                "free_mb": None if free is None else free >> 20,
                "compute_capability": f"{major}.{minor}",
                "built_for": torch.cuda.get_arch_list(),
                "usable": problem is None,
                "problem": problem,
            }
        )
    return found


def _seen_by_the_driver() -> list[dict[str, Any]]:
    """GPUs that `nvidia-smi`, which comes with the driver, lists; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,memory.total,memory.free,compute_cap"
    try:
        done = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_SECONDS_FOR_THE_DRIVER,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in done.stdout.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4:
            name, total, free, capability = fields
            found.append(
                {
                    "kind": "cuda",
                    "name": name,
                    "memory_mb": int(total) if total.isdigit() else None,
                    "free_mb": int(free) if free.isdigit() else None,
                    "compute_capability": capability,
                }
            )
    return found


def _why_not_seen() -> str:
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"The graphics card is there, but the installed torch ({torch.__version__}) was built for the "
            "CPU only. In Slicer, uninstall torch with the extension 'PyTorch' and let it install the build "
            "for this computer; elsewhere, install a torch that was built for CUDA."
        )
    return (
        f"The graphics card is there, but torch {torch.__version__} (CUDA {torch.version.cuda}) cannot use "
        "it: most often the NVIDIA driver is older than that CUDA needs. Update the driver, or choose the "
        "CPU."
    )


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system_memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, ValueError, OSError):
        return None  # Windows; free_mb is known there
