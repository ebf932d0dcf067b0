#!/usr/bin/env bash
# tests/bench/parallel/bench.sh: a training step on grids of processes against one process, and against what
# `polygraft plan-parallel` says; on the graft and the texts that examples/quickstart.sh leaves.
# usage: bash tests/bench/parallel/bench.sh [--build DIR] [--work DIR] [arguments of measure.py]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
build=$root/build/release
work=${XDG_CACHE_HOME:-$HOME/.cache}/polygraft/quickstart
while [[ ${1:-} == --build || ${1:-} == --work ]]; do
  declare "${1#--}=$2"
  shift 2
done
cmake --build "$build" --target polygraft
python3 -B "$root/tests/bench/parallel/measure.py" --polygraft "$build/polygraft" --work "$work" "$@"
