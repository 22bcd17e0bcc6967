#!/usr/bin/env bash
# Create .venv (once) and install the project with the extras named in $1, at the pinned versions.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "got: $("$python" --version); wanted: Python 3.11 or newer; do this: PYTHON=/path/to/python3.12 $0" >&2; exit 1; }
if [[ ! -x .venv/bin/python ]]; then
    # Debian ships venv without pip; pip, where it is, brings virtualenv, which needs neither.
    "$python" -m venv .venv 2>/dev/null || {
        rm -rf .venv
        "$python" -m pip install --quiet --user virtualenv 2>/dev/null ||
            "$python" -m pip install --quiet --user --break-system-packages virtualenv
        "$python" -m virtualenv --quiet .venv
    }
fi
stamp=.venv/installed-$1
if [[ ! -e $stamp || pyproject.toml -nt $stamp || constraints.txt -nt $stamp ]]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$1]"
    touch "$stamp"
fi
