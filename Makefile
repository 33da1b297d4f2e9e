# Every target makes what it needs: `make test` is enough on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check coverage docs mutation benchmarks peers clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(VENV)/.cli ## decide, replay, and watch positions on fake venues, offline
	$(BIN)/rebalancer demo

test: $(VENV)/.dev ## run the tests (ARGS="-k flip" passes options on)
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(VENV)/.dev ## lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

coverage: $(VENV)/.dev ## every branch of domain and rules is tested by their own tests
	$(BIN)/python -m pytest tests/domain tests/rules \
		--cov=rebalancer.domain --cov=rebalancer.rules --cov-branch --cov-fail-under=100

docs: $(VENV)/.docs ## build the documentation into site/
	$(BIN)/mkdocs build --strict

mutation: $(VENV)/.dev $(VENV)/.mutation ## mutate domain and rules, and print the score
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/mutmut badge --output mutants/score.json
	@cat mutants/score.json

benchmarks: $(VENV)/.dev ## measure the speed of deciding, fetching, the stores, the monitor, replays, the optimum and sweeps
	$(BIN)/python benchmarks/run.py $(ARGS)
	$(BIN)/python benchmarks/fetch.py
	$(BIN)/python benchmarks/stores.py
	$(BIN)/python benchmarks/monitor.py
	$(BIN)/python benchmarks/hindsight.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/sweep.py

peers: ## measure the same job by other libraries, in an environment of its own
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[fast]' \
		--requirement benchmarks/peers/requirements.txt
	TQDM_DISABLE=1 $(VENV)-peers/bin/python benchmarks/peers/run.py $(ARGS)

clean: ## remove the environment and everything built
	rm -rf $(VENV) $(VENV)-peers build dist site mutants htmlcov .coverage .coverage.* .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is used again if it works. A stamp for each extra is renewed when pyproject.toml changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; choose one: make PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.cli $(VENV)/.dev $(VENV)/.docs $(VENV)/.mutation: $(VENV)/.%: pyproject.toml | $(VENV)/.made
	$(PIP) --editable '.[$*]'
	@touch $@
