#!/usr/bin/env bash
# examples/ci/job.sh: what a CI job does with polygraft, as plain shell; polygraft.yml runs it on GitHub.
# The exit code is the verdict: 0 passed, 3 an old language got worse, 4 not comparable or not enough evidence; anything else
# is a failure of the job. OUT gets report.md (for a comment), report.html, report.json or comparison.json, and junit.xml. Kept
# from run to run (a cache), OUT also lets a killed job continue where it was.
# usage: bash job.sh pull-request PIPELINE.yaml OUT        a small expansion by the pipeline, up to its gate
#        bash job.sh nightly BASE CANDIDATE CORPUS.yaml OUT    a gate over two checkpoints
# environment: POLYGRAFT (the program; "polygraft"), TOKENS (of the small expansion's training; 150000),
#        GATE (gate.yaml of the nightly job; none: the defaults)
set -euo pipefail
polygraft=${POLYGRAFT:-polygraft}

usage() {
  sed -n 's/^# usage: //p; s/^#        bash/bash/p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# The pipeline as it is, but for its length and place. `run` adds its report to $GITHUB_STEP_SUMMARY by itself.
pull_request() {
  local pipeline=$1 out=$2 code=0 file
  mkdir -p "$out"
  "$polygraft" run "$pipeline" --set "run_dir=$(realpath "$out")/run" --set "train.tokens=${TOKENS:-150000}" || code=$?
  for file in report.md report.html report.json junit.xml; do
    if [[ -e $out/run/$file ]]; then cp "$out/run/$file" "$out/$file"; fi
  done
  return "$code"
}

# The base is scored once: its samples are kept in OUT/baseline.json. `eval compare` adds its report to the job's page.
nightly() {
  local base=$1 candidate=$2 corpus=$3 out=$4
  mkdir -p "$out"
  if [[ ! -e $out/baseline.json ]]; then
    rm -rf "$out/base"
    "$polygraft" eval bpb --model "$base" --corpus "$corpus" -o "$out/base"
    "$polygraft" eval compare "$out/base" --write-baseline "$out/baseline.json"
  fi
  "$polygraft" eval bpb --model "$candidate" --corpus "$corpus" -o "$out/candidate" --force
  "$polygraft" eval compare "$out/baseline.json" "$out/candidate" ${GATE:+--config "$GATE"} --markdown "$out/report.md" \
    --junit "$out/junit.xml" --html "$out/report.html" --json "$out/comparison.json"
}

case "${1:-} $#" in
  "pull-request 3") pull_request "$2" "$3" ;;
  "nightly 5") nightly "$2" "$3" "$4" "$5" ;;
  *) usage ;;
esac
