# The commands of Palate. PORT (8000) and PALATE_DATA (var/data) come from the environment.
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test test-slow check bench bench-web clean

help:
	@echo "make demo       everything on this machine: environment, servers, the demo study, web, worker"
	@echo "make test       what the tests need, then every test that is not slow"
	@echo "make test-slow  the slow tests: real processes, drills, training"
	@echo "make setup      just the environment, in .venv"
	@echo "make check      style, types, import directions, migrations, deployment settings"
	@echo "make bench      measurements: make bench-web"
	@echo "make clean      remove caches; .venv and PALATE_DATA stay"

setup:
	@scripts/setup requirements.txt

setup-dev:
	@scripts/setup requirements-dev.txt

# exec: a signal to the recipe reaches the launcher itself.
demo: setup
	@exec $(PY) manage.py demo

test: setup-dev
	@exec scripts/test

test-slow: setup-dev
	@exec scripts/test slow

check: setup-dev
	@exec scripts/check

bench: bench-web

bench-web: setup-dev
	@exec $(PY) scripts/bench_web.py

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
