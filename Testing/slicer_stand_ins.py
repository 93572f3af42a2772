"""Stand-ins for the parts of the Slicer application that `slicer-core` lacks: Qt, the panel, module classes.

They behave as far as the AMDiff panel uses them: a signal calls its slots, a changed property emits its
signal, a parameter node tells its observers and its widgets. The scene, its nodes and the job are real.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import slicer

MODULE_FOLDER = Path(__file__).resolve().parents[1] / "AMDiff"


class Signal:
    """A Qt signal: calls what is connected to it."""

    def __init__(self) -> None:
        self.slots: list = []

    def connect(self, slot) -> None:
        self.slots.append(slot)

    def disconnect(self, slot) -> None:
        self.slots.remove(slot)

    def emit(self, *arguments) -> None:
        """Call the slots, each with as many arguments as it takes, as PythonQt does."""
        for slot in list(self.slots):
            takes = inspect.signature(slot).parameters.values()
            everything = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in takes)
            slot(*arguments[: None if everything else len(takes)])


class QObject:
    """Keeps properties; `connect('clicked(bool)', slot)` as PythonQt has it."""

    _signals: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.dynamic: dict[str, str] = {}
        for name in self._signals:
            setattr(self, name, Signal())

    def connect(self, signature: str, slot) -> None:
        getattr(self, signature.partition("(")[0]).connect(slot)

    def disconnect(self, signature: str, slot) -> None:
        getattr(self, signature.partition("(")[0]).disconnect(slot)

    def property(self, name: str):
        return self.dynamic.get(name)

    def isWidgetType(self) -> bool:
        return True


class QWidget(QObject):
    """Any widget without a value."""

    def __init__(self) -> None:
        super().__init__()
        self.text = self.toolTip = self.styleSheet = self.format = ""
        self.enabled = self.visible = True
        self.repaint = lambda: None
        self.children: list[QWidget] = []

    def layout(self):
        return SimpleNamespace(addWidget=self.children.append)


def _emitting(name: str, signal: str) -> property:
    """A Qt property that emits `signal` when it changes."""

    def write(self, value) -> None:
        if getattr(self, f"_{name}") != value:
            setattr(self, f"_{name}", value)
            getattr(self, signal).emit(value)

    return property(lambda self: getattr(self, f"_{name}"), write)


class QCheckBox(QWidget):
    _signals = ("stateChanged",)
    _checked = False
    checked = _emitting("checked", "stateChanged")


class QSpinBox(QWidget):
    _signals = ("valueChanged",)
    _value = 0
    value = _emitting("value", "valueChanged")

    def setRange(self, minimum: int, maximum: int) -> None:
        self.minimum, self.maximum = minimum, maximum


class QDoubleSpinBox(QSpinBox):
    _value = 0.0


class ctkSliderWidget(QDoubleSpinBox):
    pass


class QComboBox(QWidget):
    _signals = ("currentIndexChanged", "currentTextChanged")

    def __init__(self) -> None:
        super().__init__()
        self._items: list[str] = []
        self._index = -1

    count = property(lambda self: len(self._items))
    currentText = property(lambda self: self._items[self._index] if self._items else "")

    @property
    def currentIndex(self) -> int:
        return self._index

    @currentIndex.setter
    def currentIndex(self, index: int) -> None:
        if index != self._index:
            self._index = index
            self.currentIndexChanged.emit(index)
            self.currentTextChanged.emit(self.currentText)

    def addItem(self, text: str) -> None:
        self._items.append(text)
        if self._index < 0:
            self.currentIndex = 0

    def addItems(self, texts: list[str]) -> None:
        for text in texts:
            self.addItem(text)

    def clear(self) -> None:
        self._items = []
        self.currentIndex = -1

    def findText(self, text: str) -> int:
        return self._items.index(text) if text in self._items else -1

    def setCurrentText(self, text: str) -> None:
        if text in self._items:
            self.currentIndex = self._items.index(text)


class QPushButton(QWidget):
    _signals = ("clicked", "toggled")
    _checked = False
    checkable = False
    checked = _emitting("checked", "toggled")

    def click(self) -> None:
        if self.enabled:
            if self.checkable:
                self.checked = not self.checked
            self.clicked.emit(self.checked)


class QToolButton(QPushButton):
    pass


class QListWidget(QWidget):
    """A list of texts, one of which is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.currentRow = -1

    count = property(lambda self: len(self.items))

    def clear(self) -> None:
        self.items, self.currentRow = [], -1

    def addItems(self, texts: list[str]) -> None:
        self.items.extend(texts)

    def setCurrentRow(self, row: int) -> None:
        self.currentRow = row


class qMRMLSubjectHierarchyTreeView(QWidget):
    """Subject hierarchy items, of which `selected` are chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.selected: list[int] = []

    def currentItems(self, items) -> None:
        for item in self.selected:
            items.InsertNextId(item)


class QProgressBar(QWidget):
    value = 0


class QPlainTextEdit(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.clear = self.lines.clear
        self.appendPlainText = self.lines.append


class qMRMLNodeComboBox(QWidget):
    _signals = ("currentNodeChanged",)
    _node = None

    def currentNode(self):
        return self._node

    def setCurrentNode(self, node) -> None:
        if node is not self._node:
            self._node = node
            self.currentNodeChanged.emit(node)


class QTimer(QObject):
    """Runs from `process_events`."""

    running: list = []  # noqa: RUF012 - all timers of the application
    _signals = ("timeout",)

    def setInterval(self, milliseconds: int) -> None:
        self.interval = milliseconds

    def start(self) -> None:
        if self not in self.running:
            self.running.append(self)

    def stop(self) -> None:
        if self in self.running:
            self.running.remove(self)


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


class qMRMLTableView(QWidget):
    """A table that shows a node and whose cells can be clicked."""

    _signals = ("clicked",)
    node = None

    def __init__(self) -> None:
        super().__init__()
        self._index = self._at(-1, -1)
        self.setMRMLTableNode = lambda node: setattr(self, "node", node)
        self.mrmlTableNode = lambda: self.node
        self.resizeColumnsToContents = lambda: None
        self.currentIndex = lambda: self._index
        self.sortFilterProxyModel = lambda: SimpleNamespace(mapToSource=lambda index: index)

    @staticmethod
    def _at(row: int, column: int):
        return SimpleNamespace(row=lambda: row, column=lambda: column, isValid=lambda: row >= 0)

    def click_cell(self, row: int, column: int) -> None:
        self._index = self._at(row, column)
        self.clicked.emit(self._index)


class LayoutManager:
    """The main window's layout manager, as far as its tables go."""

    def __init__(self, scene, tags: list[str]) -> None:
        self.table_views = [TableView(scene, tag) for tag in tags]
        self.tableViewCount = len(tags)

    def tableWidget(self, index: int):
        return SimpleNamespace(tableView=lambda: self.table_views[index])


def process_events() -> None:
    """Let every running timer fire once."""
    for timer in list(QTimer.running):
        timer.timeout.emit()


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
            widget = globals().get(element.get("class"), QWidget)()
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
