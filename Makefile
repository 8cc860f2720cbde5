# Python 3.11 or newer and make are all it takes. PYTHON names another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.PHONY: help demo demo-ui test test-buckets lint bench docs ui audit clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "s2chips needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEV_STAMP): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(STAMP)

demo: $(STAMP)  ## two days offline on the embedded archive, into demo/
	$(BIN)/s2chips demo

demo-ui: $(STAMP)  ## the demo in the Dagster UI on 127.0.0.1:3000
	$(BIN)/s2chips demo --ui

ui: $(STAMP)  ## the Dagster UI with daemon on 127.0.0.1:3000
	DAGSTER_HOME=$(CURDIR) $(BIN)/dagster instance info > /dev/null
	DAGSTER_HOME=$(CURDIR) $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

test: $(DEV_STAMP)  ## all tests, on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

# Each of them on a folder is part of `test`; what is about local files is named as skipped.
test-buckets: $(DEV_STAMP)  ## the tests that make a dataset, in buckets of two S3 servers on loopback
	S2CHIPS_TEST_STORAGE=rclone $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20
	S2CHIPS_TEST_STORAGE=moto $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

lint: $(DEV_STAMP)  ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Some of the readers that are compared need Python 3.12; without one they are named as skipped.
BENCH_PYTHON ?= $(shell python3.12 -c 'import sys; print(sys.executable)' 2> /dev/null || echo $(PYTHON))
BENCH_STAMP := .venv-bench/.installed

$(BENCH_STAMP): pyproject.toml constraints.txt benchmarks/constraints.txt
	test -x .venv-bench/bin/python || $(BENCH_PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -c benchmarks/constraints.txt -e '.[dev,bench]'
	@touch $@

bench: $(BENCH_STAMP)  ## speed, memory and requests against other readers and the floor, into docs/performance.md
	.venv-bench/bin/python -m benchmarks $(BENCH_OPTIONS)

docs: $(DEV_STAMP)  ## the tables of docs/data-dictionary.md, from the schemas
	$(BIN)/python -m tools.data_dictionary

AUDIT_STAMP := .venv-audit/.installed

$(AUDIT_STAMP): $(DEV_STAMP)
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@touch $@

audit: $(AUDIT_STAMP)  ## known vulnerabilities and licences of what constraints.txt pins; needs the internet, not part of CI
	$(BIN)/python -m tools.audit .venv-audit/bin/python

clean:  ## remove what demo and installation made
	rm -rf $(VENV) .venv-bench .venv-audit demo
