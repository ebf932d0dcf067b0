#!/usr/bin/env bash
# examples/ci/job.sh: what a CI job does with polygraft, as plain shell; polygraft.yml runs it on GitHub.
# The exit code is the verdict: 0 passed, 3 an old language got worse or a new one gained nothing, 4 not comparable or not
# enough evidence; anything else is a failure of the job. OUT gets report.md (for a comment), report.html, report.json or
# comparison.json, and junit.xml, or none of them when the job failed. Kept from run to run (a cache), OUT also lets a killed
# job continue where it was.
# usage: bash job.sh pull-request PIPELINE.yaml OUT        a small expansion by the pipeline, up to its gate
#        bash job.sh nightly BASE CANDIDATE CORPUS.yaml OUT    a gate over two checkpoints
#        bash job.sh baseline-name BASE CORPUS.yaml    the file below OUT in which the nightly job keeps the base's samples
# environment: POLYGRAFT (the program; "polygraft"), TOKENS (of the small expansion's training; 150000),
#        GATE (gate.yaml of the nightly job; none: the defaults)
set -euo pipefail
shopt -s inherit_errexit
polygraft=${POLYGRAFT:-polygraft}

usage() {
  sed -n 's/^# usage: //p; s/^#        bash/bash/p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# A verdict of an earlier run must not stand there when this one fails.
remove_reports() {
  local file
  for file in report.md report.html report.json junit.xml comparison.json; do rm -f "$1/$file"; done
}

# The pipeline as it is, but for its length and place. `run` adds its report to $GITHUB_STEP_SUMMARY by itself.
pull_request() {
  local pipeline=$1 out=$2 code=0 file
  mkdir -p "$out"
  remove_reports "$out"
  remove_reports "$out/run"  # the run makes them again
  "$polygraft" run "$pipeline" --set "run_dir=$(realpath "$out")/run" --set "train.tokens=${TOKENS:-150000}" || code=$?
  if [[ ! $code =~ ^[034]$ ]]; then return "$code"; fi
  for file in report.md report.html report.json junit.xml; do
    if [[ -e $out/run/$file ]]; then cp "$out/run/$file" "$out/$file"; fi
  done
  return "$code"
}

# hash_files FOLDER: one hash over the names and bytes of the files that are named on stdin, seen from FOLDER.
hash_files() {
  (cd "$1" && LC_ALL=C sort -u | tr '\n' '\0' | xargs -0 -r sha256sum --) | sha256sum | cut -d ' ' -f 1
}

# Weights, config.json and tokenizer: all that lies in a model's folder.
model_files() {
  (cd "$1" && find -L . -type f -not -path '*/.*')
}

# What may be a path in a corpus list: its words; what stands in quotes; and, since a path may hold spaces, all that stands
# between two commas or brackets or on a line of its own, without a key or a dash in front and a comment behind.
corpus_words() {
  tr -s '][{},[:blank:]"'"'" '\n' <"$1"
  grep -oE "\"[^\"]*\"|'[^']*'" "$1" | sed 's/^.//; s/.$//' || true
  tr -s '][{},' '\n' <"$1" |
    sed -E 's/[[:blank:]]+#.*$//; s/^[[:blank:]]+//; s/[[:blank:]]+$//; s/^-[[:blank:]]+//; s/^[^:]*:[[:blank:]]+//'
}

# A corpus list and the texts it names: what of it is a file, seen from its folder.
corpus_files() (
  local word
  cd "$(dirname "$1")"
  basename "$1"
  corpus_words "$(basename "$1")" | while IFS= read -r word; do
    if [[ -f $word ]]; then echo "$word"; fi
  done
)

# Another base, another text or another program has another baseline.
baseline_name() {
  local base=$1 corpus=$2 inputs
  inputs=$(
    "$polygraft" --version
    model_files "$base" | hash_files "$base"
    corpus_files "$corpus" | hash_files "$(dirname "$corpus")"
  )
  echo "baseline-$(sha256sum <<<"$inputs" | cut -c 1-16).json"
}

# The base is scored once. `eval compare` adds its report to the job's page.
nightly() {
  local base=$1 candidate=$2 corpus=$3 out=$4 name baseline
  mkdir -p "$out"
  remove_reports "$out"
  name=$(baseline_name "$base" "$corpus")
  baseline=$out/$name
  if [[ ! -e $baseline ]]; then
    rm -rf "$out/base"
    "$polygraft" eval bpb --model "$base" --corpus "$corpus" -o "$out/base"
    "$polygraft" eval compare "$out/base" --write-baseline "$baseline"
  fi
  "$polygraft" eval bpb --model "$candidate" --corpus "$corpus" -o "$out/candidate" --force
  "$polygraft" eval compare "$baseline" "$out/candidate" ${GATE:+--config "$GATE"} --markdown "$out/report.md" \
    --junit "$out/junit.xml" --html "$out/report.html" --json "$out/comparison.json"
}

case "${1:-} $#" in
  "pull-request 3") pull_request "$2" "$3" ;;
  "nightly 5") nightly "$2" "$3" "$4" "$5" ;;
  "baseline-name 3") baseline_name "$2" "$3" ;;
  *) usage ;;
esac
