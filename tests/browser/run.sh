#!/usr/bin/env bash
# The demo in a headless browser. Needs Node, Chromium and a built countersign (COUNTERSIGN, default: the debug build).
set -euo pipefail
cd "$(dirname "$0")"
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules ]; then
  npm ci --silent --no-audit --no-fund
  touch node_modules
fi
node --test demo.mjs
