"""What the Extensions Manager would install: every file, beside the others it needs."""

from __future__ import annotations

import json
import os
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


# Slicer's Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json: no other fields, of these types.
INDEX_FIELDS = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "dicom_support_rule": str,
    "enabled": bool,
    "tier": int,
}
INDEX_REQUIRES = {"$schema", "category", "scm_url"}


def test_the_index_entry_is_valid_against_schema_1_0_2():
    entry = json.loads((REPOSITORY / "AMDiff.json").read_text(encoding="utf-8"))
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert set(entry) >= INDEX_REQUIRES
    assert {name: type(value) for name, value in entry.items()}.items() <= INDEX_FIELDS.items()
    assert all(isinstance(name, str) for name in entry["build_dependencies"])
    assert entry.get("scm_type", "git") in {"git", "local"}
    assert 1 <= entry["tier"] <= 5


def test_the_index_entry_says_where_and_for_what():
    entry = json.loads((REPOSITORY / "AMDiff.json").read_text(encoding="utf-8"))
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    assert entry["category"] == "Nuclear Medicine"
    assert entry["scm_url"] == re.search(r'EXTENSION_HOMEPAGE "([^"]+)"', text).group(1)
    assert entry["build_dependencies"] == re.search(r'EXTENSION_DEPENDS "([^"]+)"', text).group(1).split()
    # A rule-engine expression on DICOM attributes; such a comparison is written as in Python.
    rule = compile(entry["dicom_support_rule"], "dicom_support_rule", "eval")
    assert [eval(rule, {}, {"Modality": modality}) for modality in ("PT", "CT")] == [True, False]


@pytest.mark.parametrize("field", ["ICONURL", "SCREENSHOTURLS"])
def test_every_picture_that_the_index_shows_is_in_the_repository(field):
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    homepage = re.search(r'EXTENSION_HOMEPAGE "https://github.com/([^"]+)"', text).group(1)
    base = f"https://raw.githubusercontent.com/{homepage}/main/"
    for url in re.search(rf'EXTENSION_{field} "([^"]+)"', text).group(1).split():
        assert url.startswith(base)
        assert (REPOSITORY / url.removeprefix(base)).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_checkout_is_smaller_than_the_100_mb_that_the_index_allows():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    assert sum(file.stat().st_size for file in files if file.is_file()) < 100e6


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


@pytest.fixture(scope="module")
def an_installation(tmp_path_factory):
    """The build tree and the installed tree of the extension, the latter where a Windows user's might lie."""
    if shutil.which("cc") is None:
        pytest.skip("cmake needs a compiler to configure a project")
    cmake = a_cmake_of_3_28_or_newer()
    folder = tmp_path_factory.mktemp("extension")
    stand_in = folder / "slicer"
    stand_in.mkdir()
    (stand_in / "SlicerConfig.cmake").write_text(SLICER_STAND_IN)
    (stand_in / "nothing.cmake").write_text("")
    build, prefix = folder / "build", folder / "ins tall ü"
    for command in (
        ["-S", REPOSITORY, "-B", build, f"-DSlicer_DIR={stand_in}", "-DBUILD_TESTING=OFF"],
        ["--build", build],
        ["--install", build, "--prefix", prefix],
    ):
        done = subprocess.run([cmake, *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    modules = Path("lib") / "Slicer-5.12" / "qt-scripted-modules"
    return build / modules, prefix / modules


def packaged(folder: Path) -> set[str]:
    """Files below a folder, but what Python writes and the screenshots, which are for the web."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {str(path) for path in files if not {"__pycache__", "Screenshots"} & set(path.parts)}


@pytest.mark.parametrize("part", ["AMDiffLib", "Resources"])
def test_the_library_and_the_resources_are_built_and_installed_beside_the_module(an_installation, part):
    built, installed = an_installation
    sources = packaged(REPOSITORY / part)
    assert sources <= packaged(built / part)
    # The module's own icons and panels share the folder of resources.
    module = packaged(REPOSITORY / "AMDiff" / part) if part == "Resources" else set()
    assert packaged(installed / part) == sources | module


def test_the_installed_module_completes_a_run_and_an_export_far_from_the_sources(an_installation, tmp_path):
    installed = an_installation[1]
    models = sorted(path.parent.name for path in (REPOSITORY / "Resources" / "Models").glob("*/config.json"))
    if not models:
        pytest.skip("no model is installed in Resources/Models")
    script = REPOSITORY / "Testing" / "installed_module.py"
    done = subprocess.run(
        [sys.executable, str(script), str(installed), str(tmp_path / "cache")],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["module"] == found["library"] == str(installed)
    assert found["library_in_this_process"] == str(installed / "AMDiffLib")
    assert Path(found["sample"]).is_relative_to(installed)
    assert found["models"] == models
    assert found["heavy_packages_in_this_process"] == []
    assert found["size"] == [48, 40, 56], found["status"]
    assert found["segments"] > 0
    assert {"All lesions", "liver"} <= set(found["measured"])
    assert found["exported"] == ["measurements.csv", "report.pdf"], found["export_status"]
