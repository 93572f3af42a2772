"""The segmenter: its published size, its grids, and where its Mamba layers look."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from AMDiffLib.networks.config import COMPACT, PAPER
from AMDiffLib.networks.nnmamba import Decoder, DualBranchNNMamba, MambaLayer

SMALL = replace(COMPACT.segmenter, channels=4, blocks=3, d_state=2, full_resolution_channels=2)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_published_configuration_has_the_published_size():
    segmenter = DualBranchNNMamba(PAPER.segmenter)
    # nnMamba with one decoder, two input channels and nine classes: 15.95 million.
    single = (
        parameters(segmenter) - parameters(segmenter.lesion_decoder) - parameters(segmenter.organ_decoder)
    )
    single += parameters(Decoder(9, PAPER.segmenter))
    assert single / 1e6 == pytest.approx(15.95, abs=0.01)


@pytest.mark.parametrize(("stage", "millions"), [(0, 0.041), (1, 0.150), (2, 0.570)])
def test_the_mamba_layers_have_the_published_size(stage, millions):
    layer = DualBranchNNMamba(PAPER.segmenter).stages[stage][1].mamba
    assert parameters(layer) / 1e6 == pytest.approx(millions, rel=0.02)


def test_the_blocks_of_a_stage_share_one_mamba_layer():
    stage = DualBranchNNMamba(SMALL).stages[0]
    assert [block.mamba is not None for block in stage] == [False, True, True]
    assert stage[1].mamba is stage[2].mamba


def test_without_mamba_only_the_convolutions_remain():
    plain = DualBranchNNMamba(replace(SMALL, res_mamba=False))
    assert not any(isinstance(module, MambaLayer) for module in plain.modules())
    assert plain(torch.randn(1, 2, 16, 16, 16))[0].shape == (1, 2, 16, 16, 16)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("scans", ["channel_sequence", "axes"])
def test_every_variant_labels_the_whole_grid(norm, scans):
    lesions, organs = DualBranchNNMamba(replace(SMALL, norm=norm, scans=scans))(torch.randn(1, 2, 32, 48, 32))
    assert lesions.shape == (1, 2, 32, 48, 32)
    assert organs.shape == (1, 8, 32, 48, 32)


def test_every_parameter_of_the_segmenter_learns():
    torch.manual_seed(0)
    segmenter = DualBranchNNMamba(SMALL)
    lesions, organs = segmenter(torch.randn(2, 2, 32, 32, 32))
    (lesions.square().mean() + organs.square().mean()).backward()
    silent = [
        name for name, p in segmenter.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert not silent


def test_published_logits_pass_a_relu_and_ours_do_not():
    torch.manual_seed(0)
    x = torch.randn(1, 2, 32, 32, 32)
    assert float(DualBranchNNMamba(replace(SMALL, activate_logits=True))(x)[0].min()) == 0.0
    assert float(DualBranchNNMamba(SMALL)(x)[0].min()) < 0.0


@pytest.mark.parametrize("scans", ["channel_sequence", "axes"])
def test_the_reversed_scans_let_every_voxel_see_the_whole_grid(scans):
    torch.manual_seed(0)
    layer = MambaLayer(16, d_state=2, norm="batch", scans=scans).eval()
    x = torch.randn(1, 16, 3, 3, 3, requires_grad=True)
    layer(x)[0, :, 1, 1, 1].sum().backward()
    seen = x.grad.abs().sum(dim=(0, 1)) > 0
    assert bool(seen.all())


def test_detail_finer_than_the_stem_reaches_the_logits_where_asked():
    torch.manual_seed(0)
    with_skip = DualBranchNNMamba(SMALL)
    without = DualBranchNNMamba(replace(SMALL, full_resolution_channels=0))
    # With the stem silenced nothing but the skip can carry the image to the logits.
    for segmenter in (with_skip, without):
        torch.nn.init.zeros_(segmenter.in_conv[0].weight)
    one, other = torch.randn(2, 1, 2, 16, 16, 16)
    assert not torch.allclose(with_skip(one)[0], with_skip(other)[0])
    assert torch.equal(without(one)[0], without(other)[0])
