#!/usr/bin/env bash
# tests/run.sh: from a fresh clone to a verdict: installs what is missing, builds the preset `release`, runs all of CTest.
# Where a CUDA toolkit and torch's CUDA wheels are at hand, the CUDA preset's checks are built and run as well.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"

usage() {
  cat <<USAGE
usage: bash tests/run.sh [--parity] [--venv DIR] [--jobs N] [-- CTEST ARGUMENTS]
  --parity    also the live comparison with transformers, tokenizers and lm-eval (installs them: about 3 GB)
  --venv DIR  the Python virtual environment (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/venv)
  --jobs N    compile and test jobs at once (default: the number of cores)
  example: bash tests/run.sh -- -R unit.tokenizer
USAGE
}

# build_preset PRESET BINARY_DIR TARGETS...
build_preset() {
  local preset=$1 build=$2
  shift 2
  say "configuring the preset '$preset'"
  mkdir -p "$build"
  run_logged "$build/configure.log" cmake --preset "$preset" -DPOLYGRAFT_VENV="$venv" -DPOLYGRAFT_PARITY_LIVE="$parity" ||
    FAIL_CODE=1 fail "cmake could not configure the preset '$preset'" "the whole output is in $build/configure.log"
  say "building the preset '$preset' with $jobs jobs"
  cmake --build --preset "$preset" -j "$jobs" --target "$@" || FAIL_CODE=1 fail "the preset '$preset' does not build"
}

# What keeps the checks of the preset `cuda` from being built here; nothing when all is there.
cuda_obstacle() {
  local site
  site=$(echo "$venv"/lib/python3*/site-packages)
  if [[ -z $nvcc ]]; then
    echo "no nvcc on PATH or in /usr/local/cuda/bin"
  elif [[ ! -e $site/torch/lib/libtorch_cuda.so || ! -e $site/nvidia/nccl/lib/libnccl.so.2 ]]; then
    echo "torch's CUDA wheels are not installed; bash cmake/install.sh --cuda"
  fi
}

check_cuda() {
  local nvcc obstacle
  nvcc=$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc || true)
  obstacle=$(cuda_obstacle)
  if [[ -n $obstacle ]]; then
    say "skipped: cuda.link_check, cuda.moe_layer, cuda.nccl ($obstacle)"
    return 0
  fi
  CUDACXX=$nvcc build_preset cuda "$root/build/cuda" cuda_link_check test_cuda_layer mpi_check
  ctest --preset cuda -R '^cuda\.(link_check|moe_layer|nccl)'
}

venv=
parity=OFF
jobs=$(nproc)
install_args=()
ctest_args=()
while (($# > 0)); do
  case $1 in
    --parity) parity=ON && install_args+=(--parity) ;;
    --venv) need_value "a folder" "$@" && venv=$(realpath -ms -- "$2") && shift ;;
    --jobs) need_value "a number" "$@" && jobs=$2 && shift ;;
    --help | -h) usage && exit 0 ;;
    --) shift && ctest_args=("$@") && break ;;
    *) usage >&2 && fail "unknown argument '$1'" ;;
  esac
  shift
done
venv=${venv:-$(polygraft_cache_dir)/venv}
cd "$root"

bash cmake/install.sh --venv "$venv" "${install_args[@]}"
build_preset release "$root/build/release" all
code=0
(check_cuda) || code=1
# Threads of one test that spin while they wait would take the cores from the test beside it.
OMP_WAIT_POLICY=passive ctest --preset release -j "$jobs" "${ctest_args[@]}" || code=1
if ((code == 0)); then say "all tests passed"; else say "tests failed"; fi
exit "$code"
