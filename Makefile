# What is done with this project by hand; each target is one command, which CONTRIBUTING.md explains.
FILTER ?= CoordinationTests
SEEDS ?= 1..1000

.PHONY: help build test test-one format lint bench simulate fuzz mutations dist quickstart

help: ## these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 20

build: ## the programs and the tests, in release mode
	cluster/build.sh --build-tests

test: ## everything that continuous integration runs
	cluster/test.sh

test-one: build ## one suite: make test-one FILTER=LedgerTests
	swift test -c release -Xswiftc -enable-testing --skip-build --filter $(FILTER)

format: ## writes all sources in the project's format
	swift format --in-place --parallel --recursive Package.swift Sources Tests Fuzz

lint: ## the format, looked at only
	swift format lint --strict --parallel --recursive Package.swift Sources Tests Fuzz
	cluster/testbed/mutations.sh --check

bench: ## what this machine can do
	cluster/build.sh
	.build/release/nl-tool bench gemm
	.build/release/nl-tool bench wire
	.build/release/nl-tool bench ledger
	.build/release/nl-tool bench coordinator

simulate: ## clusters in memory: make simulate SEEDS=1..100000
	cluster/build.sh
	.build/release/nl-tool simulate --seeds $(SEEDS)

fuzz: ## a minute of random bytes for each reader
	cluster/testbed/fuzz.sh

mutations: ## removes each safety check: do the tests notice?
	cluster/testbed/mutations.sh

dist: ## a tarball that runs without Swift: .build/dist
	cluster/dist.sh

quickstart: ## a small model, trained and shown
	cluster/quickstart.sh
