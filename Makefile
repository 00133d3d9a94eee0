# `make demo` needs python3.11, pip, make, git and g++; everything else it sets up itself.
PYTHON ?= python3.11
GENERATOR ?= rules
KILLS ?= 6
GRID ?= miniworld
BIN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo study up down test test-fast bench chaos lint clean

help: ## List the commands.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Create or update .venv.
	@$(PYTHON) setup_env.py

demo: setup ## Run the pipeline on the embedded mini world, with a local Prefect server. GENERATOR=vllm: smaller, with the real engine.
	@$(BIN) -m flows.local demo --generator $(GENERATOR)

up: setup ## Start the local Prefect server and the deployments.
	@$(BIN) -m flows.local up

study: setup ## Run the study of docs/study.md: GRID=miniworld (default), or another of flows/studies/.
	@$(BIN) -m flows.local study $(GRID)

down: ## Stop what `make demo` and `make up` started.
	@if [ -x $(BIN) ]; then $(BIN) -m flows.local down; else echo "nothing was set up"; fi

test: setup ## Run every test, in two processes.
	@$(BIN) -m pytest -n 2 --dist loadfile

test-fast: setup ## Run the tests that take a few seconds each, in two processes.
	@$(BIN) -m pytest -m "not slow" -n 2 --dist loadfile

bench: setup ## Measure one thing: NAME=filter_scale, or NAME=real_model MODEL=FOLDER CAPTIONS=FILE; without NAME, list them.
	@test -f "benchmarks/$(NAME).py" || { echo "make bench NAME=...: there are $$(cd benchmarks && grep -l '^def main' *.py | sed 's/[.]py//' | tr '\n' ' ')"; exit 2; }
	@MODEL="$(MODEL)" CAPTIONS="$(CAPTIONS)" $(BIN) -m benchmarks.$(NAME)

chaos: setup ## Kill KILLS=6 processes of a small pipeline at random (SEED=1), recover, and compare with an undisturbed run.
	@$(BIN) -m benchmarks.chaos --kills $(KILLS) $(if $(SEED),--seed $(SEED))

lint: setup ## Check style, formatting and types.
	@$(BIN) -m ruff check .
	@$(BIN) -m ruff format --check .
	@$(BIN) -m mypy

clean: down ## Remove the server's folder and caches, but not .venv or artifacts.
	@rm -rf .prefect .pytest_cache .ruff_cache .mypy_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
