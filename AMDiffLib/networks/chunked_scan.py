"""The selective scan in plain PyTorch, with its own backward pass, for every device.

The sequence is cut into G chunks of Q steps that advance together. (1) Every chunk runs from a zero state to
its end, (2) the end states are carried from chunk to chunk, (3) each runs again from its right initial state
and emits y. That is 2 Q + G small steps instead of L, and the forward pass keeps no tensor of L x D x N; the
backward pass does the same in reverse for the adjoint state.
States are laid out (chunks, N, D), so that the long dimension D is contiguous.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Above this many state elements a step the work is the cost, not the number of steps: one chunk is best.
LARGE_STEP = 32768

# The backward pass keeps the states of so many elements at once (16 MB), sequence by sequence if need be.
KEPT_ELEMENTS = 4 * 2**20


def chunk_length(length: int, elements_per_step: int) -> int:
    """Return Q for a sequence of `length`: sqrt(L / 2) minimises 2 Q + L / Q; all of L for large steps."""
    if elements_per_step >= LARGE_STEP or length <= 8:
        return length
    return max(4, round((length / 2) ** 0.5))


class ChunkedScan(torch.autograd.Function):
    """y_t = C_t h_t, h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t for delta > 0; shapes as in
    `selective_scan`."""

    @staticmethod
    def forward(ctx, u, delta, A, B, C):
        batch, length, channels = u.shape
        ctx.steps = chunk_length(length, batch * channels * A.shape[1])
        chunks = _Chunks(u, delta, A, B, C, ctx.steps)
        starts = chunks.initial_states()
        ctx.save_for_backward(u, delta, A, B, C, starts)
        return chunks.outputs(starts)

    @staticmethod
    def backward(ctx, grad_y):
        u, delta, A, B, C, starts = ctx.saved_tensors
        batch, length, channels = u.shape
        starts = starts.unflatten(0, (batch, -1))
        at_once = max(1, KEPT_ELEMENTS // (length * channels * A.shape[1]))
        parts = []
        with torch.autocast(device_type=u.device.type, enabled=False):
            for first in range(0, batch, at_once):
                part = slice(first, first + at_once)
                chunks = _Chunks(u[part], delta[part], A, B[part], C[part], ctx.steps)
                parts.append(chunks.gradients(starts[part].flatten(0, 1), grad_y[part].to(u.dtype)))
        of_u, of_delta, of_A, of_B, of_C = zip(*parts, strict=True)
        return torch.cat(of_u), torch.cat(of_delta), sum(of_A), torch.cat(of_B), torch.cat(of_C)


class _Chunks:
    """One scan cut into chunks; step q of all chunks of all sequences side by side, (Q, batch * G, ...)."""

    def __init__(self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, steps: int) -> None:
        self.batch, self.length, self.channels = u.shape
        self.states = A.shape[1]
        self.steps = steps
        self.count = -(-self.length // steps)
        self.rows = self.batch * self.count
        self.u = self._cut(u)
        self.delta = self._cut(delta)
        self.A = A.t().contiguous()  # (N, D)
        self.B = self._cut(B).unsqueeze(-1)  # (Q, rows, N, 1)
        self.C = self._cut(C).unsqueeze(-1)
        self.delta_u = (self.delta * self.u).unsqueeze(2)  # (Q, rows, 1, D)
        self.delta_row = self.delta.unsqueeze(2)

    def _cut(self, sequence: Tensor) -> Tensor:
        # Steps added at the end have delta = 0: they leave the state as it is.
        added = self.count * self.steps - self.length
        if added:
            sequence = functional.pad(sequence, (0, 0, 0, added))
        cut = sequence.reshape(self.rows, self.steps, sequence.shape[-1])
        return cut.transpose(0, 1).contiguous()

    def _join(self, cut: Tensor) -> Tensor:
        joined = cut.transpose(0, 1).reshape(self.batch, self.count * self.steps, cut.shape[-1])
        return joined[:, : self.length]

    def _zeros(self) -> Tensor:
        return self.u.new_zeros(self.rows, self.states, self.channels)

    def _decay(self, q: int, out: Tensor) -> Tensor:
        return torch.mul(self.delta_row[q], self.A, out=out).exp_()

    def _total_decay(self) -> Tensor:
        return (self.delta.sum(0).unsqueeze(1) * self.A).exp_().unflatten(0, (self.batch, self.count))

    def initial_states(self) -> Tensor:
        """Return the state (rows, N, D) before the first step of each chunk."""
        starts = self._zeros()
        if self.count == 1:
            return starts
        state, decay = self._zeros(), self._zeros()
        for q in range(self.steps):
            state.mul_(self._decay(q, decay)).addcmul_(self.delta_u[q], self.B[q])
        ends = state.unflatten(0, (self.batch, self.count))
        carried = starts.view_as(ends)
        total = self._total_decay()
        for g in range(1, self.count):
            carried[:, g] = torch.addcmul(ends[:, g - 1], total[:, g - 1], carried[:, g - 1])
        return starts

    def outputs(self, starts: Tensor) -> Tensor:
        """Return y (batch, L, D)."""
        y = torch.empty_like(self.delta_u)
        state, decay = starts.clone(), self._zeros()
        for q in range(self.steps):
            state.mul_(self._decay(q, decay)).addcmul_(self.delta_u[q], self.B[q])
            torch.bmm(self.C[q].mT, state, out=y[q])
        return self._join(y.squeeze(2))

    def gradients(self, starts: Tensor, grad_y: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of u, delta, A, B and C."""
        grad_y = self._cut(grad_y).unsqueeze(2)  # (Q, rows, 1, D)
        adjoint = self._adjoints_behind(grad_y)
        work = self._zeros()
        states = self.u.new_empty(self.steps + 1, self.rows, self.states, self.channels)
        states[0] = starts
        for q in range(self.steps):
            torch.mul(self._decay(q, work), states[q], out=states[q + 1])
            states[q + 1].addcmul_(self.delta_u[q], self.B[q])

        grad_delta_u, grad_delta = torch.empty_like(self.delta_u), torch.empty_like(self.delta)
        grad_A = self._zeros()
        grad_B, grad_C = torch.empty_like(self.B), torch.empty_like(self.C)
        for q in reversed(range(self.steps)):
            torch.mul(states[q + 1], grad_y[q], out=work)
            torch.sum(work, dim=2, keepdim=True, out=grad_C[q])
            adjoint.addcmul_(self.C[q], grad_y[q])  # of the state after step q
            torch.mul(adjoint, self.delta_u[q], out=work)
            torch.sum(work, dim=2, keepdim=True, out=grad_B[q])
            torch.bmm(self.B[q].mT, adjoint, out=grad_delta_u[q])
            adjoint.mul_(self._decay(q, work))  # now of the state before step q
            torch.mul(adjoint, states[q], out=work)  # of delta A, element by element
            grad_A.addcmul_(work, self.delta_row[q])
            torch.sum(work.mul_(self.A), dim=1, out=grad_delta[q])
        grad_delta_u = grad_delta_u.squeeze(2)
        grad_delta += grad_delta_u * self.u
        return (
            self._join(grad_delta_u * self.delta),
            self._join(grad_delta),
            grad_A.sum(0).t(),
            self._join(grad_B.squeeze(-1)),
            self._join(grad_C.squeeze(-1)),
        )

    def _adjoints_behind(self, grad_y: Tensor) -> Tensor:
        """Return the adjoint (rows, N, D) that each chunk's last state receives from the chunks after it."""
        behind = self._zeros()
        if self.count == 1:
            return behind
        adjoint, decay = self._zeros(), self._zeros()
        for q in reversed(range(self.steps)):
            adjoint.addcmul_(self.C[q], grad_y[q]).mul_(self._decay(q, decay))
        fronts = adjoint.unflatten(0, (self.batch, self.count))
        carried = behind.view_as(fronts)
        total = self._total_decay()
        for g in reversed(range(self.count - 1)):
            carried[:, g] = torch.addcmul(fronts[:, g + 1], total[:, g + 1], carried[:, g + 1])
        return behind
