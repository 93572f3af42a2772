"""Stand-ins for the parts of the Slicer application that `slicer-core` lacks: Qt, the panel, module classes.

They behave as far as the AMDiff panel uses them: a signal calls its slots, a changed property emits its
signal, a parameter node tells its observers and its widgets. The scene, its nodes and the job are real.
"""

from __future__ import annotations

import importlib
import sys
import types
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import qt_stand_ins
import slicer
from qt_stand_ins import (
    QCheckBox,
    QComboBox,
    QObject,
    QPushButton,
    QSpinBox,
    QTimer,
    QWidget,
    Signal,
    process_events,
    qMRMLNodeComboBox,
)

MODULE_FOLDER = Path(__file__).resolve().parents[1] / "AMDiff"


class TableView(QWidget):
    """A qMRMLTableView: its node, and a row that can be clicked."""

    _signals = ("selectionChanged",)

    def __init__(self, scene, tag: str) -> None:
        super().__init__()
        self.mrmlTableViewNode = lambda: scene.GetSingletonNode(tag, "vtkMRMLTableViewNode")
        self.row = -1

    def sortFilterProxyModel(self):
        return SimpleNamespace(mapToSource=lambda index: index)

    def selectionModel(self):
        return SimpleNamespace(currentIndex=lambda: SimpleNamespace(row=lambda: self.row))

    def click_row(self, row: int) -> None:
        self.row = row
        self.selectionChanged.emit()


class LayoutManager:
    """The main window's layout manager, as far as its tables go."""

    def __init__(self, scene, tags: list[str]) -> None:
        self.table_views = [TableView(scene, tag) for tag in tags]
        self.tableViewCount = len(tags)

    def tableWidget(self, index: int):
        return SimpleNamespace(tableView=lambda: self.table_views[index])


class ModuleLogic:
    """ScriptedLoadableModuleLogic: one parameter node in the scene."""

    def getParameterNode(self):
        node = slicer.mrmlScene.GetSingletonNode("AMDiff", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("AMDiff")
            node = slicer.mrmlScene.AddNode(node)
        return node


class ModuleWidget:
    """ScriptedLoadableModuleWidget: a place for the panel."""

    def __init__(self, parent=None) -> None:
        self.parent = SimpleNamespace(isEntered=True)
        self.layout = SimpleNamespace(addWidget=lambda widget: None)
        self.reloaded = 0

    def setup(self) -> None:
        """Nothing but the developer's buttons."""

    def onReload(self) -> None:
        self.reloaded += 1

    def resourcePath(self, name: str) -> str:
        return str(MODULE_FOLDER / "Resources" / name)


class Panel(QWidget):
    """The widgets of a .ui file, by name, with their dynamic properties."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.widgets = {}
        for element in ElementTree.parse(path).iter("widget"):
            widget = getattr(qt_stand_ins, element.get("class"), QWidget)()
            for entry in element.findall("property[@stdset='0']"):
                widget.dynamic[entry.get("name")] = entry.find("string").text
            for name in ("enabled", "checkable"):
                if (entry := element.find(f"property[@name='{name}']/bool")) is not None:
                    setattr(widget, name, entry.text == "true")
            self.widgets[element.get("name")] = widget

    def setMRMLScene(self, scene) -> None:
        self.scene = scene


def child_widget_variables(panel: Panel) -> SimpleNamespace:
    """Return the widgets by name, those of panels that were added to one of them too."""
    widgets = dict(panel.widgets)
    for widget in panel.widgets.values():
        for child in widget.children:
            widgets |= vars(child_widget_variables(child))
    return SimpleNamespace(**widgets)


def parameter_node_wrapper(cls):
    """The `@parameterNodeWrapper` of this stage: typed defaults, one modified event, two-way binding."""

    def connect(self, name: str, widget) -> None:
        kind = type(widget)
        if kind is qMRMLNodeComboBox:
            write, signal, read = widget.setCurrentNode, widget.currentNodeChanged, widget.currentNode
        elif kind is QComboBox:
            choices = list(type(getattr(self, name)))
            widget.addItems([choice.label() for choice in choices])
            write = lambda value: setattr(widget, "currentIndex", choices.index(value))  # noqa: E731
            signal, read = widget.currentIndexChanged, lambda: choices[widget.currentIndex]
        else:
            attribute = "value" if issubclass(kind, QSpinBox) else "checked"
            write = lambda value: setattr(widget, attribute, value)  # noqa: E731
            changed = {QCheckBox: "stateChanged", QPushButton: "toggled"}
            signal = getattr(widget, changed.get(kind, "valueChanged"))
            read = lambda: getattr(widget, attribute)  # noqa: E731
        write(getattr(self, name))
        signal.connect(lambda *_: name in self.bound and setattr(self, name, read()))
        self.bound[name] = write

    class ParameterNode(cls):
        def __init__(self, node) -> None:
            self.__dict__.update(node=node, bound={})
            for name in cls.__annotations__:
                self.__dict__.setdefault(name, getattr(cls, name, None))

        def __setattr__(self, name, value) -> None:
            if name not in cls.__annotations__:
                raise AttributeError(name)
            if self.__dict__[name] != value:
                self.__dict__[name] = value
                if name in self.bound:
                    self.bound[name](value)
                self.node.Modified()

        def connectGui(self, ui) -> None:
            for widget in vars(ui).values():
                if name := widget.property("SlicerParameterName"):
                    connect(self, name, widget)

        def disconnectGui(self, tag) -> None:
            self.bound.clear()

        def AddObserver(self, event, callback, priority=0.0):
            return self.node.AddObserver(event, callback, priority)

        def RemoveObserver(self, tag) -> None:
            self.node.RemoveObserver(tag)

    return ParameterNode


def open_module(host, monkeypatch, *, models: list[str]):
    """Import AMDiff.py on the stand-ins and open its panel; returns (module, widget)."""
    QTimer.running.clear()
    qt = types.ModuleType("qt")
    qt.QTimer = QTimer
    qt.QFileDialog = SimpleNamespace(getExistingDirectory=lambda parent, title: "")
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    scripted.ScriptedLoadableModule = type("ScriptedLoadableModule", (), {"__init__": _module_init})
    scripted.ScriptedLoadableModuleWidget = ModuleWidget
    scripted.ScriptedLoadableModuleLogic = ModuleLogic
    scripted.ScriptedLoadableModuleTest = unittest.TestCase
    translations = types.ModuleType("slicer.i18n")
    translations.tr = lambda text: text
    translations.translate = lambda context, text: text
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper = parameter_node_wrapper
    wrapper.WithinRange = lambda minimum, maximum: (minimum, maximum)
    for module in (qt, scripted, translations, wrapper):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    application = QObject()
    application.aboutToQuit = Signal()
    application.startupCompleted = Signal()
    application.applicationLogic = lambda: host.application_logic
    layout_manager = LayoutManager(host.scene, ["TableView1", "AMDiffTable"])
    application.layoutManager = lambda: layout_manager
    application.slicerHome = None
    application.processEvents = process_events
    monkeypatch.setattr(slicer, "app", application, raising=False)
    monkeypatch.setattr(slicer.util, "loadUI", Panel)
    monkeypatch.setattr(slicer.util, "childWidgetVariables", child_widget_variables)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    monkeypatch.setattr("AMDiffModule.model_panel.installed_models", lambda root=None: models)
    monkeypatch.delitem(sys.modules, "AMDiff", raising=False)
    module = importlib.import_module("AMDiff")
    widget = module.AMDiffWidget()
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda name: widget)
    widget.setup()
    return module, widget


def _module_init(self, parent) -> None:
    self.parent = parent
