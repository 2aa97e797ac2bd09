# What people and CI run. `./just` installs `just` first where it is missing, so that nothing else has to be.

set shell := ["bash", "-euo", "pipefail", "-c"]

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
export CARGO_TARGET_DIR := target
export CARGO_TERM_PROGRESS_WHEN := env("CARGO_TERM_PROGRESS_WHEN", "auto")

# List the recipes.
default:
    @just --list --unsorted

# Build everything and run the demo: gateway, a model server inside, a fresh key.
[no-exit-message]
demo *ARGS: build
    @"{{target}}/debug/airlock" demo {{ARGS}}

# Run all tests: format, lints, units, integration, official clients, what the API says of itself, dependencies.
test: lint test-rust test-clients test-openapi test-backends test-guides deny
    @echo "all tests passed"

# Build the adaptors and the host, quick to compile.
build: build-rust-adaptors
    @echo "==> building the host (about 6 minutes the first time on 2 cores)"
    cargo build --locked --package airlock

# Build the adaptors and the host for production (about 10 minutes on 2 cores).
release: build-rust-adaptors
    cargo build --locked --release --package airlock

# Serve fixtures with the quick build, for example: ./just serve --fixtures my-fixtures
[no-exit-message]
serve *ARGS: build
    @"{{target}}/debug/airlock" serve {{ARGS}}

# The compilation target of adaptors.
wasm-target:
    @rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2

# Build every component in adaptors/: those that the gateway knows by name, and the examples in Rust, Python and JavaScript.
build-adaptors: build-rust-adaptors build-python-adaptors build-js-adaptors

# Those in Rust, and put them where the host looks: adaptors/ beside the binary's folder. The examples go to examples/ there.
build-rust-adaptors: wasm-target
    @echo "==> building the adaptors"
    cd adaptors && cargo build --locked --release --target wasm32-wasip2
    @mkdir -p "{{target}}/adaptors" "{{target}}/examples"
    @for dir in adaptors/*/ adaptors/middleware/*/ adaptors/examples/rust/*/; do \
        name=$(basename "$dir"); to=adaptors; \
        case "$dir" in adaptors/examples/*) name="custom-$name"; to=examples ;; esac; \
        file="{{target}}/wasm32-wasip2/release/${name//-/_}.wasm"; \
        if [ "$name" != sdk ] && [ -f "$dir/Cargo.toml" ]; then cp "$file" "{{target}}/$to/$name.wasm"; fi; \
    done

# Build the adaptors in Python: examples, ported ones, those of tests. Skipped where there is no Python.
build-python-adaptors:
    @scripts/python-adaptors

# Build the adaptors in JavaScript, and those that only tests want: with Node 20 or newer.
build-js-adaptors:
    @scripts/js-adaptors

# Build the test guests.
build-guests: wasm-target
    @echo "==> building the test guests"
    cd tests/guests && cargo build --locked --release --examples --target wasm32-wasip2
    @mkdir -p "{{target}}/guests"
    @for file in tests/guests/guests/*.rs; do \
        name=$(basename "$file" .rs); \
        cp "{{target}}/wasm32-wasip2/release/examples/${name//-/_}.wasm" "{{target}}/guests/$name.wasm"; \
    done

# Format and lints, warnings are errors.
lint: build-rust-adaptors build-guests
    @echo "==> format and lints"
    cargo fmt --all --check
    cd adaptors && cargo fmt --all --check
    cd tests/guests && cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo clippy --locked --workspace --features airlock/native-path -- -D warnings
    cd adaptors && cargo clippy --locked --workspace --all-targets -- -D warnings

# Unit and integration tests of the host, units of the SDK.
test-rust: build build-adaptors build-guests
    @scripts/postgres
    @scripts/registry
    @scripts/redis
    @scripts/oidc-provider
    @scripts/prometheus
    @echo "==> tests"
    cargo test --locked --workspace --no-fail-fast
    cd adaptors && cargo test --locked

# The official clients of OpenAI and Anthropic, what is built on them, and the snippets of docs/clients.md, against the real binary.
test-clients: build
    @echo "==> official clients"
    AIRLOCK_BIN="{{target}}/debug/airlock" tests/clients/run

# The real binary against its own description, `/openapi.json`: about 2 minutes; another seed: ./just test-openapi 7
test-openapi *SEED: build
    @echo "==> the API's description"
    AIRLOCK_BIN="{{target}}/debug/airlock" tests/openapi/run {{SEED}}

# The official clients before every kind of backend, with real parts behind them; or single cases: ./just test-backends test_globus
test-backends *CASES: build
    @echo "==> backends (about 3 minutes more the first time)"
    AIRLOCK_BIN="{{target}}/debug/airlock" tests/backends/run {{CASES}}

# The guides in docs/guides and README.md, command by command; or single ones: ./just test-guides docs/guides/chains.md
test-guides *GUIDES: build
    @scripts/registry
    @echo "==> guides"
    AIRLOCK_BIN="{{target}}/debug/airlock" tests/guides/run {{GUIDES}}

# Licences, duplicates and sources of dependencies.
deny:
    @scripts/deny

# Look for input that breaks a property: sse, fixtures, request or loader; see fuzz/README.md.
[no-exit-message]
fuzz TARGET SECONDS="60" *OPTIONS:
    @scripts/fuzz {{TARGET}} {{SECONDS}} {{OPTIONS}}

# Write the documents that are made from the code; the tests fail where they differ.
docs:
    UPDATE_DOCS=1 cargo test --locked --package airlock-tests --test it docs::

# The bench ladder, with release builds; see bench/README.md.
bench *ARGS: build-guests build-adaptors
    cargo build --locked --release --package airlock --features native-path
    cargo build --locked --release --package airlock-bench
    "{{target}}/release/airlock-bench" ladder --gateway "{{target}}/release/airlock" \
        --guests "{{target}}/guests" --out bench/results {{ARGS}}

# Format everything.
fmt:
    cargo fmt --all
    cd adaptors && cargo fmt --all
    cd tests/guests && cargo fmt --all
