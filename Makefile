# The two commands a user needs are `make repro` and `make test`; `make help` lists all.
.DEFAULT_GOAL := help
.PHONY: help env repro test test-long check ui lock docs federation-demo pretrain clean

# DVC starts stages with $SHELL; a login shell's start-up files must not change the PATH below.
SHELL := /bin/sh
export SHELL
# Every recipe uses .venv, whatever environment is active outside.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHONNOUSERSITE := 1
# Nothing reports home or asks for updates (DVC's switches are in .dvc/config, too). Nothing is fetched
# that params.yaml does not ask for: the default profile asks for nothing.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export DVC_STUDIO_OFFLINE := true
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_DISABLE_TELEMETRY := 1

# Tests have a process for each core; a thread that waited for another one spinning would hold one up.
SHARED := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-15s %s\n", $$1, $$2}'

env: ## build .venv from requirements.txt (PYTHON=… chooses the interpreter: 3.11, 3.12 or 3.13)
	@.ci/env

repro: env ## train and evaluate all that is not up to date, print the report's path (JOBS=2: stages at once)
	@$(if $(JOBS),fedmvp run --jobs $(JOBS),dvc repro)
	@fedmvp track sync
	@echo "report: $(CURDIR)/report/index.html"

check: env ## the fast inner loop: format, lint, types, quick tests
	@ruff format --check .
	@ruff check .
	@mypy
	@$(SHARED) pytest -q -n auto --dist worksteal -m "not slow and not pipeline and not minutes"

# What takes minutes is a target of its own: a federation takes seconds to start, and its faults need
# dozens; the profiles of miniatures have dozens of settings.
test: env ## every check and test but those of test-long, on all cores
	@ruff format --check .
	@ruff check .
	@mypy
	@$(SHARED) pytest -q -n auto --dist worksteal -m "not minutes"

test-long: env ## the tests that take minutes each: faults of federations and clusters, whole profiles of miniatures
	@$(SHARED) pytest -q -n auto --dist loadfile -m minutes

golden: env ## renew tests/golden, the metrics CI holds the default profile to, on this platform
	@dvc repro
	@python -m tests.golden write

ui: env ## open the tracking store with MLflow on 127.0.0.1:5000 (PORT=… changes it)
	@fedmvp track sync
	@fedmvp track ui --port $(or $(PORT),5000)

# Then it is checked that every pin has a wheel for every version; antlr4 and pyhocon have none for any.
lock: env ## renew requirements.txt from pyproject.toml, for Python 3.11 to 3.13
	@uv pip compile --quiet --upgrade --python-version 3.11 --extra dev pyproject.toml --output-file requirements.txt
	@for group in build docs serve; do \
		uv pip compile --quiet --upgrade --python-version 3.11 --constraint requirements.txt --group $$group \
			--no-emit-package triton --output-file requirements-$$group.txt || exit; \
	done
	@for version in 3.11 3.12 3.13; do \
		echo "requirements.txt on Python $$version"; \
		uv pip sync --quiet --dry-run --python-version $$version --target .fedmvp/lock --require-hashes \
			--only-binary :all: --no-binary antlr4-python3-runtime \
			--no-binary pyhocon requirements.txt || exit; \
	done

docs: env ## build the documents as a site into site/
	@uv pip install --quiet --python .venv/bin/python --require-hashes --requirement requirements-docs.txt
	@mkdocs build --quiet --strict
	@echo "site: $(CURDIR)/site/index.html (its search needs: python -m http.server --directory site)"

federation-demo: env ## a server and three sites on this machine, over mutual TLS: a minute
	@python -m benchmarks.federation_demo

pretrain: env ## retrain PictoCLIP, or resume its training: hours on a CPU, see CONTRIBUTING.md
	@uv pip install --quiet --python .venv/bin/python --require-hashes --requirement requirements-build.txt
	@dvc --cd pretrain repro

clean: ## remove what the pipeline made: results, report, derived data, caches (keeps .venv)
	@rm -rf results report data/backbone data/code data/manifests data/attributes data/partitions \
		.fedmvp .dvc/cache .dvc/tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis
