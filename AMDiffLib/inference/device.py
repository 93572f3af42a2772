"""Which processor runs the networks, whether this torch can use it, and in which precision."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch

from AMDiffLib.errors import NoKernelImage
from AMDiffLib.progress import Reporter

DEVICES = ("auto", "cpu", "cuda")


def choose_device(wanted: str, reporter: Reporter) -> torch.device:
    """Return the device for `wanted` (auto, cpu or cuda), after a kernel has really run on it.

    auto takes the CPU where there is no usable GPU, with a warning when there is one that cannot be used.
    Raises NoKernelImage where cuda is wanted and not usable.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    try:
        check_cuda()
    except NoKernelImage as error:
        if wanted == "cuda":
            raise
        if torch.cuda.is_available():
            reporter.warning(f"{error} The CPU is used instead: slower, same result.")
        return torch.device("cpu")
    return torch.device("cuda")


def check_cuda(index: int = 0) -> None:
    """Raise NoKernelImage, saying what was found, unless the installed torch can run on GPU `index`."""
    if not torch.cuda.is_available():
        raise NoKernelImage(
            f"torch {torch.__version__} finds no NVIDIA GPU it can use. Choose the CPU, or install the "
            "NVIDIA driver and a torch that was built for CUDA."
        )
    name = torch.cuda.get_device_name(index)
    capability = torch.cuda.get_device_capability(index)
    built_for = torch.cuda.get_arch_list()
    if not runs_on(capability, built_for):
        raise NoKernelImage(
            f"The GPU {name} has compute capability {capability[0]}.{capability[1]}, and torch "
            f"{torch.__version__} was built for {', '.join(built_for)}. Choose the CPU, or install a torch "
            "that was built for this GPU."
        )
    try:
        ones = torch.ones((1, 1, 4, 4, 4), device=f"cuda:{index}")
        torch.nn.functional.conv3d(ones, ones[..., :3, :3, :3]).sum().item()
    except RuntimeError as error:
        raise NoKernelImage(
            f"The GPU {name} did not run a test computation of torch {torch.__version__}: "
            f"{str(error).splitlines()[0]}. Choose the CPU, or install a torch and a driver that fit this "
            "GPU."
        ) from error


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether code built for `built_for` (sm_86, compute_90, ...) runs at a compute `capability` (major,
    minor).

    Machine code (sm) runs on the same major version from its own minor one on; compute (PTX) is translated
    for any later GPU. No list (ROCm, unknown) is left to the test computation.
    """
    if not any(name.startswith(("sm_", "compute_")) for name in built_for):
        return True
    for name in built_for:
        kind, _, digits = name.partition("_")
        digits = digits.rstrip("af")
        if not digits.isdigit():
            continue
        version = (int(digits[:-1]), int(digits[-1]))
        exact = name[-1] == "a"
        if kind == "sm" and version[0] == capability[0] and version[1] <= capability[1]:
            if not exact or version == capability:
                return True
        elif kind == "compute" and version <= capability:
            return True
    return False


def precision_of(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies matrices in it, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return torch.bfloat16 if supported is not None and supported() else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[None]:
    """Let the networks compute in `precision` on `device`; nothing for float32."""
    if precision is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)


def free_memory(device: torch.device) -> int | None:
    """Free bytes of the GPU, or of the computer (Linux and Windows; None elsewhere)."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused  # what torch holds ready is free too
    from AMDiffLib.inference.memory import free_system_memory

    return free_system_memory()
