# The one list of commands. CI calls the same ones.

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-python test-matrix chaos guards fuzz bench kind-smoke lint docs gate

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the demo and the tests need besides Rust (PostgreSQL, a C compiler, ...)
	@scripts/setup

demo: ## Rebuild a drifted database of a throwaway server while a reader keeps reading it
	@scripts/setup
	@scripts/demo

test: ## Run every test on the PostgreSQL that is installed; T=... runs those whose name contains it
	@scripts/test $(T)

test-python: ## Check the Python package and run its tests
	@scripts/python-test

test-matrix: ## Run the tests of library, command and examples on every supported PostgreSQL; V="13 18" picks some
	@scripts/test-matrix $(V)

chaos: ## Strike whole rebuilds with faults and write RELIABILITY.md; ARGS="--only clock --every 4" tries less
	@scripts/setup
	@scripts/chaos $(ARGS)

guards: ## Take each guard out of a copy of the program and look whether its test fails; ARGS="--only H-42" takes fewer
	@scripts/setup
	@scripts/guards $(ARGS)

fuzz: ## Look for inputs that break the readers of files; T=sql picks a target, MINUTES=10 each
	@scripts/fuzz

bench: ## Measure against pg_dump, pg_restore and pgcopydb; W="backup copy" picks some
	@scripts/setup
	@scripts/bench $(W)

kind-smoke: ## Rebuild a database that runs in a kind cluster (needs Docker and kind)
	@scripts/kind-smoke

lint: ## Check formatting, lints, features and dependencies
	@scripts/lint

docs: ## Build the documentation of the libraries; a warning is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

gate: ## Everything that a change must pass
	@.ci/run
