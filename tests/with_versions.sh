#!/usr/bin/env bash
# Tests with the lowest or the newest versions of all dependencies, in an environment of their own.
# PYTHON is the interpreter; TORCH, where set, is the torch to take ("torch==2.13.0").
# Usage: with_versions.sh lowest|newest [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
which="$1"
shift
venv=".venv-$which"
"${PYTHON:-python3}" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --upgrade 'pip>=25.1' 'uv>=0.5'
constraints="$(mktemp)"
trap 'rm -f "$constraints"' EXIT
echo "${TORCH:-}" > "$constraints"
choice=(--upgrade)
if [ "$which" = lowest ]; then choice=(--resolution lowest-direct); fi
uv=("$venv/bin/uv" pip install --python "$venv/bin/python")
"${uv[@]}" "${choice[@]}" --override "$constraints" -e '.[all]' --group test
"$venv/bin/python" -m pip list --format freeze
"$venv/bin/python" -m pytest -n auto --dist worksteal "$@"
