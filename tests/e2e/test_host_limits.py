#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a limit of the host holds for the runs of a user that know nothing of each other, and a run
that is killed holds nothing any more; where calls can't be counted no run with such a limit starts.
Method: real runs beside each other, with curl inside."""
import json
import os
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

tap = world.Tap()
w = world.World(["api.test"])
STATE = os.path.join(w.dir, "state")
GO = os.path.join(w.dir, "go")
ENV = {**os.environ, "XDG_STATE_HOME": STATE}
policy = w.policy("version: 1\ntools:\n  all: {tools: ['*']}\n")
tools = w.policy(f"""\
version: 1
tools:
  lock:
    description: Once at a time on this host.
    input: {{properties: {{word: {{type: string}}}}, required: [word]}}
    command: {{argv: [/bin/sh, -c, 'until [ -e {GO} ]; do sleep 0.02; done; echo $1', sh, "{{word}}"]}}
    limits: {{host_concurrency: 1, host_group: locks}}
""", "tools.yaml")
CALL = ("curl -sS -m 30 -w '%{http_code}' -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" "
        "-H 'Content-Type: application/json' -d '{\"word\":\"WORD\"}' http://tools.local/v1/tools/lock")


def run(word, **env):
    line = CALL.replace("WORD", word)
    return subprocess.Popen(
        [world.COVE, "run", "-q", "--no-tty", "--workdir", w.work, "--policy", policy, "--tools", tools,
         "--audit", os.path.join(w.dir, "audit-" + word), "--", "/bin/sh", "-c", line],
        env={**ENV, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tools_of(word):
    """Processes of the tool that were given the word."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().split(b"\0")
        except OSError:
            continue
        if argv[:2] == [b"/bin/sh", b"-c"] and argv[3:5] == [b"sh", word.encode()]:
            found.append(int(pid))
    return found


def until(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def two_runs():
    first = run("first")
    until(lambda: tools_of("first"))
    out, err = run("second").communicate(timeout=60)
    assert out.endswith("429") and json.loads(out[:-3])["error"] == "too_many_at_once", (out, err)
    with open(GO, "w", encoding="ascii"):
        pass
    assert first.communicate(timeout=60)[0].endswith("200")
    assert run("third").communicate(timeout=60)[0].endswith("200")
    os.unlink(GO)


def p16_a_run_that_is_killed():
    first = run("killed")
    until(lambda: tools_of("killed"))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
    until(lambda: not tools_of("killed"))
    with open(GO, "w", encoding="ascii"):
        pass
    out, err = run("after").communicate(timeout=60)
    assert out.endswith("200"), (out, err)
    os.unlink(GO)


def the_file_is_the_users_alone():
    for path, mode in ((STATE, 0o700), (STATE + "/cove", 0o700), (STATE + "/cove/tool-slots", 0o600)):
        assert stat.S_IMODE(os.stat(path).st_mode) == mode, path
    assert os.stat(STATE + "/cove/tool-slots").st_size == 0


def where_it_can_not_be():
    p = run("nowhere", XDG_STATE_HOME="/dev/null/x")
    out, err = p.communicate(timeout=60)
    assert p.returncode == 125 and out == "" and "host_concurrency" in err and "/dev/null" in err, (out, err)
    os.chmod(STATE + "/cove/tool-slots", 0o666)
    p = run("open")
    out, err = p.communicate(timeout=60)
    assert p.returncode == 125 and out == "" and "tool-slots is not a file of this user's alone" in err, (out, err)


def shown():
    p = subprocess.run([world.COVE, "tools", "show", tools], capture_output=True, text=True)
    assert p.returncode == 0 and "1 of locks on this host" in p.stdout, p
    p = subprocess.run([world.COVE, "tools", "show", tools, "-o", "json"], capture_output=True, text=True)
    limits = json.loads(p.stdout)["backends"][0]["limits"]
    assert (limits["host_concurrency"], limits["host_group"]) == (1, "locks"), limits


tap.check("the second of two runs is refused, and has its turn later", two_runs)
tap.check("p16_a run that is killed holds nothing", p16_a_run_that_is_killed)
tap.check("the file is the user's alone, and empty", the_file_is_the_users_alone)
tap.check("where nothing can be counted nothing starts", where_it_can_not_be)
tap.check("the limit is shown", shown)
tap.done()
