#!/usr/bin/env bash
# examples/fetch_text.sh: real parallel text in many languages, out of Debian's LibreOffice help packages (MPL-2.0).
# Packages are downloaded and unpacked below the work folder; nothing is installed, and no special rights are needed.
# Deterministic; safe to kill and to run again: what is done is skipped, and a file with its final name is complete.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cmake/script_output.sh
source "$here/../cmake/script_output.sh"

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

has_candidate() {
  local config=(env)
  [[ -e $work/apt/apt.conf ]] && config+=(APT_CONFIG="$work/apt/apt.conf")
  [[ $("${config[@]}" LC_ALL=C apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]
}

# apt's own package lists may be empty (a fresh container) and only root may fill them: then a private copy serves.
make_private_lists() {
  [[ -e $work/apt/apt.conf ]] && return 0
  say "apt's package lists are empty; fetching a private copy into $work/apt"
  mkdir -p "$work/apt/state/lists/partial" "$work/apt/cache/archives/partial"
  printf 'Dir::State "%s/apt/state";\nDir::Cache "%s/apt/cache";\nDir::State::status "/var/lib/dpkg/status";\n' \
    "$work" "$work" >"$work/apt/apt.conf.partial"
  run_logged "$log" env APT_CONFIG="$work/apt/apt.conf.partial" apt-get -q update ||
    fail "apt-get could not fetch the package lists" "is there a network, and Debian's main archive in /etc/apt?" "${own_text[@]}"
  mv "$work/apt/apt.conf.partial" "$work/apt/apt.conf"
}

# download CODE: the language's package, unpacked into $work/unpacked/CODE.
download() {
  local code=$1 package unpacked=$work/unpacked/$1 config=()
  package=$(package_of "$code")
  [[ -d $unpacked ]] && return 0
  has_candidate "$package" || make_private_lists
  has_candidate "$package" || fail "apt knows no package $package (language '$code')" \
    "apt-cache search libreoffice-help lists the languages there are" "${own_text[@]}"
  [[ -e $work/apt/apt.conf ]] && config=(APT_CONFIG="$work/apt/apt.conf")
  say "downloading $package"
  rm -rf "$work/download" && mkdir -p "$work/download/tree" "$work/unpacked"
  # shellcheck disable=SC2016  # $1... belong to the inner shell
  run_logged "$log" env "${config[@]}" bash -c 'cd "$1" && apt-get -q download "$2" && dpkg-deb -x ./*.deb tree' \
    _ "$work/download" "$package" ||
    fail "apt-get could not download the package $package" "is there a network?" "${own_text[@]}"
  rm -rf "$work/download/tree/usr/share/libreoffice/help/media" "$unpacked"
  mv "$work/download/tree" "$unpacked"
  rm -rf "$work/download"
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
    --old) read -r -a old <<<"${2:?--old needs language codes}" && shift ;;
    --new) new=${2:?--new needs a language code} && shift ;;
    --work) work=${2:?--work needs a folder} && shift ;;
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
