"""Adaptive patch sampling: lesions and body, count levels and subjects in balance; every patch a function
of its number.

Half of the patches are lesion-present where a case has lesions: the subject, then the lesion, then a voxel
of it are drawn, so that a small lesion is seen as often as a large one. The other patches lie anywhere in
the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from AMDiffLib.errors import BadInput
from AMDiffLib.training.config import PatchConfig
from AMDiffLib.training.dataset import Subject


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Patches: SUV images (B, 1, D, H, W) float32, organ labels and lesion instances (B, D, H, W) uint8."""

    low_count: Tensor
    high_count: Tensor
    organs: Tensor
    lesions: Tensor
    origins: tuple[str, ...]

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on `device`."""
        return Batch(
            low_count=self.low_count.to(device),
            high_count=self.high_count.to(device),
            organs=self.organs.to(device),
            lesions=self.lesions.to(device),
            origins=self.origins,
        )


class PatchSampler:
    """Cuts batches from a cohort in memory; a patch depends on the seed, the step and its slot alone.

    Of the `batch_size` patches of a step it cuts those of `slots` (default: all); other processes have the
    rest.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        *,
        patch_size: int,
        batch_size: int,
        seed: int,
        config: PatchConfig,
        slots: Sequence[int] | None = None,
    ) -> None:
        if not subjects:
            raise BadInput(
                "There is no subject to train on: the manifest minus the validation subjects is empty."
            )
        if patch_size % 16:
            raise ValueError(f"the patch size is {patch_size}; a multiple of 16 is needed")
        self.subjects = list(subjects)
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.slots = range(batch_size) if slots is None else slots
        self.seed = seed
        self.config = config
        self.levels = sorted({level for subject in subjects for level in subject.low_count})

    def batch(self, step: int) -> Batch:
        """Return the batch of training step `step`, or the share of it that the slots are."""
        patches = [self._patch(step, slot) for slot in self.slots]
        return Batch(
            low_count=torch.stack([p[0] for p in patches])[:, None],
            high_count=torch.stack([p[1] for p in patches])[:, None],
            organs=torch.stack([p[2] for p in patches]),
            lesions=torch.stack([p[3] for p in patches]),
            origins=tuple(p[4] for p in patches),
        )

    def _patch(self, step: int, slot: int) -> tuple[Tensor, Tensor, Tensor, Tensor, str]:
        random = np.random.default_rng([self.seed, step, slot])
        number = step * self.batch_size + slot
        wanted = int((number + 1) * self.config.lesion_fraction) > int(number * self.config.lesion_fraction)
        level = self.levels[random.integers(len(self.levels))]
        candidates = [s for s in self.subjects if level in s.low_count]
        with_lesions = [s for s in candidates if s.lesion_voxels]
        on_lesion = wanted and bool(with_lesions)
        pool = with_lesions if on_lesion else candidates
        subject = pool[random.integers(len(pool))]
        start = self._start(subject, on_lesion, random)
        volumes = (subject.low_count[level], subject.high_count, subject.organs, subject.lesions)
        low, high, organs, lesions = (_cut(volume, start, self.patch_size) for volume in volumes)
        low, high, organs, lesions = self._augment(low.float(), high.float(), organs, lesions, random)
        return low, high, organs, lesions, f"{subject.name} {level:g} %{' lesion' if on_lesion else ''}"

    def _start(self, subject: Subject, on_lesion: bool, random: np.random.Generator) -> np.ndarray:
        if on_lesion:
            voxels = subject.lesion_voxels[random.integers(len(subject.lesion_voxels))]
            reach = self.config.lesion_offset
        else:
            voxels = subject.body
            reach = self.config.body_jitter
        shape = np.array(subject.high_count.shape)
        index = voxels[random.integers(len(voxels))] if len(voxels) else subject.high_count.size // 2
        centre = np.array(np.unravel_index(index, subject.high_count.shape))
        jitter = random.uniform(-reach, reach, size=3) * self.patch_size
        start = np.rint(centre + jitter).astype(int) - self.patch_size // 2
        return np.clip(start, 0, np.maximum(shape - self.patch_size, 0))

    def _augment(
        self, low: Tensor, high: Tensor, organs: Tensor, lesions: Tensor, random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        config = self.config
        if random.random() < config.affine_probability:
            angle = np.deg2rad(random.uniform(-config.rotation_degrees, config.rotation_degrees))
            zoom = random.uniform(*config.zoom_range, size=3)
            low, high, organs, lesions = _turn_and_zoom((low, high, organs, lesions), angle, zoom)
        if random.random() < config.flip_probability:
            low, high, organs, lesions = (volume.flip(-1) for volume in (low, high, organs, lesions))
        if config.partial_probability > 0.0 and random.random() < config.partial_probability:
            low, high, organs, lesions = _partial_scan((low, high, organs, lesions), config, random)
        # One factor for both images is what another dose, weight or uptake time would do to their SUV.
        factor = float(np.exp(random.uniform(*np.log(config.scale_range))))
        return low * factor, high * factor, organs, lesions


class Prefetcher:
    """Cuts the next batches on a thread while the current one trains; never on a process.

    On a processor there is nothing to hide behind, and a second thread that calls torch makes OpenMP believe
    that the machine is oversubscribed: its waiting threads then sleep, and a step takes twice as long. With
    `ahead` 0 the batch is cut when it is asked for.
    """

    def __init__(self, sampler: PatchSampler, *, first_step: int, ahead: int = 4) -> None:
        self._sampler = sampler
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="patches")
        self._next = first_step
        self._waiting: list[Future[Batch]] = []
        for _ in range(ahead):
            self._submit()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __next__(self) -> Batch:
        if not self._waiting:
            self._next += 1
            return self._sampler.batch(self._next - 1)
        batch = self._waiting.pop(0).result()
        self._submit()
        return batch

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(self._sampler.batch, self._next))
        self._next += 1


def _cut(volume: np.ndarray, start: np.ndarray, size: int) -> Tensor:
    part = volume[tuple(slice(s, s + size) for s in start)]
    missing = [(0, size - length) for length in part.shape]
    # A volume smaller than the patch is continued with air.
    return torch.from_numpy(np.pad(part, missing) if any(after for _, after in missing) else part.copy())


def _partial_scan(
    volumes: Sequence[Tensor], config: PatchConfig, random: np.random.Generator
) -> list[Tensor]:
    """Leave only so many slices of a patch, as a scan of a thigh or of a neck has."""
    slices = len(volumes[0])
    kept = min(slices, int(random.integers(config.partial_slices[0], config.partial_slices[1] + 1)))
    first = int(random.integers(slices - kept + 1))
    partial = [torch.zeros_like(volume) for volume in volumes]
    for whole, part in zip(volumes, partial, strict=True):
        part[first : first + kept] = whole[first : first + kept]
    return partial


def _turn_and_zoom(
    volumes: tuple[Tensor, Tensor, Tensor, Tensor], angle: float, zoom: np.ndarray
) -> list[Tensor]:
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    zoom_z, zoom_y, zoom_x = (float(z) for z in zoom)
    # Rows of affine_grid are x, y, z; the turn is about z, the body axis.
    matrix = torch.tensor(
        [
            [cosine * zoom_x, -sine * zoom_y, 0.0, 0.0],
            [sine * zoom_x, cosine * zoom_y, 0.0, 0.0],
            [0.0, 0.0, zoom_z, 0.0],
        ]
    )
    grid = functional.affine_grid(matrix[None], [1, 1, *volumes[0].shape], align_corners=False)
    images = torch.stack(volumes[:2])[None]
    labels = torch.stack(volumes[2:]).float()[None]
    images = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
    labels = functional.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)[
        0
    ]
    labels = labels.round().to(torch.uint8)
    return [*images, *labels]
