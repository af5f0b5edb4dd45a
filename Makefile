# The one developer interface. `make` prints itself.
#
# Nothing has to be installed beforehand but make, git and Python 3.11 or newer: where uv is missing it is put into
# .tools/ from the package registry, and everything else comes from requirements.lock, every file checked by hash.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# An idle OpenMP thread that spins takes the core from the processes beside it.
export OMP_WAIT_POLICY := passive
# The interpreter is the machine's own; uv must neither fetch one nor read a lock of its own.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python

MEMBER_PROJECTS := $(wildcard proto/pyproject.toml libs/*/pyproject.toml services/*/pyproject.toml \
	gateway/pyproject.toml infra/local/pyproject.toml demo/pyproject.toml)
MEMBERS := $(MEMBER_PROJECTS:/pyproject.toml=)
IMAGES := member billing campaign touchpoint scoring gateway
PROTOS := $(shell find proto/touchstone proto/third_party -name '*.proto' 2>/dev/null)
CHECKED := $(wildcard conftest.py proto libs services gateway infra demo examples benchmarks tests)

# Editable packages do not tell deptry the modules they bring.
OWN_MODULES := touchstone-proto=touchstone,touchstone-chassis=chassis,touchstone-ledger=ledger,touchstone-local=local

# How many processes `make test` uses; arguments for pytest go into ARGS, as in `make test ARGS="-k twins"`.
WORKERS ?= 2
ARGS ?=

.PHONY: help demo up down token test soak check bench proto lock proto-release install clean
.PHONY: check-style check-types check-layers check-proto check-unused

help: ## print this list
	@echo "usage: make <target>"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

demo: install ## replay real purchases through the whole platform and print a report (FULL=1: all customers)
	@$(PYTHON) -m demo

up: install ## run the whole platform on this machine until Ctrl-C; writes .local/env for requests
	@$(PYTHON) -m local up

down: install ## stop a platform that `make up` left running
	@$(PYTHON) -m local down

token: install ## print a bearer token for the local platform
	@$(PYTHON) -m local token

test: install ## run every test but the soak tests (ARGS="-k name" goes to pytest)
	@$(PYTHON) -m pytest -m "not soak" -n $(WORKERS) --dist loadfile $(ARGS)

check: check-style check-types check-layers check-proto check-unused ## style, types, directions of imports, contracts, unused code

soak: install ## run the long counts of the state machines
	@$(PYTHON) -m pytest -m soak $(ARGS)

bench: install ## measure, print a table and write benchmarks/results.json (ONLY=ledger: one family)
	@$(PYTHON) benchmarks/run.py $(ONLY)

proto: install ## generate Python from the contracts into proto/gen
	@$(PYTHON) proto/generate.py

check-style: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

check-types: install
	@$(BIN)/mypy $(CHECKED)

check-layers: install
	@$(BIN)/lint-imports

check-proto: install
	@cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code --path touchstone
	@cd proto && ../$(BIN)/buf breaking --path touchstone --against released.binpb

check-unused: install
	@$(BIN)/vulture
	@for member in $(filter-out proto,$(MEMBERS)); do (cd $$member && "$(CURDIR)/$(BIN)/deptry" src --no-ansi --ignore DEP002 \
		--package-module-name-map "$(OWN_MODULES)") >$(VENV)/deptry.log 2>&1 \
		|| { echo "$$member imports what its pyproject.toml does not name:"; cat $(VENV)/deptry.log; exit 1; }; done

proto-release: install ## write the image of the contracts that later changes are compared with
	@cd proto && ../$(BIN)/buf build --path touchstone --output released.binpb

lock: $(UV) ## resolve all members anew and write requirements.lock and infra/locks/
	@mkdir -p infra/locks
	@$(UV) lock --quiet --upgrade
	@$(UV) export --quiet --frozen --no-header --no-emit-workspace --all-packages --all-groups --all-extras \
		--output-file requirements.lock
	@$(UV) export --quiet --frozen --no-header --no-emit-workspace --only-group build --output-file infra/locks/build.lock
	@for image in $(IMAGES); do $(UV) export --quiet --frozen --no-header --no-emit-workspace --no-default-groups \
		--package touchstone-$$image --output-file infra/locks/$$image.lock || exit 1; done
	@rm -f uv.lock
	@echo "written: requirements.lock and infra/locks/*.lock"

install: proto/gen/.stamp

clean: ## remove everything that make made: environment, generated code, caches, local data
	@test ! -x $(PYTHON) || test ! -d .local || $(PYTHON) -m local down --wipe || true
	@rm -rf $(VENV) .tools .local proto/gen build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The steps below have a file each, so that a second run does nothing.

.tools/bin/uv:
	@. tools/find-python.sh; \
	echo "uv is missing: putting uv $(UV_VERSION) into .tools"; \
	"$$python" -m venv --clear .tools >/dev/null 2>&1 || { rm -rf .tools; \
		echo "make: '$$python -m venv' failed: install its package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }; \
	.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

$(PYTHON): | $(UV)
	@. tools/find-python.sh; $(UV) venv --quiet --allow-existing --python "$$python" $(VENV)

# `uv pip sync` removes what the lock does not name, the members among it; so they follow in a second step, built by
# the tools which the first step brought.
$(VENV)/.synced: requirements.lock $(MEMBER_PROJECTS) | $(PYTHON)
	@echo "installing what requirements.lock names"
	@$(UV) pip sync --quiet --python $(PYTHON) --compile-bytecode --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation $(addprefix -e ./,$(MEMBERS))
	@touch $@

# Bytecode is written here, once: a dozen processes start in `make demo`, and where Python may not write it by itself
# each would compile everything again.
proto/gen/.stamp: $(VENV)/.synced proto/generate.py $(PROTOS)
	@$(PYTHON) proto/generate.py
	@$(PYTHON) -m compileall -q proto/gen $(foreach member,$(filter-out proto,$(MEMBERS)),$(member)/src)
	@touch $@
