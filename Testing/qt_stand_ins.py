"""Stand-ins for the Qt widgets of the panel, as PythonQt has them: a changed property emits its signal."""

from __future__ import annotations

import inspect
from types import SimpleNamespace


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


def process_events() -> None:
    """Let every running timer fire once."""
    for timer in list(QTimer.running):
        timer.timeout.emit()
