# shellcheck shell=bash
# cmake/script_output.sh: how our shell scripts speak and where they keep things; sourced, never run.
# Progress is plain lines on stderr, so that stdout stays free for results; what a tool prints goes to a log file
# whose end is shown when the tool fails. Exit codes are polygraft's own: 1 runtime error, 2 usage or missing need.

# The one folder outside the checkout: the virtual environment, logs, and the quickstart's work folder.
polygraft_cache_dir() {
  if [[ -z "${XDG_CACHE_HOME:-}" && -z "${HOME:-}" ]]; then
    fail "neither HOME nor XDG_CACHE_HOME is set" "set one of them, or name the folders by switches (--help)"
  fi
  printf '%s/polygraft\n' "${XDG_CACHE_HOME:-$HOME/.cache}"
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail MESSAGE [HINT...]: what is wrong, then what to do about it; exit code 2 unless FAIL_CODE says otherwise.
fail() {
  printf '%s: error: %s\n' "${0##*/}" "$1" >&2
  shift
  local hint
  for hint in "$@"; do printf '  hint: %s\n' "$hint" >&2; done
  exit "${FAIL_CODE:-2}"
}

# need_value WHAT OPTION [VALUE...]: of the arguments from an option on; a usage error where its value is missing.
need_value() { [[ -n ${3:-} ]] || fail "$2 needs $1"; }

# run_logged LOG COMMAND...: the command's output goes to the log; its last lines are shown when it fails.
run_logged() {
  local log=$1 code=0 start_line
  shift
  printf '$ %s\n' "$*" >>"$log"
  start_line=$(wc -l <"$log")
  "$@" >>"$log" 2>&1 </dev/null || code=$?
  ((code == 0)) && return 0
  printf -- '--- %s exited %d; the last lines of %s:\n' "$1" "$code" "$log" >&2
  tail -n "+$start_line" "$log" | tail -n 15 >&2
  printf -- '---\n' >&2
  return "$code"
}
