#!/usr/bin/env bash
# PostgreSQL for the tests of the store, through apt where it is missing and apt can be used. Without it they are skipped.
set -euo pipefail
found() { compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || command -v initdb >/dev/null; }
found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing postgresql ..." >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null || true
fi
found || echo "Missing for the tests of the store on PostgreSQL, which are skipped: apt-get install postgresql" >&2
