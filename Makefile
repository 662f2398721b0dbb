# Verbs of the repository. `make` alone prints them; .ci/run runs `verify` and `test`, and nothing else.
# CARGO_TARGET_DIR is respected. LOCKED= lets cargo rewrite Cargo.lock after an edit of Cargo.toml.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
LOCKED ?= --locked
TESTBED := tests/testbed
# The image: its name (the tag is the version), and `release` or `debug` for the binary in it.
IMAGE ?= ghcr.io/kubewitness/kubewitness
PROFILE ?= release
# Where the image, its SBOM and the packages that it is made of are written.
IMAGE_DIR ?= target/image
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# need TOOL REMEDY: one clear line when a tool is missing.
need = command -v $(1) >/dev/null || { echo "make: $(1) is needed and is not on PATH: $(2)" >&2; exit 1; }

.PHONY: help build fmt lint test soak bench bench-replay size verify generate demo test-node image sbom dockerfile recordings clean rust prerequisites testbed

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: rust ## Build the debug binary
	$(CARGO) build $(LOCKED)

fmt: rust ## Format the Rust code
	$(CARGO) fmt

lint: rust ## Clippy on every target, warnings are errors; cargo-deny when it is installed
	$(CARGO) clippy $(LOCKED) --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check; \
	else echo "lint: cargo-deny is not installed, so licences and advisories of dependencies were not checked (deny.toml)"; fi

test: testbed ## All tests, on a real kube-apiserver; the first run builds it (13 minutes on two cores)
	@$(TESTBED)/prerequisites.sh test
	$(CARGO) test $(LOCKED)

test-node: testbed ## Install with Helm on a real node, attack it and break things: root, Debian; KUBERNETES=1.37; KEEP=1 leaves it running
	@$(TESTBED)/prerequisites.sh test
	$(CARGO) test $(LOCKED) --test node -- --nocapture --test-threads=1

soak: rust ## Random tests for KUBEWITNESS_SOAK_SECONDS (3600), from KUBEWITNESS_SEED on, in a release build
	@CARGO="$(CARGO)" LOCKED="$(LOCKED)" tests/soak.sh

bench: rust ## Measure speed and memory in a release build (two minutes); a table, and target/bench.json
	$(CARGO) bench $(LOCKED) --bench throughput

size: testbed ## Measure what controller and collector take of CPU and memory under a stated load, in a release build (four minutes)
	$(CARGO) build $(LOCKED) --release --bin kubewitness
	@KUBEWITNESS_BINARY="$$(realpath "$${CARGO_TARGET_DIR:-target}/release/kubewitness")" \
	  $(CARGO) test $(LOCKED) --quiet --test it -- --ignored --nocapture cluster::size::

bench-replay: rust ## Measure `kubewitness replay` alone, on one thread and on two (a minute)
	$(CARGO) bench $(LOCKED) --bench throughput -- replay

verify: testbed ## Format, lints, architecture, that generated files are up to date, and the charts on a real API server
	$(CARGO) fmt --check
	$(MAKE) lint
	$(CARGO) test $(LOCKED) --test it -- architecture:: generated:: charts::

generate: rust ## Rewrite crds/, manifests/rbac/, docs/reference/ and docs/rules/ from the code and the rules
	$(CARGO) run $(LOCKED) --quiet -- generate

demo: testbed ## Attack a real control plane and look at the alerts; KEEP=1 leaves it running; NODE=1 (root) installs with Helm on a node
ifneq ($(filter-out 0 no,$(NODE)),)
	@$(TESTBED)/prerequisites.sh test
	@$(CARGO) test $(LOCKED) --quiet --test node -- --ignored --nocapture
else
	@$(CARGO) build $(LOCKED) --bin kubewitness --example demo
	@$(CARGO) run $(LOCKED) --quiet --example demo -- $(if $(filter-out 0 no,$(KEEP)),--keep) $(if $(RECORD),--record $(RECORD))
endif

image: rust ## Pack the image as an OCI archive, target/image/kubewitness.tar, from Debian packages; PROFILE=debug for a quick one
	$(CARGO) build $(LOCKED) --bin kubewitness $(if $(filter release,$(PROFILE)),--release)
	@image/build.sh "$${CARGO_TARGET_DIR:-target}/$(PROFILE)/kubewitness" $(IMAGE_DIR)/kubewitness.tar $(IMAGE):$(VERSION)

sbom: image ## Write what the image is made of, target/image/sbom.cdx.json (CycloneDX)
	@image/sbom.py $(IMAGE_DIR)/debs $(IMAGE_DIR)/sbom.cdx.json

dockerfile: image ## Build the Dockerfile with buildah, and hold what it makes against `make image`: root, 20 minutes
	@image/dockerfile.sh $(IMAGE_DIR)/kubewitness.tar

recordings: ## Record real daemons of a node and a cluster at work again for the tests: root, Debian, 30 minutes
	@tests/node/record.sh
	@tests/node/ordinary.sh
	@tests/benign/record.sh

clean: rust ## Remove what cargo built (the test bed's cache outside the tree stays)
	$(CARGO) clean

rust:
	@$(call need,$(CARGO),install Rust 1.95 or newer from https://rustup.rs)

# A C compiler and the like; installed where Debian packages can be, else named in one line.
prerequisites: rust
	@$(TESTBED)/prerequisites.sh

testbed: prerequisites
	@$(TESTBED)/build.sh >/dev/null
