#!/usr/bin/env bash
# tests/bench/size/bench.sh: a random checkpoint of Marco-Nano's shape (16 GB) through every step, with time and memory.
# usage: bash tests/bench/size/bench.sh [--scale 16] [--work DIR] [--build DIR] [arguments of measure.py]
# Needs 56 GB of free disk at scale 1; everything written is deleted at the end.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
build=$root/build/release scale=1 work=$root/build/size
while [[ ${1:-} == --scale || ${1:-} == --work || ${1:-} == --build ]]; do
  declare "${1#--}=$2"
  shift 2
done
cmake --build "$build" --target polygraft
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
python3 "$root/tests/bench/size/make_checkpoint.py" \
  --config "$root/configs/shapes/marco-nano/config.json" --scale "$scale" -o "$work"
python3 "$root/tests/bench/size/measure.py" \
  --polygraft "$build/polygraft" --work "$work" "$@"
