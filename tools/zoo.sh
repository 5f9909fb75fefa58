#!/usr/bin/env bash
# Train the reader of zoo/ptbxl from PTB-XL and put its package there. Every training goes on where it was interrupted.
# usage: zoo.sh DATA
set -euo pipefail
data=${1:?usage: make zoo DATA=/path/to/ptb-xl}

# The teachers: signal models that learn what lies below the superclasses too.
vizecg recipe ptbxl-levels --data "$data"
dvc repro validate
for teacher in resnet1d_wang-{7..10} inceptiontime-{7..9}; do
    [ -d "local/levels/$teacher" ] || vizecg train --out "local/levels/$teacher" --state local/state --resume \
        --seed "${teacher#*-}" --set model.architecture="${teacher%-*}" --set train.workers=2
done

vizecg recipe ptbxl-taught --data "$data"
dvc repro
vizecg summary

mkdir -p zoo/ptbxl
cp artifacts/package/{model.pt2,model.onnx,model.json,sample.png,sample.json} zoo/ptbxl/
cat tools/zoo.md artifacts/evaluate/model_card.md >zoo/ptbxl/README.md
