#!/usr/bin/env bash
# The comparison on CamVid and MSRC-21 with a pretrained encoder, for one GPU:
#
#     benchmarks/gpu.sh SOURCE OUT
#
# SOURCE holds camvid and msrc21 as benchmarks/prepare_sets.py describes them. An
# interrupted comparison goes on when the command is repeated. Variables change the size:
# STEPS, SEEDS, METHODS, ENCODER, WEIGHTS, RATES, JOBS, CAMVID_LABELS and MSRC_LABELS.
set -euo pipefail
if [ $# -ne 2 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
fi
source=$1
out=$2
python=${PYTHON:-python}
methods=${METHODS:-supervised,cutmix,classmix,classmix_olsson2021}

"$python" "$(dirname "$0")/prepare_sets.py" "$source" "$out/sets" --sets camvid msrc21

compare() { # NAME LABELS CROP
    "$python" -m lightning_classmix compare --data FolderDataModule \
        --data.root "$out/sets/$1" --data.crop "$3" --data.val_batch_size 1 \
        --data.num_workers 4 --methods "$methods" --labels "$2" \
        --seeds "${SEEDS:-0,1,2}" --steps "${STEPS:-10000}" --jobs "${JOBS:-1}" \
        --shared.model deeplabv3plus --shared.encoder "${ENCODER:-resnet50}" \
        --shared.encoder_weights "${WEIGHTS:-imagenet}" \
        --rates "${RATES:-0.0003,0.001,0.003}" --out "$out/$1"
}

compare camvid "${CAMVID_LABELS:-12,46,all}" "[360,480]"
compare msrc21 "${MSRC_LABELS:-42,138,all}" "[208,304]"
