"""The selective scan of CPU tensors by the compiled kernels: their threads, and their place in autograd."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.networks import scan_kernels

# Channels that a kernel takes side by side: with 16 states of each, what it keeps of a chunk fills half a
# megabyte, which a core's cache holds.
WIDEST_BLOCK = 128


class CompiledScan(torch.autograd.Function):
    """`selective_scan` of contiguous float32 or float64 tensors on the CPU, but A is (N, channels).

    `grad_enabled` is whether autograd records where this is called, which `forward` itself cannot tell: the
    weights ask for gradients in inference too.
    """

    @staticmethod
    def forward(ctx, grad_enabled, u, delta, A, B, C, D, z, delta_bias):
        tensors = (u, delta, A, B, C, D, z, delta_bias)
        arrays = _Arrays(*tensors)
        # The states are kept for a backward pass only.
        recorded = grad_enabled and any(ctx.needs_input_grad)
        chunks = -(-arrays.length // scan_kernels.CHUNK) if recorded else 0
        y = torch.empty_like(u)
        starts = u.new_empty(arrays.batch, chunks, *arrays.A.shape)
        y_blocks, kept = arrays.blocks_of(y), starts.numpy()

        def scan(sequence: int, blocks: Iterable[int], _part: int) -> None:
            for k in blocks:
                scan_kernels.forward(*arrays.of(sequence), k, y_blocks[sequence], kept[sequence])

        _in_threads(scan, arrays.batch, arrays.blocks)
        if chunks:
            ctx.save_for_backward(*tensors, starts)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):
        *tensors, starts = ctx.saved_tensors
        arrays = _Arrays(*tensors)
        kept, above = starts.numpy(), arrays.blocks_of(grad_y.contiguous())
        parts = _parts(arrays.batch, arrays.blocks)
        u, _, A, B, C, D, _, delta_bias = tensors
        of_u, of_delta, of_z = torch.empty_like(u), torch.empty_like(u), torch.empty_like(u)
        # Added to by several blocks or sequences: each thread gets its own.
        of_A, of_D, of_bias = (x.new_zeros(arrays.batch, *x.shape) for x in (A, D, delta_bias))
        of_B, of_C = B.new_zeros(parts, *B.shape), C.new_zeros(parts, *C.shape)
        by_channel = [arrays.blocks_of(x) for x in (of_u, of_delta, of_A, of_D, of_z, of_bias)]
        by_state = of_B.numpy(), of_C.numpy()

        def scan(sequence: int, blocks: Iterable[int], part: int) -> None:
            u_, delta_, A_, D_, z_, bias_ = (x[sequence] for x in by_channel)
            B_, C_ = (x[part, sequence] for x in by_state)
            for k in blocks:
                scan_kernels.backward(
                    *arrays.of(sequence),
                    k,
                    kept[sequence],
                    above[sequence],
                    *(u_, delta_, A_, B_, C_, D_, z_, bias_),
                )

        _in_threads(scan, arrays.batch, arrays.blocks)
        return None, of_u, of_delta, of_A.sum(0), of_B.sum(0), of_C.sum(0), of_D.sum(0), of_z, of_bias.sum(0)


class _Arrays:
    """The arguments of a scan as the kernels take them: numpy arrays, the channels cut into equal blocks."""

    def __init__(self, u, delta, A, B, C, D, z, delta_bias) -> None:
        self.batch, self.length, channels = u.shape
        self.width = widest_divisor(channels, WIDEST_BLOCK)
        self.blocks = channels // self.width
        self.A = self.blocks_of(A)
        self._of_channels = self.blocks_of(D), self.blocks_of(delta_bias)
        self._sequences = [self.blocks_of(x) for x in (u, delta, z)]
        self._by_state = B.detach().numpy(), C.detach().numpy()

    def blocks_of(self, x: Tensor) -> np.ndarray:
        return x.detach().view(*x.shape[:-1], self.blocks, self.width).numpy()

    def of(self, sequence: int) -> tuple[np.ndarray, ...]:
        u, delta, z = (x[sequence] for x in self._sequences)
        B, C = (x[sequence] for x in self._by_state)
        D, delta_bias = self._of_channels
        return u, delta, self.A, B, C, D, z, delta_bias


def widest_divisor(channels: int, limit: int) -> int:
    """Return the largest divisor of `channels` that is not above `limit`."""
    return next(width for width in range(min(channels, limit), 0, -1) if channels % width == 0)


def _parts(batch: int, blocks: int) -> int:
    """In how many parts the blocks of each sequence are taken, so that every thread has work."""
    return min(blocks, math.ceil(torch.get_num_threads() / batch))


def _in_threads(scan: Callable[[int, Iterable[int], int], None], batch: int, blocks: int) -> None:
    """Call `scan(sequence, blocks, part)` for all sequences and parts, in as many threads as torch uses."""
    parts = _parts(batch, blocks)
    work = [(b, range(part, blocks, parts), part) for b in range(batch) for part in range(parts)]
    threads = min(torch.get_num_threads(), len(work))
    if threads == 1:
        for one in work:
            scan(*one)
    else:
        list(_pool(threads).map(scan, *zip(*work, strict=True)))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="selective-scan")
