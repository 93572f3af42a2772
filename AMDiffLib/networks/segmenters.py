"""The segmenters that can stand for f_seg of Eq. (8): nnMamba, and MONAI's networks it is compared with."""

from __future__ import annotations

from monai.networks.nets import SegResNet, SwinUNETR
from torch import Tensor, nn
from torch.nn import functional

from AMDiffLib.networks.config import SegmenterConfig
from AMDiffLib.networks.nnmamba import LESION_CLASSES, DualBranchNNMamba

_SWIN_GRID = 32


class OneBranchSegmenter(nn.Module):
    """A network whose outputs are split into lesion and organ logits: one decoder for both.

    The grid is padded with its edge to multiples of `grid`, and cut again.
    """

    def __init__(self, network: nn.Module, *, grid: int) -> None:
        super().__init__()
        self.network = network
        self.grid = grid

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return lesion logits (B, 2, D, H, W) and organ logits (B, 8, D, H, W) for x (B, 2, D, H, W)."""
        size = x.shape[2:]
        missing = [-n % self.grid for n in size]
        if any(missing):
            x = functional.pad(x, [part for n in reversed(missing) for part in (0, n)], mode="replicate")
        logits = self.network(x)[:, :, : size[0], : size[1], : size[2]]
        return logits[:, :LESION_CLASSES], logits[:, LESION_CLASSES:]


def make_segmenter(config: SegmenterConfig) -> nn.Module:
    """Return the segmenter of `config.kind`.

    'swin_unetr': SwinUNETR-V2 (He et al., 2023). 'residual_unet': a U-Net with a residual encoder of 1, 2, 2
    and 4 blocks and a lighter decoder (Myronenko, 2018).
    """
    if config.kind == "nnmamba":
        return DualBranchNNMamba(config)
    classes = LESION_CLASSES + config.organ_classes
    if config.kind == "swin_unetr":
        network = SwinUNETR(in_channels=2, out_channels=classes, feature_size=config.channels, use_v2=True)
        return OneBranchSegmenter(network, grid=_SWIN_GRID)
    network = SegResNet(spatial_dims=3, in_channels=2, out_channels=classes, init_filters=config.channels)
    return OneBranchSegmenter(network, grid=1)
