"""What the models of Slack's package for Python say about each line of a file: {"name", "value"} in, {"name", "problems"} out.

The comparison of what comes back with what went in finds properties that do not exist.
"""

import json
import sys

from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View


def lost(before, after, at=""):
    """Where the two differ, in a few words."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                return lost(before.get(key), after.get(key), f"{at}.{key}")
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after)):
            if one != other:
                return lost(one, other, f"{at}[{n}]")
    return f"{at or 'all'} came back changed"


def problems(value):
    found = []
    for raw, block in zip(value["blocks"], Block.parse_all(value["blocks"])):
        kind = raw.get("type")
        if block is None or type(block) is Block:
            found.append(f"unknown block {kind}")
            continue
        try:
            block.validate_json()
            if block.to_dict() != raw:
                found.append(f"{kind}: {lost(raw, block.to_dict())}")
        except Exception as error:
            found.append(f"{kind}: {error}")
    if value.get("type") in ("modal", "home"):
        try:
            View(**value).validate_json()
        except Exception as error:
            found.append(f"view: {error}")
    return found


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            try:
                found = problems(case["value"])
            except Exception as error:  # parsing may refuse as well
                found = [f"{type(error).__name__}: {error}"]
            print(json.dumps({"name": case["name"], "problems": found}))
