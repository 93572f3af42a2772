"""Lesions and organs stay apart for readers with a colour-vision deficiency."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from AMDiffLib.labels import LESION, SEMANTIC_CLASSES

# Machado, Oliveira and Fernandes, IEEE Trans Vis Comput Graph 2009;15:1291, severity 1.0, on linear sRGB.
AS_SEEN = {
    "normal vision": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
D65 = np.array([0.95047, 1.0, 1.08883])


def cielab(colour: tuple[int, int, int], vision: np.ndarray) -> np.ndarray:
    channels = np.array(colour) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = SRGB_TO_XYZ @ np.clip(vision @ linear, 0, 1) / D65
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_conversion_is_that_of_cie():
    assert cielab((255, 255, 255), np.eye(3)) == pytest.approx([100, 0, 0], abs=0.01)
    assert cielab((255, 0, 0), np.eye(3)) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@pytest.mark.parametrize("vision", AS_SEEN)
def test_no_two_classes_look_alike(vision):
    """A difference of 2.3 is just noticeable (Mahy 1994); ten times that is seen in small patches."""
    seen = {structure.name: cielab(structure.colour, AS_SEEN[vision]) for structure in SEMANTIC_CLASSES}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 22, (one, other)


@pytest.mark.parametrize("vision", AS_SEEN)
def test_the_outline_of_a_lesion_is_seen_on_white_and_on_black(vision):
    lesion = cielab(LESION.colour, AS_SEEN[vision])
    for background in ((255, 255, 255), (0, 0, 0), (128, 128, 128)):
        assert np.linalg.norm(lesion - cielab(background, AS_SEEN[vision])) > 30
