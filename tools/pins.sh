#!/usr/bin/env bash
# Resolve pyproject.toml, all extras, into the full list of pins in requirements.txt.
set -euo pipefail
links=$(python3 -m pip config get global.find-links 2>/dev/null || true)
[ -z "$links" ] || export UV_FIND_LINKS="$links"
# Resolved afresh: uv would keep to the pins of an existing file, and so miss a local CPU build of torch.
pins=$(uv pip compile --quiet --no-header --no-annotate --python-version 3.11 --all-extras pyproject.toml)
# A local suffix (+cpu) names one machine's build; the plain version lets each take its own.
sed 's/+cpu//' <<<"$pins" >requirements.txt
