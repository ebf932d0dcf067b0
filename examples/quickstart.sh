#!/usr/bin/env bash
# examples/quickstart.sh: from a fresh clone to a language added to a mixture-of-experts model, with the proof that the
# others kept theirs: installs, builds, fetches real text, trains a small multilingual base, runs the pipeline.
# Every step is skipped when it is done; kill it at any moment and run it again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
# shellcheck source=examples/steps.sh
source "$here/steps.sh"

usage() {
  cat <<USAGE
usage: bash examples/quickstart.sh [--new CODE] [--work DIR] [--threads N] [--venv DIR]
  --new CODE   the language to add: id, pt-BR, ca, pl, tr, hu, ... (default: id)
  --work DIR   where texts, models and reports go (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/quickstart)
  --threads N  threads of the program (default: one for each core)
  --venv DIR   the Python environment with LibTorch (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/venv)
The exit code is the gate's: 0 passed, 3 an old language got worse by more than the margin or the new one
gained nothing, 4 not enough evidence.
USAGE
}

add_language() {
  local command=("$polygraft" run "$here/quickstart/pipeline.yaml" --set base="$work/base"
    --set corpus="$work/corpus.yaml" --set run_dir="$work/run-$new" "${threads[@]}")
  say "adding $new: ${command[*]}"
  exec "${command[@]}"
}

new=id
work=
venv=
threads=()
while (($# > 0)); do
  case $1 in
    --new) need_value "a language code" "$@" && new=$2 && shift ;;
    --work) need_value "a folder" "$@" && work=$2 && shift ;;
    --threads) need_value "a number" "$@" && threads=(--threads "$2") && shift ;;
    --venv) need_value "a folder" "$@" && venv=$(realpath -ms -- "$2") && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument '$1'" ;;
  esac
  shift
done
work=${work:-$(polygraft_cache_dir)/quickstart}
venv=${venv:-$(polygraft_cache_dir)/venv}
mkdir -p "$work" || fail "cannot make the work folder '$work'" "name another by --work"
work=$(cd "$work" && pwd)

hold_lock
bash "$root/cmake/install.sh" --venv "$venv"
build
bash "$here/fetch_text.sh" --new "$new" --work "$work"
make_base
add_language
