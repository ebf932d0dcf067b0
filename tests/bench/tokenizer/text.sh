# shellcheck shell=bash
# tests/bench/tokenizer/text.sh: sourced by the benches here: help pages of all languages that have translated ones, in the
# cache, where they stay. Sets: cache, venv, build, bench_text.
here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
build=$root/build/release
cache=$(polygraft_cache_dir)
venv=${POLYGRAFT_VENV:-$cache/venv}
bench_text=$cache/bench-text
languages="ca cs da de dz el en es et eu fi fr gl hi hu it ja km ko nl om pl pt pt-BR ru sl sv tr vi zh-CN zh-TW"

# build_and_fetch TARGETS...
build_and_fetch() {
  "$venv/bin/python" -c "import tokenizers, tiktoken" 2>/dev/null ||
    fail "tokenizers or tiktoken is missing in $venv" "run bash cmake/install.sh --parity"
  [[ -e $build/CMakeCache.txt ]] || cmake -S "$root" --preset release -B "$build" -DPOLYGRAFT_VENV="$venv"
  cmake --build "$build" --target "$@"
  bash "$root/examples/fetch_text.sh" --work "$bench_text" --old "$languages" --new id
}
