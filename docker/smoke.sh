#!/usr/bin/env bash
# Starts a server as its image would, and fails unless a variant is really edited: docker/smoke.py.
#
#   docker/smoke.sh [COMMAND...]     by default: lethe serve embedded --enforce-eager --port 8000
#
# COMMAND has to serve the embedded model, by that name or as SMOKE_MODEL, at SMOKE_URL (default
# http://127.0.0.1:8000), to the key SMOKE_API_KEY where it wants one. SMOKE_PROFILE is a profile
# that does not know the capital of France; without it one is fitted, in 10 seconds. Needs bash, and
# `lethe` and `python3` on PATH:
#
#   docker run --rm --shm-size 1g --volume ./docker:/docker:ro --entrypoint /docker/smoke.sh IMAGE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ $# -gt 0 ] || set -- lethe serve embedded --enforce-eager --port 8000
url=${SMOKE_URL:-http://127.0.0.1:8000}
model=${SMOKE_MODEL:-smollm2}
work=$(mktemp -d)
server=

finish() {
  if [ -n "$server" ] && kill -TERM "$server" 2> /dev/null; then
    timeout "${SMOKE_STOP_SECONDS:-60}" tail --pid="$server" --follow /dev/null ||
      kill -KILL -- "-$server"
    wait "$server" || true # it was told to end
  fi
  rm -rf "$work"
}
trap finish EXIT

profile=${SMOKE_PROFILE:-$work/france.safetensors}
[ -n "${SMOKE_PROFILE:-}" ] || lethe fit rocr --subject France --out "$profile"

set -m # a process group of its own, which can be ended as a whole
"$@" > "$work/server.log" 2>&1 &
server=$!
set +m

if ! python3 "$here/smoke.py" "$url" "$model" "$profile" "$server" "${SMOKE_START_SECONDS:-300}"; then
  echo "smoke: the last of what '$*' said:" >&2
  tail -n 40 "$work/server.log" >&2
  exit 1
fi
