#!/bin/sh
# Make or renew .venv: `sh devtools/environment.sh run` (what Likeness runs on) or `dev` (and what proves it).
# Plain sh, because Python is what it looks for. Quick when nothing has changed: the stamp says what is installed.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
case $kind in run | dev) ;; *) echo "usage: environment.sh run|dev" >&2; exit 2 ;; esac

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

# Every Python that this machine might have, best first. A pyenv shim may exist and yet fail, so each is tried.
candidates() {
    for name in python3.13 python3.12 python3.14 python3 python; do
        (
            IFS=:
            for folder in $PATH /usr/local/bin /opt/homebrew/bin; do
                printf '%s\n' "$folder/$name"
            done
        )
    done
    for folder in "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}" "${HOME:-/nonexistent}/.pyenv"; do
        for version in 3.13 3.12 3.14; do
            for path in "$folder"/versions/"$version"*/bin/python3; do printf '%s\n' "$path"; done
        done
    done
    if command -v uv >/dev/null 2>&1; then
        uv python find --no-project --no-python-downloads '>=3.12' 2>/dev/null || true
    fi
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if is_new_enough "$PYTHON"; then command -v "$PYTHON"; return; fi
        echo "PYTHON=$PYTHON is not a Python 3.12 or newer." >&2
        return 1
    fi
    candidates | while IFS= read -r path; do
        if [ -x "$path" ] && is_new_enough "$path"; then printf '%s\n' "$path"; break; fi
    done
}

# The same packages, the same Python, the same place: nothing to do.
stamp_text() {
    pwd
    .venv/bin/python -c 'import sys; print(sys.version)'
    if [ "$kind" = run ]; then cksum <requirements.txt; else cat requirements.txt requirements-dev.txt | cksum; fi
}

is_fresh() {
    is_new_enough .venv/bin/python || return 1
    [ "$(stamp_text 2>/dev/null)" = "$(cat ".venv/stamp-$kind" 2>/dev/null)" ]
}

if is_fresh; then exit 0; fi

# A link leads to the environment of another checkout: it serves where it has the same packages, and is never changed
# from here. `venv --clear` would follow the link and empty it under everybody who works with it.
if [ -L .venv ]; then
    if is_new_enough .venv/bin/python &&
        [ "$(stamp_text 2>/dev/null | tail -n +2)" = "$(tail -n +2 ".venv/stamp-$kind" 2>/dev/null)" ]; then exit 0; fi
    echo ".venv is a link to $(readlink .venv), which does not have what requirements*.txt pins;" \
        "renew it there, or remove the link and run this again." >&2
    exit 1
fi

# The scripts in .venv name their place, so a moved or copied project needs a new one; else packages are added.
if ! is_new_enough .venv/bin/python || ! grep -qF "$PWD/.venv/bin" .venv/bin/pip 2>/dev/null; then
    python=$(find_python) || exit 1
    if [ -z "$python" ]; then
        echo "Likeness needs Python 3.12 or newer, and none was found;" \
            "install it, or name it with PYTHON=/path/to/python3.13." >&2
        exit 1
    fi
    echo "Making .venv with $python …"
    if ! "$python" -m venv --clear .venv; then
        echo "$python cannot make a virtual environment; on Debian and Ubuntu install the package python3-venv." >&2
        exit 1
    fi
fi

files="-r requirements.txt"
if [ "$kind" = dev ]; then files="$files -r requirements-dev.txt"; fi
echo "Installing the pinned packages …"
rm -f .venv/stamp-run .venv/stamp-dev
# shellcheck disable=SC2086  # two plain file names
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile --require-hashes $files; then
    echo "The packages could not be installed (the lines above say why); nothing else was changed." >&2
    exit 1
fi
stamp_text >".venv/stamp-$kind"
if [ "$kind" = dev ]; then kind=run; stamp_text >.venv/stamp-run; fi
