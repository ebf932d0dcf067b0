#!/usr/bin/env bash
# examples/gate-only/gate.sh: a gate over two lm-evaluation-harness folders, with each verdict a job can get.
# The exit code is the verdict: 0 passed, 3 failed, 4 not comparable or not enough evidence.
# usage: bash examples/gate-only/gate.sh POLYGRAFT [OUT]   (POLYGRAFT: the built program; OUT: where the reports go)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
polygraft=${1:?"usage: bash examples/gate-only/gate.sh POLYGRAFT [OUT]"}
out=${2:-$(mktemp -d)}
mkdir -p "$out"

# gate NAME EXPECTED [ARGUMENT...]
gate() {
  local name=$1 expected=$2 code=0
  shift 2
  "$polygraft" eval compare "$here/results/baseline" "$here/results/candidate" --config "$here/gate.yaml" \
    --markdown "$out/$name.md" --junit "$out/$name.xml" --html "$out/$name.html" --json "$out/$name.json" "$@" || code=$?
  printf -- '--- %s: exit %s\n' "$name" "$code"
  [[ $code == "$expected" ]] || { printf 'expected exit %s\n' "$expected" >&2 && exit 1; }
}

gate failed 3                                              # the candidate is worse than the margin allows
gate passed 0 --set margin_relative_bpb=0.2 --set margins.sums_en=0.3  # and within these
gate insufficient 4 --set min_documents=500                # nobody can tell from so little text
