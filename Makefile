# The environment lies in .venv and is installed again only when requirements.lock changes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python -m
OK := .venv/installed
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check

# One thread within a sum, so that its last digits do not depend on the machine; pictures into the notebook.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PYTHONHASHSEED := 0
# Nothing of the user's own Jupyter and IPython set-up.
export IPYTHONDIR := $(CURDIR)/artifacts/.ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/artifacts/.jupyter
unexport MPLBACKEND PYTHONPATH

.PHONY: help reports test lint notebooks lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

reports: $(OK) ## run the study on all data and replace reports/full
	$(RUN) interest_lib run --profile full

test: $(OK) lint ## everything that has to hold before a change is merged
	$(RUN) pytest --ignore=tests/test_results.py
	$(RUN) pytest --nbval --nbval-current-env --nbval-sanitize-with notebooks/nbval_sanitize.cfg notebooks
	out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && $(RUN) interest_lib run --profile tutorial --out "$$out"
	$(RUN) pytest tests/test_results.py

lint: $(OK) ## style and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

notebooks: $(OK) ## execute the stored notebooks in place, with the values written in them
	$(RUN) interest_lib notebooks

lock: $(OK) ## make requirements.lock anew from environment.yml
	.venv/bin/python .ci/lock.py > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## remove the environment and everything that can be made again, except reports
	rm -rf .venv artifacts .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

$(OK): requirements.lock
	$(PYTHON) -m venv --clear .venv
	n=0; until $(INSTALL) -r requirements.lock; do \
	  n=$$((n + 1)); [ $$n -lt 4 ] || exit 1; echo "not installed yet, once more in 30 s"; sleep 30; done
	$(INSTALL) --no-deps -e .
	touch $@
