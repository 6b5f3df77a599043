# make demo: the whole pipeline on sample_data. make test: lint, types, import contracts, tests. make docs: the pages, warnings are errors.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With an NVIDIA GPU the default torch (CUDA) is right; without one it would bring gigabytes of CUDA for nothing.
TORCH := $(if $(shell command -v nvidia-smi 2>/dev/null),torch,torch==2.13.0)
STAMP := $(VENV)/.barlowtrack

.PHONY: demo test lint types contracts docs clean

demo: $(STAMP)-base
	$(BIN)/barlowtrack run sample_data/recording --out demo/worm.barlowtrack
	$(BIN)/barlowtrack evaluate demo/worm.barlowtrack --truth sample_data/truth.csv

test: lint types contracts
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(STAMP)-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)-test
	$(BIN)/mypy

contracts: $(STAMP)-test
	$(BIN)/lint-imports

docs: $(STAMP)-test
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP)-torch: | $(BIN)/python
	$(BIN)/pip install --quiet "$(TORCH)"
	touch $@

$(STAMP)-base: pyproject.toml | $(STAMP)-torch
	$(BIN)/pip install --quiet --editable ".[metrics]"
	touch $@

$(STAMP)-test: pyproject.toml | $(STAMP)-torch
	$(BIN)/pip install --quiet --editable ".[test,docs]"
	touch $@ $(STAMP)-base

clean:
	rm -rf demo docs/_build .pytest_cache .mypy_cache .ruff_cache
