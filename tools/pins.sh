#!/usr/bin/env bash
# Resolve pyproject.toml, all extras, into the full list of pins in requirements.txt.
set -euo pipefail
links=$(python3 -m pip config get global.find-links 2>/dev/null || true)
[ -z "$links" ] || export UV_FIND_LINKS="$links"
uv pip compile --quiet --no-header --no-annotate --python-version 3.11 --all-extras pyproject.toml --output-file requirements.txt
# A local suffix (+cpu) names one machine's build; the plain version lets each take its own.
sed -i 's/+cpu//' requirements.txt
