# shellcheck shell=bash
# examples/steps.sh: what the examples' scripts share: the built program, steps that are skipped when done, the small base.
# Sourced, never run; cmake/script_output.sh is sourced before it.
# shellcheck disable=SC2154,SC2034  # $root, $work, $venv, $threads are set by the script that sources this; it uses $polygraft

# The programs that the script starts inherit the lock: one that outlives a killed run is waited for, not joined in its
# folders.
hold_lock() {
  exec 8>"$work/example.lock"
  flock -n 8 || { say "waiting for an earlier run in $work to end" && flock 8; }
}

# set_program PROGRAM: $polygraft is its path from then on, wherever the script goes; found on PATH, too.
set_program() {
  polygraft=$(command -v -- "$1") || fail "there is no program '$1'"
  polygraft=$(realpath -s -- "$polygraft")
}

# Builds the program; $polygraft is its path from then on.
build() {
  local build=$root/build/release
  mkdir -p "$build"
  (cd "$root" && run_logged "$build/configure.log" cmake --preset release -DPOLYGRAFT_VENV="$venv") ||
    FAIL_CODE=1 fail "cmake could not configure the build" "the whole output is in $build/configure.log"
  say "building $build/polygraft (about seven minutes on two cores the first time)"
  run_logged "$build/build.log" cmake --build "$build" --target polygraft ||
    FAIL_CODE=1 fail "polygraft does not build" "the whole output is in $build/build.log"
  polygraft=$build/polygraft
}

# step NAME INPUTS_HASH COMMAND...: makes $work/NAME unless it is there and was made from the same inputs. The command
# gives its output the final name only when it is complete; a killed training run of the same inputs is continued.
step() {
  local name=$1 inputs=$2 output=$work/$1 stamp=$work/$1.stamp
  shift 2
  [[ -e $stamp || ! -e $output ]] || fail "'$output' exists and is not this example's" "name another folder by --work"
  if [[ ! -e $stamp || $(<"$stamp") != "$inputs" ]]; then
    rm -rf "$output" "$output-run"
    printf '%s\n' "$inputs" >"$stamp"
  fi
  if [[ -e $output ]]; then
    say "$name: done before, skipped"
  else
    say "$name: making $output"
    "$@"
  fi
}

# The texts that the base learns from, as arguments of `tokenizer train` and for the stamps.
old_texts() { sed -n 's/^.*role: old, train: \[\([^]]*\)\].*$/\1/p' "$work/corpus.yaml"; }

# make_base [ARGUMENTS...]: the quickstart's base, trained from scratch on the old languages of $work/corpus.yaml; its
# configuration may be changed by arguments of `train`.
make_base() {
  local texts tokenizer_inputs base_inputs config=$root/examples/quickstart/base.yaml
  mapfile -t texts < <(cd "$work" && old_texts)
  tokenizer_inputs=$(cd "$work" && sha256sum "${texts[@]}" | sha256sum)
  base_inputs=$(printf '%s' "$tokenizer_inputs" "$@" | cat - "$config" | sha256sum)
  cd "$work"
  step tokenizer "$tokenizer_inputs" \
    "$polygraft" tokenizer train --text "${texts[@]}" --vocab-size 4096 -o "$work/tokenizer" "${threads[@]}"
  step base "$base_inputs" \
    "$polygraft" train --config "$config" --set tokenizer="$work/tokenizer" \
    --set corpus="$work/corpus.yaml" --set run_dir="$work/base-run" --set output="$work/base" "$@" "${threads[@]}"
}
