"""Request signatures by Slack's own package: `sign FILE` writes calls for us to verify, `verify FILE` reads ours."""

import json
import sys

from slack_sdk.signature import Clock, SignatureVerifier

NOW = 1_795_460_000


class Fixed(Clock):
    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time


def verifier(secret, now=NOW):
    return SignatureVerifier(secret, Fixed(now))


def signed():
    bodies = {
        "nothing": "",
        "a click": "payload=%7B%22type%22%3A%22block_actions%22%7D",
        "a command": "token=x&command=%2Faccess&text=billing-cli+payments%3Arefund",
        "an event": '{"type":"event_callback","event":{"type":"app_home_opened"}}',
        "many scripts": "text=é عربى 👍 \u202e\n",
        "long": "x" * 100_000,
    }
    for secret in ("8f742231b10e8888abcd99yyyzzz85a5", "a secret with ö"):
        for name, body in bodies.items():
            whole = {
                "name": f"{name}, as it was signed", "secret": secret, "timestamp": str(NOW), "body": body, "now": NOW,
                "signature": verifier(secret).generate_signature(timestamp=str(NOW), body=body), "counts": True,
            }
            yield whole
            for change, changed in {
                "with one more byte": {"body": body + " "},
                "with another secret": {"secret": secret + "x"},
                "with another time": {"timestamp": str(NOW + 1)},
                "with another signature": {"signature": whole["signature"][:-1] + ("0" if whole["signature"][-1] != "0" else "1")},
                "six minutes late": {"now": NOW + 360},
                "six minutes early": {"now": NOW - 360},
            }.items():
                yield {**whole, **changed, "name": f"{name}, {change}", "counts": False}
            yield {**whole, "now": NOW + 299, "name": f"{name}, almost five minutes late"}


def agrees(call):
    """Whether Slack's package takes the call for genuine."""
    return bool(verifier(call["secret"], call["now"]).is_valid(call["body"], call["timestamp"], call["signature"]))


def main(what, path):
    if what == "sign":
        calls = list(signed())
        for call in calls:
            assert agrees(call) == call["counts"], call["name"]
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(call) + "\n" for call in calls)
        return
    with open(path, encoding="utf-8") as lines:
        calls = [json.loads(line) for line in lines]
    failed = sum(not agrees(call) for call in calls)
    failed += sum(agrees({**call, "body": call["body"] + "x"}) for call in calls)
    failed += sum(agrees({**call, "now": call["now"] + 360}) for call in calls)
    assert len(calls) >= 3, "nothing was signed"
    print(f"our signatures, read by slack_sdk: {3 * len(calls) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main(*sys.argv[1:])
