"""Draw the panel without Slicer: its .ui files by Qt, filled with what the module's code put into them.

The code runs on a saved scene, with the stand-ins of the tests; then each widget's state goes to the widget
of the same name that PySide6 made from the .ui file. Needs `pip install PySide6-Essentials` beside what the
tests need.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtUiTools import QUiLoader

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "AMDiff"), str(REPOSITORY / "Testing")]

import pytest  # noqa: E402
import qt_stand_ins  # noqa: E402
from AMDiffModule.reading_layout import register_layouts  # noqa: E402
from AMDiffModule.worker import installed_models  # noqa: E402
from render_reading_layout import first_results  # noqa: E402
from slicer_host import open_host  # noqa: E402
from slicer_stand_ins import open_module  # noqa: E402

_UI_FOLDER = REPOSITORY / "AMDiff" / "Resources" / "UI"
_TITLE_HEIGHT = 24


class CollapsibleButton(QtWidgets.QWidget):
    """ctkCollapsibleButton: a title bar over what it holds."""

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(8, _TITLE_HEIGHT + 2, 8, 6)

    text = QtCore.Property(str, lambda self: self._text, lambda self, text: setattr(self, "_text", text))

    def _set_collapsed(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        self.setMaximumHeight(_TITLE_HEIGHT if collapsed else 16777215)

    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)

    def hide_what_is_collapsed(self) -> None:
        """Hide the children; to be called once all of them are there."""
        for child in self.findChildren(QtWidgets.QWidget) if self._collapsed else ():
            child.hide()

    def paintEvent(self, event) -> None:
        """Draw the title bar with its arrow, and a frame around an open section."""
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, self.width() - 1, _TITLE_HEIGHT - 2)
        painter.fillRect(bar, QtGui.QColor(225, 225, 225))
        painter.setPen(QtGui.QColor(150, 150, 150))
        painter.drawRect(bar)
        if not self._collapsed:
            painter.drawRect(0, 0, self.width() - 1, self.height() - 1)
        painter.setPen(QtCore.Qt.black if self.isEnabled() else QtCore.Qt.gray)
        painter.drawText(bar.adjusted(24, 0, 0, 0), QtCore.Qt.AlignVCenter, self._text)
        painter.setBrush(painter.pen().color())
        point = QtCore.QPointF
        closed, opened = (
            [point(8, 7), point(8, 16), point(14, 11.5)],
            [point(7, 8), point(16, 8), point(11.5, 15)],
        )
        painter.drawPolygon(closed if self._collapsed else opened)


class SliderWidget(QtWidgets.QWidget):
    """ctkSliderWidget: a slider and a number."""

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider, self._number = QtWidgets.QSlider(QtCore.Qt.Horizontal), QtWidgets.QDoubleSpinBox()
        self._slider.setMaximum(100)
        layout.addWidget(self._slider)
        layout.addWidget(self._number)

    def setValue(self, value: float) -> None:
        """Show a value between 0 and 1."""
        self._slider.setValue(round(100 * value))
        self._number.setValue(value)


class TableView(QtWidgets.QTableWidget):
    """qMRMLTableView: the columns of a table node, by their titles."""

    def show_node(self, node) -> None:
        """Fill the table."""
        self.setColumnCount(node.GetNumberOfColumns())
        self.setRowCount(node.GetNumberOfRows())
        names = [node.GetColumnName(column) for column in range(node.GetNumberOfColumns())]
        self.setHorizontalHeaderLabels([node.GetColumnTitle(name) or name for name in names])
        self.verticalHeader().hide()
        for row in range(node.GetNumberOfRows()):
            for column in range(node.GetNumberOfColumns()):
                self.setItem(row, column, QtWidgets.QTableWidgetItem(node.GetCellText(row, column)))
        self.resizeColumnsToContents()
        self.resizeRowsToContents()


class Loader(QUiLoader):
    """Makes Slicer's own widgets out of the stand-ins above."""

    _CLASSES = {  # noqa: RUF012
        "qMRMLWidget": QtWidgets.QWidget,
        "ctkCollapsibleButton": CollapsibleButton,
        "ctkSliderWidget": SliderWidget,
        "qMRMLNodeComboBox": QtWidgets.QComboBox,
        "qMRMLTableView": TableView,
        "qMRMLSubjectHierarchyTreeView": QtWidgets.QTreeWidget,
    }

    def createWidget(self, class_name, parent=None, name=""):
        """Return the widget of a .ui element."""
        if class_name not in self._CLASSES:
            return super().createWidget(class_name, parent, name)
        widget = self._CLASSES[class_name](parent)
        widget.setObjectName(name)
        return widget


def main(arguments: list[str] | None = None) -> int:
    """Draw one picture; return the exit code."""
    command = argparse.ArgumentParser(prog="render_panel.py", description=__doc__)
    command.add_argument("scene", type=Path, help="a .mrb with results, such as the demo's scene.mrb")
    command.add_argument("picture", type=Path, help="the PNG to write")
    command.add_argument("--width", type=int, default=520)
    options = command.parse_args(arguments)
    application = QtWidgets.QApplication([])
    application.setStyle("Fusion")
    monkeypatch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory(prefix="AMDiff-render-") as folder:
        host = open_host(Path(folder))
        register_layouts(host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode"))
        host.scene.ReadFromMRB(str(options.scene.resolve()), True)
        _module, widget = open_module(host, monkeypatch, models=installed_models())
        nodes = first_results(host.scene)
        widget.ui.inputSelector.setCurrentNode(nodes.input)
        widget.enter()
        widget.resultsLoaded(nodes)
        let_it_settle()
        panel = load_panel()
        for name, state in vars(widget.ui).items():
            if (target := panel.findChild(QtWidgets.QWidget, name)) is not None:
                show_state(state, target)
        for section in panel.findChildren(CollapsibleButton):
            section.hide_what_is_collapsed()
        draw(panel, options.width, options.picture)
        widget.cleanup()
    monkeypatch.undo()
    return 0


def let_it_settle(*, timeout_s: float = 30.0) -> None:
    """Let timers run until none is left, or none of them ends."""
    deadline = time.monotonic() + timeout_s
    while qt_stand_ins.QTimer.running and time.monotonic() < deadline:
        qt_stand_ins.process_events()
        time.sleep(0.05)


def load_panel() -> QtWidgets.QWidget:
    """Load the .ui files, the sections into the main one, as the module's widget does."""
    from AMDiff import _SECTIONS

    loader = Loader()
    panel = loader.load(str(_UI_FOLDER / "AMDiff.ui"))
    for name in _SECTIONS:
        panel.findChild(QtWidgets.QWidget, "sectionsWidget").layout().addWidget(
            loader.load(str(_UI_FOLDER / f"{name}.ui"))
        )
    return panel


def show_state(state, target: QtWidgets.QWidget) -> None:
    """Give a real widget what the code has put into its stand-in."""
    if state.text:
        target.setProperty("text", state.text)
    target.setEnabled(state.enabled)
    target.setVisible(state.visible)
    if isinstance(state, qt_stand_ins.QComboBox):
        target.addItems([state._items[index] for index in range(state.count)])
        target.setCurrentIndex(state.currentIndex)
    elif isinstance(state, qt_stand_ins.qMRMLNodeComboBox):
        node = state.currentNode()
        target.addItem(node.GetName() if node is not None else target.property("noneDisplay") or "None")
    elif isinstance(state, qt_stand_ins.qMRMLTableView):
        if state.node is not None:
            target.show_node(state.node)
    elif isinstance(state, qt_stand_ins.QListWidget):
        target.addItems(state.items)
    elif isinstance(state, qt_stand_ins.QPlainTextEdit):
        target.setPlainText("\n".join(state.lines))
    elif isinstance(state, (qt_stand_ins.QCheckBox, qt_stand_ins.QPushButton)):
        target.setChecked(state.checked)
    elif isinstance(state, qt_stand_ins.QSpinBox):
        target.setValue(state.value)


def draw(panel: QtWidgets.QWidget, width: int, picture: Path) -> None:
    """Lay the panel out at its own height and save it."""
    panel.setFixedWidth(width)
    panel.show()
    QtWidgets.QApplication.processEvents()
    panel.resize(width, panel.sizeHint().height())
    QtWidgets.QApplication.processEvents()
    panel.grab().save(str(picture))


if __name__ == "__main__":
    sys.exit(main())
