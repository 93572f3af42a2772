"""Attenuation at 511 keV and Hounsfield units of a 120 kVp CT, each from the other."""

from __future__ import annotations

import torch

# Carney et al., Med. Phys. 33:976 (2006), 120 kVp: up to the break mu = 9.6e-5 (HU + 1000), above it
# mu = 5.10e-5 (HU + 1000) + 4.71e-2, in 1/cm. Below the break tissue is a mixture of air and water; above it,
# of water and bone, whose calcium absorbs the CT's photons more than those of 511 keV.
_WATER_SLOPE = 9.6e-5
_BONE_SLOPE = 5.10e-5
_BONE_OFFSET = 4.71e-2
# Where the two lines cross (47 HU; the publication rounds it), so that both ways are exact inverses.
_BREAK = _BONE_OFFSET / (_WATER_SLOPE - _BONE_SLOPE)


def attenuation_from_hounsfield(hounsfield: torch.Tensor) -> torch.Tensor:
    """Return linear attenuation at 511 keV, 1/cm, of a 120 kVp CT in Hounsfield units; none below -1000."""
    raised = (hounsfield.to(torch.float32) + 1000).clamp_min(0)
    return torch.where(raised < _BREAK, _WATER_SLOPE * raised, _BONE_SLOPE * raised + _BONE_OFFSET)


def hounsfield(attenuation: torch.Tensor) -> torch.Tensor:
    """Return the 120 kVp CT, in Hounsfield units, of linear attenuation at 511 keV in 1/cm."""
    attenuation = attenuation.to(torch.float32)
    raised = torch.where(
        attenuation < _WATER_SLOPE * _BREAK,
        attenuation / _WATER_SLOPE,
        (attenuation - _BONE_OFFSET) / _BONE_SLOPE,
    )
    return raised - 1000
