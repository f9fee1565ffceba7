# `make demo` and `make test` need Python 3.11 or newer (on Debian and Ubuntu with python3-venv), make and git.
#
#   PYTHON=python3.13    the Python for the environment, when it is created (run `make distclean` first to change it)
#   HEADLESS=1           run the notebook of `make demo` without JupyterLab, and list the Parquet files it has written
#   LAB_ARGS="--port 9"  additional arguments for JupyterLab in `make demo`
#   PYTEST_ARGS="-k x"   additional arguments for pytest in `make test`
#   UPGRADE=1            move all pins to the newest version in `make constraints`; by default a pin changes only if it must
#   JOBS=1               number of test processes; the default is two: one for the browser tests, one for all others

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
# Use the kernel of this environment, even if the user has installed a kernel of the same name.
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types pytest docs picture format chromium servers bench soak simulate dist constraints clean distclean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# ------------------------------------------------------------------------------------------------------------------- use

demo: $(VENV)/.ready-all  ## open the quickstart notebook in JupyterLab, with the built-in simulator
ifneq ($(filter-out 0,$(HEADLESS)),)
	@$(BIN)/python tools/run_notebook.py notebooks/quickstart.ipynb build/demo
else
	@$(BIN)/python -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS) notebooks/quickstart.ipynb
endif

# ----------------------------------------------------------------------------------------------------------------- check

test: lint types pytest  ## run all checks and tests and build the documentation, as CI does
	@$(MAKE) --no-print-directory docs  # last, because it includes the notebooks with the outputs of the tests

lint: $(VENV)/.ready-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/python -m mypy

pytest: $(VENV)/.ready-dev $(VENV)/.ready-ipykernel6 chromium servers
	$(BIN)/python -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadfile --no-loadscope-reorder) $(PYTEST_ARGS)

docs: $(VENV)/.ready-dev chromium  ## build the documentation in build/docs; a warning is an error
	@for notebook in notebooks/*.ipynb; do \
	  [ build/$$notebook -nt $$notebook ] || { $(BIN)/python -m pytest -q tests/browser/test_notebooks.py; break; }; done
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs
	@echo "Documentation: build/docs/index.html"

picture: $(VENV)/.ready-dev chromium  ## record the animation of README and documentation again
	$(BIN)/python tools/moving_picture.py docs/dashboard.webp

chromium servers:
	@sh tools/debian.sh $@

format: $(VENV)/.ready-dev  ## format the code and apply the linter's safe fixes
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(VENV)/.ready-bench chromium  ## run the benchmarks, with the alternatives to fxlive
	$(BIN)/python -m benchmarks

soak: $(VENV)/.ready-bench  ## run ten million messages, a million mutations, a hundred kills, an hour of faults, a thousand of chaos
	$(BIN)/python -m benchmarks.soak

SEEDS ?= 1000
simulate: $(VENV)/.ready-dev  ## run seeds of the simulation, such as SEEDS=10000
	$(BIN)/python -m tests.simulation $(SEEDS)

# --------------------------------------------------------------------------------------------------------------- release

# Install the wheel into an empty environment without our pins, as a user does, and check that it works; then the sdist.
dist: $(VENV)/.ready-dev  ## build a wheel and an sdist in dist/, and check each in an empty environment
	rm -rf dist build/dist
	$(BIN)/python -m build
	$(PYTHON) -m venv build/dist
	PIP_CONSTRAINT= build/dist/bin/python -m pip install --quiet dist/*.whl
	cd build && dist/bin/python ../tools/smoke.py dist
	build/dist/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.tar.gz
	cd build && dist/bin/python ../tools/smoke.py dist
	@ls -l dist

# ----------------------------------------------------------------------------------------------------------- environment

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

clean:  ## remove the files of builds, tests and demos
	rm -rf build dist docs/notebooks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## also remove the environment
	rm -rf $(VENV)
