# Every command of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/peers
ARGS ?=
LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: help setup demo test check format contracts backtest-year bench-driver bench-recommender bench-recommender-latency bench-rebuild bench-recommendations bench-thank-you bench-relevance bench-scheduler crash-scheduler bench-dispatcher crash-dispatcher mutation deploy-check lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-26s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Options of a command: make demo ARGS="--orders 3000 --speed 3600 --summary summary.json"'

$(READY): requirements/all.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Orderwake needs Python 3.11 or newer; set PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing locked requirements into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/all.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(READY)

setup: $(READY) ## Make the virtual environment from the locked requirements

demo: $(READY) ## A week of four shops, on real Kafka, PostgreSQL and SMTP, in about eight minutes
	@$(BIN)/python -m demo $(ARGS)

test: $(READY) ## All tests: properties, unit, contracts, integration, crash, end to end
	@$(BIN)/python -m pytest $(ARGS)

bench-driver: $(READY) ## The batch driver against stock Faust, in orders a second
	@$(BIN)/python -m bench.faust_driver $(ARGS)

bench-recommendations: $(READY) ## The recommendation API at 1,000 requests a second: latency and rate
	@$(BIN)/python -m bench.recommendations $(ARGS)

bench-thank-you: $(READY) ## The thank-you page at 500 orders a second: how long an offer takes
	@$(BIN)/python -m bench.thank_you $(ARGS)

# quixstreams forbids the pydantic that we run: it gets an environment of its own.
$(PEERS)/.ready: $(READY) requirements/bench.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "Installing quixstreams into $(PEERS)"
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

bench-recommender: $(PEERS)/.ready ## Orders into pair counts, beside quixstreams, stock Faust and (with Java and Maven) Kafka Streams
	@$(BIN)/python -m bench.recommender --quix-python $(PEERS)/bin/python $(ARGS)

bench-recommender-latency: $(READY) ## From an order's acknowledgement to counters and complements, at 50 and 500 orders a second
	@$(BIN)/python -m bench.recommender_latency $(ARGS)

bench-rebuild: $(READY) ## A year of a real grocer counted from nothing, then killed and recovered
	@$(BIN)/python -m bench.rebuild $(ARGS)

bench-relevance: $(READY) ## What is recommended against what a shop would otherwise use, on two real shops
	@$(BIN)/python -m bench.relevance $(ARGS)

crash-scheduler: $(READY) ## Three schedulers that die at a hundred random points: what was doubled, what was lost
	@$(BIN)/python -m tests.support.scheduler_soak $(ARGS)

bench-scheduler: $(READY) ## Events to state and due steps to decisions, beside procrastinate; lateness, fairness, sizes, plan
	@$(BIN)/python -m bench.scheduler $(ARGS)

bench-dispatcher: $(READY) ## Messages from Kafka to SMTP and HTTP far ends, beside a bare loop; a long queue's memory
	@$(BIN)/python -m bench.dispatcher $(ARGS)

crash-dispatcher: $(READY) ## Three dispatchers killed every 10 s under faults at every layer: doubled, lost, unknown, unresolved
	@$(BIN)/python -m tests.support.dispatcher_soak $(ARGS)

backtest-year: $(READY) ## A year of a real grocer lived again under the complete journeys: how long a backtest takes
	@$(BIN)/python -m bench.backtest_year $(ARGS)

mutation: $(READY) ## Small faults put into the decision core one by one: which share of them the tests notice
	@$(BIN)/python -m bench.mutation $(ARGS)

check: $(READY) ## Lint, types and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/contracts/test_house.py
	@$(BIN)/python -m shared.contracts --check

format: $(READY) ## Format the code and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

contracts: $(READY) ## Write docs/contracts from the event models
	@$(BIN)/python -m shared.contracts

deploy-check: ## Check the deploy files with kustomize, kubeconform, docker-compose and hadolint (needs kubectl and go)
	@bash deploy/check.sh

lock: ## Lock the requirements with hashes (needs uv)
	@$(LOCK) --extra embedded --extra demo --extra dev pyproject.toml -o requirements/all.txt
	@$(LOCK) -c requirements/all.txt pyproject.toml -o requirements/runtime.txt
	@echo hatchling | $(LOCK) -c requirements/all.txt - -o requirements/build.txt
	@echo 'quixstreams>=3.28' | $(LOCK) - -o requirements/bench.txt

clean: ## Remove the environment and caches (data of a kept demo too)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .orderwake
