#!/usr/bin/env bash
# Make the environment: find what the system lacks, install it where we are root, else name it in one sentence.
# Must never start a service, and never touch anything outside the environment's folder unless it is root.
# Usage: provisioning/needs.sh VENV_DIR     (run from the top of the tree; `make venv` does)
set -euo pipefail

venv="${1:?usage: provisioning/needs.sh VENV_DIR}"

# install_or_say WHY PACKAGE... : apt-get where we may, else the exact command and exit 1.
install_or_say() {
  local why="$1"
  shift
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "$why: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return 0
    if apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "$@" >/dev/null; then
      return 0
    fi
    echo "$why, and installing $* failed: see the lines above." >&2
    return 1
  fi
  echo "$why: run  sudo apt-get install $*  (or your system's packages of the same purpose), then make again." >&2
  return 1
}

# The first interpreter that is new enough.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

command -v git >/dev/null || install_or_say "git is missing" git || true # only wanted for working on the code
python="$(find_python)" || {
  install_or_say "Python 3.11 or newer is missing" python3 python3-venv
  python="$(find_python)" || {
    echo "This system's python3 is older than 3.11: install a newer one and run  make venv PYTHON=/path/to/python3" >&2
    exit 1
  }
}
"$python" -c 'import ensurepip, venv' 2>/dev/null \
  || install_or_say "python3-venv is missing" python3-venv "$("$python" -c \
    'import sys; print("python3.%d-venv" % sys.version_info[1])')"

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
  echo "Making $venv with $python ($("$python" -V 2>&1)) ..."
  "$python" -m venv --clear "$venv"
fi
# pip, with what it is doing on one line of a terminal; everything it says goes into the log.
pip() {
  local log="$1"
  shift
  "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@" 2>&1 | tee "$log" \
    | sed -u -n -E 's/^ *(Collecting|Building|Installing) ?([^ (]{0,40}).*/\1 \2/p' \
    | if [ -t 1 ]; then awk '{printf "\r  %-60s", $0; fflush()} END {printf "\r%-62s\r", ""}'; else cat >/dev/null; fi
}

echo "Installing Tallygate and its tools into $venv (about a minute the first time) ..."
log="$venv/install.log"
pip "$log" -e '.[dev]' || {
  grep -E '^ *(ERROR|error)' "$log" | grep -v Ignored | tail -3 >&2
  echo "pip could not install the packages (all of it: $log); check the network and the free space, then make again." >&2
  exit 1
}

# zbar-py has no wheels: it is built here. A board without it decodes with zxing-cpp alone.
if ! "$venv/bin/python" -c 'import zbar' 2>/dev/null; then
  command -v gcc >/dev/null || install_or_say "gcc is missing (builds zbar-py)" gcc libc6-dev || true
  header="$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h"
  [ -e "$header" ] || install_or_say "python3-dev is missing (builds zbar-py)" python3-dev || true
  log="$venv/zbar-build.log"
  if ! pip "$log" -e '.[zbar]'; then
    echo "zbar-py could not be built (see $log; it needs gcc and python3-dev): boards here decode with zxing only."
  fi
fi
echo "Ready: $venv/bin/tallygate --help"
