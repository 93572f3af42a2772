"""AMDiff: the denoiser, the revision and the segmenter as one model."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from AMDiffLib.diffusion.schedule import NoiseSchedule
from AMDiffLib.networks.config import AMDiffConfig, IntensityConfig
from AMDiffLib.networks.denoiser import Denoiser
from AMDiffLib.networks.intensity import IntensityTransform
from AMDiffLib.networks.revision import Revision
from AMDiffLib.networks.segmenters import make_segmenter
from AMDiffLib.networks.smoothing import gaussian
from AMDiffLib.networks.uncertainty import UncertaintyHead

GRID_MULTIPLE = 16
AIR = -1.0  # SUV 0 on the normalised scale
PATIENT_SUV = 0.1  # fat and lung lie above it
LEAST_NOISE = 1e-3  # normalised; a patch without the patient has none
FULL_RANGE = IntensityConfig(kind="sqrt")


class AMDiff(nn.Module):
    """Low-count image and noise in; denoised image, lesions and organs out. Images are (B, 1, D, H, W).

    D, H and W are multiples of 16. The revision and the segmenter see both images on a square-root scale
    without a cut-off, whatever the diffusion works on, so that values above the cut-off reach them.
    """

    def __init__(self, config: AMDiffConfig) -> None:
        super().__init__()
        self.config = config
        self.intensity = IntensityTransform(config.intensity)
        self.full_range = IntensityTransform(FULL_RANGE)
        self.schedule = NoiseSchedule(config.diffusion.timesteps, config.diffusion.cosine_offset)
        # Most voxels are air: there a network that predicts the image starts; one that predicts noise, or
        # what a mixture of smoothed images lacks, at 0.
        predicts_image = config.diffusion.prediction == "x0" and not config.denoiser.smoothed_mm
        air = AIR if predicts_image else 0.0
        self.denoiser = Denoiser(config.denoiser, untrained_output=air)
        self.revision = None
        if config.revision.enabled:
            self.revision = Revision(
                config.revision, cutoff_suv=self.intensity.cutoff_suv, offset=FULL_RANGE.offset
            )
        self.segmenter = make_segmenter(config.segmenter)
        self.uncertainty = UncertaintyHead(config.uncertainty) if config.uncertainty else None

    def to_normalised(self, suv: Tensor) -> Tensor:
        """Return the diffusion's intensities for SUV (g/mL)."""
        return self.intensity.to_normalised(suv)

    def to_suv(self, x: Tensor) -> Tensor:
        """Return SUV (g/mL, >= 0) for the diffusion's intensities."""
        return self.intensity.to_suv(x)

    def denoiser_output(self, x_t: Tensor, low_count_suv: Tensor, t: Tensor) -> Tensor:
        """Return what f_den of Eq. (2) predicts (epsilon, x0 or v, as configured), float32.

        x_t: noisy image, normalised; low_count_suv: I_LC in SUV; t: (B,) int64 or int, in 1..T.
        """
        _check_grid(x_t)
        t = torch.as_tensor(t, device=x_t.device).expand(len(x_t))
        smoothed = [
            self.to_normalised(gaussian(_exact(low_count_suv), width / self.config.voxel_size_mm))
            for width in self.config.denoiser.smoothed_mm
        ]
        images = torch.cat([self.to_normalised(low_count_suv), *smoothed], dim=1)
        noise = self.scan_noise(images) if self.config.denoiser.noise_embedding else None
        return _exact(self.denoiser(x_t, images, t, noise))

    def scan_noise(self, images: Tensor) -> Tensor:
        """Return the mean difference (B,) between a low-count image and its narrowest Gaussian, normalised.

        The mean is over the patient. `images` (B, 2 or more, D, H, W): the image and its Gaussians, the
        widest last.
        """
        patient = images[:, -1] > self.to_normalised(images.new_tensor(PATIENT_SUV))
        return mean_difference(images[:, 0], images[:, 1], inside=patient).clamp_min(LEAST_NOISE)

    def predict_x0(self, x_t: Tensor, low_count_suv: Tensor, t: Tensor) -> Tensor:
        """Return the predicted high-count image, normalised and limited to the values an SUV can have.

        Arguments as in `denoiser_output`.
        """
        return self.x0_from_output(self.denoiser_output(x_t, low_count_suv, t), x_t, t)

    def x0_from_output(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return what `predict_x0` does, from a `denoiser_output` already at hand."""
        prediction = self.config.diffusion.prediction
        if prediction == "epsilon":
            output = self.schedule.x0_from_epsilon(_exact(x_t), t, output)
        elif prediction == "v":
            output = self.schedule.x0_from_v(_exact(x_t), t, output)
        return self.intensity.clamp(output)

    def revise(self, denoised_suv: Tensor, low_count_suv: Tensor) -> Tensor:
        """Return P_HCR of Eq. (6) in SUV, >= 0, over the full range, from P_HC and I_LC in SUV.

        Without revision this is P_HC.
        """
        _check_grid(denoised_suv)
        if self.revision is None:
            return _exact(denoised_suv)
        features = self._full_range_pair(denoised_suv, low_count_suv)
        return self.revision(_exact(denoised_suv), _exact(low_count_suv), features)

    def segment(self, revised_suv: Tensor, low_count_suv: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lesion logits (B, 2, D, H, W) and the organ logits (B, 8, D, H, W) of Eq. (8).

        The first class of each is the background; organs follow in the order of labels 2..8.
        Arguments: P_HCR and I_LC in SUV.
        """
        _check_grid(revised_suv)
        lesions, organs = self.segmenter(self._full_range_pair(revised_suv, low_count_suv))
        return _exact(lesions), _exact(organs)

    def log_error_scale(self, revised_suv: Tensor, low_count_suv: Tensor) -> Tensor:
        """Return ln b of the Laplace distribution of the revised image's error, in `full_range` intensity.

        ValueError for a model without uncertainty head.
        """
        if self.uncertainty is None:
            raise ValueError(f"the model '{self.config.name}' has no uncertainty head")
        _check_grid(revised_suv)
        return self.uncertainty(self._full_range_pair(revised_suv, low_count_suv))

    def uncertainty_sd(self, revised_suv: Tensor, low_count_suv: Tensor) -> Tensor:
        """Return the standard deviation (SUV) of the revised image's error, sqrt(2) b, to first order."""
        scale = self.log_error_scale(revised_suv, low_count_suv).exp()
        return math.sqrt(2.0) * scale * self.full_range.suv_per_unit(_exact(revised_suv))

    def _full_range_pair(self, first_suv: Tensor, second_suv: Tensor) -> Tensor:
        return self.full_range.to_normalised(torch.cat([first_suv, second_suv], dim=1))


def mean_difference(first: Tensor, second: Tensor, *, inside: Tensor) -> Tensor:
    """Return the mean (B,) of |first - second| where `inside` is true, 0 where nothing is; all (B, ...)."""
    voxels = inside.flatten(1).sum(dim=1).clamp_min(1)
    return ((first - second).abs() * inside).flatten(1).sum(dim=1) / voxels


def _exact(x: Tensor) -> Tensor:
    """Half precision belongs inside the networks: differences of images are taken in float32."""
    return x if x.dtype == torch.float64 else x.float()


def _check_grid(image: Tensor) -> None:
    if image.ndim != 5 or image.shape[1] != 1 or any(n % GRID_MULTIPLE for n in image.shape[2:]):
        raise ValueError(
            f"the image has shape {tuple(image.shape)}; "
            f"(B, 1, D, H, W) with multiples of {GRID_MULTIPLE} is needed"
        )
