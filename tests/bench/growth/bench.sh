#!/usr/bin/env bash
# tests/bench/growth/bench.sh: builds the preset `release` and measures how a training step's cost grows; the plot is
# written to build/release/tests/bench/growth.svg.
# usage: bash tests/bench/growth/bench.sh [arguments of growth.py, such as --rounds 15]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
venv=${POLYGRAFT_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/polygraft/venv}
[[ -e $root/build/release/CMakeCache.txt ]] || cmake -S "$root" --preset release -DPOLYGRAFT_VENV="$venv"
cmake --build "$root/build/release" --target bench_training_step
python3 -B "$root/tests/bench/growth/growth.py" --ours "$root/build/release/tests/bench/bench_training_step" \
  --svg "$root/build/release/tests/bench/growth.svg" "$@"
