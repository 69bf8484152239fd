# What one does here, each with one word. `make` alone lists the words.

# `make run DATA_DIR=somewhere` keeps that run apart. The default is the daemon's own (/var/lib/rundown as root, because Postgres cannot
# reach into /root, else ~/.local/share/rundown), so `rundown token` and the other commands find it without being told.
DATA_DIR ?=
data_dir := $(if $(DATA_DIR),--data-dir $(DATA_DIR))

# The debug build throughout: it is made in a third of the time, shares its artifacts with the tests, and a floor of forty tables
# does not notice the difference.
rundown := cargo run --quiet --locked --bin rundown --

.DEFAULT_GOAL := help
.PHONY: help run demo test check soak bench build postgres nats-server

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: postgres build ## start the daemon with a seeded casino; prints URL, tokens and calls to try
	$(rundown) serve $(data_dir) --with examples/casino-day

demo: postgres build ## play a whole casino day in a throwaway database and show what came of it
	$(rundown) demo

test: postgres nats-server ## run every test, on real Postgres and a real NATS
	cargo test --locked --workspace

soak: postgres ## 10,000 firings by two daemons that are killed with -9 at random, each run exactly once (minutes)
	cargo test --locked --test it soak:: -- --ignored --nocapture

# `make bench ARGS=--quick` only proves that it works; `make bench ARGS=--help` tells what else it takes.
bench: postgres ## how fast a command is, held against the limit of its Postgres (docs/performance.md; twenty minutes)
	cargo bench --locked --bench speed -- $(ARGS)

check: ## formatting and lints, as CI has them
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

# A step of its own, for its progress is worth seeing, and `cargo run --quiet` would hide it.
build:
	cargo build --locked --bin rundown

postgres:
	scripts/ensure-postgres.sh

nats-server:
	scripts/ensure-nats-server.sh
