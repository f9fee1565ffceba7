# `make demo` and `make test` need Python 3.11 or newer (on Debian and Ubuntu with python3-venv), make and git.
#
#   PYTHON=python3.13    which Python the environment is made with (when it is made: `make distclean` to change it)
#   HEADLESS=1           `make demo` without JupyterLab: runs the notebook to its end and says where its Parquet lies
#   LAB_ARGS="--port 9"  more arguments for JupyterLab in `make demo`
#   PYTEST_ARGS="-k x"   more arguments for pytest in `make test`
#   UPGRADE=1            the newest version of everything in `make constraints`; by default a pin changes only where it must
#   JOBS=1               test processes; the default is two: one for the tests that look at a page, one for the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
HEADLESS ?=
UPGRADE ?=
LAB_ARGS ?=
PYTEST_ARGS ?=

# Wait for a slow connection and repeat a dropped one. Pin the build environment of `-e .` too: pip 25.3 and newer read
# PIP_BUILD_CONSTRAINT for that, older ones PIP_CONSTRAINT.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_RETRIES ?= 5
export PIP_DEFAULT_TIMEOUT ?= 60
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
# The notebook's kernel is this environment's, whatever kernels the user has elsewhere.
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types pytest docs picture format chromium bench soak dist constraints clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# ---------------------------------------------------------------------------------------------------------------- to use

demo: $(VENV)/.ready-all  ## JupyterLab on the quickstart notebook, against the built-in simulator
ifneq ($(filter-out 0,$(HEADLESS)),)
	@$(BIN)/python tools/run_notebook.py notebooks/quickstart.ipynb build/demo
else
	@$(BIN)/python -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS) notebooks/quickstart.ipynb
endif

# --------------------------------------------------------------------------------------------------------------- to check

test: lint types pytest  ## every check, every test and the documentation, as CI runs them
	@$(MAKE) --no-print-directory docs  # last: it shows the notebooks as the tests have just run them

lint: $(VENV)/.ready-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/python -m mypy

pytest: $(VENV)/.ready-dev $(VENV)/.ready-ipykernel6 chromium
	$(BIN)/python -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadfile --no-loadscope-reorder) $(PYTEST_ARGS)

docs: $(VENV)/.ready-dev chromium  ## the documentation, into build/docs; a warning is an error
	@for notebook in notebooks/*.ipynb; do \
	  [ build/$$notebook -nt $$notebook ] || { $(BIN)/python -m pytest -q tests/browser/test_notebooks.py; break; }; done
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs
	@echo "the documentation: build/docs/index.html"

picture: $(VENV)/.ready-dev chromium  ## the moving picture of README and documentation, taken anew
	$(BIN)/python tools/moving_picture.py docs/dashboard.webp

chromium:
	@sh tools/chromium.sh

format: $(VENV)/.ready-dev  ## the formatter, and the fixes the linter is sure of
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(VENV)/.ready-bench chromium  ## the benchmarks, beside what a user would write instead
	$(BIN)/python -m benchmarks

soak: $(VENV)/.ready-bench  ## ten million messages, a hundred kills, an hour of faults
	$(BIN)/python -m benchmarks.soak

# ------------------------------------------------------------------------------------------------------------- to release

# What was built is installed into an empty environment, as a user will (without our pins), and tried there; then the sdist
# in its place.
dist: $(VENV)/.ready-dev  ## a wheel and an sdist in dist/, each tried in an empty environment
	rm -rf dist build/dist
	$(BIN)/python -m build
	$(PYTHON) -m venv build/dist
	PIP_CONSTRAINT= build/dist/bin/python -m pip install --quiet dist/*.whl
	cd build && dist/bin/python ../tools/smoke.py dist
	build/dist/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.tar.gz
	cd build && dist/bin/python ../tools/smoke.py dist
	@ls -l dist

# --------------------------------------------------------------------------------------------------------- the environment

INSTALL := sh tools/install.sh $(BIN)/python

NEEDS := pyproject.toml constraints.txt fxlive/_version.py | $(BIN)/pip

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'fxlive needs Python 3.11 or newer. If you have one under another name: make PYTHON=python3.12 ...'; exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); echo 'Python could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv'; exit 1; }

$(VENV)/.ready-all: $(NEEDS)
	@$(INSTALL) -e '.[all]'
	@touch $@

$(VENV)/.ready-dev: $(NEEDS)
	@$(INSTALL) -e '.[all,dev,docs]'
	@touch $(VENV)/.ready-all $@

# Beside the newest ipykernel, for the tests of widgets in both.
$(VENV)/.ready-ipykernel6: $(NEEDS)
	@rm -rf $(VENV)/ipykernel6
	@PIP_CONSTRAINT= $(INSTALL) --no-deps --target $(VENV)/ipykernel6 ipykernel==6.31.0
	@touch $@

$(VENV)/.ready-bench: $(NEEDS)
	@$(INSTALL) -e '.[all,dev,bench,docs]'
	@touch $(VENV)/.ready-all $(VENV)/.ready-dev $@

# Resolve for the lowest Python promised, with markers for newer ones and for other systems. hatchling needs editables to
# build `-e .`. The pins do not constrain the installation of uv, which must work also where one of them does not install.
constraints: $(BIN)/pip  ## pin every requirement in constraints.txt; UPGRADE=1 moves all pins to the newest version
	@mkdir -p build
	PIP_CONSTRAINT= $(INSTALL) uv
	cp constraints.txt build/constraints.txt
	echo editables | $(BIN)/python -m uv pip compile --quiet --system-certs --no-python-downloads \
	  --universal --python-version 3.11.0 --all-extras --no-annotate --no-header \
	  $(if $(filter-out 0,$(UPGRADE)),--upgrade) -o build/constraints.txt pyproject.toml -
	{ echo '# The exact versions that make and CI install. Written by `make constraints`; the ranges are in pyproject.toml.'; \
	  cat build/constraints.txt; } > constraints.txt

clean:  ## remove what builds, tests and demos left behind
	rm -rf build dist docs/notebooks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## and the environment
	rm -rf $(VENV)
