#!/bin/sh
# The oidc-provider scenarios against a running Countersign; README.md lists the environment.
#   run.sh            the shim's own tests, then the scenarios
#   run.sh shim       the shim's own tests only: they need no Countersign
#   run.sh scenarios  the scenarios only
#   run.sh step_up    an approver signs in again at oidc-provider
set -eu
cd "$(dirname "$0")"

case "${1-}" in
  '') what='shim.mjs scenarios.mjs' ;;
  shim | scenarios | step_up) what="$1.mjs" ;;
  *) echo "usage: $0 [shim | scenarios | step_up]" >&2; exit 2 ;;
esac
case "$what" in *scenarios*)
  for name in COUNTERSIGN_URL PEP_TOKEN PLAYGROUND_URL; do
    eval "value=\${$name-}"
    [ -n "$value" ] || { echo "$0: $name is not set; see README.md" >&2; exit 2; }
  done ;;
esac

# Installed packages are kept until the lock file changes.
lock=$(cksum package-lock.json .npmrc)
if [ "$(cat node_modules/.installed 2>/dev/null)" != "$lock" ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  printf '%s\n' "$lock" > node_modules/.installed
fi

# One file after the other: they share nothing, but a slow machine should not fail a time-out of the first.
exec node --test --test-concurrency=1 --test-timeout=240000 $what
