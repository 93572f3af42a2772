"""The panel: its file binds what the parameter node has, and every method of it runs."""

from __future__ import annotations

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer
from AMDiffModule.job import JobState
from AMDiffModule.packages import PackagesMissing
from AMDiffModule.reading_layout import layout_descriptions
from AMDiffModule.self_test import SelfTest
from AMDiffModule.simulated_case import add_simulated_case
from AMDiffModule.worker import installed_models
from qt_stand_ins import QTimer, process_events
from reading_cases import add_results
from slicer_host import open_host
from slicer_stand_ins import open_module

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE = REPOSITORY / "AMDiff"
PANELS = {path.stem: ElementTree.parse(path) for path in (MODULE / "Resources" / "UI").glob("*.ui")}
SOURCE = (MODULE / "AMDiff.py").read_text(encoding="utf-8")
MODELS = installed_models()

# What Slicer 5.8's and 5.12's parameterNodeWrapper/guiConnectors.py can bind, of the types used here.
BINDABLE = {
    "vtkMRMLScalarVolumeNode": {"qMRMLNodeComboBox"},
    "bool": {"QCheckBox", "QPushButton"},
    "int": {"QSpinBox", "QSlider"},
    "float": {"QDoubleSpinBox", "ctkSliderWidget"},
    "Device": {"QComboBox"},
    "OverlayColors": {"QComboBox"},
    "DenoisedView": {"QComboBox"},
}


def parameter_fields() -> dict[str, str]:
    """Return name -> type of the parameter node's fields, from the source."""
    tree = ast.parse(SOURCE)
    cls = next(node for node in tree.body if isinstance(node, ast.ClassDef) and "ParameterNode" in node.name)
    fields = {}
    for field in (node for node in cls.body if isinstance(node, ast.AnnAssign)):
        kind = (
            field.annotation.slice.elts[0]
            if isinstance(field.annotation, ast.Subscript)
            else field.annotation
        )
        fields[field.target.id] = kind.id
    return fields


def all_widgets() -> list[ElementTree.Element]:
    """Return the widgets of every .ui file."""
    return [widget for panel in PANELS.values() for widget in panel.iter("widget")]


def bound_widgets() -> dict[str, str]:
    """Return parameter name -> widget class, from the .ui file."""
    found = {}
    for widget in all_widgets():
        for entry in widget.findall("property[@name='SlicerParameterName']"):
            assert entry.get("stdset") == "0"
            found[entry.find("string").text] = widget.get("class")
    return found


def test_every_bound_name_is_a_field_of_a_type_that_its_widget_can_show():
    fields = parameter_fields()
    for name, widget in bound_widgets().items():
        assert name in fields
        assert widget in BINDABLE[fields[name]]


def test_every_field_is_bound_but_the_model_of_those_installed_and_the_window_of_four_buttons():
    assert set(parameter_fields()) - set(bound_widgets()) == {"model", "suvWindow"}


def test_no_two_widgets_share_a_name():
    names = [widget.get("name") for widget in all_widgets()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "path", [MODULE / "AMDiff.py", *sorted((MODULE / "AMDiffModule").glob("*_panel.py"))]
)
def test_every_widget_the_code_names_is_in_the_panel(path):
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"ui", "self.ui"}
    }
    assert used and used <= {widget.get("name") for widget in all_widgets()}


def test_every_control_has_a_tooltip():
    controls = {"QPushButton", "QComboBox", "QCheckBox", "QSpinBox", "qMRMLNodeComboBox", "QPlainTextEdit"}
    for widget in all_widgets():
        if widget.get("class") in controls:
            assert widget.find("property[@name='toolTip']") is not None, widget.get("name")


def test_no_two_widgets_share_a_key():
    texts = [text for widget in all_widgets() if (text := widget.findtext("property[@name='text']/string"))]
    keys = [f"Alt+{match.upper()}" for text in texts for match in re.findall("(?<!&)&([^& ])", text)]
    keys += [
        text for widget in all_widgets() if (text := widget.findtext("property[@name='shortcut']/string"))
    ]
    assert len(keys) > 10
    assert sorted(keys) == sorted(set(keys))


def test_the_scene_reaches_every_widget_that_chooses_a_node():
    for panel in PANELS.values():
        connected = set()
        for connection in panel.findall("connections/connection"):
            assert connection.findtext("sender") == panel.find("widget").get("name")
            assert connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
            connected.add(connection.findtext("receiver"))
        choosers = {
            widget.get("name")
            for widget in panel.iter("widget")
            if widget.get("class").startswith(("qMRMLNode", "qMRMLSubjectHierarchy"))
        }
        assert choosers == connected


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    host = open_host(tmp_path / "cache")
    module, widget = open_module(host, monkeypatch, models=MODELS or ["amdiff-compact"])
    yield SimpleNamespace(module=module, widget=widget, ui=widget.ui, host=host)
    widget.cleanup()


def wait_for_the_end(a_module) -> None:
    for event in a_module.widget.logic.run.job.wait(timeout_s=120):
        a_module.widget.runPanel.show(event)
    process_events()


def test_a_marked_volume_in_the_scene_is_chosen_when_the_module_is_entered(a_module):
    assert not a_module.ui.runButton.enabled
    assert "Choose a PET volume" in a_module.ui.inputStatusLabel.text
    case = add_simulated_case()
    a_module.widget.enter()
    assert a_module.ui.inputSelector.currentNode() is case
    assert a_module.ui.runButton.enabled
    assert "Ready" in a_module.ui.inputStatusLabel.text
    a_module.widget.exit()


def test_saying_that_values_are_suv_holds_for_one_volume_only(a_module):
    first, second = add_simulated_case(marked=False), add_simulated_case(marked=False)
    a_module.ui.inputSelector.setCurrentNode(first)
    assert not a_module.ui.runButton.enabled
    a_module.ui.valuesAreSuvCheckBox.checked = True
    assert a_module.ui.runButton.enabled
    a_module.ui.inputSelector.setCurrentNode(second)
    assert not a_module.ui.valuesAreSuvCheckBox.checked
    assert not a_module.ui.runButton.enabled


def test_a_job_that_cannot_start_says_why(a_module, monkeypatch):
    add_simulated_case()
    a_module.widget.enter()

    def missing(requirements):
        raise PackagesMissing("PyTorch is missing.")

    monkeypatch.setattr(a_module.module, "ensure_packages", missing)
    a_module.ui.runButton.click()
    assert a_module.ui.statusLabel.text == "PyTorch is missing."
    assert not a_module.widget.logic.isRunning
    assert a_module.ui.runButton.enabled


def test_bad_weights_are_named_and_the_scene_is_unchanged(a_module, monkeypatch, tmp_path):
    add_simulated_case()
    a_module.widget.enter()
    a_module.widget.parameterNode.__dict__["model"] = str(tmp_path / "no such model")
    nodes = a_module.host.scene.GetNumberOfNodes()
    a_module.ui.runButton.click()
    assert a_module.ui.runButton.text == "Cancel"
    assert not a_module.ui.inputSelector.enabled
    folder = a_module.widget.logic.run.folder.path
    wait_for_the_end(a_module)
    assert "no such model" in a_module.ui.statusLabel.text
    assert a_module.host.scene.GetNumberOfNodes() == nodes
    assert not folder.exists()
    assert a_module.ui.runButton.text == "Denoise && Segment"
    assert a_module.widget.runPanel._timer not in QTimer.running


def test_closing_the_scene_ends_the_run(a_module):
    add_simulated_case()
    a_module.widget.enter()
    a_module.ui.runButton.click()
    run = a_module.widget.logic.run
    a_module.host.scene.Clear(0)
    assert run.state is JobState.CANCELLED
    assert not run.folder.path.exists()
    assert not a_module.widget.logic.isRunning
    assert a_module.ui.inputSelector.currentNode() is None


def test_quitting_the_application_ends_the_run(a_module):
    add_simulated_case()
    a_module.widget.enter()
    a_module.ui.runButton.click()
    run = a_module.widget.logic.run
    slicer.app.aboutToQuit.emit()
    assert run.state is JobState.CANCELLED
    assert not run.folder.path.exists()


def test_a_second_run_while_one_runs_is_impossible(a_module):
    add_simulated_case()
    a_module.widget.enter()
    a_module.ui.runButton.click()
    with pytest.raises(RuntimeError):
        a_module.widget.logic.start(a_module.widget.parameterNode)


def test_a_removed_input_loads_nothing(a_module, monkeypatch):
    case = add_simulated_case()
    a_module.widget.enter()
    a_module.ui.runButton.click()
    a_module.host.scene.RemoveNode(case)
    nodes = a_module.host.scene.GetNumberOfNodes()
    run = a_module.widget.logic.run
    monkeypatch.setattr(type(run), "state", JobState.DONE)
    monkeypatch.setattr(type(run), "outcome", SimpleNamespace(state=JobState.DONE))
    process_events()
    assert "was removed" in a_module.ui.statusLabel.text
    assert a_module.host.scene.GetNumberOfNodes() == nodes


def test_surfaces_for_the_3d_view_are_made_when_they_are_chosen(a_module, tmp_path):
    for chosen in (False, True):
        case = add_results(a_module.host.scene, tmp_path, f"PET {chosen}")
        run = SimpleNamespace(import_results=lambda scene, case=case: case, close=lambda: None)
        a_module.ui.show3DCheckBox.checked = chosen
        a_module.widget.logic.run = run
        assert a_module.widget.logic.loadResults(a_module.widget.parameterNode) is case
        surfaces = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        assert case.segmentation.GetSegmentation().ContainsRepresentation(surfaces) == chosen


def test_reloading_takes_every_part_along_after_what_it_imports(a_module):
    parts = list(a_module.module._PARTS)
    folder = REPOSITORY / "AMDiff" / "AMDiffModule"
    assert sorted(parts) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    for position, part in enumerate(parts):
        tree = ast.parse((folder / f"{part}.py").read_text(encoding="utf-8"))
        needs = {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1}
        assert needs <= set(parts[:position]), part
    before = {name: dict(vars(sys.modules[name])) for name in map("AMDiffModule.{}".format, parts)}
    try:
        a_module.widget.onReload()
        assert a_module.widget.reloaded == 1
    finally:
        # Other tests hold the classes that were there before.
        for name, content in before.items():
            vars(sys.modules[name]).update(content)


def test_the_module_describes_itself(a_module):
    parent = SimpleNamespace()
    a_module.module.AMDiff(parent)
    assert parent.title == "AMDiff"
    assert parent.categories == ["Nuclear Medicine"]
    assert "not for diagnosis" in parent.helpText


def test_the_reading_layouts_are_known_from_the_start_for_scenes_that_were_saved_in_one(a_module):
    a_module.module.AMDiff(SimpleNamespace())
    slicer.app.startupCompleted.emit()
    layout_node = a_module.host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert all(layout_node.IsLayoutDescription(identity) for identity in layout_descriptions())


SELF_TESTS = [name for name in dir(SelfTest) if name.startswith("test_")]


@pytest.mark.skipif(not MODELS, reason="no model is installed in Resources/Models")
@pytest.mark.parametrize("name", SELF_TESTS)
def test_the_self_test_passes_on_real_nodes_and_a_real_job(a_module, name):
    result = a_module.module.AMDiffTest(name).run()
    assert result.wasSuccessful(), result.failures + result.errors
