# Everything the project does, from a fresh Debian-like machine with Python 3.11 or newer.
# Each target does its own set-up, or says in one line what is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup java node postgresql demo run test test-all cohort reliability check bench profiles package wheel clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment in .venv
	@$(BIN)/python -m compileall -q src # an editable install is not compiled by pip; start-up is twice as fast so

$(STAMP): pyproject.toml requirements/dev.txt
	@scripts/python.sh $(PYTHON) $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

java: ## install Java 17 and Maven through apt where they are missing
	@scripts/java.sh

postgresql: ## install PostgreSQL through apt for the tests of the store
	@scripts/postgresql.sh

node: ## install Node.js and npm through apt where they are missing
	@scripts/node.sh

demo: setup java ## three patients over MLLP into a real HAPI FHIR server and back
	@$(BIN)/ketafhir demo $(DEMO)

run: setup java ## serve on the example configuration, with the FHIR server
	@scripts/run.sh $(BIN)

test: setup java node postgresql ## every test that fits in 15 minutes, the real server included
	@scripts/test.sh $(BIN)

test-all: setup java node postgresql ## all of them but those of make reliability
	@$(BIN)/python -m pytest -m "not reliability"

cohort: setup java ## a thousand simulated patients through every law and the FHIR server, into docs/cohort.md
	@PYTHONPATH=tests $(BIN)/python -m simulate.cohort

reliability: setup java postgresql ## crashes, faults and models of the store, by the thousand; it takes hours
	@KETAFHIR_TEST_POSTGRESQL=required $(BIN)/python -m pytest -m reliability

check: setup ## format, lint, types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

bench: setup java postgresql ## speed beside the peers, and throughput: ratios from one run
	@$(BIN)/python -m benchmarks

profiles: setup java node ## compile profiles/fsh into profiles/definitions and checks.json, and write docs/profiles
	@scripts/profiles.sh $(BIN) profiles
	@$(BIN)/ketafhir profiles pages --out docs/profiles

package: setup ## write the FHIR NPM package of the profiles into dist/
	@$(BIN)/ketafhir profiles package --out dist

wheel: setup ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## remove what the targets made
	rm -rf $(VENV) dist build .ketafhir demo-output
