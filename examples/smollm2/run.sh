#!/usr/bin/env bash
# examples/smollm2/run.sh: a released model, from its package to a chat: SmolLM2-135M-Instruct made into a mixture of
# experts that computes the same function, Indonesian added, English compared, the result asked questions in transformers.
# Every step is skipped when it is done; kill it at any moment and run it again. Prints every figure of README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
# shellcheck source=examples/steps.sh
source "$here/../steps.sh"

usage() {
  cat <<USAGE
usage: bash examples/smollm2/run.sh [--work DIR] [--threads N] [--tokens N] [--venv DIR]
  --work DIR   where texts, models and reports go (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/smollm2)
  --threads N  threads of the program (default: one for each core)
  --tokens N   training tokens (default: the 150000 of pipeline.yaml)
  --venv DIR   the Python environment (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/venv); transformers is installed
The exit code is the gate's: 0 passed, 3 English got worse by more than the margin or the new language
gained nothing, 4 not enough evidence.
USAGE
}

hash_of() { cat "$@" | sha256sum; }

make_moe() {
  local base_inputs moe_inputs
  base_inputs=$(hash_of "$here/make_base.py" "$here/requirements.txt")
  step base "$base_inputs" run_logged "$work/make_base.log" "$venv/bin/python" "$here/make_base.py" "$work/base"
  moe_inputs=$(printf '%s' "$base_inputs" | cat - "$here/upcycle.yaml" | sha256sum)
  step moe "$moe_inputs" \
    "$polygraft" expand upcycle --model "$work/base" --config "$here/upcycle.yaml" -o "$work/moe" "${threads[@]}"
  measure dense "$work/base"
  measure moe "$work/moe"
}

# measure NAME MODEL: bits per byte of the help pages, as bpb-NAME.
measure() {
  step "bpb-$1" "$(hash_of "$2"/*.safetensors "$work"/data/*.heldout.jsonl)" \
    "$polygraft" eval bpb --model "$2" --corpus "$work/corpus.yaml" -o "$work/bpb-$1" "${threads[@]}"
}

add_indonesian() {
  "$polygraft" run "$here/pipeline.yaml" --set base="$work/moe" --set corpus="$work/corpus.yaml" \
    --set run_dir="$work/run" "${tokens[@]}" "${threads[@]}"
}

# What README.md shows beside the pipeline's own comparison: the expansion starts from the dense model's function, and chats.
show_figures() {
  say "dense against upcycled: the same function"
  "$polygraft" eval compare "$work/bpb-dense" "$work/bpb-moe" --set new_languages=[]
  "$polygraft" inspect "$work/run/model"
  "$venv/bin/python" "$here/chat.py" "dense=$work/base" "expanded=$work/run/model" 2>"$work/chat.log"
}

work=
venv=
threads=()
tokens=()
while (($# > 0)); do
  case $1 in
    --work) need_value "a folder" "$@" && work=$2 && shift ;;
    --threads) need_value "a number" "$@" && threads=(--threads "$2") && shift ;;
    --tokens) need_value "a number" "$@" && tokens=(--set train.tokens="$2") && shift ;;
    --venv) need_value "a folder" "$@" && venv=$(realpath -ms -- "$2") && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument '$1'" ;;
  esac
  shift
done
work=${work:-$(polygraft_cache_dir)/smollm2}
venv=${venv:-$(polygraft_cache_dir)/venv}
mkdir -p "$work" || fail "cannot make the work folder '$work'" "name another by --work"
work=$(cd "$work" && pwd)

hold_lock
bash "$root/cmake/install.sh" --parity --wheels smollm2 "$here/requirements.txt" --venv "$venv"
build
bash "$root/examples/fetch_text.sh" --old en --new id --work "$work"
make_moe
code=0
add_indonesian || code=$?
((code == 0 || code == 3 || code == 4)) || exit "$code"
show_figures
exit "$code"
