"""The simulated scan in Slicer's Sample Data module: registered as Slicer asks for it, loaded in SUV."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest
import slicer
from AMDiffModule import sample_data
from AMDiffModule.node_marks import is_marked_as_suv, is_synthetic
from AMDiffModule.worker import installed_models
from slicer_host import open_host
from slicer_stand_ins import open_module

# Parameters of registerCustomSampleDataSource that Slicer 5.8 and 5.12 have in common.
ACCEPTED = {
    "category",
    "sampleName",
    "uris",
    "fileNames",
    "nodeNames",
    "customDownloader",
    "thumbnailFileName",
    "loadFileType",
    "loadFiles",
    "loadFileProperties",
    "checksums",
}


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    host = open_host(tmp_path / "cache")
    module, widget = open_module(host, monkeypatch, models=installed_models() or ["amdiff-compact"])
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, host=host)
    widget.cleanup()


@pytest.fixture
def sources(monkeypatch) -> list[dict]:
    """What was registered with a stand-in for Slicer's Sample Data module."""
    registered: list[dict] = []
    logic = SimpleNamespace(registerCustomSampleDataSource=lambda **source: registered.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=logic))
    return registered


def test_the_scan_is_registered_when_the_application_has_started(a_module, sources):
    a_module.module.AMDiff(SimpleNamespace())
    assert sources == []
    slicer.app.startupCompleted.emit()
    (source,) = sources
    assert set(source) <= ACCEPTED
    assert source["customDownloader"] is sample_data.load
    assert "Simulated" in source["sampleName"] and "Simulated" in source["nodeNames"]


def test_what_is_registered_is_a_file_of_the_extension_with_its_checksum_and_picture(a_module, sources):
    sample_data.register()
    (source,) = sources
    uri = urlsplit(source["uris"])
    assert uri.scheme == "file"  # nothing is downloaded
    content = Path(url2pathname(uri.path)).read_bytes()
    assert source["checksums"] == "SHA256:" + hashlib.sha256(content).hexdigest()
    assert len(content) < 5e6
    assert Path(source["thumbnailFileName"]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_click_loads_the_scan_in_suv_shows_it_and_the_panel_takes_it(a_module, sources):
    sample_data.register()
    node = sources[0]["customDownloader"](SimpleNamespace(**sources[0]))
    assert is_marked_as_suv(node) and not is_synthetic(node)
    assert "Simulated" in node.GetName() and "not a patient" in node.GetDescription()
    assert node.GetSpacing() == (4.0, 4.0, 4.0)
    suv = slicer.util.arrayFromVolume(node)
    # Of the activity of a whole body, mean SUV 1 by definition of SUV, a scan from head to thigh holds most.
    grams = float(suv.sum()) * 0.064
    assert 20_000 < grams < 120_000
    assert suv.min() == 0.0 and np.isfinite(suv).all()
    display = node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 7.0)
    shown = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {composite.GetBackgroundVolumeID() for composite in shown} == {node.GetID()}
    a_module.widget.enter()
    assert a_module.ui.inputSelector.currentNode() is node
    assert a_module.ui.runButton.enabled


def test_a_second_click_adds_a_second_volume_of_another_name(a_module):
    assert sample_data.load().GetName() != sample_data.load().GetName()


def test_without_the_sample_data_module_nothing_is_registered(a_module, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    sample_data.register()


def test_a_sample_that_is_gone_is_named(a_module, monkeypatch, tmp_path):
    monkeypatch.setattr(sample_data, "library_root", lambda: tmp_path)
    nodes = a_module.host.scene.GetNumberOfNodes()
    with pytest.raises(sample_data.SampleDataMissing, match="Install the AMDiff extension again"):
        sample_data.load()
    assert a_module.host.scene.GetNumberOfNodes() == nodes
