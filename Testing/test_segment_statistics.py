"""The Segment Statistics plugin on real nodes, under a base class that does what Slicer's does without Qt."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import slicer
from AMDiffModule.node_marks import is_marked_as_suv
from AMDiffModule.scene_measurement import measure_scene
from AMDiffModule.segment_statistics import PLUGIN_NAME, plugin_class, register
from lesion_cases import VOXEL_ML, add_patient, box, paint
from slicer_host import open_host


class PluginBase:
    """Slicer's SegmentStatisticsPluginBase without its options widget."""

    def __init__(self) -> None:
        self.name, self.title, self.keys, self.defaultKeys, self.parameterNode = "", "", [], [], None

    def toLongKey(self, key: str) -> str:
        return f"{type(self).__name__}.{key}"

    def setParameterNode(self, node) -> None:
        self.parameterNode = node
        for key in self.keys:
            node.SetParameter(self.toLongKey(key) + ".enabled", str(key in self.defaultKeys))

    def getParameterNode(self):
        return self.parameterNode

    def getRequestedKeys(self) -> list[str]:
        enabled = self.parameterNode.GetParameter
        return [key for key in self.keys if enabled(self.toLongKey(key) + ".enabled") == "True"]


@pytest.fixture
def nodes(tmp_path):
    return add_patient(open_host(tmp_path / "cache").scene)


@pytest.fixture
def a_plugin(nodes):
    plugin = plugin_class(PluginBase)()
    parameters = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters.SetParameter("Segmentation", nodes.segmentation.GetID())
    parameters.SetParameter("ScalarVolume", nodes.denoised.GetID())
    plugin.setParameterNode(parameters)
    return plugin


def test_its_values_are_those_of_the_table(nodes, a_plugin):
    measured, _ = measure_scene(nodes)
    for lesion in measured.lesions:
        found = a_plugin.computeStatistics(f"lesion_{lesion.number}")
        assert set(found) == set(a_plugin.keys)
        assert found == {key: getattr(lesion, key) for key in a_plugin.keys}


def test_a_segment_without_a_type_is_measured_as_a_lesion_and_an_organ_is_not(nodes, a_plugin):
    own = nodes.segmentation.GetSegmentation().AddEmptySegment("Segment_1", "Segment 1")
    assert a_plugin.computeStatistics(own) == {}
    paint(nodes, own, box(slice(24, 26), slice(20, 22), slice(6, 8)))
    assert a_plugin.computeStatistics(own)["mtv_ml"] == pytest.approx(8 * VOXEL_ML)
    assert a_plugin.computeStatistics("liver") == {}


def test_it_follows_edits(nodes, a_plugin):
    before = a_plugin.computeStatistics("lesion_1")["mtv_ml"]
    paint(nodes, "lesion_1", box(slice(26, 28), slice(4, 6), slice(4, 6)))
    assert a_plugin.computeStatistics("lesion_1")["mtv_ml"] == pytest.approx(8 * VOXEL_ML) != before


def test_only_what_is_requested_is_returned_and_nothing_without_suv(nodes, a_plugin):
    parameters = a_plugin.getParameterNode()
    for key in a_plugin.keys:
        parameters.SetParameter(a_plugin.toLongKey(key) + ".enabled", str(key == "suv_peak"))
    assert list(a_plugin.computeStatistics("lesion_1")) == ["suv_peak"]
    ct = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(nodes.input), name="CT")
    assert not is_marked_as_suv(ct)
    parameters.SetParameter("ScalarVolume", ct.GetID())
    assert a_plugin.computeStatistics("lesion_1") == {}
    parameters.SetParameter("ScalarVolume", "")
    assert a_plugin.computeStatistics("lesion_1") == {}


def test_every_measurement_has_a_definition_a_unit_and_codes(a_plugin):
    for key in a_plugin.keys:
        assert "." not in key  # Segment Statistics splits long keys there
        info = a_plugin.getMeasurementInfo(key)
        assert info["name"] and info["title"] and info["description"]
        if "ratio" not in key and "_to_" not in key:
            assert info["units"]
            assert "CodeValue:" in info["DICOM.QuantityCode"]
    assert "1 mL sphere" in a_plugin.getMeasurementInfo("suv_peak")["description"]
    assert "126033" in a_plugin.getMeasurementInfo("tlg_g")["DICOM.QuantityCode"]
    assert a_plugin.getMeasurementInfo("voxel_count") is None


def test_it_registers_once_where_segment_statistics_is_and_not_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "SegmentStatistics", None)
    assert register() is False
    logic = SimpleNamespace(registeredPlugins=[])
    logic.registerPlugin = lambda plugin: logic.registeredPlugins.append(type(plugin))
    module, plugins = ModuleType("SegmentStatistics"), ModuleType("SegmentStatisticsPlugins")
    module.SegmentStatisticsLogic, plugins.SegmentStatisticsPluginBase = logic, PluginBase
    monkeypatch.setitem(sys.modules, "SegmentStatistics", module)
    monkeypatch.setitem(sys.modules, "SegmentStatisticsPlugins", plugins)
    assert register() and register()
    assert [plugin.__name__ for plugin in logic.registeredPlugins] == [PLUGIN_NAME]
    assert issubclass(logic.registeredPlugins[0], PluginBase)
