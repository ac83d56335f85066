# Two commands matter: `make demo` runs a whole night on the sample company, `make test` runs everything that must hold.
# Both make their own environment in .venv from the lock file, so that every machine gets the same versions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Where it is set, every process of the suite would compile the product anew: a third of a second each, ten to begin with.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types mutations crashes lock lab bench clean

help:
	@echo "make demo   one night, end to end, on the sample company (sets up first)"
	@echo "make test   linters, types and the whole test suite (sets up first)"
	@echo "make crashes  two thousand kills of a run and of its recoveries, each different world recovered from"
	@echo "make mutations  switch off one safety at a time and show which test turns red"
	@echo "make lab    JupyterLab on the notebooks"
	@echo "make bench  what the performance figures are made of"
	@echo "make lock   resolve the dependencies of pyproject.toml anew into requirements.lock"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which with: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock (a minute or two, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/reconcile demo

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

test: lint types
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -q

crashes: setup
	@$(BIN)/python -m tests.crash.everywhere --crashes 2000

mutations: setup
	@$(BIN)/python -m tests.mutations.run

lab: setup
	@$(BIN)/jupyter lab notebooks

bench: setup
	@$(BIN)/python benchmarks/night.py
	@$(BIN)/python benchmarks/kernels.py

lock: setup
	@$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
