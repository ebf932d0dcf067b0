#!/usr/bin/env bash
# tests/bench/pipeline/bench.sh: the quickstart's pipeline beside the same steps in Python (peer_pipeline.py): time and memory,
# stage by stage. The base and the texts are examples/quickstart.sh's: run it first.
# usage: bash tests/bench/pipeline/bench.sh [--build DIR] [--work DIR] [arguments of compare.py, such as --tokens 1000000]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
cache=$(polygraft_cache_dir)
build=$root/build/release work=$cache/quickstart
while [[ ${1:-} == --build || ${1:-} == --work ]]; do
  declare "${1#--}=$2"
  shift 2
done
venv=${POLYGRAFT_VENV:-$cache/venv}
[[ -x $build/polygraft ]] || fail "$build/polygraft is missing" "build it first: cmake --build --preset release"
"$venv/bin/python" -c "import tokenizers, transformers, yaml" 2>/dev/null ||
  fail "transformers is missing in $venv" "run bash cmake/install.sh --parity"
[[ -e $work/base/config.json && -e $work/corpus.yaml ]] ||
  fail "$work has no base and no texts" "run bash examples/quickstart.sh --work $work first"
"$venv/bin/python" -B "$here/compare.py" --polygraft "$build/polygraft" --base "$work/base" \
  --corpus "$work/corpus.yaml" --pipeline "$root/examples/quickstart/pipeline.yaml" "$@"
