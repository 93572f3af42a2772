"""The two halves: the module imports no torch and nothing of the library; the library imports no Slicer."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SLICER = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "AMDiffModule", "AMDiff"}
LIBRARY = {
    "torch",
    "monai",
    "SimpleITK",
    "pydicom",
    "scipy",
    "matplotlib",
    "slicerio",
    "safetensors",
    "AMDiffLib",
}


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def files(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("AMDiff"), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_module_imports_nothing_of_the_library_and_no_torch(path):
    assert imported_packages(path) & LIBRARY == set()


@pytest.mark.parametrize("path", files("AMDiffLib"), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_library_imports_nothing_of_slicer(path):
    assert imported_packages(path) & SLICER == set()


def test_only_the_widget_file_imports_qt():
    with_qt = {path.name for path in files("AMDiff") if imported_packages(path) & {"qt", "ctk"}}
    assert with_qt == {"AMDiff.py"}


def test_the_module_is_a_shell_of_under_400_lines():
    assert len((REPOSITORY / "AMDiff" / "AMDiff.py").read_text(encoding="utf-8").splitlines()) < 400


def test_the_module_imports_without_any_third_party_package():
    """Python without its site-packages, and stand-ins for what Slicer itself provides."""
    script = f"""
        import sys, types
        sys.path.insert(0, {str(REPOSITORY / "AMDiff")!r})

        class StandIn(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                return type(name, (), {{"__init__": lambda self, *arguments: None}})

        for name in ("slicer", "slicer.ScriptedLoadableModule", "slicer.util", "slicer.i18n", "qt", "vtk"):
            sys.modules[name] = StandIn(name)
        sys.modules["slicer"].util = sys.modules["slicer.util"]
        sys.modules["slicer.i18n"].tr = lambda text: text
        wrapper = sys.modules["slicer.parameterNodeWrapper"] = StandIn("slicer.parameterNodeWrapper")
        wrapper.parameterNodeWrapper = lambda cls: cls

        import AMDiff
        print(sorted(vars(AMDiff.AMDiffParameterNode)["__annotations__"]))
        print("numpy" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fields, numpy_loaded = done.stdout.splitlines()
    assert {"inputVolume", "model", "device", "steps"} <= set(ast.literal_eval(fields))
    assert numpy_loaded == "False"
