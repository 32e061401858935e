#!/usr/bin/env python3
"""What the oracles said, summed up: nothing of ours may be wrong, and every planted fault has to be noticed.

    judge.py FOLDER        with cases.ndjson, mutants.ndjson and says_ORACLE.ndjson for each oracle
"""

import json
import sys
from pathlib import Path

# In the order of the table. Ours has spoken already: the binary that draws everything fails by itself.
ORACLES = ["lint", "slackblocks", "slack_sdk", "tsc"]
SHOWN = 10


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def verdicts(folder, oracle, cases, mutants):
    """name → problems; every case has to be there."""
    if oracle == "lint":
        said = {case["name"]: case["lint"] for case in [*cases, *mutants]}
    else:
        said = {line["name"]: line["problems"] for line in lines(folder / f"says_{oracle}.ndjson")}
    missing = [case["name"] for case in [*cases, *mutants] if case["name"] not in said]
    if missing:
        sys.exit(f"{oracle} says nothing about {len(missing)} cases, such as {missing[0]!r}")
    return said


def table(mutants, says):
    """A row for each planted fault: x where it is noticed, MISSED where it is not and has to be."""
    failed = 0
    print(f"{'planted fault':52}", *(f"{oracle:12}" for oracle in ORACLES))
    for mutant in mutants:
        cells = []
        for oracle in ORACLES:
            noticed, has_to = bool(says[oracle][mutant["name"]]), oracle in mutant["noticed_by"]
            failed += has_to and not noticed
            cells.append("x" if noticed else "MISSED" if has_to else "")
        print(f"{mutant['name']:52}", *(f"{cell:12}" for cell in cells))
    total = [sum(bool(says[oracle][mutant["name"]]) for mutant in mutants) for oracle in ORACLES]
    print(f"{'in all, of ' + str(len(mutants)):52}", *(f"{count:<12}" for count in total))
    return failed


def main(folder):
    cases, mutants = lines(folder / "cases.ndjson"), lines(folder / "mutants.ndjson")
    assert len(cases) >= 500 and len(mutants) >= 40, "too little was drawn"
    says = {oracle: verdicts(folder, oracle, cases, mutants) for oracle in ORACLES}
    passed = failed = 0
    for oracle in ORACLES:
        bad = [case["name"] for case in cases if says[oracle][case["name"]]]
        for name in bad[:SHOWN]:
            print(f"FAILED  {oracle}: {name}: {says[oracle][name][0]}")
        if len(bad) > SHOWN:
            print(f"        and {len(bad) - SHOWN} more")
        print(f"{oracle}: {len(cases) - len(bad)} messages and views passed, {len(bad)} failed")
        passed, failed = passed + len(cases) - len(bad), failed + len(bad)
    print()
    missed = table(mutants, says)
    expected = sum(len(mutant["noticed_by"]) for mutant in mutants)
    print(f"\nplanted faults noticed as they have to be: {expected - missed} of {expected}")
    print(f"form of messages: {passed + expected - missed} passed, {failed + missed} failed")
    return 1 if failed or missed else 0


sys.exit(main(Path(sys.argv[1])))
