"""Organs in one place: small parts far from an organ are not it."""

from __future__ import annotations

import numpy as np

from AMDiffLib.inference.organs import without_stray_parts
from AMDiffLib.labels import ORGANS

LABEL = {organ.name: organ.label for organ in ORGANS}


def a_body(**boxes: tuple[slice, slice, slice] | list[tuple[slice, slice, slice]]) -> np.ndarray:
    organs = np.zeros((20, 20, 20), np.uint8)
    for name, parts in boxes.items():
        for part in parts if isinstance(parts, list) else [parts]:
            organs[part] = LABEL[name]
    return organs


def test_a_small_part_far_from_the_organ_becomes_background():
    liver, face = np.s_[0:6, 0:6, 0:6], np.s_[10:13, 10:13, 10:13]  # 216 and 27 voxels
    assert np.array_equal(without_stray_parts(a_body(liver=[liver, face])), a_body(liver=liver))


def test_two_kidneys_stay_though_one_is_smaller():
    organs = a_body(kidney=[np.s_[0:6, 0:5, 0:5], np.s_[10:15, 10:14, 10:14]])  # 150 and 80 voxels
    assert np.array_equal(without_stray_parts(organs), organs)


def test_parts_are_of_their_own_organ_alone():
    organs = a_body(liver=np.s_[0:10, 0:10, 0:10], spleen=np.s_[12:14, 12:14, 12:14])
    assert np.array_equal(without_stray_parts(organs), organs)


def test_bones_and_muscles_are_many_and_stay():
    organs = a_body(
        bone=[np.s_[0:6, 0:6, 0:6], np.s_[18:19, 18:19, 18:19]],
        muscle=[np.s_[8:12, 8:12, 8:12], np.s_[15:16, 15:16, 15:16]],
    )
    assert np.array_equal(without_stray_parts(organs), organs)


def test_a_body_without_organs_stays_as_it_is():
    assert not without_stray_parts(a_body()).any()
