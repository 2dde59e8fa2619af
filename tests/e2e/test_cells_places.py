#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal (B1): a host tool sees no directory of another run of the same user, wherever that run has it.
Method: real runs whose directories are at different places, as XDG_RUNTIME_DIR and TMPDIR make them; a tool
of each looks at the places of all."""
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

w = world.World(["unused.test"])
tap = world.Tap()
STATES = f"cove-tools-{os.geteuid()}"
TOOLS = w.policy("""\
version: 1
tools:
  sh:
    description: Runs a script of the test's.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/sh, -c, "{script}"]}
""", "tools.yaml")
POLICY = w.policy("version: 1\ntools: {all: {tools: [\"*\"]}}\n")
CALL = ("curl -sS -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" -H 'Content-Type: application/json' -d \"$1\" "
        "http://tools.local/v1/tools/sh")


CALLS = 200


def run(inside, script, **env):
    """A run whose shell does `inside` with the call of the script as $1."""
    base = {k: v for k, v in os.environ.items() if k not in ("XDG_RUNTIME_DIR", "TMPDIR")}
    return subprocess.Popen([world.COVE, "run", "-q", "--workdir", w.work, "--policy", POLICY, "--tools", TOOLS, "--",
                             "/bin/sh", "-c", inside, "sh", json.dumps({"script": script})],
                            env={**base, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start(script, **env):
    return run(CALL, script, **env)


def places(**env):
    mine = env.get("XDG_RUNTIME_DIR") or env.get("TMPDIR") or "/tmp"
    return os.path.join(mine, STATES)


def hidden(one, other):
    for env in (one, other):
        for path in env.values():
            os.makedirs(path, 0o700, exist_ok=True)
    mark = os.path.join(w.dir, "there")
    victim = start(f"pwd >{mark}.new; mv {mark}.new {mark}; sleep 20", **other)
    try:
        end = time.monotonic() + 15
        while not os.path.exists(mark):
            assert time.monotonic() < end and victim.poll() is None, victim.communicate()
            time.sleep(0.05)
        with open(mark, encoding="ascii") as f:
            theirs = f.read().strip()
        assert theirs.startswith(places(**other)) and os.path.isdir(os.path.dirname(os.path.dirname(theirs))), theirs
        run = os.path.dirname(os.path.dirname(theirs))
        out, err = start(f"ls -A {places(**other)}; cat {run}/*.db; ls {run} && echo REACHED; pwd; echo x >f && cat f",
                         **one).communicate(timeout=30)
        answer = json.loads(out)
        lines = answer["output"].splitlines()
        assert len(lines) == 2 and lines[0].startswith(places(**one)) and lines[1] == "x", (answer, err)
    finally:
        victim.terminate()
        victim.communicate(timeout=20)
        os.unlink(mark)


def others_come_and_go():
    """The directory of all runs at a place goes with the last of them, at any instant of a call elsewhere."""
    place = os.path.join("/var/tmp", STATES)
    until = threading.Event()

    def come_and_go():
        while not until.is_set():
            for change in (lambda: os.mkdir(place, 0o700), lambda: os.rmdir(place)):
                with contextlib.suppress(OSError):  # it is another test's at times
                    change()

    script = f"for i in $(seq {CALLS}); do {CALL}; echo; done"
    os.makedirs(w.dir + "/xdg", 0o700, exist_ok=True)
    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        out, err = run(script, "echo ran", XDG_RUNTIME_DIR=w.dir + "/xdg").communicate(timeout=60)
    finally:
        until.set()
        other.join()
        with contextlib.suppress(OSError):
            os.rmdir(place)
    answers = [json.loads(line) for line in out.splitlines() if line]
    assert answers == [{"output": "ran\n"}] * CALLS, ([a for a in answers if a != {"output": "ran\n"}][:3], out[-500:], err)


tap.check("B1 one in the user's directory does not see one in /tmp",
          lambda: hidden({"XDG_RUNTIME_DIR": w.dir + "/xdg"}, {}))
tap.check("B1 one in TMPDIR does not see one in /tmp", lambda: hidden({"TMPDIR": w.dir + "/tmp"}, {}))
tap.check("B1 one in TMPDIR does not see one in /var/tmp",
          lambda: hidden({"TMPDIR": w.dir + "/tmp"}, {"TMPDIR": "/var/tmp"}))
tap.check("B1 the directory of others, at another place, comes and goes", others_come_and_go)
w.close()
tap.done()
