#!/usr/bin/env bash
# tests/cuda/run_on_gpu.sh: everything that wants a GPU, in one go: the layer's and the model's tests, compute-sanitizer's three
# tools over our kernels, training on the GPU beside the CPU, and the benches. CI has no GPU and does not run it.
# usage: bash tests/cuda/run_on_gpu.sh [--build DIR] [--work DIR] [--logs DIR]
#   --build DIR  the preset `cuda`, built (default: build/cuda), or a folder with its programs side by side
#   --work DIR   what examples/quickstart.sh leaves; without it nothing is trained
#   --logs DIR   whole outputs (default: a new temporary folder)
# The exit code is 1 when anything failed; all of it is tried.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/cuda
work=
logs=
while (($# > 0)); do
  case $1 in
    --build) build=$2 ;;
    --work) work=$2 ;;
    --logs) logs=$2 ;;
    *) sed -n 4,8p "$0" >&2 && exit 2 ;;
  esac
  shift 2
done
logs=${logs:-$(mktemp -d)}
mkdir -p "$logs"
failed=0

# program NAME: where it was built, or beside its siblings.
program() {
  local place
  for place in "$build/tests/cuda/$1" "$build/tests/bench/$1" "$build/$1"; do
    [[ -x $place ]] && printf '%s\n' "$place" && return
  done
  printf '%s\n' "$build/$1"
}

# attempt NAME COMMAND...: its log in full, its end here.
attempt() {
  local name=$1 started=$SECONDS
  shift
  if "$@" >"$logs/$name.log" 2>&1; then
    printf '== %s: passed (%s s)\n' "$name" "$((SECONDS - started))"
  else
    printf '== %s: FAILED (%s s)\n' "$name" "$((SECONDS - started))"
    failed=1
  fi
  tail -n "${shown:-4}" "$logs/$name.log"
}

attempt layer "$(program test_cuda_layer)" --order lex
for tool in memcheck racecheck synccheck; do
  command -v compute-sanitizer >/dev/null || break
  shown=30 attempt "$tool" compute-sanitizer --tool "$tool" --kernel-name kernel_substring=run_body --error-exitcode 1 \
    "$(program test_cuda_layer)" --order lex
done
if [[ -n $work ]]; then
  shown=4 attempt train python3 -B "$root/tests/cuda/train_on_gpu.py" --polygraft "$(program polygraft)" --work "$work" \
    --ranks "$(nvidia-smi --list-gpus | wc -l)"
fi
shown=12 attempt moe_layer python3 -B "$root/tests/bench/moe_layer/compare.py" --device cuda \
  --ours "$(program bench_moe_layer)" --shapes marco-nano qwen3-30b-a3b --rounds 5
shown=20 attempt training_step python3 -B "$root/tests/bench/training_step/compare.py" --device cuda \
  --ours "$(program bench_training_step)"
printf 'logs: %s\n' "$logs"
exit "$failed"
