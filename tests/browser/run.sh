#!/usr/bin/env bash
# The demo in a headless browser, and every surface as it draws them. Needs Node, Chromium, a built countersign
# (COUNTERSIGN, default: the debug build), and what tests/forms/run.sh has drawn (FORMS_DIR, default: target/forms).
set -euo pipefail
cd "$(dirname "$0")"
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules ]; then
  npm ci --silent --no-audit --no-fund
  touch node_modules
fi
node --test demo.mjs surfaces.mjs
