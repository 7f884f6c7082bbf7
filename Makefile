# The commands of the README. Everything runs in .venv, which this file makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(foreach p,$(notdir $(wildcard packages/*)),--no-emit-package $(p))
STAMP := $(VENV)/.installed
# Tests mostly wait for processes; a file's tests stay together, and with them their server.
PARALLEL ?= --numprocesses 3 --dist loadfile
export PYTHONHASHSEED ?= 0

.PHONY: help quickstart setup test test-full lint fmt bench-build bench-functions bench-mlflow bench-scale bench-scoring bench-servicebus compatibility lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit("Mooring needs Python 3.10 or newer; %s is %s. Try: make PYTHON=python3.12 quickstart" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 10) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/bootstrap.txt

$(STAMP): $(BIN)/uv requirements/dev.txt $(wildcard packages/*/pyproject.toml)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(foreach p,$(wildcard packages/*),--editable $(p))
	@touch $@

setup: $(STAMP)  ## make .venv with everything a contributor needs

quickstart: setup  ## train, register, deploy and score a real model on this machine
	@$(BIN)/python examples/quickstart.py

test: setup lint  ## everything a contributor runs
	$(BIN)/python -m pytest -m "not full" $(PARALLEL) --cov --cov-report=term:skip-covered

test-full: setup lint  ## test, plus the slow and the machine-dependent tests
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered

lint: setup  ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py
	PYTHONPATH= $(BIN)/lint-imports --no-logo

fmt: setup  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-build: setup  ## how fast builds, deployments and start-up are; prints a table
	$(BIN)/python -m benchmarks.builds

bench-functions: setup  ## storage accounts beside Azurite, blob triggers; prints tables
	$(BIN)/python -m benchmarks.functions

bench-mlflow: setup  ## deploying through MLflow's client beside `mlflow models serve`, with wrk; prints a table
	$(BIN)/python -m benchmarks.mlflow

bench-scale: setup  ## what 10,000 models, 1,000 images and 200 services cost; prints a table
	$(BIN)/python benchmarks/scale.py

bench-scoring: setup  ## the scoring server beside its peers, with wrk; prints tables of figures and ratios
	$(BIN)/python -m benchmarks.scoring

bench-servicebus: setup  ## the Service Bus broker: messages per second, latency, memory; prints a table
	$(BIN)/python -m benchmarks.servicebus

compatibility: setup  ## regenerate docs/compatibility.md from the tests
	$(BIN)/python tools/compatibility.py

lock: $(BIN)/uv  ## pin the dependencies by hash
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate $(LOCAL) --extra mlflow --extra conda --custom-compile-command "make lock" requirements/dev.in $(wildcard packages/*/pyproject.toml) -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate $(LOCAL) --custom-compile-command "make lock" requirements/bootstrap.in -o requirements/bootstrap.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/reference-scoring.in -o requirements/reference-scoring.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/reference-mlflow.in -o requirements/reference-mlflow.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/reference-mlflow-2.in -o requirements/reference-mlflow-2.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/reference-az.in -o requirements/reference-az.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/reference-oras.in -o requirements/reference-oras.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/servicebus.in -o requirements/servicebus.txt
	for name in model azureml bentoml granian kserve litserve mlflow; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" requirements/bench-$$name.in -o requirements/bench-$$name.txt || exit 1; done

clean:  ## remove what make created
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
