#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is held for a person: calls of tools and requests of the network, asked and answered.

Goal: a held call or request goes on unchanged once a person has said yes, and not at all otherwise;
the person is shown what is asked, whatever it is made of; nobody else answers, least of all the
sandbox.  Method: the real `cove run` and `cove approve`, real curl, terminals of the test's own.
"""
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

CATALOG = """\
version: 1
tools:
  each:
    description: Says what it is told.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
  once:
    description: Says what it is told.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
"""
POLICY = """\
version: 1
network_policies:
  api:
    endpoints: [{host: api.test, port: 443, protocol: rest, enforcement: approve,
                 rules: [{allow: {method: GET, path: /free}}],
                 deny_rules: [{method: "*", path: /never}]}]
    binaries: [{path: "/usr/**"}]
  plain:
    endpoints: [{host: plain.test, port: 80, protocol: rest, enforcement: approve,
                 rules: [{allow: {method: GET, path: /free}}]}]
    binaries: [{path: "/usr/**"}]
tools:
  each: {tools: [each], approval: always}
  once: {tools: [once], approval: once}
"""
tap = world.Tap()
w = world.World(["api.test"])
api = world.Server(world.PRIVATE, 443, w.pki)
plain = world.Server(world.PRIVATE, 80)
policy, tools = w.policy(POLICY), w.policy(CATALOG, "tools.yaml")
runtime = os.path.join(w.dir, "runtime")
os.mkdir(runtime, 0o700)
# A gateway that this user has chosen would be asked where no run is there.
ENV = {**{k: v for k, v in os.environ.items() if not k.startswith(("COVE_GATEWAY", "OPENSHELL_GATEWAY"))},
       "XDG_RUNTIME_DIR": runtime, "XDG_CONFIG_HOME": os.path.join(w.dir, "config")}
HEAD = ("call() { curl -sS -m 60 -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" -H 'Content-Type: "
        "application/json' \"$COVE_TOOLS_URL/v1/tools/$1\" -d \"$2\" -w ' %{http_code}\\n'; }\n"
        "get() { curl -sS -m 60 -w ' %{http_code}\\n' \"$@\"; }\n")


def command(script, options=(), policy_file=None, has_tools=True):
    cmd = [world.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, *(("--tools", tools) if has_tools else ()),
           "--policy", policy_file or policy, "--resolve", f"api.test:443:{world.PRIVATE}",
           "--resolve", f"plain.test:80:{world.PRIVATE}", "--audit", w.audit]
    return [*cmd, *options, "--", "/bin/sh", "-c", HEAD + script]


class Running:
    """A run, without a terminal."""

    def __init__(self, script, *options, **how):
        api.seen.clear()
        plain.seen.clear()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(w.audit)
        self.process = subprocess.Popen(command(script, options, **how), env=ENV, text=True,
                                        start_new_session=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.name = f"cove-{self.process.pid}"

    def held(self, count=1, seconds=30):
        """What is held, once it is so many."""
        end = time.monotonic() + seconds
        while True:
            found = held(self.name)
            if len(found) == count:
                return found
            assert time.monotonic() < end, (found, self.process.poll())
            time.sleep(0.05)

    def end(self, timeout=30):
        try:
            return self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the run hangs: {self.process.communicate()}") from None


def approve(*argv, **kw):
    return subprocess.run([world.COVE, "approve", *map(str, argv)], env=ENV, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=20, check=False, **kw)


def held(name):
    r = approve(name, "--list", "-o", "json")
    assert r.returncode == 0, r
    return json.loads(r.stdout)


def answers():
    return [e for e in w.events() if e.get("message", "").startswith("held ")]


# ---- tools ----

def a_tool():
    run = Running("call each '{\"text\":\"hi\"}'; call each '{\"text\":\"two\"}'")
    q, = run.held()
    assert (q["kind"], q["what"], q["text"], q["rule"], q["approval"]) == \
        ("tool", "each", '{"text":"hi"}', "each", "each"), q
    assert q["binary"] == "/usr/bin/curl" and q["ancestors"], q
    assert q["run"] == run.name and q["seconds"] > 290, q
    r = approve(run.name, q["id"], "--yes")
    assert r.returncode == 0, r
    again, = run.held()
    assert again["id"] != q["id"] and again["text"] == '{"text":"two"}', again
    assert approve(run.name, again["id"], "--no").returncode == 0
    out, err = run.end()
    assert '{"output":"hi\\n"}\n 200' in out and '"error":"approval_denied"' in out, (out, err)
    assert "waits for approval" in err and f"cove approve {run.name} {q['id']}" in err, err
    said = answers()
    assert len(said) == 2, said
    assert f"uid {os.geteuid()}" in json.dumps(said[0]) and "approved" in json.dumps(said[0]), said


def once_and_always():
    run = Running("call once '{\"text\":\"a\"}'; call once '{\"text\":\"b\"}'; call each '{\"text\":\"c\"}'")
    q, = run.held()
    assert q["approval"] == "once", q
    assert approve(run.name, q["id"], "--yes").returncode == 0
    q, = run.held()
    assert q["what"] == "each", q
    r = approve(run.name, q["id"], "--yes", "--always")
    assert r.returncode != 0 and "each call" in r.stderr, r
    assert approve(run.name, q["id"], "--yes").returncode == 0
    r = approve(run.name, q["id"], "--yes")
    assert r.returncode == 1 and "not held" in r.stderr, r
    out, _ = run.end()
    assert out.count(" 200") == 3, out


def nobody_answers():
    run = Running("call each '{\"text\":\"x\"}'; get https://api.test/held", "--approve-timeout", "1s")
    out, err = run.end()
    tool, request = out.split(" 504")
    assert '"error":"approval_timeout"' in tool and '"seconds":1' in tool, (out, err)
    assert '"error":"approval_timeout"' in request and request.endswith(" 403\n"), (out, err)
    assert not api.seen, api.seen


# ---- the network ----

def a_request():
    run = Running("get https://api.test/free; get --http1.1 https://api.test/held?q=1 -d body -H 'X-Y: z'")
    q, = run.held()
    assert q["what"] == "POST https://api.test:443/held", q
    assert q["text"].startswith("POST /held?q=1, body of 4 bytes, application/x-www-form"), q
    assert (q["kind"], q["rule"], q["binary"]) == ("request", "api", "/usr/bin/curl"), q
    assert [s["path"] for s in api.seen] == ["/free"]
    assert approve(run.name, q["id"], "--yes").returncode == 0
    out, err = run.end()
    assert "POST /held?q=1\nbody 200" in out, (out, err)
    assert [(s["method"], s["path"], s["body"]) for s in api.seen[1:]] == \
        [("POST", "/held?q=1", b"body")], api.seen
    assert api.seen[1]["headers"].get("X-Y") == "z", api.seen
    said, = answers()
    assert "POST /held" in json.dumps(said) and f"uid {os.geteuid()}" in json.dumps(said), said


def a_request_denied():
    run = Running("get https://api.test/held; get https://api.test/never; get http://plain.test/held")
    q, = run.held()
    assert approve(run.name, q["id"], "--no").returncode == 0
    q, = run.held()
    assert q["what"] == "GET http://plain.test:80/held", "a deny rule asks nobody"
    assert approve(run.name, q["id"], "--no").returncode == 0
    out, _ = run.end()
    lines = out.splitlines()
    assert [line[-3:] for line in lines] == ["403"] * 3, out
    assert '"approval_denied"' in lines[0] and '"policy_denied"' in lines[1], out
    assert '"approval_denied"' in lines[2] and not api.seen and not plain.seen, out


def plain_kept_and_h2():
    run = Running("get http://plain.test/free http://plain.test/a http://plain.test/b;"
                  "get --http2 https://api.test/free https://api.test/c;"
                  "curl -sS -Z --http2 https://api.test/d https://api.test/e -w ' %{http_code}\\n';"
                  "curl -sS --noproxy '*' https://api.test/f -w ' %{http_code}\\n';"
                  "get --http1.1 https://api.test/free https://api.test/g https://api.test/h")
    for path in "abc":
        q, = run.held()
        assert q["what"].endswith("/" + path), q
        assert approve(run.name, q["id"], "-y").returncode == 0
    both = run.held(2)
    assert sorted(q["what"][-1] for q in both) == ["d", "e"], both
    for q in both:
        assert approve(run.name, q["id"], "-y" if q["what"][-1] == "d" else "-n").returncode == 0
    for path in "fgh":
        q, = run.held()
        assert q["what"].endswith("/" + path), q
        assert approve(run.name, q["id"], "-y").returncode == 0
    out, err = run.end()
    assert out.count(" 200") == 10 and out.count(" 403") == 1, (out, err)
    assert [s["path"] for s in plain.seen] == ["/free", "/a", "/b"], plain.seen
    assert [s["path"] for s in api.seen] == ["/free", "/c", "/d", "/f", "/free", "/g", "/h"], api.seen


def always_alike():
    run = Running("for i in 1 2 3; do get https://api.test/x?n=$i; done; get https://api.test/y")
    q, = run.held()
    assert approve(run.name, q["id"], "--yes", "--always").returncode == 0
    q, = run.held()
    assert q["what"].endswith("/y"), q
    assert approve(run.name, q["id"], "--no", "--always").returncode == 0
    out, _ = run.end()
    assert out.count(" 200") == 3 and out.count(" 403") == 1, out
    assert [s["path"] for s in api.seen] == [f"/x?n={i}" for i in (1, 2, 3)], api.seen


def a_client_that_goes_away():
    run = Running("curl -sS -m 1 https://api.test/gone; get https://api.test/free; sleep 1; "
                  "get https://api.test/last")
    gone, = run.held()
    last = run.held()[0]
    end = time.monotonic() + 10
    while not (last := run.held()[0])["what"].endswith("/last"):
        assert time.monotonic() < end, last
    r = approve(run.name, gone["id"], "--yes")
    assert r.returncode == 1, r
    assert approve(run.name, last["id"], "--yes").returncode == 0
    out, _ = run.end()
    assert out.count(" 200") == 2 and [s["path"] for s in api.seen] == ["/free", "/last"], (out, api.seen)


def reloaded(times):
    end = time.monotonic() + 30
    while sum("reloaded" in json.dumps(e) for e in w.events(is_lenient=True)) < times:
        assert time.monotonic() < end
        time.sleep(0.05)


def policy_of_the_moment():
    path = w.policy(POLICY, "changing.yaml")
    run = Running("get https://api.test/held; get https://api.test/other", policy_file=path)
    q, = run.held()
    w.policy(POLICY.replace("path: /never", "path: /held"), "changing.yaml")
    reloaded(1)
    approve(run.name, q["id"], "--yes")
    q, = run.held()
    assert q["what"].endswith("/other"), q
    w.policy(POLICY.replace("path: /free", "path: /other"), "changing.yaml")
    reloaded(2)
    approve(run.name, q["id"], "--yes")
    out, err = run.end()
    lines = out.splitlines()
    assert lines[0].endswith(" 403") and '"policy_denied"' in lines[0], (out, err)
    assert lines[-1].endswith(" 200") and [s["path"] for s in api.seen] == ["/other"], (out, api.seen)


# ---- who may, and who may not ----

def b6_flooding():
    run = Running("i=0; while [ $i -lt 80 ]; do i=$((i+1)); get https://api.test/flood$i >>/tmp/out & "
                  "done; while [ $(grep -c ' 429' /tmp/out) -lt 15 ]; do sleep 0.1; done; "
                  "get https://api.test/free; while ! grep -q ' 200' /tmp/out; do sleep 0.1; done; "
                  "cat /tmp/out; kill $(jobs -p)")
    found = run.held(60)
    out_of = {q["what"] for q in found}
    assert len(out_of) == 60
    approve(run.name, found[0]["id"], "--yes")
    out, err = run.end()
    # a busy machine may lose some of the 20 to their own time-outs
    assert 15 <= out.count(" 429") == out.count("too_many_held") <= 20, (out.count(" 429"), err)
    assert err.count("too many questions") == 1, err
    assert out.count(" 200") == 2 and sorted(s["path"] for s in api.seen)[-1] == "/free", out


def other_dirs():
    return os.path.join(runtime, "cove")


def b6_another_user_is_refused():
    if os.geteuid() != 0:
        return
    run = Running("call each '{\"text\":\"x\"}'")
    q, = run.held()
    path = os.path.join(other_dirs(), run.name)
    code = ("import socket,struct,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET);"
            f"s.connect({path!r});"
            f"s.send(struct.pack('<IIQII',1,16,{q['id']},1,0)); sys.exit(s.recv(100)!=b'')")
    user = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", sys.executable, "-c", code]
    r = subprocess.run(user, capture_output=True, text=True, check=False, timeout=10)
    assert r.returncode and "PermissionError" in r.stderr, r
    modes = {p: os.stat(p).st_mode for p in (w.dir, runtime, other_dirs(), path)}
    for p in modes:
        os.chmod(p, 0o777)
    r = subprocess.run(user, capture_output=True, text=True, check=False, timeout=10)
    for p, mode in modes.items():
        os.chmod(p, mode & 0o7777)
    assert r.returncode == 0 or "Reset" in r.stderr or "Broken" in r.stderr, r
    assert run.held(), "still held"
    approve(run.name, q["id"], "--no")
    out, _ = run.end()
    assert "approval_denied" in out, out


def b6_the_sandbox_can_not_answer():
    """Neither is the socket there, nor does it take the sandbox when its directory is mounted.  With tools that
    can't be mounted: what their broker keeps is there, too."""
    probe = ("import os,socket,struct,sys\n"
             "for at in sys.argv[1:]:\n"
             "  for name in (at, '\\0' + at):\n"
             "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
             "    s.settimeout(3)\n"
             "    try:\n"
             "      s.connect(name)\n"
             "      s.send(struct.pack('<IIQII', 1, 16, 1, 1, 0))\n"
             "      print('said', s.recv(100))\n"
             "    except OSError as e:\n"
             "      print('failed', type(e).__name__)\n")
    script = ("get https://api.test/ask & sleep 1; ls " + other_dirs() + " 2>&1; N=$(ls /mnt/cove 2>/dev/null); "
              "/usr/bin/python3 -c \"$PROBE\" " + other_dirs() + "/$N $N /mnt/cove/$N; echo probed; wait")
    no_tools = w.policy(POLICY.partition("tools:")[0], "no-tools.yaml")
    for options in ([], ["--mount", runtime + ":/mnt"], ["--mount", runtime + ":/mnt:ro"]):
        if options:
            run = Running("true", *options)
            _, err = run.end()
            assert run.process.returncode == 2 and "--mount" in err, (options, err)
        run = Running(script, "--env", "PROBE=" + probe, *options, policy_file=no_tools, has_tools=False)
        q, = run.held()
        end = time.monotonic() + 15
        out = ""
        while "probed" not in out and time.monotonic() < end:
            if select.select([run.process.stdout], [], [], 0.2)[0]:
                out += os.read(run.process.stdout.fileno(), 65536).decode()
        assert "probed" in out and ("said b''" in out or "said" not in out), (options, out)
        assert not options or "said b''" in out or "Reset" in out or "Broken" in out, (options, out)
        assert run.held(), "it is still held"
        assert approve(run.name, q["id"], "--yes").returncode == 0
        rest, err = run.end()
        assert " 200" in out + rest, (options, out, rest, err)


def b6_p9_a4_hostile_text_is_escaped():
    evil = "\\u202egnp\\u001b[2J\\u200b ex\\u0430mple.com \\u001b]52;c;eA==\\u0007" + "x" * 5000 + "END"
    link = "a\u202eb\x1b[31m" + "y" * 200
    run = Running(f"cp /usr/bin/curl '/tmp/{link}'; '/tmp/{link}' -sS -m 60 -H \"Authorization: Bearer "
                  "$COVE_TOOLS_TOKEN\" -H 'Content-Type: application/json' -d '{\"text\":\"" + evil +
                  "\"}' $COVE_TOOLS_URL/v1/tools/each -w ' %{http_code}'")
    q, = run.held()
    for argv in ([run.name, q["id"]], [run.name, q["id"], "--full"], [run.name, "--list"],
                 [run.name, "--list", "--full"], [run.name, "--list", "-o", "json"]):
        out = approve(*argv).stdout
        assert all(c in "\n\u2026" or (c.isprintable() and (ord(c) < 0x250 or "json" in argv))
                   for c in out), argv
        assert "-o" in argv or "\\u{202e}" in out, (argv, out)
    short, full = approve(run.name, q["id"]).stdout, approve(run.name, q["id"], "--full").stdout
    assert "bytes more)\u2026" in short and "\\u{430}" in short, short
    assert "bytes more" not in full and full.replace("\n             ", "").count("x" * 5000) == 1, full
    approve(run.name, q["id"], "--no")
    out, err = run.end()
    assert " 403" in out, (out, err)
    assert "\x1b" not in err and "\u202e" not in err and "\\u{202e}" in err, err


# ---- terminals ----

class Terminal:
    """A command in a session of its own on a terminal of the test's."""

    def __init__(self, argv, stdin=None):
        self.master, slave = os.openpty()

        def session():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, env=ENV, stdin=slave if stdin is None else stdin,
                                        stdout=slave, stderr=slave, preexec_fn=session)
        os.close(slave)
        self.output = ""

    def expect(self, what, seconds=15):
        end = time.monotonic() + seconds
        while what not in self.output:
            assert time.monotonic() < end and self.read(0.2), (what, self.output)
        seen, self.output = self.output.split(what, 1)
        return seen + what

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.output += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                return False
        return True

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, seconds=15):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        while select.select([self.master], [], [], 0)[0] and self.read(0):
            pass
        os.close(self.master)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait(), self.output


def on_the_runs_terminal():
    t = Terminal(command("call each '{\"text\":\"\\u001b[2Jhi\"}'; call each '{\"text\":\"no\"}';"
                         "get https://api.test/x; get https://api.test/x?2"), stdin=subprocess.DEVNULL)
    t.type("yes\n")  # typed before the question: not an answer
    seen = t.expect("allow it? (yes, no) ")
    assert "arguments  {\"text\":\"\\u001b[2Jhi\"}" in seen and "\x1b" not in seen, seen
    time.sleep(0.5)
    t.read(0.1)
    assert "200" not in t.output, t.output
    t.type("perhaps\n")
    t.expect("allow it?")
    t.type("always\n")
    t.expect("an answer to each call")
    t.expect("allow it?")
    t.type("yes\n")
    t.expect(" 200")
    t.expect("allow it?")
    t.type("no\n")
    t.expect("approval_denied")
    t.expect("allow it?")
    t.type("always\n")
    t.expect(" 200")
    t.expect(" 200")
    status, out = t.end()
    assert status == 0, (status, out)
    assert sum("the terminal of cove run" in json.dumps(e) for e in answers()) == 3, answers()


def a_terminal_of_the_commands():
    """What is typed is the command's: only a line tells that something waits."""
    t = Terminal(command("echo started; call each '{\"text\":\"hi\"}'; read line; echo got $line", ["--tty"]))
    t.expect("started")
    seen = t.expect("waits for approval")
    assert "allow it" not in seen, seen
    t.type("yes\n")
    time.sleep(0.7)
    t.read(0.1)
    assert "200" not in t.output, t.output
    name = f"cove-{t.process.pid}"
    q, = held(name)
    assert approve(name, q["id"], "--yes").returncode == 0
    t.expect(" 200")
    t.expect("got yes")
    assert t.end()[0] == 0


def interactively():
    run = Running("call each '{\"text\":\"a\"}'; call each '{\"text\":\"b\"}'; get https://api.test/c & "
                  "curl -sS -m 4 https://api.test/d; wait")
    run.held()
    t = Terminal([world.COVE, "approve", "--watch"])
    t.expect("allow it?")
    t.type("yes\n")
    t.expect("allowed")
    t.expect("allow it?")
    t.type("no\n")
    t.expect("denied")
    t.expect("question ")
    t.expect("allow it?")
    q = next(q for q in run.held(2) if q["what"].endswith("/c"))
    assert approve(run.name, q["id"], "--yes").returncode == 0  # from elsewhere
    t.expect("needs no answer")
    t.process.send_signal(signal.SIGINT)
    t.end()
    out, err = run.end()
    assert out.count(" 200") == 2 and out.count(" 403") == 1, (out, err)


def a_run_that_hangs():
    """It takes no answer, and who answers is told so instead of hanging too."""
    run = Running("call each '{\"text\":\"a\"}'")
    q, = run.held()
    t = Terminal([world.COVE, "approve", run.name, str(q["id"])])
    t.expect("allow it?")
    os.kill(run.process.pid, signal.SIGSTOP)
    t.type("yes\n")
    t.expect("did not take the answer")
    os.kill(run.process.pid, signal.SIGCONT)
    t.end()
    run.end()


def watching_as_json():
    watch = subprocess.Popen([world.COVE, "approve", "--watch", "-o", "json"], env=ENV, text=True, start_new_session=True,
                             stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    run = Running("call each '{\"text\":\"a\"}'; get https://api.test/c")
    for want in ("each", "GET https://api.test:443/c"):
        q = json.loads(watch.stdout.readline())
        assert q["what"] == want and q["run"] == run.name, q
        assert approve(q["run"], q["id"], "--yes").returncode == 0
    out, _ = run.end()
    assert out.count(" 200") == 2, out
    watch.kill()
    watch.wait()


def words():
    assert approve("--list").stdout == "nothing is held\n"
    assert approve("--list", "-o", "json").stdout == "[]\n"
    for argv in (["--yes"], ["1", "--yes", "--no"], ["--always"], ["cove-1", "2", "3"], ["cove-1", "x"]):
        assert approve(*argv).returncode == 2, argv
    r = subprocess.run([world.COVE, "run", "--approve-timeout", "2d", "--", "true"], text=True,
                       capture_output=True, check=False)
    assert r.returncode == 2 and "a day" in r.stderr, r


def a_proxy_that_is_killed():
    """What it held is gone with it; the next one is asked about anew."""
    run = Running("get https://api.test/a; sleep 1; get https://api.test/b")
    q, = run.held()
    proxy = subprocess.run(["pgrep", "-P", str(run.process.pid), "cove-proxy"], capture_output=True,
                           text=True, check=True).stdout.split()
    os.kill(int(proxy[0]), signal.SIGKILL)
    end = time.monotonic() + 30
    while not (now := held(run.name)) or not now[0]["what"].endswith("/b"):
        assert time.monotonic() < end, now
        time.sleep(0.1)
    assert now[0]["id"] > q["id"] and approve(run.name, q["id"], "--yes").returncode == 1
    assert approve(run.name, now[0]["id"], "--yes").returncode == 0
    out, err = run.end()
    assert out.count(" 200") == 1 and [s["path"] for s in api.seen] == ["/b"], (out, err)


def a_killed_run_leaves_nothing_that_matters():
    run = Running("call each '{\"text\":\"x\"}'")
    run.held()
    run.process.kill()
    run.process.communicate()
    assert os.path.exists(os.path.join(other_dirs(), run.name))
    assert held(run.name) == []
    assert not os.path.exists(os.path.join(other_dirs(), run.name)), "found dead, and removed"


CHECKS = {
    "a call is held, asked about, allowed and denied; one event each": a_tool,
    "approval: once holds for the rule and the tool; always is each call": once_and_always,
    "--approve-timeout denies": nobody_answers,
    "a request is held and then sent as it was, once": a_request,
    "a request is denied; a deny rule asks nobody": a_request_denied,
    "kept connections, HTTP/2, no proxy variables": plain_kept_and_h2,
    "--always answers all alike": always_alike,
    "a client that goes away takes its question with it": a_client_that_goes_away,
    "policy of the moment of the answer decides": policy_of_the_moment,
    "B6 flooding is denied unseen, and others go on": b6_flooding,
    "B6 another user is refused": b6_another_user_is_refused,
    "B6 the sandbox can't answer": b6_the_sandbox_can_not_answer,
    "B6 P9 A4 hostile text is shown escaped": b6_p9_a4_hostile_text_is_escaped,
    "on the terminal of the run": on_the_runs_terminal,
    "where the terminal is the command's, it is only told": a_terminal_of_the_commands,
    "interactively, with an answer from elsewhere": interactively,
    "a run that hangs takes no answer": a_run_that_hangs,
    "watching, as JSON": watching_as_json,
    "words that contradict each other": words,
    "a proxy that is killed while it holds a request": a_proxy_that_is_killed,
    "a killed run": a_killed_run_leaves_nothing_that_matters,
}
for name, check in CHECKS.items():
    if len(sys.argv) < 2 or sys.argv[1] in name:
        tap.check(name, check)
shutil.rmtree(runtime, ignore_errors=True)
w.close()
tap.done()
