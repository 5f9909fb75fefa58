#!/usr/bin/env bash
# Make the virtual environment from the pins in requirements.txt and install this project into it.
# usage: environment.sh VENV        (PYTHON names the interpreter, python3 by default)
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || {
    echo "vizecg: error: $("$python" --version) found, Python 3.11 or 3.12 needed; name one with PYTHON=/path/to/python3.11" >&2
    exit 2
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==0.13.9"

# uv does not read pip's configuration: hand over where pip looks for wheels, for machines with a local mirror.
links=$("$python" -m pip config get global.find-links 2>/dev/null || true)
[ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
index=$("$python" -m pip config get global.index-url 2>/dev/null || true)
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"

echo "installing $(grep -c == requirements.txt) pinned packages into $venv" >&2
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --requirement requirements.txt setuptools
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
