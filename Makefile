# Tallygate. Start with: make help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.tallygate-ready
# Simulated camera unless a device is named: make run CAMERA=/dev/video0
CAMERA ?=
# Extra arguments for pytest: make test ARGS="-k journal"
ARGS ?=

.PHONY: help venv run test torture lint bench bench-rfid bench-portal peers mutants clean broker

help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv with the tallygate command

$(STAMP): setup.cfg pyproject.toml provisioning/needs.sh
	@bash provisioning/needs.sh $(VENV)
	@touch $@

broker: $(STAMP)
	@$(BIN)/python -m provisioning.broker_bin >/dev/null

run: $(STAMP) ## Run a shop here: broker, store, gate, portal, price point, a tour, then your own pass
	@exec $(BIN)/python -m provisioning.launcher $(if $(CAMERA),--camera $(CAMERA))

test: broker ## Run all tests (about four minutes on two cores)
	$(BIN)/python -m pytest -n 2 -m "not torture" $(ARGS)

torture: broker ## Run the long counts: kills, power cuts, full disks (bounded, ends by itself)
	$(BIN)/python -m pytest -m torture $(ARGS)

lint: $(STAMP) ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

peers: broker
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]' \
	  || echo "The peers for comparison could not be installed (see above); their columns stay empty."

bench-rfid: peers ## Measure the reader codecs beside peers: bytes a second, and what noise costs
	@PYTHONPATH=. $(BIN)/python benchmarks/bench_rfid.py

bench-portal: peers ## Measure the portal's decision beside fixed quiet times, and a basket's bytes (about 12 min)
	@PYTHONPATH=. $(BIN)/python benchmarks/bench_portal.py
	@PYTHONPATH=. $(BIN)/python benchmarks/bench_basket.py

bench: peers ## Measure everything, as tables (over half an hour)
	@for file in benchmarks/bench_*.py; do \
	  echo; echo "== $$file"; PYTHONPATH=. $(BIN)/python "$$file"; done

mutants: $(STAMP) ## Change each row of the gate's and the portal's table and see a scenario fail
	$(BIN)/python -m tests.mutants.gate
	$(BIN)/python -m tests.mutants.portal

clean: ## Remove what make made (.venv, build, caches)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
