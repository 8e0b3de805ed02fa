#!/usr/bin/env bash
# Node.js 18 or newer and npm, through apt where they are missing and apt can be used.
set -euo pipefail
node_ok() { command -v npm >/dev/null && command -v node >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ]; }
node_ok && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing nodejs and npm ..." >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null
else
  echo "Missing for the profiles: apt-get install nodejs npm (Node.js 18 or newer)" >&2
  exit 1
fi
node_ok || { echo "Node.js 18 or newer is needed; this machine's apt has only $(node --version)" >&2; exit 1; }
