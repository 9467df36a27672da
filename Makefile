# pollsvc: `make help` lists the targets. Each one sets up what it needs in .venv; Python 3.11 or later is all that must be there.

.DEFAULT_GOAL := help
.PHONY: help run test suite check lint bench faults clean
.DELETE_ON_ERROR:

PORT ?= 8000
# The first of these that is new enough makes the environment; PYTHON=/path/to/python picks another.
PYTHON ?= $(firstword $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python; done) python3)
BIN := .venv/bin
INPUTS := pyproject.toml constraints.txt
# Processes of the test suite at once. Each has databases of its own.
JOBS ?= 3

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

run: export POLLSVC_PUBLIC_URL ?= http://127.0.0.1:$(PORT)
run: .venv/installed-run ## serve the demo article at http://127.0.0.1:8000/ (PORT=... changes it)
	@$(BIN)/pollsvc db upgrade
	@$(BIN)/pollsvc demo
	@exec $(BIN)/pollsvc serve --port $(PORT)

test: .venv/installed-test ## run every check and every test, on both databases and in a browser where there is one
	@$(MAKE) --no-print-directory --jobs 2 lint suite

# Beside `lint`, of which the longest part keeps one processor busy for a minute.
suite: .venv/installed-test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal $(ARGS)
	$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report | tail -1
	$(BIN)/coverage report --fail-under=100 --include='pollsvc/*/service.py,pollsvc/*/tallies.py,pollsvc/*/ballots.py,pollsvc/*/percentages.py,pollsvc/web/*'

check: lint ## the narrow daily call: lint, types, import rules, and the quick tests on SQLite
	$(BIN)/pytest -q -n $(JOBS) -m 'not postgresql and not browser and not live and not slow' $(ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/installed-test ## measure votes per second and their latency on both databases (minutes; needs wrk)
	$(BIN)/python -m tests.bench $(ARGS)

faults: .venv/installed-test ## let every fault happen under load, and count the votes afterwards (minutes; needs libfaketime)
	$(BIN)/python -m tests.faults $(ARGS)

clean: ## remove what was built; instance/ (your data and keys) stays
	rm -rf .venv build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# What `make run` needs is a part of what `make test` needs; each is installed once, and again when its inputs change.
.venv/installed-run: $(INPUTS) | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-test: $(INPUTS) | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch .venv/installed-run $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'pollsvc needs Python 3.11 or later. Install it, or name it: make PYTHON=/path/to/python3.12'; exit 1; } >&2
	@$(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo 'Python could not make a virtual environment (Debian: apt-get install python3-venv).'; exit 1; } >&2
