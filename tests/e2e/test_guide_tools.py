#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/guides/give-a-tool.md as it is written: its files are made, its commands run in order."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/guides/give-a-tool.md")
WANT = ["", "deployed web with a key of 16 bytes: ****************", "page:", '{"count": 2}', '"output"', "1+2+3"]
tap = world.Tap()
w = world.World(["api.test"])
ENV = {**os.environ, "PATH": os.path.dirname(world.COVE) + ":/usr/bin:/bin"}
with open(GUIDE, encoding="utf-8") as f:
    blocks = re.findall(r"```(\w+)\n(.*?)```", f.read(), re.S)
scripts = []
for kind, text in blocks:
    if kind == "sh":
        scripts.append(text)
    else:
        name = re.match(r"# (\S+)\n", text)[1]
        with open(os.path.join(w.work, name), "w", encoding="utf-8") as f:
            f.write(text)
tap.ok(len(scripts) == len(WANT), "an example each", scripts)
for script, want in zip(scripts, WANT):
    r = subprocess.run(["/bin/bash", "-ec", script], cwd=w.work, env=ENV, capture_output=True, text=True,
                       check=False, timeout=60)
    tap.ok(r.returncode == 0 and want in r.stdout and "error" not in r.stdout,
           script.strip().splitlines()[-1], r.stdout + r.stderr)
tap.done()
