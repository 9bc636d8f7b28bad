# Everything on a fresh machine: the first target to run makes the environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test slow check docs readme speed

demo: $(STAMP)
	$(BIN)/unlearnbench run
	$(BIN)/unlearnbench report

test: $(STAMP)
	$(BIN)/pytest -q

slow: $(STAMP)
	$(BIN)/pytest -q -m slow --numprocesses 1

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m docs.site.build
	$(BIN)/pytest -q

docs: $(STAMP)
	$(BIN)/python -m docs.site.build

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev,docs]"
	touch $(STAMP)

speed: $(STAMP)
	$(BIN)/python benchmarks/speed/run.py

readme: demo
	$(BIN)/python docs/publish.py digits
	$(BIN)/unlearnbench run --set ulira.shadows=16
	$(BIN)/unlearnbench report
	$(BIN)/python docs/publish.py digits --audit
