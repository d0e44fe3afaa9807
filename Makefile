# make demo: train on generated scenes, with and without unlabeled images
# make check: lint, types, import order and the fast tests
# make test: make check and the slow tests

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check test clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/python -m lightning_classmix demo --out demo

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow"

test: check
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf .venv demo
