"""What the Extensions Manager would install: every file, beside the others it needs."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from AMDiffModule.packages import missing_requirements

REPOSITORY = Path(__file__).resolve().parents[1]

# The part of Slicer's CMake package that an extension calls, with Slicer's own install rule for scripts.
SLICER_STAND_IN = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/nothing.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/nothing.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/nothing.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MODULE_SCRIPTS} ${MODULE_RESOURCES})
    get_filename_component(folder ${file} DIRECTORY)
    install(FILES ${file} DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${folder}
            COMPONENT RuntimeLibraries)
  endforeach()
endmacro()
"""


def listed(variable: str) -> set[str]:
    text = (REPOSITORY / "AMDiff" / "CMakeLists.txt").read_text()
    block = re.search(rf"set\({variable}\s+(.*?)\)", text, re.DOTALL).group(1)
    return set(block.replace("${MODULE_NAME}", "AMDiff").split())


def test_every_python_file_of_the_module_is_listed():
    module = REPOSITORY / "AMDiff"
    assert listed("MODULE_PYTHON_SCRIPTS") == {str(path.relative_to(module)) for path in module.rglob("*.py")}


def test_every_resource_of_the_module_is_listed():
    module = REPOSITORY / "AMDiff"
    files = {path for path in (module / "Resources").rglob("*") if path.is_file()}
    assert listed("MODULE_PYTHON_RESOURCES") == {str(path.relative_to(module)) for path in files}


def test_the_index_entry_has_only_the_fields_of_schema_1_0_2():
    entry = json.loads((REPOSITORY / "AMDiff.json").read_text())
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert set(entry) >= {"$schema", "category", "scm_url"}
    assert set(entry) <= {
        "$schema",
        "build_dependencies",
        "build_subdirectory",
        "category",
        "dicom_support_rule",
        "enabled",
        "scm_revision",
        "scm_type",
        "scm_url",
        "tier",
    }
    assert entry["category"] == "Nuclear Medicine"
    assert 1 <= entry["tier"] <= 5


def test_the_description_file_says_what_the_index_asks_for():
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    assert "cmake_minimum_required(VERSION 3.28.0...3.28.0 FATAL_ERROR)" in text
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert re.search(rf'set\(EXTENSION_{name} "[^"]+"\)', text), name
    assert "SUPERBUILD" not in text


@pytest.mark.parametrize("icon", ["AMDiff.png", "AMDiff/Resources/Icons/AMDiff.png"])
def test_the_icon_is_a_png_of_128_by_128(icon):
    header = (REPOSITORY / icon).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (128, 128)


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-export.txt"])
def test_requirements_are_lower_bounds_and_leave_slicers_own_packages_alone(file):
    lines = (REPOSITORY / "Resources" / file).read_text().splitlines()
    names = set()
    for line in (line for line in lines if line and not line.startswith("#")):
        assert re.fullmatch(r"[A-Za-z0-9_-]+>=\d+(\.\d+)*", line), line
        names.add(line.partition(">=")[0].lower())
    assert not names & {"numpy", "simpleitk", "vtk", "scipy", "pydicom"}


def test_requirements_that_are_met_and_those_that_are_not(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# a comment\nnumpy>=1.0\nnumpy>=999.1\nno-such-package-at-all>=1  # nor this\n")
    assert missing_requirements(file) == ["numpy>=999.1", "no-such-package-at-all>=1"]


def a_cmake_of_3_28_or_newer() -> str:
    for folder in (str(Path(sys.executable).parent), None):
        cmake = shutil.which("cmake", path=folder)
        if cmake:
            version = subprocess.run([cmake, "--version"], capture_output=True, text=True, check=True).stdout
            if [int(part) for part in re.search(r"(\d+)\.(\d+)", version).groups()] >= [3, 28]:
                return cmake
    pytest.skip("no cmake of 3.28 or newer is installed")


@pytest.mark.skipif(shutil.which("cc") is None, reason="cmake needs a compiler to configure a project")
def test_the_installed_module_finds_the_library_and_the_models(tmp_path):
    cmake = a_cmake_of_3_28_or_newer()
    stand_in = tmp_path / "slicer"
    stand_in.mkdir()
    (stand_in / "SlicerConfig.cmake").write_text(SLICER_STAND_IN)
    (stand_in / "nothing.cmake").write_text("")
    build, prefix = tmp_path / "build", tmp_path / "ins tall ü"
    for command in (
        ["-S", REPOSITORY, "-B", build, f"-DSlicer_DIR={stand_in}", "-DBUILD_TESTING=OFF"],
        ["--build", build],
        ["--install", build, "--prefix", prefix],
    ):
        done = subprocess.run([cmake, *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    module = prefix / "lib" / "Slicer-5.12" / "qt-scripted-modules"
    built = build / "lib" / "Slicer-5.12" / "qt-scripted-modules"
    assert (built / "AMDiffLib" / "denoise_segment.py").is_file()
    installed = {str(path.relative_to(module / "AMDiffLib")) for path in (module / "AMDiffLib").rglob("*.py")}
    library = REPOSITORY / "AMDiffLib"
    assert installed == {str(path.relative_to(library)) for path in library.rglob("*.py")}
    models = sorted(path.parent.name for path in (REPOSITORY / "Resources" / "Models").glob("*/config.json"))
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "from AMDiffModule.worker import library_root, installed_models\n"
            "root = library_root()\nprint(root)\nprint(installed_models())\n"
            "assert (root / 'Resources' / 'requirements.txt').is_file()",
        ],
        cwd=module,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert found == [str(module), str(models)]
