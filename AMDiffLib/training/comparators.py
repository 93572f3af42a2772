"""What AMDiff is compared with: each method a change of its configuration, trained by the same trainer.

Every trained network sees the same number of patches of the same size: the budget's. A segmenter alone is
trained on the finished denoiser of the method 'denoiser', as the paper's comparators were on the images of
the same diffusion module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from AMDiffLib.networks.config import COMPACT, PAPER, AMDiffConfig, evenly_spaced_timesteps
from AMDiffLib.training.ablations import ABLATIONS
from AMDiffLib.training.config import (
    DENOISER_TRAINING,
    FAST_TRAINING,
    PAPER_TRAINING,
    SEGMENTATION_TRAINING,
    TrainingConfig,
)

AMDIFF, DENOISER, REGRESSION, DDPM = "amdiff", "denoiser", "unet", "med-ddpm"
WITHOUT = "without-"
STEPS = {f"{DENOISER}-{count}": count for count in (2, 4, 8)}
"""The denoiser alone with more passes of its network, trained for them."""

Configured = tuple[AMDiffConfig, TrainingConfig]
Configure = Callable[[AMDiffConfig, TrainingConfig], Configured]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A model, its training and its number of steps, for AMDiff; comparators change what they change.

    `ddpm_timesteps` is T of the method 'med-ddpm', which takes as many steps to draw an image. `initial` is
    the model that all methods go on from, None: they start from nothing.
    """

    model: AMDiffConfig
    training: TrainingConfig
    steps: int
    ddpm_timesteps: int
    initial: str | None = None


BUDGETS = {
    # No uncertainty head: nothing flows back from it, and only AMDiff would have one. The likelier of lesion
    # and background is marked: the compact model's own threshold was chosen for the weights that are shipped.
    "small": Budget(
        model=replace(COMPACT, uncertainty=None, segmenter=replace(COMPACT.segmenter, lesion_threshold=0.5)),
        training=FAST_TRAINING,
        steps=600,
        ddpm_timesteps=25,
    ),
    # A CPU cannot teach a segmenter from nothing once for every method and seed: what the parts bring is
    # seen by going on from the shipped weights, with their losses and a third of the rates.
    "continued": Budget(
        model=replace(COMPACT, uncertainty=None),
        training=replace(
            FAST_TRAINING,
            loss=SEGMENTATION_TRAINING.loss,
            optimiser=replace(FAST_TRAINING.optimiser, denoiser_rate=1e-4, segmenter_rate=3e-4),
        ),
        steps=200,
        ddpm_timesteps=25,
        initial="amdiff-compact",
    ),
    # Denoiser and revision as those of the shipped weights, beside the sampler as published.
    "images": Budget(
        model=replace(COMPACT, uncertainty=None),
        training=DENOISER_TRAINING,
        steps=4700,
        ddpm_timesteps=250,
    ),
    "paper": Budget(model=PAPER, training=PAPER_TRAINING, steps=140_000, ddpm_timesteps=250),
}
"""Of `paper`, 140,000 steps are 800 epochs of 175 people."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """How AMDiff's configuration is changed, and which method's denoiser a segmenter stands on."""

    configure: Configure
    images: bool
    segments: bool
    on_denoiser_of: str | None = None


def _whole(model: AMDiffConfig, training: TrainingConfig) -> Configured:
    return model, training


def _denoiser(model: AMDiffConfig, training: TrainingConfig) -> Configured:
    """L_diff alone: no revision, no L_lor, no segmenter."""
    loss = replace(training.loss, lesion_regulariser=False, organ_regulariser=False)
    model = replace(model, revision=replace(model.revision, enabled=False))
    return model, replace(training, trained=("denoiser",), loss=loss)


def _regression(model: AMDiffConfig, training: TrainingConfig) -> Configured:
    """The denoiser's U-Net from the low-count to the high-count image, L1: no diffusion."""
    model, training = _denoiser(model, training)
    diffusion = replace(
        model.diffusion, prediction="x0", sampler="regression", start="low_count", sampling_timesteps=(1,)
    )
    return replace(model, diffusion=diffusion), training


def _few_steps(count: int) -> Configure:
    """The denoiser alone, `count` steps from the low-count image, each trained for."""

    def configure(model: AMDiffConfig, training: TrainingConfig) -> Configured:
        model, training = _denoiser(model, training)
        first = model.diffusion.sampling_timesteps[0]
        diffusion = replace(
            model.diffusion,
            prediction="x0",
            sampler="few_step",
            start="low_count",
            sampling_timesteps=evenly_spaced_timesteps(first, count),
        )
        return replace(model, diffusion=diffusion), training

    return configure


def _ddpm(timesteps: int) -> Configure:
    """As published: noise is predicted, and the image drawn from noise in T steps, cut off at SUV 20
    (Med-DDPM)."""

    def configure(model: AMDiffConfig, training: TrainingConfig) -> Configured:
        model, training = _denoiser(model, training)
        diffusion = replace(
            model.diffusion,
            timesteps=timesteps,
            prediction="epsilon",
            sampler="ancestral",
            start="noise",
            sampling_timesteps=tuple(range(timesteps, 0, -1)),
        )
        denoiser = replace(model.denoiser, smoothed_mm=(), noise_embedding=False)
        return replace(model, diffusion=diffusion, denoiser=denoiser, intensity=PAPER.intensity), training

    return configure


def _segmenter(kind: str, width: int | None = None) -> Configure:
    """A segmenter on the low-count image and a finished denoiser's; `width` is for the small budget."""

    def configure(model: AMDiffConfig, training: TrainingConfig) -> Configured:
        model, training = _denoiser(model, training)
        channels = model.segmenter.channels
        if width is not None:
            channels = width * channels // COMPACT.segmenter.channels
        segmenter = replace(model.segmenter, kind=kind, channels=channels)
        # The denoiser is finished: nothing has to warm up.
        training = replace(training, trained=("segmenter",), warm_up_first_epoch=0, warm_up_last_epoch=1)
        return replace(model, segmenter=segmenter), training

    return configure


def methods_of(budget: Budget) -> dict[str, Method]:
    """Return all methods in the order of their training: what others stand on comes first.

    The widths give SwinUNETR and the residual U-Net 4.7 million parameters each beside 3.4 of nnMamba. Of a
    budget that goes on from other weights only the methods with the same denoiser and segmenter.
    """
    alone = {"images": False, "segments": True, "on_denoiser_of": DENOISER}
    methods = {
        AMDIFF: Method(configure=_whole, images=True, segments=True),
        DENOISER: Method(configure=_denoiser, images=True, segments=False),
        "nnmamba": Method(configure=_segmenter("nnmamba"), **alone),
        REGRESSION: Method(configure=_regression, images=True, segments=False),
    }
    methods |= {
        WITHOUT + name: Method(configure=change, images=True, segments=True)
        for name, change in ABLATIONS.items()
    }
    methods |= {
        "swin-unetr": Method(configure=_segmenter("swin_unetr", 12), **alone),
        "residual-unet": Method(configure=_segmenter("residual_unet", 16), **alone),
        **{
            name: Method(configure=_few_steps(count), images=True, segments=False)
            for name, count in STEPS.items()
        },
        DDPM: Method(configure=_ddpm(budget.ddpm_timesteps), images=True, segments=False),
    }
    if budget.initial is None:
        return methods
    return {name: method for name, method in methods.items() if _can_go_on(method, budget)}


def _can_go_on(method: Method, budget: Budget) -> bool:
    """Whether a method's networks are those of the budget's model, and say the same."""

    def networks(model: AMDiffConfig) -> tuple:
        return model.denoiser, model.diffusion.prediction, model.segmenter

    return networks(method.configure(budget.model, budget.training)[0]) == networks(budget.model)
