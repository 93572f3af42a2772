"""The joint objective of one batch: noise, one pass of the denoiser, revision, segmenter, Eq. (10)."""

from __future__ import annotations

import torch
from torch import Tensor

from AMDiffLib.inference.device import autocast, precision_of
from AMDiffLib.networks.amdiff import PATIENT_SUV, AMDiff, mean_difference
from AMDiffLib.networks.config import DiffusionConfig
from AMDiffLib.training import losses
from AMDiffLib.training.config import LossConfig
from AMDiffLib.training.patch_sampling import Batch
from AMDiffLib.training.processes import ALONE, Processes

USUAL_NOISE = 0.05  # of a Vision at 5 % counts, normalised
MOST_NOISE_WEIGHT = 5.0


def draw_timesteps(config: DiffusionConfig, count: int, generator: torch.Generator) -> Tensor:
    """Return (count,) timesteps as the sampler will meet them.

    Few-step and regression: only the sampler's own timesteps, each equally often within a batch. Ancestral:
    uniform in 1..T.
    """
    if config.sampler == "ancestral":
        return torch.randint(1, config.timesteps + 1, (count,), generator=generator)
    timesteps = torch.tensor(config.sampling_timesteps)
    first = torch.randint(len(timesteps), (1,), generator=generator)
    chosen = (torch.arange(count) + first) % len(timesteps)
    return timesteps[chosen]


def noisy_start(model: AMDiff, low_count: Tensor, high_count: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Return I^t (B, 1, D, H, W) from normalised images, by Eq. (1).

    The few-step sampler starts from the noised *low-count* image, so at its first timestep training does too.
    Regression starts from that image as it is.
    """
    config = model.config.diffusion
    if config.sampler == "regression":
        return low_count
    origin = high_count
    if config.start == "low_count":
        is_first = (t == config.sampling_timesteps[0]).view(-1, 1, 1, 1, 1)
        origin = torch.where(is_first, low_count, high_count)
    return model.schedule.q_sample(origin, t, noise)


def prediction_target(model: AMDiff, x_t: Tensor, high_count: Tensor, t: Tensor) -> Tensor:
    """Return what the denoiser should predict to lead from `x_t` to the high-count image.

    With x_t made from the high-count image this is the noise of Eq. (3) or its v; with x_t made from the
    low-count image the same relations hold with the noise that Eq. (1) would have needed.
    """
    prediction = model.config.diffusion.prediction
    if prediction == "x0":
        return high_count
    epsilon = model.schedule.epsilon_from_x0(x_t, t, high_count)
    return epsilon if prediction == "epsilon" else model.schedule.v_from_x0(high_count, t, epsilon)


def timestep_weights(snr: Tensor, weighting: str, gamma: float, prediction: str) -> Tensor | None:
    """Return the weight of each sample's absolute error, (B,), or None for equal weights.

    'min_snr' is the square root of the min-SNR weight of a squared x0 error, min(SNR, gamma), expressed for
    the error of what is predicted: the x0 error is 1/sqrt(SNR) times that of epsilon and 1/sqrt(SNR + 1)
    times that of v. 'one_at_most' is min(1, SNR).
    """
    if weighting == "none":
        return None
    if weighting == "one_at_most":
        return snr.clamp(max=1.0).float()
    weight = snr.clamp(max=gamma)
    divisor = {"x0": 1.0, "epsilon": snr, "v": snr + 1.0}[prediction]
    return (weight / divisor).sqrt().float()


def noise_weights(low_count: Tensor, high_count: Tensor, *, air: float, exponent: float) -> Tensor | None:
    """Return the weight of each sample's errors by its noise, (B,), or None for equal weights (exponent 0).

    It is (`USUAL_NOISE` / mean |I_LC - I_HC| over the voxels above `air`)^`exponent`, at most
    `MOST_NOISE_WEIGHT`. Both images in normalised intensity.
    """
    if exponent == 0.0:
        return None
    noise = mean_difference(low_count, high_count, inside=high_count > air)
    return (USUAL_NOISE / noise.clamp_min(1e-6)).pow(exponent).clamp_max(MOST_NOISE_WEIGHT)


def _product(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first * second


def trained_parts(model: AMDiff) -> set[str]:
    """Return the names of the model's parts whose weights take a gradient."""
    return {name for name, part in model.named_children() if any(p.requires_grad for p in part.parameters())}


def joint_objective(
    model: AMDiff,
    batch: Batch,
    *,
    warm: float,
    config: LossConfig,
    generator: torch.Generator,
    precision: torch.dtype | None = None,
    processes: Processes = ALONE,
) -> dict[str, Tensor]:
    """Return the losses of one batch by name: diffusion, lesion_organ, revision, segmentation, uncertainty
    and total, Eq. (10).

    With `warm` = 0 (the denoiser-only epochs of Eq. (11)) the other parts are not run and their losses are 0.
    The same holds for the loss of a part that is not trained, and for that of a revision that is switched
    off. `precision` is what the networks compute in (default: the device's). Where `processes` share a batch,
    `batch` holds this one's patches, and the losses of all add up to those of the whole batch.
    """
    device = batch.low_count.device
    precision = precision or precision_of(device)
    diffusion = model.config.diffusion
    low_count = model.to_normalised(batch.low_count)
    high_count = model.to_normalised(batch.high_count)
    # Drawn for the whole batch, so that a patch meets the same ones whoever holds it.
    patches = len(low_count) * processes.count
    slots = list(processes.slots(patches))
    t = draw_timesteps(diffusion, patches, generator)[slots].to(device)
    noise = torch.randn((patches, *low_count.shape[1:]), generator=generator)[slots].to(device)
    x_t = noisy_start(model, low_count, high_count, t, noise)
    snr = model.schedule.snr(t)
    of_noise = noise_weights(
        low_count,
        high_count,
        air=float(model.to_normalised(low_count.new_tensor(PATIENT_SUV))),
        exponent=config.noise_exponent,
    )
    diffusion_weights = _product(
        timestep_weights(snr, config.diffusion_weighting, config.min_snr_gamma, diffusion.prediction),
        of_noise,
    )
    regulariser_weights = _product(
        timestep_weights(snr, config.regulariser_weighting, config.min_snr_gamma, "x0"), of_noise
    )

    trained = trained_parts(model)
    with autocast(device, precision), torch.set_grad_enabled("denoiser" in trained):
        output = model.denoiser_output(x_t, batch.low_count, t).float()
    zero = output.new_zeros(())
    terms = dict.fromkeys(("lesion_organ", "revision", "segmentation", "uncertainty"), zero)
    terms["diffusion"] = losses.diffusion_loss(
        output,
        prediction_target(model, x_t, high_count, t),
        diffusion_weights,
        total=processes.total,
    )
    if warm > 0.0:
        # P_HC of Eq. (5)-(7) is the one-step x0-hat, limited to what an SUV can be: unlimited, the published
        # eps-form would multiply the denoiser's error by up to 5,000 at large t.
        denoised = model.x0_from_output(output, x_t, t)
        imaging = bool({"denoiser", "revision"} & trained)
        with autocast(device, precision), torch.set_grad_enabled(imaging):
            revised = model.revise(model.to_suv(denoised), batch.low_count)
        masks = losses.class_masks(batch.organs, batch.lesions) if imaging else None
        if "denoiser" in trained:
            terms["lesion_organ"] = config.lesion_organ_factor * losses.lesion_organ_loss(
                denoised,
                high_count,
                masks,
                config.image_class_weights,
                regulariser_weights,
                lesion_regulariser=config.lesion_regulariser,
                organ_regulariser=config.organ_regulariser,
                total=processes.total,
            )
        if imaging and model.config.revision.enabled:
            in_suv = config.revision_unit == "suv"
            terms["revision"] = config.revision_factor * losses.revision_loss(
                revised if in_suv else model.to_normalised(revised),
                batch.high_count if in_suv else high_count,
                masks,
                config.image_class_weights,
                regulariser_weights,
                total=processes.total,
            )
        if "segmenter" in trained:
            share = config.segmentation_gradient
            seen = share * revised + (1.0 - share) * revised.detach()
            with autocast(device, precision):
                lesion_logits, organ_logits = model.segment(seen, batch.low_count)
            terms["segmentation"] = config.segmentation_factor * losses.segmentation_loss(
                lesion_logits,
                organ_logits,
                batch.organs,
                batch.lesions,
                cross_entropy_weights=config.cross_entropy_weights,
                dice_weights=config.dice_weights,
                absent_lesion_voxels=1000.0 * config.absent_lesion_ml / model.config.voxel_size_mm**3,
                total=processes.total,
            )
        if "uncertainty" in trained:
            finished = revised.detach()
            error = model.full_range.to_normalised(finished) - model.full_range.to_normalised(
                batch.high_count
            )
            with autocast(device, precision):
                log_scale = model.log_error_scale(finished, batch.low_count)
            terms["uncertainty"] = losses.uncertainty_loss(error, log_scale, total=processes.total)
    terms["total"] = losses.total_loss(**terms, warm=warm)
    return terms
