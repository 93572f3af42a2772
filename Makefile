# `make demo` runs the main job on a simulated patient; `make test` checks the whole project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test

# make demo INPUT=scan.nii.gz UNITS=SUVbw, or INPUT=folder-of-a-DICOM-study, runs the job on a scan of your own.
demo: $(READY)
	$(BIN)/python Testing/demo.py $(if $(INPUT),--input "$(INPUT)") $(if $(UNITS),--units "$(UNITS)")

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

$(READY): Testing/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r Testing/requirements.txt
	touch $(READY)
