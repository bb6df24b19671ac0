# `make quickstart` and `make test` need nothing but Python 3.11 or newer: they make .venv themselves.

PYTHON ?= python3
VENV ?= .venv
PLUGINS_VENV ?= .venv-plugins
BIN = $(VENV)/bin

.PHONY: install quickstart test test-slow test-plugins test-plugins-slow lint format docs bench bench-training clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	touch $@

# A whole study in small: what a newcomer sees first.
quickstart: install
	$(BIN)/bitspec run specs/quickstart.bspec
	$(BIN)/bitspec query "select avg(score) by strategy"
	$(BIN)/bitspec plot heatmap --task rte -o heatmap.html
	@echo 'Open heatmap.html in a browser; `source $(BIN)/activate` makes `bitspec` a command of this shell.'

# Two processes of one thread each: tests are many and small. Each begins with its half, in order, so that what the tests
# of a file share is made once.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist worksteal

# Atheris has no wheels for every system: where it cannot be had, its tests say so. Hypothesis draws once more what it
# draws in `make test`, but ten times as much.
test-slow: install
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group fuzz
	$(BIN)/python -m pytest -m slow
	BITSPEC_EXAMPLES_TIMES=10 $(BIN)/python -m pytest -m "hypothesis and not slow"

# In an environment of their own, on top of ours: the core is tested without any of them.
test-plugins: $(PLUGINS_VENV)/.installed
	for tests in plugins/*/; do OMP_NUM_THREADS=1 $(PLUGINS_VENV)/bin/python -m pytest -m "not slow" $$tests || exit 1; done

test-plugins-slow: $(PLUGINS_VENV)/.installed
	for tests in plugins/*/; do \
	  OMP_NUM_THREADS=1 $(PLUGINS_VENV)/bin/python -m pytest -m slow $$tests || [ $$? = 5 ] || exit 1; done  # 5: none is slow

$(PLUGINS_VENV)/.installed: $(VENV)/.installed $(wildcard plugins/*/pyproject.toml plugins/examples/*/pyproject.toml)
	$(PYTHON) -m venv --clear $(PLUGINS_VENV)
	$(PLUGINS_VENV)/bin/python tools/on_top.py $(VENV)
	$(PLUGINS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  $(foreach plugin,$(dir $(wildcard plugins/*/pyproject.toml plugins/examples/*/pyproject.toml)),-e $(plugin))
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Writes what is generated in docs/ and README.md anew.
docs: install
	$(BIN)/python tools/docs.py

bench: install
	$(BIN)/python -m tests.benchmarks.language

# Two hours or more on two cores that do nothing else. The study is measured where GLUE and MODEL name folders:
# `make bench-training GLUE=glue MODEL=minilm-l6 JSON=training.json`; docs/performance.md tells of the rest.
bench-training: install
	$(BIN)/python -m tests.benchmarks.training llama steps packs \
	  $(if $(and $(GLUE),$(MODEL)),study --glue $(GLUE) --model $(MODEL)) $(if $(JSON),--json $(JSON))

clean:
	rm -rf $(VENV) $(PLUGINS_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
