#!/usr/bin/env bash
# Install into .venv and run the tests; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
. .venv/bin/activate
pytest "$@"
