"""A job that Slicer has started and that is ended in the middle: the scene is as it was, nothing is left."""

from __future__ import annotations

import pytest
from fault_scenes import SceneBench, ended_in_slicer, slicer_gone


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return SceneBench(tmp_path_factory.mktemp("scene faults"))


@pytest.mark.parametrize(("stage", "end"), [("measuring", "SIGKILL"), ("denoising", "Cancel")])
def test_a_job_that_is_ended_leaves_the_scene_as_it_was_and_no_process(bench, stage, end):
    verdict = ended_in_slicer(bench, stage, end)
    assert verdict.wrong == ()
    if end == "SIGKILL":
        assert "memory" in verdict.seen


def test_a_job_whose_slicer_is_killed_ends_by_itself_and_leaves_nothing(bench):
    assert slicer_gone(bench, "denoising").wrong == ()
