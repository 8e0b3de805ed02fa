#!/usr/bin/env bash
# Java 17 or newer and Maven, through apt where they are missing and apt can be used.
set -euo pipefail
java_ok() {
  command -v javac >/dev/null && command -v java >/dev/null &&
    [ "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)" -ge 17 ]
}
missing=()
java_ok || missing+=(default-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing ${missing[*]} ..." >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
else
  echo "Missing for the FHIR server: apt-get install ${missing[*]} (Java 17 or newer)" >&2
  exit 1
fi
java_ok || { echo "Java 17 or newer is needed; this machine's apt has only $(java -version 2>&1 | head -1)" >&2; exit 1; }
