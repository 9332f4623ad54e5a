# The environment lies in .venv and is installed again only when requirements.lock changes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python -m
OK := .venv/installed
SPARK := .venv/spark
PEERS := benchmarks/.venv/installed benchmarks/.venv-lenskit/installed
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check
# A list of requirements; an index that is out of reach for a moment gets three more tries.
INSTALL_FROM = n=0; until $(INSTALL) -r $(1); do \
  n=$$((n + 1)); [ $$n -lt 4 ] || exit 1; echo "not installed yet, once more in 30 s"; sleep 30; done

# One thread within a sum, so that its last digits do not depend on the machine; pictures into the notebook.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PYTHONHASHSEED := 0
# LightFM compiled for any processor of this kind, not for the one at hand: the same digits everywhere.
export LIGHTFM_NO_CFLAGS := 1
# Nothing of the user's own Jupyter and IPython set-up.
export IPYTHONDIR := $(CURDIR)/artifacts/.ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/artifacts/.jupyter
unexport MPLBACKEND PYTHONPATH

.PHONY: help reports test test-slow lint notebooks bench bench-peers tune lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

reports: $(OK) ## run the study on all data and replace reports/full
	$(RUN) interest_lib run --profile full

test: $(OK) lint ## what has to hold before a change is merged, some 20 minutes; CI adds test-slow
	$(RUN) pytest -n 2 --dist loadfile --ignore=tests/test_results.py -m "not slow"
	$(RUN) pytest --nbval --nbval-current-env --nbval-sanitize-with notebooks/nbval_sanitize.cfg notebooks
	out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && $(RUN) interest_lib run --profile tutorial --out "$$out"
	$(RUN) pytest tests/test_results.py

test-slow: $(OK) $(SPARK) ## the engines on a real Spark cluster, the study on other logs
	$(RUN) pytest tests -m slow

lint: $(OK) ## style and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

notebooks: $(OK) ## execute the stored notebooks in place, with the values written in them
	$(RUN) interest_lib notebooks

bench: $(OK) ## ratios to a bare query and to pandas, up to 100 million events: some 10 minutes and 6 GB of disk
	status=0; for part in prepare online scale; do .venv/bin/python benchmarks/$$part.py || status=1; done; exit $$status

bench-peers: $(OK) $(PEERS) ## recommenders and metrics of others on the same split: some 30 minutes
	.venv/bin/python benchmarks/metric_speed.py
	.venv/bin/python benchmarks/bench_peers.py

tune: $(OK) ## settings of all models, the same number of trials each: hours; goes on from its logs
	.venv/bin/python benchmarks/tune_rates.py
	.venv/bin/python benchmarks/tune_moves.py
	.venv/bin/python benchmarks/tune_baskets.py
	.venv/bin/python benchmarks/tune_recommenders.py
	.venv/bin/python benchmarks/rank_ablation.py
	.venv/bin/python benchmarks/seed_spread.py

lock: $(OK) ## make requirements.lock anew from environment.yml
	.venv/bin/python .ci/lock.py > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## remove the environment and everything that can be made again, except reports
	rm -rf .venv benchmarks/.venv benchmarks/.venv-lenskit artifacts data/cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

$(OK): requirements.lock
	$(PYTHON) -m venv --clear .venv
	$(call INSTALL_FROM,requirements.lock)
	$(INSTALL) --no-cache-dir --force-reinstall --no-deps $$(grep '^rectools-lightfm==' requirements.lock)
	$(INSTALL) --no-deps -e .
	touch $@

$(SPARK): requirements-spark.txt $(OK)
	$(call INSTALL_FROM,requirements-spark.txt)
	touch $@

benchmarks/.venv/installed: benchmarks/requirements-peers.lock
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

benchmarks/.venv-lenskit/installed: benchmarks/requirements-lenskit.lock
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@
