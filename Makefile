# Every target does its own set-up: a fresh clone needs nothing but Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test test-slow check format docs bench clean

install: $(INSTALLED)

# torch first, by its pin: an open range would fetch the build for GPUs
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch --constraint constraints.txt
	$(BIN)/pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $@

demo: install
	$(BIN)/unlearnable demo

test: install
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not slow'

test-slow: install
	$(BIN)/pip install --quiet --editable '.[slow]' --constraint constraints.txt
	$(BIN)/python -m pytest -n auto --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install
	$(BIN)/python -m benchmarks.readme
	$(BIN)/pip install --quiet --editable '.[docs]' --constraint constraints.txt
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_site

# the packs lie in $UNLEARNABLE_DATA, or beside the clone as the project's own checks have them
bench: export UNLEARNABLE_DATA := $(or $(UNLEARNABLE_DATA),$(wildcard $(abspath ../shared/data)))
bench: install
	$(BIN)/unlearnable bench main --tier quick --out benchmarks/results/quick

clean:
	rm -rf $(VENV) build *.egg-info
