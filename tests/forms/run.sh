#!/usr/bin/env bash
# The form of messages: draws everything that is ever shown in Slack, and asks four oracles about it: our own rules, the
# crate slackblocks, the models of slack_sdk (Python) and the types of @slack/types and @slack/web-api (TypeScript). They
# see planted faults as well. Then the manifests of the app, and request signatures against slack_sdk.
#
# Needs Rust, Node.js and Python 3 with venv; everything else is fetched by its lock file into target/ and node_modules/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
export FORMS_DIR=$target/forms
venv=$target/forms-venv
mkdir -p "$FORMS_DIR"
rm -f "$FORMS_DIR"/*.ndjson

# up_to_date STAMP SOURCE: whether what STAMP stands for was made from SOURCE as it is.
up_to_date() { [ -f "$1" ] && cmp --silent "$1" "$2"; }

if ! up_to_date "$venv/made-from" "$here/requirements.txt"; then
  rm -rf "$venv"
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/made-from"
fi
if ! up_to_date "$here/typescript/node_modules/.made-from" "$here/typescript/package-lock.json"; then
  (cd "$here/typescript" && npm ci --silent --no-audit --no-fund)
  cp "$here/typescript/package-lock.json" "$here/typescript/node_modules/.made-from"
fi
CARGO_TARGET_DIR=$target/forms-slackblocks cargo build --locked --quiet --manifest-path "$here/slackblocks/Cargo.toml"

"$venv/bin/python" "$here/signatures.py" sign "$FORMS_DIR/signed_by_slack_sdk.ndjson"
# Its verdict is awaited: where our own rules are broken, what the others say is worth reading too.
ours=0
# The gate draws the same moments each time; PROPTEST_RNG_SEED (a number) draws others, as the nightly run does.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-7}
(cd "$root" && cargo test --locked --test forms -- --include-ignored) || ours=$?
[ -f "$FORMS_DIR/cases.ndjson" ] && [ -f "$FORMS_DIR/mutants.ndjson" ] || exit 1

cases=("$FORMS_DIR/cases.ndjson" "$FORMS_DIR/mutants.ndjson")
"$target/forms-slackblocks/debug/forms-slackblocks" "${cases[@]}" > "$FORMS_DIR/says_slackblocks.ndjson"
"$venv/bin/python" "$here/slack_sdk_says.py" "${cases[@]}" > "$FORMS_DIR/says_slack_sdk.ndjson"
node "$here/typescript/messages.mjs" "${cases[@]}" > "$FORMS_DIR/says_tsc.ndjson"

theirs=0
"$venv/bin/python" "$here/judge.py" "$FORMS_DIR" || theirs=$?
"$venv/bin/python" "$here/signatures.py" verify "$FORMS_DIR/signed_by_us.ndjson" || theirs=$?
node "$here/typescript/manifest.mjs" || theirs=$?
exit $((ours ? ours : theirs))
