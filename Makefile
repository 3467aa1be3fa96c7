# The one place of commands; continuous integration runs the same ones. `make help` lists them.
# Every target sets up first, which takes a second when nothing has changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8000
ARGS ?=
# Test processes side by side; each has its share of the cores, and an engine wants two.
JOBS ?= $(shell [ "$$(nproc)" -ge 4 ] && echo 2 || echo 0)
# Another version of vLLM, with an environment of its own: make test VLLM=0.31.0
VLLM ?=
export VLLM
# Engines and servers are several processes, each of which imports vLLM: where no bytecode may be
# kept, each compiles all of it anew, which is 20 of the 33 seconds that it takes.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv$(if $(VLLM),-vllm-$(VLLM))/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-versions check docs reference build licences bench load methods-table evidence screenshots compatibility lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv from the lock and install the project in it (PYTHON=..., VLLM=...)
	@$(PYTHON) requirements/setup_venv.py

demo: setup ## fit two profiles, serve them beside the base, show the answers (PORT=8000)
	@$(VENV)/lethe demo --port $(PORT)

test: setup ## every test (ARGS=... goes to pytest, JOBS=2 processes side by side)
	@$(VENV)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

test-unit: setup ## the tests that need no engine and no server (ARGS=...)
	@$(VENV)/python -m pytest tests/unit $(ARGS)

test-versions: setup ## the versions of vLLM that have a lock, one by one (ARGS="0.30.0 0.31.0")
	@$(VENV)/python -m tests.versions $(ARGS)

check: setup docs build ## ruff, mypy, the layering test and the documentation; what is released is complete
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/python -m pytest -q tests/unit/test_layering.py tests/unit/deployment/test_release.py

build: setup ## sdist and wheel, into dist/
	@rm -rf dist
	$(VENV)/python -m build --no-isolation > /dev/null
	$(VENV)/twine check --strict dist/*

licences: setup ## write docs/licences.md from the lock's metadata
	@$(VENV)/python requirements/licences.py

docs: setup ## the documentation site, into site/; a broken link or anchor is an error
	@NO_MKDOCS_2_WARNING=1 $(VENV)/python -m mkdocs --quiet build --strict
	@echo "site/index.html"

reference: setup ## write docs/api.md and docs/cli.md from the code
	@$(VENV)/python -m docs.making.api
	@$(VENV)/python -m docs.making.cli

bench: setup ## stock vLLM and Lethe side by side (ARGS=...)
	@$(VENV)/python -m benchmarks.serving $(ARGS)

load: setup ## two replicas on one PostgreSQL store under load, while profiles are replaced (ARGS=...)
	@$(VENV)/python -m benchmarks.replicas $(ARGS)

methods-table: setup ## fit every method, measure, write docs/methods.md (ARGS="--jobs 4")
	@$(VENV)/python -m benchmarks.methods $(ARGS)

evidence: setup ## every method in every form and under attack, into docs/evidence.md (hours; ARGS="--jobs 4")
	@$(VENV)/python -m benchmarks.evidence $(ARGS)

screenshots: setup ## write docs/images from the tests of the playground
	@LETHE_SCREENSHOTS=docs/images $(VENV)/python -m pytest tests/browser -k pictures $(ARGS)

compatibility: setup ## write docs/compatibility.md from the tests
	@$(VENV)/python -m tests.compatibility

lock: ## write requirements/*.lock anew (ARGS=--upgrade lets versions move; VLLM=...)
	@VLLM= $(PYTHON) requirements/setup_venv.py
	@.venv/bin/python requirements/lock.py $(ARGS)

clean: ## remove .venv, the site, what was built and every cache
	rm -rf .venv .venv-vllm-* site dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
