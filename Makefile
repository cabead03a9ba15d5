# Two commands matter: `make demo` shows the studio, `make test` proves it. Both make what they need.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PORT ?= 8000
NAME ?= renditions
MODELS ?= var/models
PY := .venv/bin/python
WITH_SERVICES := $(PY) -m studio.embedded
CHECK_KEY := only-for-checks-0123456789abcdefghijklmnopqrstuvwxyz0123456789
export PORT
.NOTPARALLEL:

.PHONY: help demo demo-reset test lint format models slow bench requirements run-environment dev-environment

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: run-environment models ## the whole studio with invented bookings, until Ctrl-C (PORT=8000)
	@exec $(PY) manage.py demo --port $(PORT)

demo-reset: run-environment models ## the demo, started over
	@exec $(PY) manage.py demo --port $(PORT) --reset

test: lint models ## lint, types, import contracts, migrations and the whole suite
	$(PY) -m pytest -n 2 --dist worksteal

lint: dev-environment ## the same without the suite
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy .
	$(PY) .venv/bin/lint-imports
	SECRET_KEY=$(CHECK_KEY) $(WITH_SERVICES) sh -c '$(PY) manage.py makemigrations --check && $(PY) manage.py check'

format: dev-environment ## put the code in order
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

slow: dev-environment models ## the load and fault runs
	$(PY) -m pytest -m slow

bench: dev-environment models ## one measurement with its peers (NAME=renditions)
	@SECRET_KEY=$(CHECK_KEY) $(WITH_SERVICES) sh -c '$(PY) manage.py migrate --verbosity 0 && $(PY) manage.py bench $(NAME)'

requirements: dev-environment ## pin the packages again, with hashes
	$(PY) -m uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.12 requirements.in -o requirements.txt
	$(PY) -m uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.12 requirements-dev.in -o requirements-dev.txt

# The face models are no package of their own. Without them (offline) drafts are plainer; CI needs them.
models:
	@$(PY) -m galleries.imaging.models --fetch $(MODELS) >/dev/null || test -z "$$CI"

run-environment:
	@sh devtools/environment.sh run

dev-environment:
	@sh devtools/environment.sh dev
