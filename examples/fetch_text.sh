#!/usr/bin/env bash
# examples/fetch_text.sh: real parallel text in many languages, out of Debian's LibreOffice help packages (MPL-2.0).
# Packages are downloaded and unpacked below the work folder; nothing is installed, and no special rights are needed.
# Deterministic; safe to kill and to run again: what is done is skipped, and a file with its final name is complete.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cmake/script_output.sh
source "$here/../cmake/script_output.sh"
# shellcheck source=examples/unpack_package.sh
source "$here/unpack_package.sh"

usage() {
  cat <<USAGE
usage: bash examples/fetch_text.sh [--old "CODE..."] [--new CODE] [--work DIR]
  --old "CODE..."  the languages the base model knows (default: "$default_old")
  --new CODE       the language to add: id, pt-BR, ca, pl, tr, hu, ... (default: id)
  --work DIR       where everything goes (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/quickstart)
Writes DIR/data/CODE.train.jsonl, DIR/data/CODE.heldout.jsonl (7 % of the pages, the same ones in every language)
and DIR/corpus.yaml, which lists them.
USAGE
}

# The package's name for a language: en is en-us, pt-BR is pt-br.
package_of() {
  local code=${1,,}
  [[ $code == en ]] && code=en-us
  printf 'libreoffice-help-%s\n' "$code"
}

# download CODE: the language's package, unpacked into $work/unpacked/CODE.
download() {
  local unpacked=$work/unpacked/$1
  [[ -d $unpacked ]] && return 0
  unpack_package "$(package_of "$1")" "$unpacked" "apt-cache search libreoffice-help lists the languages there are" \
    "${own_text[@]}"
  rm -rf "$unpacked/usr/share/libreoffice/help/media"
}

# Texts that exist already are not made again; the stamp holds the extraction script's hash.
extract() {
  local code wanted=()
  for code in "$@"; do
    [[ -e $work/data/$code.stamp && $(<"$work/data/$code.stamp") == "$script_hash" ]] || wanted+=("$code")
  done
  ((${#wanted[@]} == 0)) && return 0
  download en
  for code in "${wanted[@]}"; do download "$code"; done
  FAIL_CODE=1
  python3 "$here/extract_help.py" --unpacked "$work/unpacked" --out "$work/data" "${wanted[@]}" ||
    fail "the help pages could not be read" "remove $work/unpacked and run this again" "${own_text[@]}"
  for code in "${wanted[@]}"; do printf '%s\n' "$script_hash" >"$work/data/$code.stamp"; done
}

write_corpus() {
  local code
  {
    printf '# LibreOffice help texts; made by examples/fetch_text.sh.\nlanguages:\n'
    for code in "${old[@]}"; do corpus_line "$code" old; done
    corpus_line "$new" new
  } >"$work/corpus.yaml.partial"
  mv "$work/corpus.yaml.partial" "$work/corpus.yaml"
}

corpus_line() {
  printf '  %s: {role: %s, train: [data/%s.train.jsonl], heldout: [data/%s.heldout.jsonl]}\n' "$1" "$2" "$1" "$1"
}

default_old="en de es it fr cs"
read -r -a old <<<"$default_old"
new=id
work=
while (($# > 0)); do
  case $1 in
    --old) need_value "language codes" "$@" && read -r -a old <<<"$2" && shift ;;
    --new) need_value "a language code" "$@" && new=$2 && shift ;;
    --work) need_value "a folder" "$@" && work=$2 && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument '$1'" ;;
  esac
  shift
done
[[ " ${old[*]} " != *" $new "* ]] || fail "'$new' is given as an old language and as the new one"
work=${work:-$(polygraft_cache_dir)/quickstart}
mkdir -p "$work" || fail "cannot make the work folder '$work'" "name another by --work"
work=$(cd "$work" && pwd)
log=$work/fetch_text.log
script_hash=$(sha256sum <"$here/extract_help.py")
# Two at once (a quickstart beside the tests) must not unpack over each other.
exec 9>"$work/fetch_text.lock"
flock 9
own_text=("to go on with your own text, write a corpus.yaml (README.md, 'Your own model and text') and run: polygraft run")

extract "${old[@]}" "$new"
write_corpus
say "texts of ${old[*]} (old) and $new (new) are listed in $work/corpus.yaml"
