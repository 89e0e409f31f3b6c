# What people type; `.ci/run` runs the same checks.

# The list of recipes.
default:
    @just --list

# A first picture: simulator and server in one process.
demo *ARGS:
    cargo run --release -- demo {{ ARGS }}

# Every test; no network, no ComfyUI.
test *ARGS:
    cargo test --workspace {{ ARGS }}

# The tests that need a real ComfyUI with `fixtures/comfyui_test_nodes` installed: COMFYUI_URL=http://127.0.0.1:8188 just test-live
test-live:
    #!/usr/bin/env bash
    set -euo pipefail
    : "${COMFYUI_URL:?set it to the address of a real ComfyUI}"
    cargo test --workspace --test live --test conformance -- --nocapture --test-threads=1

# Formatting, clippy, docs, licences.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
    cargo deny check bans licenses sources

# Formats the code.
fmt:
    cargo fmt --all

# Benchmarks; figures and how they are taken: docs/benchmarks.md
bench:
    cargo bench -p comfy-runner-workflow
    cargo build --release -p comfy-runner
    cargo run --release -p comfy-runner --example load

# The documentation of the crates.
doc:
    cargo doc --workspace --no-deps --open

# What continuous integration runs.
ci:
    .ci/run
