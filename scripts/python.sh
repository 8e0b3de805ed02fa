#!/usr/bin/env bash
# Make the virtual environment $2 with the interpreter $1; where Debian split venv off, install it.
set -euo pipefail
python=$1 venv=$2
if ! command -v "$python" >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv >/dev/null
  else
    echo "Python 3.11 or newer is missing: install python3 and python3-venv" >&2; exit 1
  fi
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "Python 3.11 or newer is needed, $python is $("$python" --version): name another with make PYTHON=..." >&2; exit 1; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
  else
    echo "The venv module is missing: apt-get install python3-venv" >&2; exit 1
  fi
}
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
