# `make run` and `make test` set everything up themselves. `make help` lists the rest.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# One process of pytest a core.
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup develop run test fuzz faults audit lint site bench guard clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.installed  ## virtual environment, locked dependencies, mlhw in editable mode

develop: $(VENV)/.developing  ## the same with the tools of development

run: $(VENV)/.installed  ## the main job on built-in data; prints the answers and the run folders
	$(BIN)/mlhw all

# Each worker may start torch's threads, and more threads than cores wait for each other by spinning
# unless told not to. The tests of a file stay with one worker, which makes what they share once.
test: lint guard  ## lint, types and tests
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# SEED and TESTS repeat what was red: `make fuzz SEED=7 TESTS=tests/test_etas.py`.
fuzz: $(VENV)/.developing  ## the hypothesis tests alone, ten times as long and with a new seed
	@seed=$${SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbits(32))')}; \
	again="the same examples again: make fuzz SEED=$$seed TESTS=FILE"; \
	echo "$$again"; \
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n $(WORKERS) -m hypothesis \
		--hypothesis-profile=fuzz --hypothesis-seed=$$seed $(TESTS) || { echo "$$again"; exit 1; }

# TESTS=tests/faults/test_signals.py tries one part; the other rows of the figures stay.
faults: $(VENV)/.developing  ## faults injected by the thousand; figures into bench/results/faults.json
	MLHW_FAULTS=long FAULTS_RESULTS=bench/results/faults.json OMP_WAIT_POLICY=passive \
		$(BIN)/python -m pytest -n $(WORKERS) $(or $(TESTS),tests/faults)

# Exit code 69: the licences are right, and the database of vulnerabilities cannot be reached.
audit: $(VENV)/.developing  ## licences and known vulnerabilities of the locked packages
	@$(PIP) install -c requirements.lock --no-build-isolation -e '.[dev,audit]'
	$(BIN)/python bench/audit.py --write

lint: $(VENV)/.developing  ## ruff check, ruff format --check, lint-imports, mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

site: $(VENV)/.developing  ## the documentation as pages, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Some minutes; figures into bench/results and, by docs/generate.py, into README and docs. ROWS=csv,optimum
# measures some rows of docs/performance.md, the others stay.
bench: $(VENV)/.developing  ## speed and memory beside an older commit and what one would use instead
	$(BIN)/python bench/performance.py $(if $(ROWS),--rows $(ROWS))
ifndef ROWS
	$(BIN)/python bench/growth.py
	$(BIN)/python bench/first_run.py
	$(BIN)/python bench/vanishing.py
	$(BIN)/python bench/finetune.py
	-$(BIN)/python bench/memory.py
	-$(BIN)/python bench/memory.py --unfreeze
endif
	$(BIN)/python docs/generate.py

# A shared machine is slow for many reasons, so what it says is no failure.
guard: $(VENV)/.developing  ## a warning for what has become half as fast as bench/results has it
	-@$(BIN)/python bench/guard.py

clean:  ## take away the environment and all caches; runs/ and data/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The stamp is newer than what it was made from, so nothing is installed twice. The build backend
# comes from the lock as well, hence no build isolation.
$(VENV)/.installed: pyproject.toml requirements.lock
	@echo "installing the locked dependencies into $(VENV), which takes a minute or more"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -c requirements.lock hatchling
	@$(PIP) install -c requirements.lock --no-build-isolation -e .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@echo "installing the tools of development into $(VENV)"
	@$(PIP) install -c requirements.lock --no-build-isolation -e '.[dev]'
	@touch $@
