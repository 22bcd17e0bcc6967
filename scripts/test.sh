#!/usr/bin/env bash
# Install into .venv and run the tests in two processes; arguments go to pytest. What takes minutes (marked slow) or a
# Slurm of its own (marked slurm: root on Debian) is left out; `scripts/test.sh --all` runs it too.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
. .venv/bin/activate
export OMP_NUM_THREADS=1
chosen=(-m "not slow and not slurm")
if [[ ${1-} == --all ]]; then
    chosen=()
    shift
fi
pytest -n 2 --no-loadscope-reorder "${chosen[@]}" "$@"
