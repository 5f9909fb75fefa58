#!/usr/bin/env bash
# Train the reader of zoo/ptbxl from PTB-XL and put its package there. Every training goes on where it was interrupted.
# usage: zoo.sh DATA
set -euo pipefail
data=${1:?usage: make zoo DATA=/path/to/ptb-xl}

vizecg recipe ptbxl --data "$data"
dvc repro validate

# Signal models, on random stretches of 2.5 s: the teachers.
for teacher in resnet1d_wang inceptiontime; do
    for seed in 7 8; do
        [ -d "local/$teacher-$seed" ] || vizecg train --out "local/$teacher-$seed" --state local/state --resume \
            --seed $seed --set model.architecture=$teacher --set model.signal_crop=250 --set train.epochs=20 \
            --set train.batch_size=128 --set train.workers=2
    done
done

vizecg recipe ptbxl-taught --data "$data"
dvc repro
vizecg summary

mkdir -p zoo/ptbxl
cp artifacts/package/{model.pt2,model.json,sample.png,sample.json} zoo/ptbxl/
cat tools/zoo.md artifacts/evaluate/model_card.md >zoo/ptbxl/README.md
