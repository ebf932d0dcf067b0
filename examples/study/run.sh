#!/usr/bin/env bash
# examples/study/run.sh: the matched study: a language added to one base in every way that README.md lists, on the same
# text with the same tokenizer, measured on the same pages. Writes RESULTS.md. Every step is skipped when it is done;
# kill it at any moment and run it again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=cmake/script_output.sh
source "$root/cmake/script_output.sh"
# shellcheck source=examples/steps.sh
source "$here/../steps.sh"
# shellcheck source=examples/unpack_package.sh
source "$here/../unpack_package.sh"

usage() {
  cat <<USAGE
usage: bash examples/study/run.sh [--quick] [--seeds N] [--arms "ARM..."] [--languages "CODE..."] [--tune]
                                  [--work DIR] [--out DIR] [--threads N] [--venv DIR] [--program FILE]
  --quick      one seed, one near and one far language, the main arms
  --seeds N    seeds of the main arms, or of those that --arms names; the others have one (default: 3)
  --arms "..." these arms alone: $all_arms
  --languages "CODE..."  the languages to add, each on its own (default: $all_languages; --quick: $quick_languages)
  --tune       also train every arm at the other learning rates of learning_rates.txt (first language, first seed)
  --work DIR   where texts, models and results go (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/study)
  --out DIR    where RESULTS.md and its plots go (default: beside this script)
  --threads N  threads of the program (default: one for each core)
  --venv DIR   the Python environment with LibTorch (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/venv)
  --program FILE  a polygraft that is built already
USAGE
}

hash_of() { cat "$@" | sha256sum; }

# A file's KEY=VALUE lines, each as a --set.
settings() {
  local line
  while IFS= read -r line; do
    [[ -z $line || $line == \#* ]] || printf '%s\n' --set "$line"
  done <"$1"
}

chosen_rate() { awk -v arm="$1" '$1 == arm { print $2 }' "$here/learning_rates.txt"; }
tried_rates() { awk -v arm="$1" '$1 == arm { for (i = 3; i <= NF; ++i) print $i }' "$here/learning_rates.txt"; }

fetch_texts() {
  bash "$here/../fetch_text.sh" --new "$language" --work "$work"
  mv "$work/corpus.yaml" "$work/$language-corpus.yaml"
  cp "$work/$language-corpus.yaml" "$work/corpus.yaml"
  fetch_guide
}

# The second domain: the installation guide, in the old languages and, where it exists, in the new one.
fetch_guide() {
  local code old
  mapfile -t old < <(sed -n 's/^  \([^:]*\): {role: old.*$/\1/p' "$work/corpus.yaml")
  [[ -d $work/unpacked/guide ]] || unpack_package installation-guide-amd64 "$work/unpacked/guide"
  run_logged "$log" python3 "$here/extract_guide.py" --unpacked "$work/unpacked/guide" --out "$work/data" \
    "${old[@]}" "$language" || FAIL_CODE=1 fail "the installation guide could not be read" "the whole output is in $log"
  {
    printf '# The Debian installation guide; made by examples/study/run.sh.\nlanguages:\n'
    for code in "${old[@]}" "$language"; do
      [[ ! -e $work/data/$code.guide.jsonl ]] || printf '  %s: {role: %s, heldout: [data/%s.guide.jsonl]}\n' "$code" \
        "$([[ $code == "$language" ]] && echo new || echo old)" "$code"
    done
  } >"$work/$language-guide.yaml"
}

# measure MODEL TEXT: bits per byte of every language's pages; TEXT is corpus (help), guide, or behind: the old languages'
# help pages, each behind a passage of the new language.
measure() {
  local texts behind=() list=$work/$language-$2.yaml
  [[ $2 != behind ]] || { behind=(--behind "$language") && list=$work/$language-corpus.yaml; }
  mapfile -t texts < <(sed -n "s|^.*heldout: \[\([^]]*\)\].*$|$work/\1|p" "$list")
  step "$1-$2-$language" "$(hash_of "$work/$1.stamp" "$list" "${texts[@]}")" \
    "$polygraft" eval bpb --model "$work/$1" --corpus "$list" "${behind[@]}" -o "$work/$1-$2-$language" "${threads[@]}"
}

# compare BASELINE CANDIDATE TEXT FILE: a paired comparison. Verdicts are figures here: no exit code ends the study.
compare() {
  local code=0 file=$work/$4 new=$language
  [[ $3 != behind ]] || new=   # it is not measured itself
  [[ ! $file -nt $work/$1-$3-$language || ! $file -nt $work/$2-$3-$language ]] || return 0
  "$polygraft" eval compare "$work/$1-$3-$language" "$work/$2-$3-$language" --set new_languages="[$new]" \
    --json "$file.partial" >&2 || code=$?
  ((code == 0 || code == 3 || code == 4)) || exit "$code"
  mv "$file.partial" "$file"
}

# extend_tokenizer MODEL: what every arm of a language shares, made from a model's own. Guarded is what $work/corpus.yaml
# lists as old.
extend_tokenizer() {
  local guards
  mapfile -t guards < <(cd "$work" && old_texts | sed "s|^|$work/|")
  step "$extended" "$(hash_of "$work/data/$language.stamp" "$work/tokenizer.stamp")" \
    "$polygraft" tokenizer extend --tokenizer "$work/$1" --text "$work/data/$language.train.jsonl" \
    --guard "${guards[@]}" --new-tokens 800 -o "$work/$extended" "${threads[@]}"
}

# use_moe MODEL: what the arms that need experts start from; $tag is how names of what is made of it begin.
use_moe() {
  moe=$1
  tag=$language
  [[ $moe == base ]] || tag=$moe-$language
}

profile() {
  step "$tag-profile.json" "$(hash_of "$work/$moe.stamp" "$work/$extended.stamp")" \
    "$polygraft" expand profile --model "$work/$moe" --corpus "$work/$language-$lists.yaml" -o "$work/$tag-profile.json" \
    "${threads[@]}"
}

# graft ROUTER EXPERTS [KEY=VALUE]: new experts on the mixture of experts, by fitted router rows or the donors' copies, and one
# setting of the tokenizer's rows.
graft() {
  local name=$tag-graft-$1-n$2${3:+-${3/=/-}}-s$seed inputs
  inputs=$(printf '%s' "$1 $2 $seed${3:+ $3}" | cat - "$here/graft.yaml" "$work/$tag-profile.json.stamp" | sha256sum)
  start=$name
  step "$name-plan.json" "$inputs" \
    "$polygraft" expand plan --model "$work/$moe" --profile "$work/$tag-profile.json" --config "$here/graft.yaml" \
    --set language="$language" --set corpus="$work/$language-$lists.yaml" \
    --set extended_tokenizer="$work/$extended" --set expand.router="$1" --set expand.experts_per_layer="$2" \
    --set seed="$seed" ${3:+--set "tokenizer.$3"} -o "$work/$name-plan.json" "${threads[@]}"
  step "$name" "$inputs" \
    "$polygraft" expand graft --model "$work/$moe" --plan "$work/$name-plan.json" -o "$work/$name" "${threads[@]}"
}

# What an arm starts from and is compared with, as names in $work; a whole model takes the extended tokenizer along.
prepare_start() {
  start_args=()
  origin=$moe
  case $1 in
    dense-*) origin=dense && start=dense && make_dense ;;
    moe-* | lora) start=$moe ;;
    unprotected | prior) graft donor 8 ;;
    ours-n[0-9]*) graft discriminant "${1#ours-n}" ;;
    ours-tied) graft discriminant 8 head=tied ;;
    ours-nomark) graft discriminant 8 mark_steps=0 ;;
    ours-strict | ours-polyak) graft discriminant 8 head_margin=8 ;;
    ours*) graft discriminant 8 ;;
    *) fail "there is no arm '$1'" "there are: $all_arms" ;;
  esac
  [[ $start != "$origin" ]] || start_args=(--set tokenizer="$work/$extended")
}

# A run of which no probe was inside its budget (exit 3) has its least harmful weights written: a result like others.
train_or_exceed() {
  local code=0
  "$polygraft" train "$@" || code=$?
  ((code == 0 || code == 3)) || exit "$code"
}

# The pipeline of $work/$trained.yaml, whose model and training's figures are put where the other arms have theirs.
run_pipeline() {
  local code=0
  "$polygraft" run "$work/$trained.yaml" "$@" || code=$?
  ((code == 0 || code == 3 || code == 4)) || exit "$code"
  cp "$work/$trained-run/stages/train/train.json" "$work/$trained.train.json"
  mv "$work/$trained-run/model" "$work/$trained"
}

# train_without_old_text RATE [ARGUMENTS...]: as its users do it, by one `polygraft run`: what the base writes is also what the
# tokenizer guards, what donors are chosen and routers fitted by.
train_without_old_text() {
  local rate=$1
  shift
  {
    printf '# Made by examples/study/run.sh.\nversion: 1\nrun_dir: %s-run\nbase: %s\nlanguages:\n' "$trained" "$moe"
    grep 'role: new' "$work/$language-$lists.yaml"
    sed -n '/^train:/,$p' "$here/common.yaml"
  } >"$work/$trained.yaml"
  step "$trained" "$(hash_of "$work/$trained.yaml" "$here/arms/ours-self.set" "$work/$moe.stamp" "$work/data/$language.stamp")" \
    run_pipeline --set seed="$seed" --set tokenizer.new_tokens=800 --set expand.experts_per_layer=8 \
    --set evaluate.causes=false --set evaluate.behind=false "$@" --set train.optimizer.learning_rate="$rate" "${threads[@]}"
}

# train_arm ARM RATE: $trained is the model's name in $work.
train_arm() {
  local arm=$1 rate=$2 inputs arguments
  trained=$tag-$arm-$rate-s$seed
  mapfile -t arguments < <(settings "$here/arms/$arm.set")
  if [[ $arm == ours-self ]]; then
    origin=$moe
    train_without_old_text "$rate" "${arguments[@]}"
    return
  fi
  prepare_start "$arm"
  inputs=$(hash_of "$here/common.yaml" "$here/arms/$arm.set" "$work/$start.stamp" "$work/$extended.stamp")
  step "$trained" "$inputs" \
    train_or_exceed --config "$here/common.yaml" --set model="$work/$start" "${start_args[@]}" \
    --set corpus="$work/$language-$lists.yaml" --set languages="[$language]" --set seed="$seed" \
    --set run_dir="$work/$trained-run" --set output="$work/$trained" "${arguments[@]}" \
    --set train.optimizer.learning_rate="$rate" --json "$work/$trained.train.json" "${threads[@]}"
}

# Trained, then measured on both texts against what it was made from.
run_arm() {
  local text
  train_arm "$1" "$(chosen_rate "$1")"
  for text in "$lists" ${guide:+guide behind}; do
    measure "$origin" "$text"
    measure "$trained" "$text"
    compare "$origin" "$trained" "$text" "$trained.$text.json"
  done
}

# Every arm's new language against the unprotected graft's: what protection, or another way of training, costs or gains.
compare_with_unprotected() {
  local arm trained unprotected
  unprotected=$tag-unprotected-$(chosen_rate unprotected)-s$seed
  for arm in $arms; do
    trained=$tag-$arm-$(chosen_rate "$arm")-s$seed
    [[ ! -e $work/$unprotected-corpus-$language || ! -e $work/$trained-corpus-$language ]] ||
      compare "$unprotected" "$trained" corpus "$trained.against.json"
  done
}

# The base, of twice the quickstart's tokens: full training has less to mend in a base that knows its languages better.
make_study_base() {
  local arguments
  mapfile -t arguments < <(settings "$here/base.set")
  make_base "${arguments[@]}"
}

# The dense model: as wide where it counts as the experts that a token visits, trained as the base was.
make_dense() {
  local arguments
  mapfile -t arguments < <(settings "$here/base.set" && settings "$here/dense.set")
  step dense "$(hash_of "$work/base.stamp" "$here/dense.set")" \
    "$polygraft" train --config "$here/../quickstart/base.yaml" --set tokenizer="$work/tokenizer" \
    --set corpus="$work/corpus.yaml" --set run_dir="$work/dense-run" --set output="$work/dense" \
    "${arguments[@]}" "${threads[@]}"
}

# (7) Twice the base's tokens, in two ways: half of them as a dense model that is then upcycled, or all from scratch.
# Compared before and after a language is added to each.
run_origins() {
  local arguments
  make_dense
  step upcycled-start "$(hash_of "$work/dense.stamp" "$here/upcycle.yaml")" \
    "$polygraft" expand upcycle --model "$work/dense" --config "$here/upcycle.yaml" -o "$work/upcycled-start" \
    "${threads[@]}"
  mapfile -t arguments < <(settings "$here/base.set")
  arguments=(--config "$here/../quickstart/base.yaml" "${arguments[@]}" --set corpus="$work/corpus.yaml")
  step upcycled "$(hash_of "$work/upcycled-start.stamp")" \
    "$polygraft" train "${arguments[@]}" --set architecture=null --set tokenizer="''" --set model="$work/upcycled-start" \
    --set run_dir="$work/upcycled-run" --set output="$work/upcycled" "${threads[@]}"
  step scratch "$(hash_of "$work/base.stamp")" \
    "$polygraft" train "${arguments[@]}" --set tokenizer="$work/tokenizer" --set train.tokens=7200000 \
    --set run_dir="$work/scratch-run" --set output="$work/scratch" "${threads[@]}"
  for moe in scratch upcycled; do
    measure "$moe" corpus
    use_moe "$moe"
    profile
    run_arm ours
  done
  compare scratch upcycled corpus upcycled-against-scratch.corpus.json
}

# run_stack LANGUAGE: (8) languages one after the other: each is added to the model that has those before it, which are old
# by then. Then packs of the first two, trained apart, put together.
run_stack() {
  local below below_language=$1 first=$1 known="en de es it fr cs"
  trained=$first-ours-$(chosen_rate ours)-s$seed
  lists=stack guide=
  for language in $stack_languages; do
    known+=" $below_language"
    below=$trained-fused
    step "$below" "$(hash_of "$work/$trained.stamp")" "$polygraft" expand fuse --model "$work/$trained" -o "$work/$below"
    bash "$here/../fetch_text.sh" --old "$known" --new "$language" --work "$work"
    cp "$work/corpus.yaml" "$work/$language-stack.yaml"
    use_moe "$below"
    extended=$tag-tokenizer
    extend_tokenizer "$below"
    profile
    run_arm ours
    measure base stack
    compare base "$trained" stack "$trained.base.json"
    below_language=$language
  done
  language=${stack_languages%% *}
  put_packs_together "$first-ours-$(chosen_rate ours)-s$seed" "$language-ours-$(chosen_rate ours)-s$seed"
}

# put_packs_together ONE OTHER: both models' additions on the base, if both arms have been trained.
put_packs_together() {
  local model both=$1+$2
  for model in "$1" "$2"; do
    [[ -e $work/$model ]] || { say "no packs are put together: there is no $model" && return 0; }
    step "$model-pack" "$(hash_of "$work/$model.stamp")" "$polygraft" expand pack --expanded "$work/$model" -o "$work/$model-pack"
  done
  step "$both" "$(hash_of "$work/$1-pack.stamp" "$work/$2-pack.stamp")" \
    "$polygraft" expand attach --model "$work/base" --pack "$work/$1-pack" --pack "$work/$2-pack" -o "$work/$both" "${threads[@]}"
  for model in base "$1" "$2" "$both"; do measure "$model" stack; done
  for model in base "$1" "$2"; do compare "$model" "$both" stack "together-$model.json"; done
}

tune() {
  local rate
  for rate in $(tried_rates "$1"); do train_arm "$1" "$rate"; done
}

# RESULTS.md and its plots, of everything that the work folder holds.
summarise() {
  local code all=()
  for code in $all_languages $languages; do
    [[ ! -e $work/$code-tokenizer || " ${all[*]} " == *" $code "* ]] || all+=("$code")
  done
  python3 "$here/summarise.py" --work "$work" --rates "$here/learning_rates.txt" --program "$polygraft" \
    --command "$command_line" --out "$out" "${all[@]}" ||
    FAIL_CODE=1 fail "the results could not be summarised"
  say "results are in $out/RESULTS.md"
}

# Main arms first, every language at one seed before the next seed: a run that is cut short has whole comparisons.
run_study() {
  local arm
  for seed in $(seq 17 $((16 + num_seeds))); do
    for language in $languages; do
      fetch_texts
      lists=corpus guide=yes extended=$language-tokenizer
      extend_tokenizer base
      use_moe base
      profile
      for arm in $arms; do
        if [[ $arm == origins ]]; then
          [[ $seed != 17 || $language != "${languages%% *}" ]] || (run_origins)
        elif [[ $arm == stack ]]; then
          continue
        elif [[ $seed == 17 || " $seeded_arms " == *" $arm "* ]]; then
          run_arm "$arm"
          [[ $tuned == no || $seed != 17 || $language != "${languages%% *}" ]] || tune "$arm"
        fi
      done
      compare_with_unprotected
    done
    [[ $seed != 17 || " $arms " != *" stack "* ]] || (run_stack "${languages%% *}")
  done
}

main_arms="ours unprotected moe-replay dense-replay prior lora moe-full ours-strict"
all_arms="$main_arms dense-full ours-tight ours-wide ours-loose ours-polyak ours-text ours-self ours-quoted ours-n4 ours-n16 ours-tied ours-nomark"
all_arms+=" ours-nohinge ours-nocapture ours-balance origins stack"
stack_languages="pt-BR ca"
quick_languages="id pt-BR"
all_languages="id pt-BR ca hu"
num_seeds=3
command_line="bash examples/study/run.sh"   # as RESULTS.md states it: where things lie is the machine's own
arms=
languages=
quick=no
tuned=no
work=
out=$here
venv=
polygraft=
threads=()
while (($# > 0)); do
  case $1 in
    --quick) quick=yes && command_line+=" $1" ;;
    --tune) tuned=yes && command_line+=" $1" ;;
    --seeds) need_value "a number" "$@" && num_seeds=$2 && command_line+=" $1 $2" && shift ;;
    --arms) need_value "names" "$@" && arms=$2 && command_line+=" $1 \"$2\"" && shift ;;
    --languages) need_value "codes" "$@" && languages=$2 && command_line+=" $1 \"$2\"" && shift ;;
    --work) need_value "a folder" "$@" && work=$2 && shift ;;
    --out) need_value "a folder" "$@" && out=$2 && shift ;;
    --threads) need_value "a number" "$@" && threads=(--threads "$2") && shift ;;
    --venv) need_value "a folder" "$@" && venv=$(realpath -ms -- "$2") && shift ;;
    --program) need_value "a file" "$@" && set_program "$2" && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument '$1'" ;;
  esac
  shift
done
if [[ $quick == yes ]]; then
  num_seeds=1
  arms=${arms:-$main_arms}
  languages=${languages:-$quick_languages}
fi
seeded_arms=${arms:-$main_arms}   # the others run with the first seed alone
arms=${arms:-$all_arms}
languages=${languages:-$all_languages}
work=${work:-$(polygraft_cache_dir)/study}
venv=${venv:-$(polygraft_cache_dir)/venv}
mkdir -p "$work" || fail "cannot make the work folder '$work'" "name another by --work"
work=$(cd "$work" && pwd)
log=$work/study.log

mkdir -p "$out" || fail "cannot make the results' folder '$out'" "name another by --out"
out=$(cd "$out" && pwd)
hold_lock
if [[ -z $polygraft ]]; then
  bash "$root/cmake/install.sh" --venv "$venv"
  build
fi
language=${languages%% *}
fetch_texts
make_study_base
run_study
summarise
