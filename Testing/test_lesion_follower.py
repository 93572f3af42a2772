"""Edits are noticed, and measured once the hand rests, piece by piece."""

from __future__ import annotations

import pytest
from AMDiffModule.count_comparison import CountComparison
from AMDiffModule.lesion_follower import LesionFollower
from AMDiffModule.lesion_marks import add_lesion, reject
from AMDiffModule.scene_measurement import update_table_in_steps
from lesion_cases import VOXEL_ML, add_patient, box, cells, paint
from slicer_host import open_host


@pytest.fixture
def nodes(tmp_path):
    return add_patient(open_host(tmp_path / "cache").scene)


def segment(nodes, segment_id: str):
    return nodes.segmentation.GetSegmentation().GetSegment(segment_id)


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_follower_waits_until_the_hand_rests_and_then_measures_piece_by_piece(nodes):
    clock, noticed, results = Clock(), [], []
    follower = LesionFollower(
        lambda: update_table_in_steps(nodes, CountComparison()),
        noticed=lambda: noticed.append(clock.now),
        measured=results.append,
        quiet_s=0.5,
        slice_s=0.0,
        clock=clock,
    )
    follower.follow(nodes.segmentation)
    before = cells(nodes.table)
    for stroke in range(3):
        clock.now = 0.3 * stroke
        paint(nodes, "lesion_1", box(slice(26, 27 + stroke), slice(4, 8), slice(4, 7)))
        assert follower.tick()
    assert cells(nodes.table) == before and not results
    assert len(noticed) >= 3
    clock.now = 0.6 + 0.51
    ticks = 1
    while follower.tick():
        ticks += 1
    assert ticks > 5  # one piece a tick, as no time is allowed for more
    assert len(results) == 1
    assert float(cells(nodes.table)["Lesion 1"]["mtv_ml"]) == pytest.approx(36 * VOXEL_ML)
    assert not follower.is_waiting and not follower.tick()


@pytest.mark.parametrize(
    "edit",
    [
        lambda nodes: nodes.segmentation.GetSegmentation().RemoveSegment("lesion_2"),
        lambda nodes: add_lesion(nodes.segmentation, (1.0, 0.0, 0.0)),
        lambda nodes: reject(nodes.segmentation, "lesion_2", "other"),
        lambda nodes: segment(nodes, "lesion_2").SetName("hilum"),
    ],
)
def test_the_follower_notices_every_kind_of_change_and_a_measurement_is_none(nodes, edit):
    follower = LesionFollower(lambda: update_table_in_steps(nodes, CountComparison()))
    follower.follow(nodes.segmentation)
    assert not follower.is_waiting
    edit(nodes)
    assert follower.is_waiting
    follower.finish()
    assert not follower.is_waiting
    follower.close()
    add_lesion(nodes.segmentation, (1.0, 0.0, 0.0))
    assert not follower.is_waiting


def test_an_edit_during_the_measurement_starts_it_again(nodes):
    clock = Clock()
    follower = LesionFollower(
        lambda: update_table_in_steps(nodes, CountComparison()), quiet_s=0.5, slice_s=0.0, clock=clock
    )
    follower.follow(nodes.segmentation)
    follower.change()
    clock.now = 1.0
    assert follower.tick() and follower.tick()
    paint(nodes, "lesion_1", box(slice(26, 27), slice(4, 8), slice(4, 7)))
    clock.now = 2.0
    while follower.tick():
        pass
    assert float(cells(nodes.table)["Lesion 1"]["mtv_ml"]) == pytest.approx(12 * VOXEL_ML)
