# shellcheck shell=bash
# examples/unpack_package.sh: a Debian package's files without installing it, and without special rights.
# Sourced, never run; cmake/script_output.sh is sourced before it.
# shellcheck disable=SC2154  # $work and $log are set by the script that sources this

has_candidate() {
  local config=(env)
  [[ -e $work/apt/apt.conf ]] && config+=(APT_CONFIG="$work/apt/apt.conf")
  [[ $("${config[@]}" LC_ALL=C apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]
}

# make_private_lists PACKAGE [HINT...]: apt's own package lists may be empty (a fresh container) or old, and only root may fill
# them: then a private copy serves.
make_private_lists() {
  local package=$1
  shift
  [[ -e $work/apt/apt.conf ]] && return 0
  say "apt's package lists have no $package; fetching a private copy of them into $work/apt"
  mkdir -p "$work/apt/state/lists/partial" "$work/apt/cache/archives/partial"
  printf 'Dir::State "%s/apt/state";\nDir::Cache "%s/apt/cache";\nDir::State::status "/var/lib/dpkg/status";\n' \
    "$work" "$work" >"$work/apt/apt.conf.partial"
  run_logged "$log" env APT_CONFIG="$work/apt/apt.conf.partial" apt-get -q update ||
    fail "apt-get could not fetch the package lists" "is there a network, and Debian's main archive in /etc/apt?" "$@"
  mv "$work/apt/apt.conf.partial" "$work/apt/apt.conf"
}

# unpack_package PACKAGE FOLDER [HINT...]: downloads and unpacks it; FOLDER appears whole or not at all.
unpack_package() {
  local package=$1 folder=$2 config=()
  shift 2
  has_candidate "$package" || make_private_lists "$package" "$@"
  has_candidate "$package" || fail "apt knows no package $package" "$@"
  [[ -e $work/apt/apt.conf ]] && config=(APT_CONFIG="$work/apt/apt.conf")
  say "downloading $package"
  rm -rf "$work/download" "$folder" && mkdir -p "$work/download/tree" "$(dirname "$folder")"
  # shellcheck disable=SC2016  # $1... belong to the inner shell
  run_logged "$log" env "${config[@]}" bash -c 'cd "$1" && apt-get -q download "$2" && dpkg-deb -x ./*.deb tree' \
    _ "$work/download" "$package" ||
    fail "apt-get could not download the package $package" "is there a network?" "$@"
  mv "$work/download/tree" "$folder"
  rm -rf "$work/download"
}
