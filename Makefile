# `make demo`, `make test`, `make docs`, and `make fast`: the tests that train nothing. Each makes .venv and installs first.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

.PHONY: demo test fast results docs install dev clean

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e .
	touch $@

.venv/installed-dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[dev]"
	touch $@ .venv/installed

.venv/installed-docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[docs]"
	touch $@ .venv/installed

install: .venv/installed
dev: .venv/installed-dev

demo: .venv/installed
	$(BIN)/cycada run configs/demo.yaml

# One thread a process: three processes share two cores, so that none idles while a test waits.
fast test: export OMP_NUM_THREADS := 1
fast test: export OMP_WAIT_POLICY := passive

fast: .venv/installed-dev
	$(PYTEST) -m 'not slow and not trains'

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy & types=$$!; $(PYTEST); tests=$$?; wait $$types && exit $$tests  # mypy takes one core: both at once

# What the committed reports lack: ARGS=--check says which are stale, ARGS=--list how long they would take.
results: .venv/installed
	$(BIN)/python -m experiments.results $(ARGS)

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Built: site/index.html. For search, serve it: $(BIN)/python -m mkdocs serve"

clean:
	rm -rf .venv site
