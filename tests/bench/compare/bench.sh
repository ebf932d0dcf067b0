#!/usr/bin/env bash
# tests/bench/compare/bench.sh: `eval compare` of two folders with a million samples each, as lm-evaluation-harness writes
# them. Checks the figures against those the folders were made with, then prints time and memory.
# usage: bash tests/bench/compare/bench.sh [--build DIR] [arguments of compare.py, such as --samples 100000]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
build=$root/build/release
if [[ ${1:-} == --build ]]; then
  build=$2
  shift 2
fi
[[ -x $build/polygraft ]] || fail "$build/polygraft is missing" "build it first: cmake --build --preset release"
python3 "$root/tests/bench/compare/compare.py" --polygraft "$build/polygraft" "$@"
