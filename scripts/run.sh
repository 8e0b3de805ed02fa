#!/usr/bin/env bash
# The FHIR server and the service on examples/ketafhir.toml, with the commands of $1, until Ctrl-C.
set -euo pipefail
bin=$1
state=${KETAFHIR_HOME:-.ketafhir}
mkdir -p "$state"
"$bin/ketafhir" fhir-server start --port 8090 --data-dir "$state/fhir-data"
stop() {
  trap - EXIT INT TERM
  [ -z "${service:-}" ] || { kill "$service" 2>/dev/null && wait "$service"; } || true
  "$bin/ketafhir" fhir-server stop --port 8090
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$bin/ketafhir" serve --config examples/ketafhir.toml --store "$state/messages.sqlite" &
service=$!
wait "$service"
