# The commands of Palate. PORT (8000) and PALATE_DATA (var/data) come from the environment.
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-vllm-cpu demo test test-slow check bench bench-web bench-generation bench-gpu bench-results evaluate model clean

help:
	@echo "make demo       everything on this machine: environment, servers, the demo study, web, worker"
	@echo "make test       what the tests need, then every test that is not slow"
	@echo "make test-slow  the slow tests: real processes, drills, training"
	@echo "make setup      just the environment, in .venv"
	@echo "make setup-vllm-cpu  vLLM on a machine without a GPU, into .venv"
	@echo "make check      style, types, import directions, migrations, deployment settings"
	@echo "make bench      measurements: make bench-web, make bench-generation, make bench-results; make bench-gpu"
	@echo "make model      preferences of the synthetic world and an FSPO model of them, in var/model"
	@echo "make evaluate   what the model of make model can do: every arm beside the ideal observer, in var/evaluation"
	@echo "make clean      remove caches; .venv and PALATE_DATA stay"

setup:
	@scripts/setup requirements.txt

setup-dev:
	@scripts/setup requirements-dev.txt

# On top of either: vLLM without a GPU. No dependencies are resolved, the file is a lock.
setup-vllm-cpu: setup-dev
	@scripts/setup-vllm-cpu

# exec: a signal to the recipe reaches the launcher itself.
demo: setup
	@exec $(PY) manage.py demo

test: setup-dev
	@exec scripts/test

test-slow: setup-vllm-cpu
	@exec scripts/test slow

check: setup-dev
	@exec scripts/check

bench: bench-web bench-generation bench-results

bench-web: setup-dev
	@exec $(PY) scripts/bench_web.py

# BENCH: sections and options, such as cost --people 40 or --json FILE.
bench-generation: setup-vllm-cpu
	@exec $(PY) scripts/bench_generation.py $(BENCH)

# GPU: options, such as --rows 1 64 --json FILE. Without a GPU a tiny model on the CPU, to see that it runs.
bench-gpu: setup
	@exec $(PY) scripts/bench_gpu.py $(GPU)

# RESULTS: options, such as --judgments 100000 --formats csv parquet --json FILE.
bench-results: setup-dev
	@exec $(PY) scripts/bench_results.py $(RESULTS)

# EVALUATE: more options, such as --full or --strict.
model: setup-dev
	@$(PY) -m inference.training.synthesize inference/training/palate-1-preferences.toml var/model/preferences
	@exec $(PY) -m inference.training.train inference/training/palate-1.toml var/model --processes 2

evaluate: setup
	@exec $(PY) -m inference.training.evaluate inference/training/evaluate.toml var/evaluation $(EVALUATE)

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
