"""The configuration of the model, one frozen dataclass per part, and three presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any

from AMDiffLib.labels import ORGANS

INTENSITIES = ("cutoff", "sqrt")
PREDICTIONS = ("epsilon", "x0", "v")
SAMPLERS = ("ancestral", "few_step", "regression")
STARTS = ("noise", "low_count")
NORMS = ("batch", "instance", "group")
SCANS = ("channel_sequence", "axes")
SEGMENTERS = ("nnmamba", "swin_unetr", "residual_unet")


@dataclass(frozen=True, kw_only=True)
class IntensityConfig:
    """How SUV is brought to the range of the diffusion; SUV 0 becomes -1 and `suv_at_one` becomes +1."""

    kind: str = "sqrt"
    suv_at_one: float = 20.0
    offset: float = 0.25  # keeps the slope of the square root finite at SUV 0

    def __post_init__(self) -> None:
        _one_of("intensity.kind", self.kind, INTENSITIES)
        _positive("intensity.suv_at_one", self.suv_at_one)
        _positive("intensity.offset", self.offset)


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """The noise schedule, what the denoiser predicts, and how an image is drawn from it.

    The sampler 'regression' is no diffusion at all: the network is given the low-count image without noise,
    and what it predicts (x0) is the result. It is what diffusion is compared with.
    """

    timesteps: int = 250
    cosine_offset: float = 0.008
    prediction: str = "x0"
    sampler: str = "few_step"
    start: str = "low_count"
    sampling_timesteps: tuple[int, ...] = (150, 50)

    def __post_init__(self) -> None:
        _one_of("diffusion.prediction", self.prediction, PREDICTIONS)
        _one_of("diffusion.sampler", self.sampler, SAMPLERS)
        _one_of("diffusion.start", self.start, STARTS)
        if (self.sampler == "ancestral") != (self.start == "noise"):
            raise ValueError(
                f"the sampler {self.sampler!r} cannot start from {self.start!r}: "
                "ancestral sampling starts from 'noise', few-step sampling and regression from 'low_count'"
            )
        if self.sampler == "regression" and self.prediction != "x0":
            raise ValueError(f"regression predicts the image: 'x0', not {self.prediction!r}")
        if self.sampler == "few_step":
            steps = self.sampling_timesteps
            if not steps or list(steps) != sorted(set(steps), reverse=True):
                raise ValueError(f"diffusion.sampling_timesteps is {steps}; they must fall from step to step")
            if steps[0] > self.timesteps or steps[-1] < 1:
                raise ValueError(f"diffusion.sampling_timesteps is {steps}; they lie in 1..{self.timesteps}")


def evenly_spaced_timesteps(first: int, steps: int) -> tuple[int, ...]:
    """Return `steps` timesteps that fall evenly from `first` towards 0, which is not among them."""
    return tuple(round(first * (steps - i) / steps) for i in range(steps))


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The U-Net f_den of Eq. (2).

    With `shuffle` 2 it works on blocks of 2 x 2 x 2 voxels as channels, at half the resolution, and its
    output is put together again (after FFDNet, Zhang et al., 2018): nothing is lost, and what made the
    published network slow, its layers at full resolution, is gone. 1: as published.

    `smoothed_mm` are full widths of Gaussians: the low-count image filtered with each is given beside it, and
    the network mixes them and the unfiltered image voxel by voxel, with shares that add up to one, before it
    adds to them (after kernel-predicting networks, Bako et al., 2017). So it starts at what an even filter
    does, and can keep a lesion as it was measured. For x0-prediction only.
    Empty: as published.

    With `noise_embedding` the scan's noise is embedded beside the timestep, as the noise that diffusion adds
    is: group normalisation hides from the network how strong it is. It needs a Gaussian to be told by.
    """

    channels: tuple[int, ...] = (16, 32, 64, 96)
    attention_levels: tuple[bool, ...] = (False, False, False, True)
    num_res_blocks: int = 1
    norm_num_groups: int = 8
    num_head_channels: int = 32
    flash_attention: bool = True
    shuffle: int = 1
    smoothed_mm: tuple[float, ...] = ()
    noise_embedding: bool = False


@dataclass(frozen=True, kw_only=True)
class RevisionConfig:
    """The revision f_rev of Eq. (6): so many 3x3x3 convolutions of so many channels.

    Not `enabled`, P_HCR is P_HC and Eq. (7) falls away: "w/o denoising revision" of the paper's Table 4.
    """

    channels: int = 12
    layers: int = 3
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class UncertaintyConfig:
    """The head that says how far off the revised image may be: so many 3x3x3 convolutions and channels."""

    channels: int = 12
    layers: int = 3


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """The dual-branch nnMamba f_seg of Eq. (8).

    `full_resolution_channels` features of the input at full resolution join the last layer of each decoder
    (0: none, as published, where nothing finer than half resolution reaches the logits).

    A voxel is lesion from the probability `lesion_threshold` on.

    Another `kind` than 'nnmamba' is a comparator, of which `channels` is the width and the rest is not used.
    """

    kind: str = "nnmamba"
    channels: int = 16
    blocks: int = 3
    d_state: int = 8
    norm: str = "group"
    activate_logits: bool = False
    res_mamba: bool = True
    scans: str = "channel_sequence"
    full_resolution_channels: int = 8
    organ_classes: int = 1 + len(ORGANS)
    lesion_threshold: float = 0.5

    def __post_init__(self) -> None:
        _one_of("segmenter.kind", self.kind, SEGMENTERS)
        _one_of("segmenter.norm", self.norm, NORMS)
        _one_of("segmenter.scans", self.scans, SCANS)


@dataclass(frozen=True, kw_only=True)
class AMDiffConfig:
    """A whole model: its parts and the voxel size (mm, isotropic) it works at.

    `uncertainty` is None for a model without that head, which the published one is.
    """

    name: str
    voxel_size_mm: float = 4.0
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    revision: RevisionConfig = field(default_factory=RevisionConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    uncertainty: UncertaintyConfig | None = None

    def __post_init__(self) -> None:
        _positive("voxel_size_mm", self.voxel_size_mm)
        if self.denoiser.smoothed_mm and self.diffusion.prediction != "x0":
            raise ValueError(
                f"denoiser.smoothed_mm is {self.denoiser.smoothed_mm} with diffusion.prediction "
                f"{self.diffusion.prediction!r}; only 'x0' can be mixed from smoothed images"
            )
        unlimited = self.diffusion.sampler == "ancestral" and self.intensity.kind != "cutoff"
        if unlimited and self.diffusion.prediction == "epsilon":
            raise ValueError(
                "diffusion.sampler 'ancestral' with diffusion.prediction 'epsilon' needs the cut-off of "
                "intensity.kind 'cutoff': in its first steps an error of the noise counts a thousandfold, "
                "and nothing else limits it"
            )
        if self.denoiser.noise_embedding and not self.denoiser.smoothed_mm:
            raise ValueError(
                "denoiser.noise_embedding needs denoiser.smoothed_mm: a scan's noise is what a Gaussian takes"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings: what `json.dumps` takes."""
        return _to_plain(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AMDiffConfig:
        """Return the configuration that `to_dict` wrote; ValueError names an unknown key."""
        return _from_plain(cls, values, "")


_PARTS = {
    "intensity": IntensityConfig,
    "diffusion": DiffusionConfig,
    "denoiser": DenoiserConfig,
    "revision": RevisionConfig,
    "segmenter": SegmenterConfig,
    "uncertainty": UncertaintyConfig,
}


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _from_plain(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"'{prefix[:-1]}' is {values!r} in the model's configuration; an object is needed")
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"unknown key '{prefix}{unknown[0]}' in the model's configuration; "
            f"known are {', '.join(sorted(known))}"
        )
    arguments = {}
    for key, value in values.items():
        if cls is AMDiffConfig and key in _PARTS and not (key == "uncertainty" and value is None):
            arguments[key] = _from_plain(_PARTS[key], value, f"{prefix}{key}.")
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ValueError(f"the model's configuration is incomplete: {error}") from error


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(allowed)}")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} is {value}; a positive number is needed")


PAPER = AMDiffConfig(
    name="paper",
    voxel_size_mm=2.04,
    intensity=IntensityConfig(kind="cutoff"),
    diffusion=DiffusionConfig(
        prediction="epsilon", sampler="ancestral", start="noise", sampling_timesteps=tuple(range(250, 0, -1))
    ),
    # Four levels with attention at the lowest as published; the channels are Med-DDPM's first four.
    denoiser=DenoiserConfig(channels=(64, 64, 128, 192), norm_num_groups=32, num_head_channels=64),
    revision=RevisionConfig(channels=32),
    segmenter=SegmenterConfig(
        channels=32, d_state=16, norm="batch", activate_logits=True, full_resolution_channels=0
    ),
)

# One step and two blocks a stage: a laptop's processor spends its time on the convolutions. Blocks of voxels
# take a fifth of the time in the denoiser; mixing filters makes up for them in organs, not in the smallest
# lesions.
COMPACT = AMDiffConfig(
    name="compact",
    diffusion=DiffusionConfig(sampling_timesteps=(150,)),
    denoiser=DenoiserConfig(
        channels=(32, 48, 64, 96), shuffle=2, smoothed_mm=(6.0, 10.0, 16.0, 26.0), noise_embedding=True
    ),
    # Trained so that false lesions cost, the network is hesitant: see the model's card for what was compared.
    segmenter=SegmenterConfig(blocks=2, lesion_threshold=0.1),
    uncertainty=UncertaintyConfig(),
)

# For a GPU: finer voxels, the denoiser at full resolution, the same single step. 18 M parameters.
BASE = replace(
    COMPACT,
    name="base",
    voxel_size_mm=3.0,
    denoiser=replace(COMPACT.denoiser, channels=(48, 64, 96, 128), shuffle=1),
    segmenter=replace(COMPACT.segmenter, channels=24),
)

PRESETS = {preset.name: preset for preset in (PAPER, COMPACT, BASE)}
