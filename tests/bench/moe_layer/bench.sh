#!/usr/bin/env bash
# tests/bench/moe_layer/bench.sh: builds the preset `release` and times one layer's experts against
# transformers'. All shapes need 16 GB of memory and half an hour.
# usage: bash tests/bench/moe_layer/bench.sh [arguments of compare.py, such as --shapes marco-nano]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
venv=${POLYGRAFT_VENV:-$(polygraft_cache_dir)/venv}
"$venv/bin/python" -c "import transformers" 2>/dev/null ||
  fail "transformers is missing in $venv" "run bash cmake/install.sh --parity"
[[ -e $root/build/release/CMakeCache.txt ]] || cmake -S "$root" --preset release -DPOLYGRAFT_VENV="$venv"
cmake --build "$root/build/release" --target bench_moe_layer
"$venv/bin/python" "$root/tests/bench/moe_layer/compare.py" \
  --ours "$root/build/release/tests/bench/bench_moe_layer" "$@"
