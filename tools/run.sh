#!/usr/bin/env bash
# What `make run` does once the environment stands.
# usage: run.sh [RECIPE] [DATA]
set -euo pipefail
recipe=${1:-} data=${2:-}

if [ -n "$recipe" ]; then
    vizecg recipe "$recipe" ${data:+--data "$data"}
elif [ -n "$data" ]; then
    echo "vizecg: error: DATA is given without RECIPE; write: make run RECIPE=ptbxl DATA=$data" >&2
    exit 2
fi
[ -e .git ] || dvc config --quiet --local core.no_scm true
# The embedded data comes from the remote inside this repository; a pull with nothing to do takes a second.
dvc pull --quiet data.dvc
dvc repro
vizecg summary
