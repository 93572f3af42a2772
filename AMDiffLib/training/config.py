"""How a model is trained: one frozen dataclass per concern, written as JSON beside the checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

SNR_WEIGHTINGS = ("none", "min_snr", "one_at_most")
REVISION_UNITS = ("suv", "normalised")
SCHEDULES = ("half_time_step", "cosine")
PARTS = ("denoiser", "revision", "segmenter", "uncertainty")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the objective.

    Class weights are w_0..w_8: background, lesion, liver, lung, bone, muscle, kidney, spleen, aorta.
    `diffusion_weighting` weighs Eq. (3) over the timesteps: 'none' is the plain L1, 'min_snr' that of Hang et
    al. (2023) with `min_snr_gamma`. `regulariser_weighting` does the same for Eq. (5) and (7): 'one_at_most'
    is min(1, SNR), which keeps the eps-form's gain at large t out of them. `segmentation_gradient` is the
    share of L_seg's gradient that flows through the revised image into revision and denoiser: 1 as published;
    less keeps a half-trained segmenter from painting its wishes into the image. `revision_unit` is the unit
    of L_rev: in SUV hot organs dominate, in normalised intensity they do not. `lesion_regulariser` and
    `organ_regulariser` are the summand s = 1 and the summands s = 2..8 of Eq. (5), which Table 4 of the paper
    switches off one at a time. `absent_lesion_ml` is the volume of false lesions that, in a patch without a
    true one, costs half of what a missed lesion costs (to the power 3/4); 0, as published: nothing.
    `noise_exponent` weighs the errors of Eq. (3), (5) and (7) by the noise of their patch to the power of its
    negative: 0, as published, all alike; 1 as in the likelihood of Laplace noise of that scale.
    """

    image_class_weights: tuple[float, ...] = (1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    cross_entropy_weights: tuple[float, ...] = (1.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    dice_weights: tuple[float, ...] = (1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    absent_lesion_ml: float = 0.0
    lesion_regulariser: bool = True
    organ_regulariser: bool = True
    lesion_organ_factor: float = 1.0
    revision_factor: float = 1.0
    segmentation_factor: float = 1.0
    segmentation_gradient: float = 0.1
    revision_unit: str = "normalised"
    diffusion_weighting: str = "none"
    min_snr_gamma: float = 5.0
    regulariser_weighting: str = "none"
    noise_exponent: float = 0.0

    def __post_init__(self) -> None:
        for name in ("image_class_weights", "cross_entropy_weights", "dice_weights"):
            if len(getattr(self, name)) != 9:
                raise ValueError(
                    f"loss.{name} has {len(getattr(self, name))} values; 9 (w_0..w_8) are needed"
                )
        _one_of("loss.revision_unit", self.revision_unit, REVISION_UNITS)
        _one_of("loss.diffusion_weighting", self.diffusion_weighting, SNR_WEIGHTINGS)
        _one_of("loss.regulariser_weighting", self.regulariser_weighting, SNR_WEIGHTINGS)


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """What patches are drawn and how they are varied."""

    lesion_fraction: float = 0.5
    lesion_offset: float = 0.35  # of the patch size: how far from the centre the chosen lesion voxel may lie
    body_jitter: float = 0.25  # of the patch size
    flip_probability: float = 0.5  # left-right; no class is one-sided by definition
    scale_range: tuple[float, float] = (0.8, 1.25)  # one factor for both SUV images
    affine_probability: float = 0.25
    rotation_degrees: float = 8.0  # about the body axis
    zoom_range: tuple[float, float] = (0.9, 1.1)  # per axis
    partial_probability: float = 0.0  # of cutting a patch to a partial scan, with air above and below
    partial_slices: tuple[int, int] = (24, 64)


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """Adam with a learning rate for the denoiser and one for the other parts."""

    denoiser_rate: float = 3e-4  # at more than twice that the shares of a mixing denoiser run away for good
    segmenter_rate: float = 1e-3
    schedule: str = "cosine"
    final_fraction: float = 0.02  # of the rate, at the end of the cosine
    ramp_steps: int = 50  # linear rise at the start
    weight_decay: float = 1e-5
    gradient_norm: float = 1.0  # clipped per group
    average_decay: float = 0.999

    def __post_init__(self) -> None:
        _one_of("optimiser.schedule", self.schedule, SCHEDULES)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A whole training; `epochs` is what Eq. (11) counts in, the run's steps are divided by it.

    Parts that are not `trained` keep their weights, and their losses are left out; those that nothing trained
    needs are not run. `loss.absent_lesion_ml` counts from `absent_lesion_first_epoch` on: a segmenter that
    does not know lesions yet would learn from it to mark nothing.
    """

    batch_size: int = 2
    patch_size: int = 48
    epochs: int = 80
    warm_up_first_epoch: int = 10
    warm_up_last_epoch: int = 30
    absent_lesion_first_epoch: int = 0
    trained: tuple[str, ...] = PARTS
    loss: LossConfig = field(default_factory=LossConfig)
    patches: PatchConfig = field(default_factory=PatchConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        if not self.trained:
            raise ValueError(f"trained is empty; at least one of {', '.join(PARTS)} is needed")
        for part in self.trained:
            _one_of("trained", part, PARTS)

    def loss_in(self, epoch: int) -> LossConfig:
        """Return the objective's weights in this epoch of Eq. (11)."""
        if epoch >= self.absent_lesion_first_epoch:
            return self.loss
        return dataclasses.replace(self.loss, absent_lesion_ml=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Return the configuration written by `to_dict`; ValueError names an unknown key."""
        parts = {"loss": LossConfig, "patches": PatchConfig, "optimiser": OptimiserConfig}
        arguments = dict(values)
        for key, part in parts.items():
            if key in arguments:
                arguments[key] = _build(part, arguments[key], f"{key}.")
        return _build(cls, arguments, "")


def _build(cls: type, values: dict[str, Any], prefix: str) -> Any:
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"unknown key '{prefix}{unknown[0]}' in the training's configuration; known are {sorted(known)}"
        )
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(allowed)}")


FAST_TRAINING = TrainingConfig()

BASE_TRAINING = TrainingConfig(batch_size=8, patch_size=64)  # 64 voxels of 3 mm are what 48 of 4 mm are

PAPER_TRAINING = TrainingConfig(
    patch_size=128,
    epochs=800,
    warm_up_first_epoch=100,
    warm_up_last_epoch=800,
    loss=LossConfig(segmentation_gradient=1.0, revision_unit="suv", regulariser_weighting="one_at_most"),
    patches=PatchConfig(affine_probability=0.0),
    optimiser=OptimiserConfig(
        denoiser_rate=1e-5, segmenter_rate=1e-3, schedule="half_time_step", ramp_steps=0, weight_decay=0.0
    ),
)

# A denoiser learns from small patches, many of them; revision comes with it, so that it keeps the counts.
# The class-wise losses count a voxel of a lesion far above one of muscle: at full weight lesions are bought
# with noise elsewhere.
DENOISER_TRAINING = TrainingConfig(
    batch_size=4,
    warm_up_first_epoch=0,
    warm_up_last_epoch=1,
    trained=("denoiser", "revision"),
    loss=LossConfig(
        image_class_weights=(1.0, 12.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        lesion_organ_factor=0.45,
        revision_factor=0.45,
        noise_exponent=0.5,
    ),
)

# Organs are told apart by where they lie: patches that hold half a trunk teach that, small ones do not.
SEGMENTATION_TRAINING = TrainingConfig(
    batch_size=1,
    patch_size=96,
    warm_up_first_epoch=0,
    warm_up_last_epoch=1,
    absent_lesion_first_epoch=60,
    trained=("segmenter",),
    loss=LossConfig(
        cross_entropy_weights=(1.0, 2.0, 1.5, 1.0, 2.5, 1.0, 4.0, 4.0, 4.0),
        absent_lesion_ml=3.2,
    ),
    patches=PatchConfig(partial_probability=0.2),
    optimiser=OptimiserConfig(segmenter_rate=1e-3, gradient_norm=3.0, average_decay=0.995),
)

# The head sees a few voxels around each: small patches teach it in minutes, once the denoiser is finished.
UNCERTAINTY_TRAINING = TrainingConfig(
    batch_size=4,
    warm_up_first_epoch=0,
    warm_up_last_epoch=1,
    trained=("uncertainty",),
    patches=PatchConfig(partial_probability=0.2),
    optimiser=OptimiserConfig(segmenter_rate=1e-3, ramp_steps=20, gradient_norm=3.0, average_decay=0.98),
)

TRAINING_PRESETS = {"paper": PAPER_TRAINING, "compact": FAST_TRAINING, "base": BASE_TRAINING}
STAGES = {
    "denoiser": DENOISER_TRAINING,
    "segmentation": SEGMENTATION_TRAINING,
    "uncertainty": UNCERTAINTY_TRAINING,
}
