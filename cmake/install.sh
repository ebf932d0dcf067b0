#!/usr/bin/env bash
# cmake/install.sh: installs what building and testing need on Debian 12. What is there already is left alone, so that a
# second run takes about a second. Debian packages come from cmake/packages.txt, Python wheels from cmake/requirements*.txt
# (into a virtual environment outside the checkout). Needs root, or sudo without a password, only while packages are missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cmake/script_output.sh
source "$here/script_output.sh"

usage() {
  cat <<USAGE
usage: bash cmake/install.sh [--cuda] [--parity] [--wheels NAME FILE] [--venv DIR]
  --cuda       also what the preset 'cuda' needs: torch's CUDA wheels (about 3 GB more); not the CUDA toolkit
  --parity     also the reference implementations of the live parity tests: transformers, lm-eval, ... (about 3 GB more)
  --wheels NAME FILE  also the wheels that FILE lists, without their dependencies (an example's own needs)
  --venv DIR   the Python virtual environment (default: \${XDG_CACHE_HOME:-~/.cache}/polygraft/venv)
USAGE
}

# The entries of a package list: comments and empty lines left out.
entries() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$@"; }

# Names out of the given list that dpkg does not hold as installed.
missing_packages() {
  local name
  for name in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || printf '%s\n' "$name"
  done
}

as_root() {
  # A plain user's PATH lacks the sbin folders, without which dpkg refuses to start.
  local path=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  if [[ $(id -u) == 0 ]]; then
    env PATH="$path" DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo -n env PATH="$path" DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

install_debian_packages() {
  command -v dpkg-query >/dev/null || fail "this system has no dpkg: the script knows Debian 12 only" \
    "install the counterparts of these yourself, then build with CMake: $(entries "$@" | xargs)"
  local wanted missing unavailable
  mapfile -t wanted < <(entries "$@")
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  ((${#missing[@]} == 0)) && return 0
  if [[ $(id -u) != 0 ]] && ! sudo -n true 2>/dev/null; then
    fail "${#missing[@]} Debian packages are missing, and this user is neither root nor may use sudo without a password" \
      "have this run once, then start again: apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  run_logged "$log" as_root apt-get -q -o DPkg::Lock::Timeout=300 update ||
    say "apt-get update failed (no network?); trying with the package lists at hand"
  mapfile -t unavailable < <(unavailable_packages "${missing[@]}")
  ((${#unavailable[@]} == 0)) || fail "apt knows no package named: ${unavailable[*]}" \
    "is this Debian 12, with its main archive in /etc/apt and a network? The names are in cmake/packages.txt"
  run_logged "$log" as_root apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" ||
    fail "apt-get could not install: $(missing_packages "${missing[@]}" | xargs)" "the whole log is $log"
}

unavailable_packages() {
  local name
  for name in "$@"; do
    [[ $(LC_ALL=C apt-cache policy "$name" 2>/dev/null) =~ Candidate:\ [^\(] ]] || printf '%s\n' "$name"
  done
}

# A killed `python3 -m venv` leaves a folder without a working pip; such a one is made again.
make_venv() {
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return 0
  if [[ -e $venv && ! -e $venv/pyvenv.cfg && -n $(ls -A "$venv" 2>/dev/null) ]]; then
    fail "'$venv' exists and is not a Python virtual environment" "name another folder by --venv"
  fi
  say "making the Python environment $venv"
  run_logged "$log" /usr/bin/python3 -m venv --clear "$venv" ||
    fail "/usr/bin/python3 cannot make the virtual environment '$venv'" "is the Debian package python3-venv installed?"
}

# install_wheels SET REQUIREMENTS [PIP OPTION...]: skipped when the stamp says that exactly these are installed.
install_wheels() {
  local set=$1 file=$2 wheel stamp wanted
  shift 2
  stamp=$venv/polygraft-$set.stamp
  wanted=$("$venv/bin/python" --version && entries "$file")
  [[ -e $stamp && $(<"$stamp") == "$wanted" ]] && return 0
  rm -f "$stamp"
  for wheel in $(entries "$file"); do
    say "Python package $wheel"
    run_logged "$log" "$venv/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off \
      --constraint "$here/requirements.txt" "$@" "$wheel" ||
      fail "pip could not install the Python package $wheel" \
        "without a network: download it elsewhere (pip download $wheel), then set PIP_FIND_LINKS to its folder" \
        "the whole log is $log"
  done
  printf '%s\n' "$wanted" >"$stamp"
}

venv=
with_cuda=false
with_parity=false
extra_name=
extra_file=
while (($# > 0)); do
  case $1 in
    --cuda) with_cuda=true ;;
    --parity) with_parity=true ;;
    --wheels)
      [[ -n ${3:-} ]] || fail "--wheels needs a name and a file"
      extra_name=$2
      extra_file=$3
      shift 2
      ;;
    --venv) need_value "a folder" "$@" && venv=$2 && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument '$1'" ;;
  esac
  shift
done
venv=${venv:-$(polygraft_cache_dir)/venv}
mkdir -p "$(dirname "$venv")" || fail "cannot make the folder '$(dirname "$venv")'" "name another by --venv"
log=$(dirname "$venv")/install.log
: >>"$log" || fail "cannot write '$log'" "name a writable folder by --venv"

# Two runs at once (a quickstart beside the tests) must not install over each other.
exec 9>"$venv.lock"
flock -n 9 || { say "waiting for another install to end" && flock 9; }

install_debian_packages "$here/packages.txt"
make_venv
install_wheels base "$here/requirements.txt" --no-deps
if $with_cuda; then install_wheels cuda "$here/requirements-cuda.txt"; fi
if $with_parity; then install_wheels parity "$here/requirements-parity.txt"; fi
if [[ -n $extra_name ]]; then install_wheels "$extra_name" "$extra_file" --no-deps; fi
say "everything is installed; the Python environment is $venv"
