"""The selective scan of Mamba-1: h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t,  y_t = C_t h_t.

One function, four ways to compute it: the kernel of `mamba_ssm` or ours in Triton on NVIDIA GPUs, our kernels
compiled by `numba` on CPUs, and plain PyTorch, which needs none of them and serves wherever they are missing.
"""

from __future__ import annotations

import functools
import warnings
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from AMDiffLib.networks.chunked_scan import ChunkedScan

BACKENDS = ("mamba_ssm", "triton", "numba", "torch")

# State elements (batch x L x channels x N) from which on the compiled kernels are used. Below, plain PyTorch
# takes a few milliseconds, not worth loading numba (0.3 s) and its compiled code.
WORTH_COMPILING = 2**20

# Largest error, of the largest value, that the trial of the Triton kernels allows; they come to 1e-6.
TRIAL_TOLERANCE = 1e-4


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor,
    delta_bias: Tensor,
    *,
    backend: str | None = None,
) -> Tensor:
    """Return (scan(u, softplus(delta + delta_bias)) + D u) silu(z), shaped and typed as `u`.

    u, delta, z: (batch, L, channels); A: (channels, N), negative; B, C: (batch, L, N); D, delta_bias:
    (channels,). `backend`: one of BACKENDS, None for what `backend_for` says; ImportError where it is not
    installed.
    The recurrence runs in float32 whatever the inputs' type (in float64 for float64).
    """
    backend = backend or backend_for(u, states=A.shape[1])
    if backend == "mamba_ssm":
        return _scan_on_cuda(u, delta, A, B, C, D, z, delta_bias)
    if backend == "triton":
        contiguous = (x.contiguous() for x in (u, delta, A.t(), B, C, D, z, delta_bias))
        return _triton_scan().TritonScan.apply(torch.is_grad_enabled(), *contiguous)
    exact = torch.float64 if u.dtype == torch.float64 else torch.float32
    with torch.autocast(device_type=u.device.type, enabled=False):
        u, dtype = u.to(exact), u.dtype
        delta, A, B, C, D, z, delta_bias = (x.to(exact) for x in (delta, A, B, C, D, z, delta_bias))
        if backend == "numba":
            contiguous = (x.contiguous() for x in (u, delta, A.t(), B, C, D, z, delta_bias))
            return _compiled_scan().CompiledScan.apply(torch.is_grad_enabled(), *contiguous).to(dtype)
        y = ChunkedScan.apply(u, functional.softplus(delta + delta_bias), A, B, C)
        return ((y + D * u) * functional.silu(z)).to(dtype)


def backend_for(u: Tensor, *, states: int) -> str:
    """Return the fastest of BACKENDS that is installed and takes `u` (batch, L, channels)."""
    # mamba_ssm has no double precision.
    if u.is_cuda and u.dtype != torch.float64 and _cuda_scan() is not None:
        return "mamba_ssm"
    if u.is_cuda and triton_usable(u.device, gradients=torch.is_grad_enabled()):
        return "triton"
    if u.device.type == "cpu" and u.numel() * states >= WORTH_COMPILING and numba_installed():
        return "numba"
    return "torch"


@functools.cache
def numba_installed() -> bool:
    """Whether numba imports."""
    try:
        import numba  # noqa: F401
    except (ImportError, OSError):  # its compiler's library does not fit into little memory
        return False
    return True


@functools.cache
def triton_usable(device: torch.device, *, gradients: bool) -> bool:
    """Whether Triton imports and its kernels, tried on `device`, give what plain PyTorch gives.

    Warns where Triton is installed but they do not: without a C compiler, say, or on a GPU too old for it.
    """
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    try:
        error = _trial_error(device, gradients=gradients)
    except Exception as failure:  # Triton, its compilers and CUDA raise many kinds
        reason = f"{type(failure).__name__}: {failure}"
    else:
        if error < TRIAL_TOLERANCE:
            return True
        reason = f"their result is off by {error:.1e} of the largest value"
    warnings.warn(
        f"The Triton kernels of the selective scan cannot be used on {device} ({reason}); plain PyTorch is "
        "used instead, which gives the same but takes longer.",
        RuntimeWarning,
        stacklevel=2,
    )
    return False


def _trial_error(device: torch.device, *, gradients: bool) -> float:
    """Return the largest error of a small scan by Triton, of its largest value, and of its gradients."""
    generator = torch.Generator().manual_seed(0)
    batch, length, channels, states = 1, 40, 40, 16  # two chunks, two blocks of channels
    sequence, by_state, by_channel = (batch, length, channels), (batch, length, states), (channels,)
    shapes = (sequence, sequence, (channels, states), by_state, by_state, by_channel, sequence, by_channel)
    # A scan that gradients are not asked of may run in inference mode, of which these must be free.
    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        values = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
        values[2] = -values[2].exp()
        results = []
        for backend in ("triton", "torch"):
            arguments = [x.clone().requires_grad_(gradients) for x in values]
            y = selective_scan(*arguments, backend=backend)
            of_arguments = torch.autograd.grad(y, arguments, values[0]) if gradients else ()
            results.append((y.detach(), *of_arguments))
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*results, strict=True))


def _triton_scan() -> ModuleType:
    from AMDiffLib.networks import triton_scan

    return triton_scan


def _compiled_scan() -> ModuleType:
    from AMDiffLib.networks import compiled_scan

    return compiled_scan


@functools.cache
def _cuda_scan():
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    return selective_scan_fn


def _scan_on_cuda(u, delta, A, B, C, D, z, delta_bias) -> Tensor:
    # mamba_ssm wants (batch, channels, L) and keeps A, D and the bias in float32.
    def channels_first(sequence: Tensor) -> Tensor:
        return sequence.transpose(1, 2).contiguous()

    y = _cuda_scan()(
        channels_first(u),
        channels_first(delta.to(u.dtype)),
        A.float(),
        channels_first(B.to(u.dtype)),
        channels_first(C.to(u.dtype)),
        D=D.float(),
        z=channels_first(z.to(u.dtype)),
        delta_bias=delta_bias.float(),
        delta_softplus=True,
    )
    return y.transpose(1, 2)
