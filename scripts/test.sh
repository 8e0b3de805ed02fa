#!/usr/bin/env bash
# The fast tests, and beside them those that are slow or need the real server: each needs about one core.
# What the second part says is shown when the first has ended.
set -uo pipefail
bin=$1
log=$(mktemp)
trap 'kill "$slow" 2>/dev/null; rm -f "$log"' EXIT
"$bin"/python -m pytest -m "not all and not reliability and (slow or hapi)" >"$log" 2>&1 &
slow=$!
"$bin"/python -m pytest -m "not all and not reliability and not slow and not hapi"
fast_code=$?
wait "$slow"
slow_code=$?
cat "$log"
exit $((fast_code != 0 ? fast_code : slow_code))
