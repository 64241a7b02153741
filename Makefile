# PileHub: `make run` to see it, `make test` to trust it. Every target installs from Debian what it lacks when it runs
# as root, and otherwise names the packages. Rust comes from rustup; rust-toolchain.toml pins its version.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin
export CARGO_TERM_COLOR ?= auto

TARGET := $(or $(CARGO_TARGET_DIR),target)
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_MUTANTS_VERSION := 27.1.0
FUZZ_TARGETS := packets connect topics frames conversation
# Seconds per target.
FUZZ_S ?= 60
LOG := $(TARGET)/test.log

.PHONY: help run test check bench fuzz mutants fmt deny

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## build and run the demo: simulated piles over real MQTT, live pages, exact bills (Ctrl-C ends it)
	@.ci/need cargo cc
	@cargo build --locked --release -p hub
	@exec $(TARGET)/release/pilehub demo

test: ## everything a change must pass: format, clippy, dependencies, house rules, all tests, crash tests
	@.ci/need cargo cc mosquitto_pub mosquitto_rr node npm python3-venv
	@mkdir -p $(TARGET) && : >$(LOG)
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@cargo clippy --locked -p hub --test crash --features failpoints -- -D warnings
	@$(MAKE) deny
	@PILEHUB_TEST_INPUTS=1000000 cargo test --locked --workspace 2>&1 | tee -a $(LOG)
	@cargo test --locked -p hub --features failpoints --test crash 2>&1 | tee -a $(LOG)
	@awk '/^test result: ok/ { n += $$4; f += 1 } \
	  END { printf "make test: good. %d tests in %d suites passed; format, clippy and dependencies are clean.\n", n, f }' $(LOG)

check: ## the quick round while working: format, clippy, unit tests and house rules
	@.ci/need cargo cc
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@cargo test --locked --workspace --lib --bins --quiet
	@cargo test --locked -p domain -p settlement --test "*" --quiet
	@cargo test --locked -p hub --test tidy --quiet
	@echo "make check: good."

bench: ## measure the figures of PERFORMANCE.md, against mosquitto on this machine
	@.ci/need cargo cc mosquitto jq curl
	@loadtest/bench/run

# Coverage, debug assertions and overflow checks are on; a sanitizer is not: it takes a nightly compiler, and our crates
# forbid `unsafe`, so that what goes wrong is a panic, an overflow or a broken assertion. What is found lies in
# fuzz/artifacts/, what reaches new code in fuzz/corpus/; fuzz/seeds/ is committed and only read.
fuzz: ## look for input that breaks the gate or the frames, FUZZ_S seconds per target (60)
	@.ci/need cargo cc c++
	@cargo fuzz --version >/dev/null 2>&1 \
	  || cargo install --locked --version $(CARGO_FUZZ_VERSION) cargo-fuzz \
	  || { echo "cargo-fuzz is missing and could not be built: cargo install --locked cargo-fuzz" >&2; exit 1; }
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target \
	    -- -max_total_time=$(FUZZ_S) -max_len=4096 -print_final_stats=1; \
	done

mutants: ## the tests must notice every planted bug (mutants/*.patch) and every mutated money rule; an hour or two
	@.ci/need cargo cc git
	@mutants/run
	@cargo mutants --version >/dev/null 2>&1 \
	  || cargo install --locked --version $(CARGO_MUTANTS_VERSION) cargo-mutants \
	  || { echo "cargo-mutants is missing and could not be built: cargo install --locked cargo-mutants" >&2; exit 1; }
	@CARGO_PROFILE_DEV_DEBUG=0 cargo mutants --output $(TARGET)

fmt: ## format the Rust sources
	@cargo fmt --all

deny: ## check dependencies: what is banned, licences, sources
	@cargo deny --version >/dev/null 2>&1 \
	  || cargo install --locked --version $(CARGO_DENY_VERSION) cargo-deny \
	  || { echo "cargo-deny is missing and could not be built: cargo install --locked cargo-deny" >&2; exit 1; }
	@cargo deny --locked -L error check bans licenses sources
