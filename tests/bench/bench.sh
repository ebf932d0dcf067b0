#!/usr/bin/env bash
# tests/bench/bench.sh: builds the preset `release` and times training and scoring steps against their
# peers. The README quotes these figures. Both shapes take about a quarter of an hour on two cores.
# usage: bash tests/bench/bench.sh [--build DIR] [arguments of compare.py, such as --rounds 15]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/release
if [[ ${1:-} == --build ]]; then
  build=$2
  shift 2
fi
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
venv=${POLYGRAFT_VENV:-$(polygraft_cache_dir)/venv}
"$venv/bin/python" -c "import transformers" 2>/dev/null ||
  fail "transformers is missing in $venv" "run bash cmake/install.sh --parity"
[[ -e $build/CMakeCache.txt ]] ||
  cmake -S "$root" --preset release -B "$build" -DPOLYGRAFT_VENV="$venv"
cmake --build "$build" --target bench_training_step
"$venv/bin/python" "$root/tests/bench/training_step/compare.py" \
  --ours "$build/tests/bench/bench_training_step" "$@"
