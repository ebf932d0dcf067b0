#!/usr/bin/env bash
# tests/fuzz/run_fuzz.sh PROGRAM PYTHON WORK SECONDS: fuzzes from fresh seeds; a finding stays in WORK, and fails.
set -euo pipefail
program=$1 python=$2 work=$3 seconds=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rm -rf "$work"
mkdir -p "$work/seeds" "$work/corpus" "$work/findings"
"$python" "$here/make_seeds.py" "$work/seeds"
words=()
case $program in
  *_json) rm "$work"/seeds/*.model && words=(-dict="$here/json.dict") ;;
  *_model) rm "$work"/seeds/*.json ;;
esac
# The program's own warnings would drown libFuzzer's lines: its stderr is closed, libFuzzer keeps one of its own.
"$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=300000 -close_fd_mask=2 \
  "${words[@]}" -artifact_prefix="$work/findings/" -print_final_stats=1 "$work/corpus" "$work/seeds" 2>&1 |
  grep -v 'Uses:' | tail -n 40
