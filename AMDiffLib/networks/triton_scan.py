"""The selective scan of CUDA tensors by the Triton kernels: their launch, and their place in autograd.

The kernels were run under Triton's interpreter and compiled for NVIDIA GPUs, but never yet run on one. Where
there is one, `pytest Testing/test_triton_scan.py` checks them on it; `selective_scan` uses them only once a
trial on that GPU gave what plain PyTorch gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton.language as tl
from torch import Tensor

from AMDiffLib.networks import triton_kernels

BLOCK_D = 32  # channels of a program: one for each thread of a warp
KEPT = 32  # steps from one kept state to the next
PROGRAMS = 1024  # as many warps keep a large GPU busy; with more, `carry` would only take longer
STATES_OF_A_WARP = 16  # that its registers hold


class TritonScan(torch.autograd.Function):
    """`selective_scan` of contiguous tensors on a GPU, each of its own type, but A is (N, channels).

    `grad_enabled` is whether autograd records where this is called, which `forward` itself cannot tell. If
    so, one state in `KEPT` steps is kept. The backward pass has all states of `KEPT` steps of each program at
    hand, 64 MB with 16 states, however long the sequence.
    """

    @staticmethod
    def forward(ctx, grad_enabled, u, delta, A, B, C, D, z, delta_bias):
        launch = _Launch.of(u, A)
        keep = grad_enabled and any(ctx.needs_input_grad)
        y = torch.empty_like(u)
        carried, totals = launch.nothing_carried(u), launch.empty(u, launch.rows, launch.channels)
        parts = -(-launch.length // KEPT) if keep else 0
        kept = launch.empty(u, launch.batch, parts, launch.states, launch.channels)
        with torch.cuda.device_of(u):
            if launch.chunks > 1:
                launch.steps_of(triton_kernels.chunk_ends, u, delta, A, B, delta_bias, carried, totals)
                launch.carry(carried, totals, A, reverse=False)
            tensors = (u, delta, A, B, C, D, z, delta_bias, carried, y, kept)
            launch.steps_of(triton_kernels.outputs, *tensors, KEEP=keep, KEPT=KEPT)
        if keep:
            ctx.save_for_backward(u, delta, A, B, C, D, z, delta_bias, totals, kept)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):
        *arguments, totals, kept = ctx.saved_tensors
        u, delta, A, B, C, D, z, delta_bias = arguments
        launch = _Launch.of(u, A)
        grad_y = grad_y.contiguous()
        carried = launch.nothing_carried(u)
        scratch = launch.empty(u, launch.programs, KEPT, launch.block_n, BLOCK_D)
        of_u, of_delta, of_z = (torch.empty_like(x) for x in (u, delta, z))
        of_A = torch.empty_like(carried)
        of_B, of_C = (launch.empty(u, launch.blocks, *x.shape) for x in (B, C))
        of_D, of_bias = torch.empty_like(totals), torch.empty_like(totals)
        with torch.cuda.device_of(u):
            if launch.chunks > 1:
                launch.steps_of(triton_kernels.chunk_fronts, delta, A, C, z, delta_bias, grad_y, carried)
                launch.carry(carried, totals, A, reverse=True)
            tensors = (*arguments, grad_y, carried, kept, scratch)
            tensors += (of_u, of_delta, of_A, of_B, of_C, of_D, of_z, of_bias)
            launch.steps_of(triton_kernels.gradients, *tensors, KEPT=KEPT)
        of_A, of_B, of_C, of_D, of_bias = (
            part.sum(0).to(x.dtype)
            for part, x in zip((of_A, of_B, of_C, of_D, of_bias), (A, B, C, D, delta_bias), strict=True)
        )
        return None, of_u, of_delta, of_A, of_B, of_C, of_D, of_z, of_bias


@dataclass(frozen=True)
class _Launch:
    """How one scan is divided among programs: by sequence, chunk and block of channels."""

    batch: int
    length: int
    channels: int
    states: int
    steps: int  # of a chunk
    dtype: torch.dtype  # computed in

    @classmethod
    def of(cls, u: Tensor, A: Tensor) -> _Launch:
        batch, length, channels = u.shape
        in_one_chunk = batch * -(-channels // BLOCK_D)
        parts_of_chunk = -(-length * in_one_chunk // (PROGRAMS * KEPT))
        dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
        return cls(batch, length, channels, A.shape[0], KEPT * parts_of_chunk, dtype)

    @property
    def chunks(self) -> int:
        return -(-self.length // self.steps)

    @property
    def rows(self) -> int:
        return self.batch * self.chunks

    @property
    def blocks(self) -> int:
        return -(-self.channels // BLOCK_D)

    @property
    def programs(self) -> int:
        return self.rows * self.blocks

    @property
    def block_n(self) -> int:
        return 1 << (self.states - 1).bit_length()

    def empty(self, u: Tensor, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=u.device)

    def nothing_carried(self, u: Tensor) -> Tensor:
        return self.empty(u, self.rows, self.states, self.channels).zero_()

    def steps_of(self, kernel, *tensors: Tensor, **constants) -> None:
        """Launch a kernel that goes through the steps of a chunk."""
        sizes = (self.length, self.channels, self.states, self.chunks, self.steps)
        kernel[(self.programs,)](*tensors, *sizes, **constants, **self._options)

    def carry(self, carried: Tensor, totals: Tensor, A: Tensor, *, reverse: bool) -> None:
        """Launch the kernel that goes from chunk to chunk."""
        sizes = (self.channels, self.states, self.chunks)
        grid = (self.batch * self.blocks,)
        triton_kernels.carry[grid](carried, totals, A, *sizes, REVERSE=reverse, **self._options)

    @property
    def _options(self) -> dict:
        return {
            "REAL": tl.float64 if self.dtype == torch.float64 else tl.float32,
            "BLOCK_D": BLOCK_D,
            "BLOCK_N": self.block_n,
            "num_warps": max(1, min(8, self.block_n // STATES_OF_A_WARP)),
            # What the scratch holds must not be read ahead of its writing.
            "num_stages": 1,
        }
