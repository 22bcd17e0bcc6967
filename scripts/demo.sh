#!/usr/bin/env bash
# Install into .venv and run the embedded demo end to end; arguments go to snakemake.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh demo
. .venv/bin/activate
snakemake --cores "$(nproc)" "$@"
echo "Report: results/report.html"
