"""What the user reads can be translated: Slicer's own tools find every text, in code and panels."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from AMDiffModule.lesion_marks import _LESION_TERMINOLOGY as LESION_TERMINOLOGY

MODULE = Path(__file__).resolve().parents[1] / "AMDiff"
SOURCES = sorted(MODULE.rglob("*.py"))
PANELS = sorted((MODULE / "Resources" / "UI").glob("*.ui"))

# Slicer's update_translations.py takes what stands between `_(` and `)`, if it begins and ends with a quote.
EXTRACTED = re.compile(r'(?<!_)\b_\(\s*(".+?")\s*\)', re.DOTALL)
TRANSLATING = {"_", "translate"}
# Attributes and calls by which a text reaches the screen, or a node that is shown.
SHOWN_ATTRIBUTES = {"text", "toolTip", "title", "format", "helpText", "acknowledgementText", "windowTitle"}
SHOWING_CALLS = {
    "showStatus",
    "showProblem",
    "appendPlainText",
    "addItem",
    "addItems",
    "setText",
    "setToolTip",
    "askForFolder",
    "SetDescription",
    "confirmOkCancelDisplay",
}
# Names of people and nodes that no user reads, the self-test's own message, and codes of terminologies.
NOT_FOR_TRANSLATION = {
    "AMDiff.py": {"The AMDiff developers"},
    "choices.py": {"inverted grey", "count consistency"},
    "lesion_panel.py": {"AMDiff lesions"},
    "lesion_table.py": {"The column whose cells accept and reject."},
    "lesion_marks.py": {LESION_TERMINOLOGY},
    "result_maps.py": {"Standard Deviation", "no units"},
    "node_marks.py": {"Standardized Uptake Value", "Standardized Uptake Value body weight"},
    "segment_statistics.py": {
        "Metabolic Volume",
        "Total Lesion Glycolysis",
        "Standardized Uptake Value body weight",
    },
    "self_test.py": {"All lesions", "count consistency", "no such map", "the run has not ended"},
    "simulated_case.py": {"Simulated low-count PET"},
}
CONTROLS = (
    "QPushButton",
    "QToolButton",
    "QComboBox",
    "QCheckBox",
    "QRadioButton",
    "QSpinBox",
    "QDoubleSpinBox",
    "QSlider",
    "QListWidget",
    "QPlainTextEdit",
    "QProgressBar",
    "ctkSliderWidget",
    "qMRMLNodeComboBox",
    "qMRMLTableView",
    "qMRMLSubjectHierarchyTreeView",
)
CONTAINERS = {"QWidget", "QFrame", "QLabel", "qMRMLWidget", "ctkCollapsibleButton", "QGroupBox"}
# Of Slicer's guide for module developers: what is not text must not reach a translator.
NOT_TEXT = {"nodeTypes", "levelFilter", "SlicerParameterName", "styleSheet", "sceneModelType"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_translating(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TRANSLATING


def untranslated(node: ast.AST):
    """Yield the literals below a node that are neither translated, nor docstrings, nor a programmer's."""
    if is_translating(node):
        return
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        name = getattr(node.exc.func, "id", "")
        if name in {"ValueError", "RuntimeError", "TimeoutError"}:
            return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
        return
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
        children = [child for child in children if child not in node.body] + node.body[docstrings(node) :]
    for child in children:
        yield from untranslated(child)


def docstrings(node) -> int:
    """Return how many statements of a body are its docstring."""
    return int(ast.get_docstring(node) is not None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_slicers_tools_find_every_text_that_is_translated(path):
    calls = [node for node in ast.walk(tree(path)) if is_translating(node) and ast.unparse(node.func) == "_"]
    for call in calls:
        assert len(call.args) == 1 and isinstance(call.args[0], ast.Constant), ast.unparse(call)
    found = [ast.literal_eval(f"({match})") for match in EXTRACTED.findall(path.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(call.args[0].value for call in calls)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_placeholders_are_named(path):
    """Slicer discards a translation whose placeholders differ; translators must be able to order them."""
    for node in ast.walk(tree(path)):
        if is_translating(node):
            text = node.args[-1].value
            assert all(re.match(r"[a-z_]", name) for name in re.findall(r"\{([^{}]*)\}", text)), text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_that_is_shown_bypasses_translation(path):
    for node in ast.walk(tree(path)):
        shown = []
        if isinstance(node, ast.Assign):
            targets = [target for target in node.targets if isinstance(target, ast.Attribute)]
            if any(target.attr in SHOWN_ATTRIBUTES for target in targets):
                shown = [node.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in SHOWING_CALLS:
            shown = node.args
        words = [text for value in shown for text in untranslated(value) if re.search(r"[a-z]{3}", text)]
        # The title is the product's name, and a name that the user gave is none of ours to translate.
        assert set(words) <= {"AMDiff"}, ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sentences_are_translated_or_known_not_to_be_shown(path):
    words = {
        text
        for text in untranslated(tree(path))
        if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", text) and not text.startswith("<")
    }
    assert words == NOT_FOR_TRANSLATION.get(path.name, set())


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.name)
def test_a_panel_hands_translators_its_texts_and_nothing_else(path):
    root = ElementTree.parse(path).getroot()
    assert re.fullmatch(r"[A-Z]\w+", root.findtext("class"))
    for entry in root.iter("property"):
        for text in [*entry.findall("string"), *entry.findall("stringlist")]:
            not_for_translators = text.get("notr") == "true"
            if entry.get("name") in NOT_TEXT and "".join(text.itertext()).strip():
                assert not_for_translators, entry.get("name")
            elif entry.get("name") in {"text", "toolTip", "title"}:
                assert not not_for_translators, text.text


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.name)
def test_everything_that_can_be_clicked_or_typed_into_has_a_tooltip(path):
    for widget in ElementTree.parse(path).iter("widget"):
        kind = widget.get("class")
        assert kind in CONTAINERS or kind in CONTROLS, f"{kind} is neither a control nor a container"
        if kind in CONTROLS:
            assert (widget.findtext("property[@name='toolTip']/string") or "").strip(), widget.get("name")
