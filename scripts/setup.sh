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
    # uv installs in a third of the time; where it cannot (an index that pip alone knows), pip does.
    pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt)
    wanted=(--constraint constraints.txt --editable ".[$1]")
    { "${pip[@]}" uv && .venv/bin/uv pip install --quiet --python .venv/bin/python "${wanted[@]}"; } ||
        "${pip[@]}" --editable ".[$1]"
    # pip compiles what it installs, uv leaves that to the first import. Where imports may not keep what they compile
    # (containers say so), every start would take twice as long.
    [[ -z ${PYTHONDONTWRITEBYTECODE-} ]] || .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
    touch "$stamp"
fi
