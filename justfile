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

# The tests that need a real ComfyUI with `fixtures/comfyui_test_nodes` installed: COMFYUI_URL=http://127.0.0.1:8188 just test-live; with COMFYUI_URL_2 also those that need two
test-live:
    #!/usr/bin/env bash
    set -euo pipefail
    : "${COMFYUI_URL:?set it to the address of a real ComfyUI}"
    cargo test --workspace --test live --test crashes --test conformance --test two_comfyuis -- --nocapture --test-threads=1

# The tests that need an S3 server: COMFY_RUNNER_TEST_S3=/path/to/moto_server just test-s3 (`pip install 'moto[server]'` installs one)
test-s3:
    #!/usr/bin/env bash
    set -euo pipefail
    : "${COMFY_RUNNER_TEST_S3:?set it to the path of moto_server}"
    cargo test -p comfy-runner --test s3

# Records anew how a real ComfyUI behaves, into fixtures/recordings/<version>: COMFYUI_URL=http://127.0.0.1:8188 just record
record:
    #!/usr/bin/env bash
    set -euo pipefail
    : "${COMFYUI_URL:?set it to the address of a real ComfyUI that was just started}"
    cargo run -p comfy-runner-simulator --example record

# Our conversions against ComfyUI's real editor in a headless Chromium: `just test-frontend`, or of one version `just test-frontend 0.8.0`
test-frontend *VERSIONS:
    bins/frontend-check/test-frontend {{ VERSIONS }}

# The page in a headless Chromium with the real binary: `just test-page`, or a part of it `just test-page tests/run.test.js`. Needs Node.
test-page *ARGS:
    crates/page/browser/test-page {{ ARGS }}

# The OpenAPI document against a server: generated requests, a generated client.
test-openapi:
    .ci/install-python-modules
    COMFY_RUNNER_TEST_PYTHON="$PWD/target/python/bin/python" cargo test -p comfy-runner --test openapi --test openapi_tools

# Formatting, clippy, docs, licences.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
    cargo deny check bans licenses sources

# Formats the code.
fmt:
    cargo fmt --all

# Benchmarks; figures and how they are taken: docs/benchmarks.md. `just bench pool`: how long 200 jobs take on 1 to 8 simulated ComfyUIs, some ten minutes. `just bench many`: 300 ComfyUIs and 10,000 jobs. `just bench graphs A.json ...`: `/execute` with these graphs before the ComfyUI of COMFYUI_URL
bench TARGET="all" *GRAPHS:
    #!/usr/bin/env bash
    set -euo pipefail
    case "{{ TARGET }}" in
    all)
        cargo bench -p comfy-runner-editor -p comfy-runner-store -p comfy-runner-workflow
        cargo build --release -p comfy-runner
        cargo run --release -p comfy-runner --example load
        ;;
    pool)
        cargo run --release -p comfy-runner --example pool
        ;;
    many | calls | downloads | watchers)
        cargo build --release -p comfy-runner
        cargo run --release -p comfy-runner --example load -- {{ TARGET }}
        ;;
    graphs)
        cargo build --release -p comfy-runner
        cargo run --release -p comfy-runner --example load -- {{ GRAPHS }}
        ;;
    *)
        echo "there is no benchmark {{ TARGET }}: pool, many, calls, downloads, watchers, graphs, or none for all but pool and many" >&2
        exit 1
        ;;
    esac

# The same as `just bench pool`.
bench-pool: (bench "pool")

# Ten minutes of fuzzing of `blocks`, `expressions`, `graph`, `history`, `manifest`, `messages`, `multipart` or `ui_graph`. Needs `cargo install cargo-fuzz`.
fuzz TARGET="blocks" SECONDS="600":
    #!/usr/bin/env bash
    set -euo pipefail
    corpus=fuzz/corpus/{{ TARGET }}
    mkdir -p "$corpus"
    fuzz/seed-corpus {{ TARGET }} "$corpus"
    # libFuzzer's instrumentation is asked for by flags that a stable compiler takes in this mode only.
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{ TARGET }} --sanitizer none -- -max_total_time={{ SECONDS }} -rss_limit_mb=2048 -timeout=10

# The documentation of the crates.
doc:
    cargo doc --workspace --no-deps --open

# What continuous integration runs.
ci:
    .ci/run
