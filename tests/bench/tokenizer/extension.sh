#!/usr/bin/env bash
# tests/bench/tokenizer/extension.sh: a tokenizer of 151,643 entries learned, loaded, and extended by Indonesian and Khmer under
# a guard of 1 GB; what that takes, and the checks of extension.py. Its files (3 GB) stay in the cache.
# usage: bash tests/bench/tokenizer/extension.sh [--build DIR] [arguments of extension.py, such as --guard-megabytes 100]
set -euo pipefail
# shellcheck source=tests/bench/tokenizer/text.sh
source "$(dirname "${BASH_SOURCE[0]}")/text.sh"
if [[ ${1:-} == --build ]]; then
  build=$2
  shift 2
fi
build_and_fetch bench_encode bench_load make_tokenizer
"$venv/bin/python" "$here/extension.py" --programs "$build" --unpacked "$bench_text/unpacked" --data "$bench_text/data" \
  --work "$cache/bench-extension" "$@"
