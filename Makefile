# `make demo` and `make test` work in a fresh clone, with Python 3.11 or newer, venv and make. The first call makes
# .venv and downloads several gigabytes: the package for `make demo`, and for all others what development needs as well
# (Dask, Ray, a local S3 server, the linters).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo docs test test-lowest check stress gpu bench format clean

install: $(VENV)/installed

$(BIN)/affect: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed: $(BIN)/affect
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/affect
	touch $@

demo: $(BIN)/affect
	$(BIN)/affect demo --output demo

# The documentation as a site that needs no network: build/docs/html/index.html.
docs: install
	$(BIN)/python docs/site/build.py

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The oldest versions that pyproject.toml allows, really installed, in an environment of their own.
LOWEST := .venv-lowest
LOWEST_TESTS := tests/configs tests/stages/temporal tests/stages/features/video/test_colour.py tests/cache/test_store_conformance.py \
	tests/cache/test_tables.py tests/cache/test_hdf5_threads.py tests/pipeline/train/test_train.py tests/pipeline/predict tests/pipeline/test_passed_on.py

test-lowest:
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e .
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python pytest pytest-timeout boto3 'moto[server,s3]' torchmetrics
	$(LOWEST)/bin/python -m pytest $(LOWEST_TESTS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy -p affect
	$(BIN)/python -m pytest -q tests/test_imports.py tests/test_packaging.py

stress: install
	$(BIN)/python -m pytest -m stress --timeout 7200

# On a machine with a GPU, in under 20 minutes: its tests, and a dated file in benchmarks/results.
gpu: install
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python benchmarks/gpu.py

# Stage one against an earlier commit, other tools' ways of working, the engines, and its memory: an hour on 2 quiet cores.
bench: install
	$(BIN)/python benchmarks/against.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/extraction_speed.py
	$(BIN)/python benchmarks/extraction_memory.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache
