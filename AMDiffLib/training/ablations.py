"""The parts of AMDiff that Table 4 of the paper takes away one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.training.config import TrainingConfig


def _without_revision(model: AMDiffConfig, training: TrainingConfig) -> tuple[AMDiffConfig, TrainingConfig]:
    return replace(model, revision=replace(model.revision, enabled=False)), training


def _without_res_mamba(model: AMDiffConfig, training: TrainingConfig) -> tuple[AMDiffConfig, TrainingConfig]:
    return replace(model, segmenter=replace(model.segmenter, res_mamba=False)), training


def _without_lesions(model: AMDiffConfig, training: TrainingConfig) -> tuple[AMDiffConfig, TrainingConfig]:
    return model, replace(training, loss=replace(training.loss, lesion_regulariser=False))


def _without_organs(model: AMDiffConfig, training: TrainingConfig) -> tuple[AMDiffConfig, TrainingConfig]:
    return model, replace(training, loss=replace(training.loss, organ_regulariser=False))


ABLATIONS: dict[str, Callable[[AMDiffConfig, TrainingConfig], tuple[AMDiffConfig, TrainingConfig]]] = {
    "revision": _without_revision,
    "lesion-regulariser": _without_lesions,
    "organ-regulariser": _without_organs,
    "res-mamba": _without_res_mamba,
}
"""What each name switches off: f_rev (and so Eq. 7), the lesion's or the organs' summands of Eq. (5), the
Mamba layers beside the convolutions of f_seg."""
