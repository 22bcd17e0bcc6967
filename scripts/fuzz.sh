#!/usr/bin/env bash
# Search for inputs that break a promise, for so many minutes in all: scripts/fuzz.sh MINUTES [HARNESS...]
# Finds are kept in tests/fuzz/found; the harnesses stand in tests/fuzz/harnesses.py.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -d .venv ]] && . .venv/bin/activate
export OMP_NUM_THREADS=1
exec python -m tests.fuzz.search "$@"
