#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: options may stand before, between and behind operands, as in other programs, and after `--` and
after the command of `cove run` they are words.  Method: the same question in each order."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import world  # noqa: E402

tap = world.Tap()
with tempfile.TemporaryDirectory() as top:
    policy, catalog = os.path.join(top, "p.yaml"), os.path.join(top, "t.yaml")
    for path, text in ((policy, "version: 1\n"),
                       (catalog, "version: 1\ntools: {t: {description: d., command: {argv: [/bin/true]}}}\n")):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)

    def cove(*words):
        return subprocess.run([world.COVE, *words], cwd=top, capture_output=True, text=True, check=False)

    for name, words, status in (("policy check", ["p.yaml"], 0), ("policy check", ["p.yaml", policy], 0),
                                ("policy explain", ["p.yaml"], 3), ("tools lint", ["t.yaml"], 0),
                                ("tools show", ["./t.yaml"], 0), ("tools show", ["github", "./t.yaml"], 0),
                                ("provider show", ["github"], 0)):
        options = [["-o", "json"]]
        if name == "policy explain":
            options += [["--host", "a.test"], ["--port=443"]]
        flat = [w for o in options for w in o]
        orders = [flat + words, words + flat, words[:1] + flat + words[1:],
                  [*options[0], *words, *(w for o in options[1:] for w in o)], flat + ["--"] + words]
        said = [cove(*name.split(), *order) for order in orders]
        tap.ok(all(r.returncode == status and json.loads(r.stdout) and r.stdout == said[0].stdout for r in said),
               f"cove {name} {' '.join(words)}: in any order", said)
    r = cove("policy", "check", "--", "-o", "json")
    tap.ok(r.returncode == 125 and "-o" in r.stderr, "after -- there are operands only", r)
    r = cove("policy", "check", "p.yaml", "--outptu", "json")
    tap.ok(r.returncode == 2 and "--output" in r.stderr, "one behind an operand that is unknown is told", r)
    r = cove("policy", "check", "p.yaml", "-h")
    tap.ok(r.returncode == 0 and "Usage" in r.stdout, "help behind an operand", r)
    for words in (["--", "echo", "-o", "json"], ["echo", "-o", "json"]):
        r = cove("run", "-q", "--workdir", top, *words)
        tap.ok(r.stdout == "-o json\n", "words of the command are the command's", r)
tap.done()
