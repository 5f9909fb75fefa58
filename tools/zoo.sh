#!/usr/bin/env bash
# Train the reader of zoo/ptbxl from PTB-XL and put its package there. Every training goes on where it was interrupted.
# usage: zoo.sh DATA
set -euo pipefail
data=${1:?usage: make zoo DATA=/path/to/ptb-xl}

vizecg recipe ptbxl --data "$data"
dvc repro validate

# A signal model, on random stretches of 2.5 s: the teacher.
[ -d local/resnet1d_wang ] || vizecg train --out local/resnet1d_wang --state local/state --resume \
    --set model.architecture=resnet1d_wang --set model.signal_crop=250 --set train.epochs=10 \
    --set train.batch_size=64 --set train.learning_rate=0.005 --set train.ema=0.995

# The image stream on small pages, which cost half as much: the start.
[ -d local/start ] || vizecg train --out local/start --state local/state --resume \
    --set page.height=128 --set page.width=256 --set page.px_per_mm=1.0 --set train.page_scale_start=1.0 \
    --set model.signal_stream=false --set model.cmam=false --set model.digitiser=true \
    --set train.lambda_trace=0.5 --set train.epochs=4

vizecg recipe ptbxl-taught --data "$data"
dvc repro
vizecg summary

mkdir -p zoo/ptbxl
cp artifacts/package/{model.pt2,model.json,sample.png,sample.json} zoo/ptbxl/
cat tools/zoo.md artifacts/evaluate/model_card.md >zoo/ptbxl/README.md
