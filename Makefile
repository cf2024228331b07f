# `make demo` and `make test` work in a fresh clone with python3.11, venv and make; nothing has to be set up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test check stress format clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/affect
	touch $@

demo: install
	$(BIN)/affect demo --output demo

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy -p affect
	$(BIN)/python -m pytest -q tests/test_imports.py tests/test_packaging.py

stress: install
	$(BIN)/python -m pytest -m stress --timeout 7200

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache
