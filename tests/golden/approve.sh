#!/usr/bin/env bash
# Takes the present outputs as the approved ones: bash tests/golden/approve.sh BUILD_FOLDER
# Runs every test tagged [golden] in BUILD_FOLDER and lists what changed. Read the diff before committing it.
set -euo pipefail
source_folder=$(cd "$(dirname "$0")/../.." && pwd)
build_folder=${1:?"usage: bash tests/golden/approve.sh BUILD_FOLDER"}
found=0
for program in "$build_folder"/tests/test_*; do
  [[ -x $program && ! -d $program ]] || continue
  if "$program" --list-tests "[golden]" | grep -q '^0 '; then continue; fi
  found=1
  POLYGRAFT_SOURCE_DIR=$source_folder POLYGRAFT_APPROVE=1 "$program" "[golden]"
done
[[ $found == 1 ]] || { echo "no test program with golden tests in $build_folder/tests; build it first" >&2; exit 1; }
git -C "$source_folder" --no-pager diff --stat -- tests/golden
