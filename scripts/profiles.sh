#!/usr/bin/env bash
# Compile profiles/fsh into definitions/ and checks.json of the folder $2 with the commands of $1. What is made from the mapping tables is read, not written.
set -euo pipefail
bin=$1 out=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ketafhir
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# SUSHI, by its lock: once per content of the lock.
sushi=$cache/sushi-$(sha256sum profiles/fsh/package-lock.json | cut -c1-16)
if [ ! -d "$sushi" ]; then
  echo "Installing SUSHI ..." >&2
  cp profiles/fsh/package.json profiles/fsh/package-lock.json "$work/"
  (cd "$work" && npm ci --silent --no-audit --no-fund --ignore-scripts)
  mkdir -p "$work/sushi" && mv "$work/node_modules" "$work/sushi/"
  mkdir -p "$cache" && mv "$work/sushi" "$sushi" 2>/dev/null || [ -d "$sushi" ]
fi

# The definitions of R4, from the libraries of the FHIR server.
jar=$("$bin/python" -c 'from ketafhir.hapi.build import jar; print(jar())')
core=$cache/core-$(sha256sum "$jar" profiles/fsh/CorePackage.java | sha256sum | cut -c1-16)
package='.fhir/packages/hl7.fhir.r4.core#4.0.1/package'
if [ ! -d "$core" ]; then
  echo "Reading the definitions of R4 ..." >&2
  java -Dorg.slf4j.simpleLogger.defaultLogLevel=off -Dlogback.statusListenerClass=ch.qos.logback.core.status.NopStatusListener \
    -cp "$(dirname "$jar")/lib/*" profiles/fsh/CorePackage.java "$work/core/$package" >"$work/core.log" 2>&1 ||
    { tail -5 "$work/core.log" >&2; exit 1; }
  mv "$work/core" "$core" 2>/dev/null || [ -d "$core" ]
fi

cp -r profiles/fsh "$work/fsh"
"$bin/ketafhir" profiles terminology --out "$work/fsh/input/resources" >&2
HOME=$core SUSHI_UPDATE_NOTIFIER=0 node "$sushi/node_modules/fsh-sushi/dist/app.js" build --snapshot "$work/fsh" >"$work/sushi.log" 2>&1 || true
# Its exit code is the number of its errors, of which packages it could not fetch are none.
if ! grep -qE '[^0-9]0 Errors' "$work/sushi.log"; then
  grep -E -A2 '^error' "$work/sushi.log" >&2 || tail -5 "$work/sushi.log" >&2
  exit 1
fi
rm -rf "$out/definitions" && mkdir -p "$out/definitions"
cp "$work"/fsh/fsh-generated/resources/*.json "$out/definitions/"
"$bin/ketafhir" profiles checks --core "$core/$package" --definitions "$out/definitions" --out "$out/checks.json" --codes "$out/codes.csv" >&2
