# Every command of this repository. Each sets up what it needs by itself.
.DEFAULT_GOAL := help
# Any Python from 3.8 on starts it; a new enough one is found or fetched.
PYTHON ?= python3
BOOTSTRAP = $(PYTHON) scripts/bootstrap.py
VENV_PYTHON = .venv/bin/python
UV_COMPILE = .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.12 \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.PHONY: help run code manage slack-demo reset setup unit test test-actions check format bench chaos api-fuzz requirements schema assets-lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Set up, then start the embedded installation (JIT_PORT=8000, JIT_DATA=./.data)
	@$(BOOTSTRAP) run

code: ## Print a demo person's one-time code: make code PERSON=rita
	@$(VENV_PYTHON) -m jit.ops.embedded.welcome $(PERSON)

manage: ## Run a management command of what `make run` started: make manage DO="secret_list"
	@$(VENV_PYTHON) -m jit.ops.embedded.manage

slack-demo: ## With JIT_DEMO_SLACK=1 make run: make slack-demo PERSON=ada [PRESS=approve]
	@$(VENV_PYTHON) -m jit.ops.embedded.slack_people "$(PERSON)" "$(PRESS)"

reset: ## Delete the embedded installation's data in JIT_DATA, its databases too (stop it first)
	@$(VENV_PYTHON) -m jit.ops.embedded.reset

setup: ## Only set up: .venv with all development tools, and the browser's files
	@$(BOOTSTRAP) setup

unit: ## Set up, then run the tests that need no server (seconds)
	@$(BOOTSTRAP) unit

test: ## Set up, then run all tests, shared by a process more than there are cores
	@$(BOOTSTRAP) test

test-actions: ## The same; fails for audit actions and moves of states that no test produced
	@JIT_TEST_WHOLE=1 $(BOOTSTRAP) test

check: ## Set up, then run every linter and checker
	@$(BOOTSTRAP) check

format: ## Format the code as `make check` wants it
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: ## Set up, then measure; prints a table beside the promises
	@$(BOOTSTRAP) bench

chaos: ## Set up, then run the tests that kill processes
	@$(BOOTSTRAP) chaos

api-fuzz: ## Set up, then let Schemathesis call the REST interface as each person (not in CI)
	@$(BOOTSTRAP) api-fuzz

requirements: ## Pin and hash again what requirements/*.in ask for
	$(UV_COMPILE) requirements/bootstrap.in --output-file requirements/bootstrap.txt
	$(UV_COMPILE) requirements/assets.in --output-file requirements/assets.txt
	$(UV_COMPILE) requirements/base.in --output-file requirements/base.txt
	$(UV_COMPILE) requirements/embedded.in -c requirements/base.txt \
		--output-file requirements/embedded.txt
	$(UV_COMPILE) requirements/dev.in -c requirements/base.txt -c requirements/embedded.txt \
		--output-file requirements/dev.txt
	$(UV_COMPILE) requirements/fuzz.in -c requirements/base.txt -c requirements/dev.txt \
		--output-file requirements/fuzz.txt

schema: ## Write docs/openapi.yaml and docs/states.md from the code
	@DJANGO_SETTINGS_MODULE=tests.settings $(VENV_PYTHON) manage.py spectacular --file docs/openapi.yaml
	@DJANGO_SETTINGS_MODULE=tests.settings $(VENV_PYTHON) manage.py states --write

assets-lock: ## Lock again what package.json asks for, without addresses
	npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts
