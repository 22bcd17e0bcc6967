#!/usr/bin/env bash
# Install into .venv and run the tests in two processes; arguments go to pytest. What takes minutes (marked slow) or a
# Slurm of its own (marked slurm: root on Debian) is left out; `scripts/test.sh --all` runs it too, and installs the extra
# `cloud`: Snakemake imports every plugin that is installed whenever it starts, and those of the clouds take half as long
# again as all else.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=dev chosen=(-m "not slow and not slurm")
if [[ ${1-} == --all ]]; then
    extras=dev,cloud chosen=()
    shift
fi
scripts/setup.sh "$extras"
. .venv/bin/activate
export OMP_NUM_THREADS=1
unset PYTHONDONTWRITEBYTECODE # hundreds of processes start, and each would compile the package anew
pytest -n 2 --no-loadscope-reorder "${chosen[@]}" "$@"
