"""The two halves: the module imports no torch, and of the library what measures; the library no Slicer."""

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


def test_only_measuring_library_reaches_the_library_and_only_what_measures():
    """A number in the scene and in the job's files comes from one implementation."""
    naming = {path.name for path in files("AMDiff") if "import_module" in path.read_text(encoding="utf-8")}
    assert naming == {"AMDiff.py", "measuring_library.py"}
    source = (REPOSITORY / "AMDiff" / "AMDiffModule" / "measuring_library.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    imported = {ast.unparse(call.args[0]) for call in calls if "import_module" in ast.unparse(call.func)}
    assert imported == {"f'{LIBRARY}.quantification.{module}'", "f'{LIBRARY}.labels'"}


MEASURING = [REPOSITORY / "AMDiffLib" / "labels.py", *files("AMDiffLib/quantification")]


@pytest.mark.parametrize("path", MEASURING, ids=lambda path: path.name)
def test_what_measures_imports_numpy_and_the_standard_library_alone(path):
    found = imported_packages(path)
    assert found - set(sys.stdlib_module_names) <= {"numpy", "AMDiffLib"}
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("AMDiffLib")
    }
    assert all(name.startswith(("AMDiffLib.quantification", "AMDiffLib.labels")) for name in modules)


def test_measuring_loads_no_other_package():
    script = """
        import sys
        import numpy as np
        from AMDiffLib.quantification.measurements import measure
        from types import SimpleNamespace
        lesions = np.zeros((9, 9, 9), int)
        lesions[3:5, 3:5, 3:5] = 1
        grid = SimpleNamespace(spacing=(4.0,) * 3, origin=(0.0,) * 3, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
        print(measure(1.0 + lesions, lesions, 5 - lesions, volume=grid).total.suv_max)
        print(sorted({"scipy", "torch", "SimpleITK", "pydicom", "slicer", "vtk"} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["2.0", "[]"]


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
        print([part for part in AMDiff._PARTS if "AMDiffModule." + part not in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fields, numpy_loaded, not_imported = done.stdout.splitlines()
    assert {"inputVolume", "model", "device", "steps"} <= set(ast.literal_eval(fields))
    assert numpy_loaded == "False"
    assert not_imported == "[]"
