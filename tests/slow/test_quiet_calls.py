#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of 30, 60 and 180 seconds in which no byte is said by the tool: over MCP, as one plain request,
as a job.  All at the same time, in one real sandbox, with the clients that people use.

Goal: what docs/concepts/host-tools.md says of each is what happens.  Method: a tool that sleeps."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import mcplab  # noqa: E402
import world  # noqa: E402

SECONDS = [int(s) for s in sys.argv[1:]] or [30, 60, 180]
SHELL = """\
A="Authorization: Bearer $COVE_TOOLS_TOKEN"; J='Content-Type: application/json'; U=$COVE_TOOLS_URL
out() { printf "%s %s\\n" "$1" "$(printf %s "$2" | tr "\\n" " ")"; }
plain() { out plain=$1 "$(curl -sS -H "$A" -H "$J" $U/v1/tools/slow -d "{\\"seconds\\":$1}" -w ' %{http_code} %{time_total}')"; }
job() {
	id=$(curl -sS -H "$A" -H "$J" -H 'Prefer: respond-async' $U/v1/tools/slow -d "{\\"seconds\\":$1}" |
		sed 's/.*"id":"\\([0-9a-f]*\\)".*/\\1/')
	out job=$1 "$(curl -sS -H "$A" "$U/v1/jobs/$id?wait=300" -w ' %{http_code} %{time_total}')"
}
"""
tap = world.Tap()
if not mcplab.is_there():
    tap.skip("quiet calls", "not installed: tools/node-clients installs it")
    tap.done()
agent = mcplab.Agent()
words = [f"{name}={s}" for s in SECONDS for name in ("defaults", "progressing", "long")]
script = SHELL + "".join(f"plain {s} & job {s} &\n" for s in SECONDS)
script += "node mcp_client.mjs " + " ".join(words) + " & wait\n"
begun = time.monotonic()
r = subprocess.run(agent.command("/bin/sh", "-c", script), env=agent.env, text=True, capture_output=True,
                   timeout=max(SECONDS) + 90, check=False)
found, lines = {}, {}
for line in r.stdout.splitlines():
    if line.startswith("{"):
        found[json.loads(line)["name"]] = json.loads(line)
    elif " " in line:
        lines[line.split(" ")[0]] = line.split(" ", 1)[1]
print(f"# {time.monotonic() - begun:.0f} s; {r.stderr.strip()[:500]}")


def took(seconds, want):
    assert want - 0.5 <= float(seconds) < want + 5, (seconds, want)


def plain(s):
    text, status, seconds = lines[f"plain={s}"].rsplit(" ", 2)
    assert status == "200" and json.loads(text)["output"] == "", text
    took(seconds, s)


def job(s):
    text, status, seconds = lines[f"job={s}"].rsplit(" ", 2)
    assert status == "200" and json.loads(text)["state"] == "succeeded", text
    took(seconds, s)


def long(s):
    one = found[f"long={s}"]
    assert one["ok"] and one["result"]["isError"] is False and not one["errors"], one
    took(one["seconds"], s)


def progressing(s):
    one = found[f"progressing={s}"]
    assert one["ok"] and one["result"]["isError"] is False and one["count"] >= s // 10, one
    took(one["seconds"], s)


def defaults(s):
    one = found[f"defaults={s}"]
    if s < 60:
        assert one["result"]["isError"] is False, one
        took(one["seconds"], s)
    else:
        assert one["code"] == -32001 and "timed out" in one["message"], one
        took(one["seconds"], 60)


for s in SECONDS:
    for name, check in (("one plain request", plain), ("a job", job), ("MCP, with the time that it needs", long),
                        ("MCP, progress begins the SDK's minute anew", progressing),
                        ("MCP, the SDK as it comes: its own minute", defaults)):
        tap.check(f"{s} quiet seconds: {name}", lambda check=check, s=s: check(s))
agent.w.close()
tap.done()
