#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The backend `command`: whatever a tool does is bounded, typed, recorded, and ends.

Real programs under a real broker.  What is left running is looked for in /proc, by a mark in the
command line that only a test's tool has.
"""
import base64
import os
import pwd
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
from brokerlab import BROKER, Lab, Sandbox, Tap, eventually, marked  # noqa: E402

MARK = f"cove-test-{os.getpid()}"

PYTHON = "/usr/bin/python3"
CATALOG = f"""
version: 1
tools:
  sh:
    description: Runs a script of the test's.
    input: {{properties: {{script: {{type: string}}}}, required: [script]}}
    command:
      argv: [/bin/bash, -c, "{{script}}", {MARK}]
    limits: {{seconds: 20, bytes: 100000}}
  quick:
    description: The same, for a second.
    input: {{properties: {{script: {{type: string}}}}, required: [script]}}
    command:
      argv: [/bin/bash, -c, "{{script}}", {MARK}]
    limits: {{seconds: 1, bytes: 1000}}
  json:
    description: The same, whose output is JSON.
    input: {{properties: {{script: {{type: string}}}}, required: [script]}}
    command: {{argv: [/bin/bash, -c, "{{script}}"]}}
    result: {{stdout: json}}
    limits: {{bytes: 1000}}
  lines:
    description: The same, by lines.
    input: {{properties: {{script: {{type: string}}}}, required: [script]}}
    command: {{argv: [/bin/bash, -c, "{{script}}"]}}
    result: {{stdout: lines, exit_ok: [0, 3]}}
  env:
    description: Its environment.
    input: {{properties: {{who: {{type: string}}}}}}
    command:
      argv: [/usr/bin/env]
      env: {{GREETING: "{{?who:hello {{who}}}}", LATE: "yes"}}
  words:
    description: Its words.
    input: {{properties: {{list: {{type: array, items: {{type: string}}}}, flag: {{type: boolean}}}}, required: [list]}}
    command: {{argv: [{PYTHON}, -c, "import sys, json; print(json.dumps(sys.argv[1:]))", "{{?flag:--flag}}", "--", "{{list...}}"]}}
    result: {{stdout: json}}
  stdin:
    description: Gives its stdin back.
    input: {{properties: {{text: {{type: string}}}}, required: [text]}}
    command: {{argv: [/bin/cat], stdin: "{{text}}"}}
  deaf:
    description: Does not read its stdin.
    input: {{properties: {{text: {{type: string}}}}, required: [text]}}
    command: {{argv: [/bin/true], stdin: "{{text}}"}}
  there:
    description: In a directory of its own choice.
    input: {{properties: {{}}}}
    command: {{argv: [/bin/pwd], workdir: /usr}}
  nowhere:
    description: In a directory that is not there.
    input: {{properties: {{}}}}
    command: {{argv: [/bin/pwd], workdir: /nonexistent}}
  missing:
    description: A program that is not there.
    input: {{properties: {{}}}}
    command: {{argv: [/nonexistent/program]}}
  boxed:
    description: In a sandbox of its own.
    input: {{properties: {{script: {{type: string}}, who: {{type: string}}}}, required: [script]}}
    command:
      argv: [/bin/bash, -c, "{{script}}"]
      env: {{WHO: "{{?who:{{who}}}}"}}
      sandbox: {{}}
    limits: {{seconds: 20}}
"""
NOBODY = """
  nobody:
    description: As another user.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"], user: nobody}
"""

IS_ROOT = os.geteuid() == 0
lab = Lab(CATALOG + NOBODY if IS_ROOT else CATALOG, env=[("LANG", "C.UTF-8"), ("HOME", "/nonexistent")])
box = Sandbox(lab, "one")


def sh(script, tool="sh", **headers):
    return box.call(tool, {"script": script}, **headers)


def parent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def nothing_left(mark=MARK):
    return eventually(lambda: not marked(mark) and not lab.shepherds())


def exit_codes_and_signals():
    r = sh("echo out; echo err >&2; exit 3")
    assert (r.status, r.json["error"], r.json["exit"]) == (502, "tool_failed", 3), r
    assert r.json["output"] == "out\n" and r.json["stderr"] == "err\n", r
    r = sh("kill -TERM $$")
    assert (r.status, r.json["error"], r.json["signal"]) == (502, "tool_failed", 15), r
    r = sh("echo fine; echo note >&2")
    assert r.json == {"output": "fine\n", "stderr": "note\n"}, r
    r = sh("echo a; exit 3", tool="lines")
    assert (r.status, r.json) == (200, {"output": ["a"], "exit": 3}), r
    assert lab.events()[-1]["exit_code"] == 3


def b5_a_gigabyte():
    start = time.monotonic()
    r = sh("yes | head -c 1000000000")
    assert (r.status, r.json["error"], r.json["truncated"]) == (502, "tool_failed", True), r.status
    assert len(r.json["output"]) == 100000 and time.monotonic() - start < 15
    r = sh("yes | head -c 3000000 >&2; head -c 2000000 /dev/zero | tr '\\0' x")
    assert r.status == 200 and r.json["truncated"] and r.json["bytes"] == 2000000, r.status
    assert r.json["output"] == "x" * 100000 and len(r.json["stderr"]) <= 16384
    with open(f"/proc/{lab.process.pid}/status") as f:
        peak = next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))
    assert peak < 65536, f"{peak} KiB"
    assert nothing_left()


def it_never_ends():
    start = time.monotonic()
    r = sh("echo begun; sleep 1000", tool="quick")
    assert (r.status, r.json["error"], r.json["seconds"]) == (504, "tool_timeout", 1), r
    assert r.json["output"] == "begun\n" and time.monotonic() - start < 5.5, "without the grace"
    assert lab.events()[-1]["status_code"] == "tool_timeout"
    start = time.monotonic()
    r = sh("trap '' TERM; while :; do sleep 0.1; done", tool="quick")
    assert r.status == 504 and 5 < time.monotonic() - start < 20, "grace, and then the end"
    assert nothing_left()


def it_forks():
    assert sh(f"for i in $(seq 50); do sleep 1000 & done; echo $i").json == {"output": "50\n"}
    assert nothing_left()
    daemon = "import os,time\nfor _ in range(3):\n  if os.fork(): os._exit(0)\n  os.setsid()\ntime.sleep(1000)"
    start = time.monotonic()
    r = sh(f"{PYTHON} -c '{daemon}' {MARK}; echo done")
    assert r.json == {"output": "done\n"} and time.monotonic() - start < 15, r
    assert nothing_left()
    r = sh(f"{PYTHON} -c '{daemon}' {MARK}; sleep 1000", tool="quick")
    assert r.status == 504
    assert nothing_left()
    r = sh(f"(trap '' HUP TERM INT; setsid bash -c 'while :; do sleep 0.1; done' {MARK} &) ; echo x")
    assert r.json == {"output": "x\n"}
    assert nothing_left()


def c1_a_fork_bomb():
    bomb = f"b() {{ b | b & }}; ulimit -u 2>/dev/null; for i in $(seq 200); do (sleep 30 & sleep 30) & done; wait # {MARK}"
    r = sh(bomb, tool="quick")
    assert r.status == 504, r
    assert nothing_left()
    spread = ("import os,time\nt=time.time()\n"
              "while time.time()<t+3:\n"
              "  if os.getpid()%7==0: os.setsid() if os.getpgrp()!=os.getpid() else None\n"
              "  n=len(os.listdir('/proc'))\n"
              "  if n<300: os.fork()\n"
              "  time.sleep(0.01)\n"
              "time.sleep(1000)\n")
    r = sh(f"{PYTHON} -c \"{spread}\" {MARK}", tool="quick")
    assert r.status == 504, r
    assert nothing_left()


def binary_output():
    r = sh("printf 'a\\377b'")
    assert r.json["encoding"] == "base64" and base64.b64decode(r.json["output"]) == b"a\xffb", r
    r = sh("printf 'a\\0b'")
    assert r.json["output"] == "a\0b", r
    r = sh("head -c 99999 /dev/zero | tr '\\0' x; printf '\\303\\244more'")
    assert r.json["truncated"] and r.json["output"] == "x" * 99999, "no half characters"
    r = sh("printf '\\377' >&2; exit 1")
    assert r.json["stderr_encoding"] == "base64", r
    r = sh("printf 'a\\377\\nb'", tool="lines")
    assert r.json["encoding"] == "base64", r


def output_kinds():
    r = sh("echo '{\"b\": [1, 2.50],  \"a\": null}'", tool="json")
    assert (r.status, r.json["output"]) == (200, {"b": [1, 2.5], "a": None}), r
    assert b"2.50" in r.body, "as it was written"
    for bad in ("echo no", "echo '{\"a\":1,\"a\":2}'", "echo", "printf '\\377'", "seq -s, 1000"):
        r = sh(bad, tool="json")
        assert (r.status, r.json["error"]) == (502, "backend_failed"), (bad, r)
        assert "output" in r.json
    assert sh("printf 'a\\n\\nb'", tool="lines").json["output"] == ["a", "", "b"]
    assert sh(":", tool="lines").json["output"] == []
    assert sh("echo", tool="lines").json["output"] == [""]


def environment():
    os.environ["COVE_SECRET_OF_THE_TEST"] = "x"
    r = box.call("env", {"who": "you"})
    have = dict(line.split("=", 1) for line in r.json["output"].splitlines())
    assert have.pop("PATH").startswith("/usr/local/sbin:")
    assert have.pop("TMPDIR").startswith(lab.state + "/calls/"), "what is only passing goes with the call"
    assert have == {"LANG": "C.UTF-8", "HOME": "/nonexistent", "GREETING": "hello you", "LATE": "yes"}, have
    assert "GREETING" not in box.call("env", {}).json["output"]


def words():
    r = box.call("words", {"list": ["-a", "b c", "", "--", "$x", "ä\n"], "flag": True})
    assert r.json["output"] == ["--flag", "--", "-a", "b c", "", "--", "$x", "ä\n"], r
    assert box.call("words", {"list": [], "flag": False}).json["output"] == ["--"]


def stdin():
    text = "ä" * 80000 + "\n"
    assert box.call("stdin", {"text": text}).json["output"].startswith("ä" * 1000)
    r = box.call("deaf", {"text": text})
    assert r.status == 200, "who does not read it is not wrong"
    assert sh("cat; readlink /proc/self/fd/0").json["output"] == "/dev/null\n"


def own_directory():
    r = sh("pwd; stat -c '%a %U' .; touch x; mkdir -p a/b; ln -s / a/link; touch a/b/c; chmod 0 a/b; chmod 500 a; chmod 0 .")
    where, mode = r.json["output"].splitlines()
    assert where.startswith(lab.state + "/calls/") and mode.split()[0] == "700", r
    assert not os.path.exists(where), "it goes with the call"
    assert os.path.isdir("/usr"), "and nothing else does"
    assert box.call("there").json["output"] == "/usr\n"
    r = box.call("nowhere")
    assert (r.status, r.json["error"]) == (502, "backend_failed") and "No such file" in r.json["detail"], r
    r = box.call("missing")
    assert (r.status, r.json["error"]) == (502, "backend_failed") and "No such file" in r.json["detail"], r
    assert os.listdir(lab.state + "/calls") == []


def nothing_is_inherited():
    r = sh(f"{PYTHON} - <<'END'\nimport os, signal\n"
           "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:4])\n"
           "print(os.getsid(0) != %d, os.getpgrp() == os.getsid(0))\n"
           "print([s for s in (signal.SIGPIPE, signal.SIGHUP, signal.SIGCHLD) if signal.getsignal(s) == signal.SIG_IGN])\n"
           "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))\nEND" % os.getsid(0))
    # Python ignores SIGPIPE by itself; the directory's own descriptor is the fourth.
    assert r.json["output"].splitlines()[:2] == ["[0, 1, 2, 3]", "True True"], r
    assert r.json["output"].splitlines()[3] == "set()", r
    r = sh("ls /proc/$$/fd | wc -l; grep SigIgn /proc/self/status")
    assert "0000000000000000" in r.json["output"] or "SigIgn" not in r.json["output"], r


def in_a_sandbox_of_its_own():
    r = box.call("boxed", {"script": "hostname; echo $WHO; ls -d /root /home; touch /usr/x; cat /proc/net/route | wc -l; "
                                     "ps ax | wc -l; exit 3", "who": "you $(id)"})
    assert (r.status, r.json["exit"]) == (502, 3), r
    lines = r.json["output"].splitlines()
    assert lines[:2] == ["cove", "you $(id)"] and int(lines[-1]) < 10, r
    for what in ("/root", "/home", "/usr/x"):
        assert f"'{what}'" in r.json["stderr"], r
    r = box.call("boxed", {"script": f"exec -a {MARK} sleep 1000"}, prefer="respond-async")
    assert eventually(lambda: marked(MARK))
    assert box.request("POST", f"/v1/jobs/{r.json['id']}/cancel").status in (200, 202)
    assert nothing_left()


def another_user():
    if not IS_ROOT:
        refused = Lab(CATALOG + NOBODY, is_ready=False)
        said = refused.wait("FATAL")
        assert b"tool nobody: only root can run a command as another user" in said, said
        refused.process.wait(10)
        raise look.Unavailable("unavailable: only root can be two users")
    nobody = pwd.getpwnam("nobody")
    r = sh("id -u; id -g; id -G; touch x && echo may; cat /etc/shadow 2>&1 | head -1", tool="nobody")
    uid, gid, groups, may, shadow = r.json["output"].splitlines()
    assert (int(uid), int(gid), may) == (nobody.pw_uid, nobody.pw_gid, "may"), r
    assert "0" not in groups.split() and "denied" in shadow, r
    assert os.listdir(lab.state + "/calls") == []


def p_a_tool_cannot_look_into_the_broker():
    r = sh(f"cat /proc/{lab.process.pid}/environ /proc/{lab.process.pid}/mem 2>&1 | head -c 100")
    assert r.json["output"].count("No such file") == 2, r


def client_gone_is_no_cancel():
    stream = box.open()
    path = os.path.join(lab.dir, "went-on")
    stream.send("POST", "/v1/tools/sh", {"script": f"sleep 0.5; echo x > {path}; echo done"})
    time.sleep(0.2)
    stream.close()
    assert eventually(lambda: os.path.exists(path))
    jobs = [j for j in box.request("GET", "/v1/jobs").json["jobs"] if j["tool"] != "boxed"]
    assert len(jobs) == 1 and jobs[0]["tool"] == "sh", "it became a job"
    assert box.wait(jobs[0]["id"])["state"] == "succeeded"
    assert box.request("GET", jobs[0]["result_url"] or f"/v1/jobs/{jobs[0]['id']}/result").json == {"output": "done\n"}


def shepherd_killed():
    stream = box.open()
    stream.send("POST", "/v1/tools/sh", {"script": f"setsid sleep 1000 {MARK} & sleep 1000"})
    assert eventually(lambda: len(lab.shepherds()) >= 3)
    shepherds = [p for p in lab.shepherds() if parent(p) == lab.process.pid]
    assert len(shepherds) == 1
    os.kill(shepherds[0], signal.SIGKILL)
    r = stream.receive()
    assert (r.status, r.json["error"]) == (502, "backend_failed"), r
    assert eventually(lambda: not lab.shepherds()), lab.shepherds()
    assert sh("echo fine").status == 200


def broker_ends_and_nothing_is_left():
    mark = MARK + "-end"
    for how in ("close", "kill"):
        own = Lab(CATALOG)
        one = Sandbox(own, "one")
        streams = [one.open() for _ in range(4)]
        for s in streams:
            s.send("POST", "/v1/tools/sh", {"script": "trap '' TERM HUP; (setsid sleep 1000 &); "
                                            f"exec -a {mark} sleep 1000 & exec -a {mark} sleep 1000"})
        assert eventually(lambda: len(marked(mark)) >= 8), marked(mark)
        beneath = own.shepherds()
        getattr(own, how)()
        assert eventually(lambda: not any(map(look.runs, beneath))), how
        assert eventually(lambda: not marked(mark)), (how, marked(mark))
        assert eventually(lambda: os.listdir(own.state + "/calls") == []), how


TESTS = [exit_codes_and_signals, b5_a_gigabyte, it_never_ends, it_forks, c1_a_fork_bomb, binary_output,
         output_kinds, environment, words, stdin, own_directory, nothing_is_inherited, in_a_sandbox_of_its_own,
         another_user,
         p_a_tool_cannot_look_into_the_broker, client_gone_is_no_cancel, shepherd_killed,
         broker_ends_and_nothing_is_left]
assert os.path.exists(BROKER)
sys.exit(Tap().run(TESTS))
