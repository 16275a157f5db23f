# `make demo`, `make test`, and `make fast`, the tests that train nothing. All make .venv and install first.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test fast install dev clean

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e .
	touch $@

.venv/installed-dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[dev]"
	touch $@ .venv/installed

install: .venv/installed
dev: .venv/installed-dev

demo: .venv/installed
	$(BIN)/cycada run configs/demo.yaml

# One thread a process: two processes share two cores.
fast test: export OMP_NUM_THREADS := 1
fast test: export OMP_WAIT_POLICY := passive

fast: .venv/installed-dev
	$(PYTEST) -m 'not slow and not trains'

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST)

clean:
	rm -rf .venv
