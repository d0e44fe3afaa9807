# make demo: train on generated scenes, with and without unlabeled images
# make check: lint, types, import order and the fast tests
# make test: make check, and the tests that are slow or fork processes
# make test-minimum: the fast tests with the lowest versions that pyproject.toml allows
# make bench: time operations, steps, data and imports against references; writes bench/
# make docs: build the documentation into site/; warnings are errors

PYTHON ?= python3
BIN := .venv/bin
# two tests at a time or more, one thread each
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo check test test-minimum bench docs clean

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
	$(PYTEST) -m "not slow and not forks"

# Processes cannot be forked for training where torch.compile was used before.
test: check
	$(PYTEST) -m "slow and not forks"
	$(PYTEST) -m forks --numprocesses 0

.venv-minimum/installed: pyproject.toml
	$(PYTHON) -m venv .venv-minimum
	$(PYTHON) tests/minimum_versions.py > .venv-minimum/constraints.txt
	.venv-minimum/bin/python -m pip install --quiet --constraint .venv-minimum/constraints.txt --editable '.[convert,export,geo,streaming,tiff]' hypothesis pytest pytest-xdist
	touch $@

# Old versions beside new ones of other libraries warn.
test-minimum: .venv-minimum/installed
	OMP_NUM_THREADS=1 .venv-minimum/bin/python -m pytest -m "not slow" -W ignore::DeprecationWarning --ignore tests/docs --ignore tests/notebooks

bench: .venv/installed
	mkdir -p bench
	$(BIN)/python benchmarks/imports.py --rounds 3 --json bench/imports.json
	$(BIN)/python benchmarks/ops.py --rounds 3 --json bench/ops.json
	$(BIN)/python benchmarks/step.py --steps 15 --json bench/step.json
	$(BIN)/python benchmarks/parts.py --rounds 3 --side 1200 --json bench/parts.json
	$(BIN)/python benchmarks/data.py --rounds 3 --json bench/data.json
	$(BIN)/python benchmarks/scaling.py --json bench/scaling.json
	$(BIN)/python benchmarks/ddp.py --rounds 1 --json bench/ddp.json
	$(BIN)/python benchmarks/gpu_step.py --json bench/gpu_step.json

docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv .venv-minimum bench demo site
