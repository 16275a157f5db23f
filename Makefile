# Two commands: `make demo` and `make test`. Both make .venv and install first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test install dev clean

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

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest

clean:
	rm -rf .venv
