# Everything on a fresh machine: the first target to run makes the environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test slow lint check docs wheel publish readme speed

demo: $(STAMP)
	$(BIN)/unlearnbench run
	$(BIN)/unlearnbench report

test: $(STAMP)
	$(BIN)/pytest -q

slow: $(STAMP)
	$(BIN)/pytest -q -m slow

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/proselint check README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs examples/README.md

check: lint docs test

docs: $(STAMP)
	$(BIN)/python -m docs.builder --site

# What a user installs: a wheel made of the sdist, in an environment that holds nothing else.
wheel: $(STAMP)
	rm -rf build/release
	$(BIN)/python -m build --no-isolation --outdir build/release .
	$(PYTHON) -m venv build/release/empty
	build/release/empty/bin/pip install --quiet build/release/*.whl
	cd build/release && empty/bin/unlearnbench run && empty/bin/unlearnbench report
	rm -rf build/release/empty

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev,docs]"
	touch $(STAMP)

speed: $(STAMP)
	$(BIN)/python benchmarks/speed/run.py

# Results of this machine as the project's own: results/$(BENCHMARK)@<machine>/ and the report of them.
BENCHMARK ?= digits
publish: $(STAMP)
	$(BIN)/python -m docs.builder --publish $(BENCHMARK)

readme: demo publish
	$(BIN)/unlearnbench run --set ulira.shadows=16
	$(BIN)/python -m docs.builder --publish digits --audit
