# shellcheck shell=bash
# What the scripts that run the official clients share: what is there, what is installed once, and what is counted.
# The caller has set `stage`, the script's own name in what is printed.

clients=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${AIRLOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/airlock}/clients
passed=0
failed=0

close() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# skip LANGUAGE REASON
skip() {
    echo "SKIPPED: $stage ($1): $2"
    if [ "${CI:-}" = true ]; then exit 1; fi
}

fail() {
    echo "FAILED: $stage: $1" >&2
    failed=$((failed + 1))
}

# key FILE... TEXT: a name for a cache folder that changes with the files and the text.
key() {
    local text=${*: -1}
    { cat "${@:1:$#-1}" && echo "$text"; } | cksum | tr -d ' '
}

# publish NEW FINAL: a finished folder gets its name at once, so that no run sees half of one.
publish() {
    if [ -e "$2" ]; then rm -rf "$1"; else mv "$1" "$2"; fi
}

# python_problem OLDEST NEWEST: why there is no such Python 3, by its second number.
python_problem() {
    command -v python3 >/dev/null || { echo "python3 is not installed"; return; }
    python3 -c "import sys; sys.exit(not $1 <= sys.version_info[1] <= $2)" ||
        { echo "Python 3.$1 or newer (up to 3.$2) is needed, this is $(python3 -V)"; return; }
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo "python3 has no venv module"
}

node_problem() {
    command -v node >/dev/null || { echo "node is not installed"; return; }
    command -v npm >/dev/null || { echo "npm is not installed"; return; }
    node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' ||
        echo "Node 20 or newer is needed, this is $(node --version)"
}

# python_packages NAME REQUIREMENTS: sets `venv`, a virtual environment with the packages of the file.
python_packages() {
    venv=$cache/$1-$(key "$2" "$(python3 -c 'import sys; print(sys.version, sys.prefix)')")
    if [ -e "$venv" ]; then return; fi
    echo "Installing $2 into $venv (once)" >&2
    local new=$venv.new.$$
    mkdir -p "$cache" &&
        python3 -m venv "$new" &&
        "$new/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" &&
        publish "$new" "$venv"
}

# install VARIABLE NAME REQUIREMENTS: sets the variable to a Python with the packages.
install() {
    if ! python_packages "$2" "$3"; then fail "$3 could not be installed"; close; fi
    printf -v "$1" %s "$venv/bin/python"
}

# node_packages: sets `modules`, the folder of the official client.
node_packages() {
    local folder
    folder=$cache/node-$(key "$clients/package-lock.json" "$(node --version)")
    modules=$folder/node_modules
    if [ -e "$folder" ]; then return; fi
    echo "Installing the Node client into $folder (once)" >&2
    local new=$folder.new.$$
    mkdir -p "$new" &&
        cp "$clients/package.json" "$clients/package-lock.json" "$clients/.npmrc" "$new/" &&
        npm ci --prefix "$new" --ignore-scripts --loglevel=error >&2 &&
        publish "$new" "$folder"
}
