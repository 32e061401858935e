#!/bin/sh
# Installs the packages of the Node baselines, once, and compiles better-sqlite3 against the installed Node.
set -eu
cd "$(dirname "$0")"
lock=$(cksum package-lock.json .npmrc; node -p process.version)
[ "$(cat node_modules/.installed 2>/dev/null)" != "$lock" ] || exit 0
npm ci --ignore-scripts --loglevel=error >&2
# Node's headers stand beside it where Node was installed whole; without them node-gyp fetches them.
prefix=$(node -p 'require("path").resolve(process.execPath, "../..")')
[ ! -f "$prefix/include/node/node.h" ] || export npm_config_nodedir="$prefix"
npm_config_build_from_source=true npm rebuild better-sqlite3 --loglevel=error >&2
node -e 'new (require("better-sqlite3"))(":memory:")'
printf '%s\n' "$lock" > node_modules/.installed
