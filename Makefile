# Two commands for a newcomer: `make demo` and `make test`. Both set up what is missing and skip what is done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tiny networks on few cores: one thread a process is fastest, and two test processes use both cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# The workers start together and JAX compiles in each: two is what two cores bear.
JOBS ?= 2
BENCHMARKS := logs worldmodels agents planners synthetic_envs

.PHONY: help demo test check format bench docs clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt $(wildcard envs/plugin/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Simulacra needs Python 3.11 or newer"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# torch first and pinned: a looser first request can pull gigabytes of CUDA.
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## install, run the CartPole transfer study, write runs/demo/report.html
	$(BIN)/simulacra transfer --preset cartpole --out runs/demo --resume

test: $(INSTALLED)  ## install, then everything that CI checks
	@$(MAKE) --no-print-directory check

check: $(INSTALLED)  ## format, lint, types, import rules, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(ONE_THREAD) $(BIN)/pytest -n $(JOBS) --dist worksteal

format: $(INSTALLED)  ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)  ## speed, one JSON line a case
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

docs: $(INSTALLED)  ## run every Python example of the documents
	$(ONE_THREAD) $(BIN)/pytest -q tests/test_documents.py

clean:  ## remove the environment, runs and caches
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
