"""The segmenter f_seg of Eq. (8): nnMamba (Gong et al., 2024) with one encoder and two decoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from AMDiffLib.networks.config import SegmenterConfig
from AMDiffLib.networks.group_norm import GroupNorm
from AMDiffLib.networks.mamba import Mamba

LESION_CLASSES = 2


def normalisation(kind: str, channels: int) -> nn.Module:
    """Return the layer named `kind`; instance normalisation is a group norm of one channel a group."""
    if kind == "batch":
        return nn.BatchNorm3d(channels)
    return GroupNorm(channels if kind == "instance" else min(8, channels), channels)


class DoubleConv(nn.Sequential):
    """Two 3x3x3 convolutions, each with normalisation and ReLU."""

    def __init__(self, in_channels: int, channels: int, norm: str, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(in_channels, channels, 3, stride=stride, padding=1),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
        )


class MambaLayer(nn.Module):
    """One Mamba over the voxels in raster order, in four directions with shared weights."""

    def __init__(self, channels: int, *, d_state: int, norm: str, scans: str) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv3d(channels, channels, 1), normalisation(norm, channels), nn.ReLU())
        self.mamba = Mamba(channels, d_state=d_state)
        self.leave = nn.Sequential(nn.Conv3d(channels, channels, 1), normalisation(norm, channels), nn.ReLU())
        # Dimensions of (B, D, H, W, C) reversed in each of the four scans. As published: none, channels, the
        # sequence (all three axes), both. By axes: none, depth, height, width.
        sequence = (1, 2, 3)
        self.reversals = (
            ((), (4,), sequence, (*sequence, 4)) if scans == "channel_sequence" else ((), (1,), (2,), (3,))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.enter(x)
        voxels = y.permute(0, 2, 3, 4, 1)
        batch, *grid, channels = voxels.shape
        directions = torch.cat([voxels.flip(dims) if dims else voxels for dims in self.reversals])
        scanned = self.mamba(directions.reshape(len(directions), -1, channels))
        scanned = scanned.reshape(len(self.reversals), batch, *grid, channels)
        mean = sum(s.flip(dims) if dims else s for s, dims in zip(scanned, self.reversals, strict=True)) / 4
        return self.leave(mean.permute(0, 4, 1, 2, 3) + y)


class ResidualBlock(nn.Module):
    """relu(convs(x) + mamba(x) + skip(x)): the Mamba reads the block's input, beside the convolutions."""

    def __init__(
        self, in_channels: int, channels: int, norm: str, *, stride: int = 1, mamba: MambaLayer | None = None
    ) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv3d(in_channels, channels, 3, stride=stride, padding=1, bias=False),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            normalisation(norm, channels),
        )
        self.mamba = mamba
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.skip = nn.Sequential(
                nn.Conv3d(in_channels, channels, 1, stride=stride, bias=False), normalisation(norm, channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolutions(x) + self.skip(x)
        if self.mamba is not None:
            y = y + self.mamba(x)
        return torch.relu(y)


class Stage(nn.Sequential):
    """A strided block that halves the grid and doubles the channels, then blocks sharing one Mamba layer."""

    def __init__(self, in_channels: int, channels: int, config: SegmenterConfig) -> None:
        blocks: list[nn.Module] = [ResidualBlock(in_channels, channels, config.norm, stride=2)]
        mamba = None
        if config.res_mamba:
            mamba = MambaLayer(channels, d_state=config.d_state, norm=config.norm, scans=config.scans)
        blocks += [
            ResidualBlock(channels, channels, config.norm, mamba=mamba) for _ in range(config.blocks - 1)
        ]
        super().__init__(*blocks)


class SkipGate(nn.Module):
    """Scales each channel of a skip connection by a weight from the image's mean features."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.weigh = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x.mean(dim=(2, 3, 4)))[:, :, None, None, None]


class Decoder(nn.Module):
    """Three layers from 1/16 to 1/2 resolution, each with its gated skip, then logits at full resolution."""

    def __init__(self, classes: int, config: SegmenterConfig) -> None:
        super().__init__()
        c, fine = config.channels, config.full_resolution_channels
        self.layers = nn.ModuleList(
            DoubleConv(in_channels, channels, config.norm)
            for in_channels, channels in ((12 * c, 4 * c), (6 * c, 2 * c), (3 * c, c))
        )
        self.narrow = nn.Conv3d(c, fine, 1) if fine else None
        if config.activate_logits:
            self.logits: nn.Module = DoubleConv(2 * fine if fine else c, classes, config.norm)
        else:
            width = max(classes, fine)
            self.logits = nn.Sequential(
                nn.Conv3d(2 * fine if fine else c, width, 3, padding=1),
                normalisation(config.norm, width),
                nn.ReLU(inplace=True),
                nn.Conv3d(width, classes, 3, padding=1),
            )

    def forward(self, features: Tensor, skips: list[Tensor], full_resolution: Tensor | None) -> Tensor:
        for layer, skip in zip(self.layers, skips, strict=True):
            features = layer(torch.cat([_twice_as_fine(features), skip], dim=1))
        if self.narrow is None:
            return self.logits(_twice_as_fine(features))
        features = _twice_as_fine(self.narrow(features))
        return self.logits(torch.cat([features, full_resolution], dim=1))


class DualBranchNNMamba(nn.Module):
    """Lesion and organ logits from two channels; the grid is a multiple of 16 along each axis."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        c, fine = config.channels, config.full_resolution_channels
        self.full_resolution = None
        if fine:
            self.full_resolution = nn.Sequential(
                nn.Conv3d(2, fine, 3, padding=1), normalisation(config.norm, fine), nn.ReLU(inplace=True)
            )
        self.in_conv = DoubleConv(2, c, config.norm, stride=2)
        self.stages = nn.ModuleList(Stage(n * c, 2 * n * c, config) for n in (1, 2, 4))
        self.gates = nn.ModuleList(SkipGate(n * c) for n in (4, 2, 1))
        self.lesion_decoder = Decoder(LESION_CLASSES, config)
        self.organ_decoder = Decoder(config.organ_classes, config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return lesion logits (B, 2, D, H, W) and organ logits (B, 8, D, H, W) for x (B, 2, D, H, W)."""
        features = [self.in_conv(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        skips = [gate(skip) for gate, skip in zip(self.gates, features[-2::-1], strict=True)]
        fine = self.full_resolution(x) if self.full_resolution is not None else None
        return self.lesion_decoder(features[-1], skips, fine), self.organ_decoder(features[-1], skips, fine)


def _twice_as_fine(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
