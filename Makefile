# `make demo`, `make test` and `make docs`. Each makes .venv and installs first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs install dev clean

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

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Built: site/index.html. For search, serve it: $(BIN)/python -m mkdocs serve"

clean:
	rm -rf .venv site
