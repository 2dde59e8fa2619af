#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# alone: it measures what the machine's processes and disks hold while it floods them
"""Host tools under abuse: floods from the sandbox, tools that misbehave, processes killed at any moment.

Goal: whatever a sandbox sends, the broker's and the proxy's memory and the host's disk stay bounded;
whatever a tool does, its call ends, in time and with a typed answer, and nothing of it is left.
Method: the real `cove run --tools`, with an attacker inside and a watcher of processes, memory and
directories outside.
"""
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

CATALOG = """\
version: 1
tools:
  echo:
    description: Says what it is told.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, --, "{text}"]}
  hoard:
    description: Keeps its arguments for long.
    input: {properties: {v: true}}
    command: {argv: [/bin/sleep, "60"], stdin: json}
    limits: {seconds: 100, concurrency: 1}
  sleeps:
    description: Sleeps.
    input: {properties: {seconds: {type: integer}}, required: [seconds]}
    command: {argv: [/bin/sleep, "{seconds}"]}
    limits: {seconds: 300, concurrency: 200}
  quarter:
    description: 250 kB at once.
    command: {argv: [/bin/sh, -c, "head -c 250000 /dev/zero | tr '\\\\0' a; head -c 1000000 /dev/zero | tr '\\\\0' b >&2"]}
  mega:
    description: 1 MB at once.
    command: {argv: [/bin/sh, -c, "head -c 1000000 /dev/zero | tr '\\\\0' a"]}
    limits: {concurrency: 16}
  gigabyte:
    description: Never stops writing.
    command: {argv: [/bin/sh, -c, "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}
    limits: {seconds: 60, concurrency: 16}
  errors:
    description: Never stops writing errors.
    command: {argv: [/bin/sh, -c, "yes bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb >&2"]}
    limits: {seconds: 60, concurrency: 16}
  daemon:
    description: Leaves others behind.
    command: {argv: [/bin/sh, -c, "for i in 1 2 3; do setsid sh -c 'setsid sleep 4711 & setsid sleep 4711' & done; sleep 0.2; echo done"]}
  holder:
    description: Leaves one that holds the pipe.
    command: {argv: [/bin/sh, -c, "sleep 4711 & echo done"]}
  parricide:
    description: Kills who watches it.
    command: {argv: [/bin/sh, -c, "setsid sleep 4711 & kill -9 $PPID; sleep 4711"]}
    limits: {seconds: 2}
  parricide_open:
    description: The same where it can.
    command:
      argv: [/bin/sh, -c, "setsid sleep 4711 & kill -9 $PPID; sleep 4711"]
      private: false
    limits: {seconds: 20}
  stopper_open:
    description: Stops it where it can.
    command:
      argv: [/bin/sh, -c, "setsid sleep 4711 & kill -STOP $PPID; sleep 4711"]
      private: false
    limits: {seconds: 2}
  stopper:
    description: Stops who watches it.
    command: {argv: [/bin/sh, -c, "setsid sleep 4711 & kill -STOP $PPID; sleep 4711"]}
    limits: {seconds: 1}
  stubborn:
    description: Does not want to end.
    command: {argv: [/bin/sh, -c, "trap '' TERM INT HUP; while :; do sleep 4711; done"]}
    limits: {seconds: 1}
  forks:
    description: Forks for ever.
    command: {argv: [/usr/bin/python3, -c, "import os,time\\nfor i in range(300):\\n  if os.fork() == 0: os.setsid(); time.sleep(4711)\\ntime.sleep(4711)"]}
    limits: {seconds: 2}
  deep:
    description: Leaves directories that are hard to remove.
    command: {argv: [/usr/bin/python3, -c, "import os\\nfor i in range(600):\\n  os.mkdir('d'); os.chdir('d')\\nopen('f', 'w').close()\\nos.chmod('.', 0)\\nprint('made')"]}
  links:
    description: Leaves links.
    command: {argv: [/bin/sh, -c, "ln -s / root; ln -s $VICTIM v; mkdir a; ln -s $VICTIM a/v; mkfifo p; chmod 0 a; echo made"], env: {VICTIM: "@VICTIM@"}}
  swap:
    description: Puts a link in its own directory's place.
    command: {argv: [/bin/sh, -c, 'D=$PWD; cd ..; mv "$D" "$D.old" 2>/dev/null; ln -s $VICTIM "$D"; echo made'], env: {VICTIM: "@VICTIM@"}}
  descriptors:
    description: Writes to whatever is open.
    command: {argv: [/usr/bin/python3, -c, "import os\\nfor p in ('self', str(os.getppid())):\\n  for f in range(64):\\n    try:\\n      d = os.open('/proc/%s/fd/%d' % (p, f), os.O_WRONLY | os.O_NONBLOCK)\\n      os.write(d, b'X' * 8)\\n    except OSError: pass\\nprint('end')"]}
"""
POLICY = """\
version: 1
tools: {all: {tools: ["*"]}}
"""
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_tools_attack.py"), encoding="utf-8") as own:
    PRELUDE = own.read().split("PRELUDE = r'''", 1)[1].split("'''", 1)[0]
NAP = str(1000000 + os.getpid())  # of seconds that nobody else sleeps
tap = world.Tap()
w = world.World(["api.test"])
victim = os.path.join(w.dir, "victim")
os.mkdir(victim)
os.chmod(victim, 0o755)  # whatever the umask
with open(os.path.join(victim, "file"), "w", encoding="ascii") as kept:
    kept.write("kept")
policy, tools = w.policy(POLICY), w.policy(CATALOG.replace("@VICTIM@", victim).replace("4711", NAP), "tools.yaml")
runtime = os.path.join(w.dir, "runtime")
os.mkdir(runtime, 0o700)
ENV = {**os.environ, "XDG_RUNTIME_DIR": runtime}
MIB = 1 << 20


def ps():
    rows = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as f:
                    head, _, rest = f.read().rpartition(b")")
                with open(f"/proc/{name}/cmdline", "rb") as f:
                    args = f.read().replace(b"\0", b" ").decode("latin-1").strip()
                rest = rest.split()
                rows.append((int(name), int(rest[1]), head.partition(b"(")[2].decode("latin-1"), rest[0].decode(), args))
            except (OSError, IndexError):
                pass
    return rows


def children(pid, name):
    return [p for p, parent, comm, state, _ in ps() if parent == pid and comm.startswith(name[:15]) and state != "Z"]


def sleepers():
    return [p for p, _, _, state, args in ps() if args in (f"sleep {NAP}", f"/bin/sleep {NAP}") and state != "Z"]


def rss(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return next((int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:")), 0)
    except OSError:
        return 0


def disk(path):
    total = 0
    for at, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(at, name)).st_size
            except OSError:
                pass
    return total


def wait_until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Run:
    """A run whose processes are watched while it lasts: peak[...] has their largest memory, and the state's."""

    def __init__(self, text):
        path = os.path.join(w.work, f"attack{random.randrange(1 << 30)}.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(PRELUDE + text)
        try:
            os.unlink(w.audit)
        except FileNotFoundError:
            pass
        self.process = subprocess.Popen(
            [world.COVE, "run", "-q", "--workdir", w.work, "--policy", policy, "--tools", tools, "--audit", w.audit, "--",
             "/usr/bin/python3", os.path.basename(path)], env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.peak = {"broker": 0, "proxy": 0, "disk": 0}
        self.lines = []
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._watch, self._read)]
        for t in self.threads:
            t.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def _watch(self):
        while self.process.poll() is None:
            for what in ("broker", "proxy"):
                for pid in children(self.pid, "cove-" + what):
                    self.peak[what] = max(self.peak[what], rss(pid))
            self.peak["disk"] = max(self.peak["disk"], disk(runtime))
            time.sleep(0.1)

    def helper(self, name):
        wait_until(lambda: children(self.pid, name))
        return children(self.pid, name)[0]

    def end(self, timeout=90):
        try:
            self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        for t in self.threads:
            t.join(10)
        return self.lines, self.process.stderr.read()


def attack(text, timeout=90):
    run = Run(text)
    lines, err = run.end(timeout)
    assert run.process.returncode == 0, (lines, err[-2000:])
    return run, lines


def status_of(answer):
    return int(answer.split(" ", 2)[1]) if answer.startswith("HTTP/1.1 ") else 0


def all_gone():
    wait_until(lambda: not os.listdir(runtime))
    wait_until(lambda: not sleepers())
    assert not [p for p in ps() if p[2].startswith("cove-") and p[2] != "cove-test" and p[3] != "Z" and runtime in p[4]]


# ---- floods ----

def b5_arguments_that_wait():
    """Jobs that wait keep their arguments: hundreds of a MiB each have to be refused in time."""
    run, out = attack(r"""
big = [json.dumps({"v": "x" * 1000000}).encode(), ('{"v":[' + "0," * 200000 + '0]}').encode(), ('{"v":[' + "{}," * 100000 + '0]}').encode()]
seen = {}
for i in range(120):
    a = call("hoard", big[i % 3], ["Prefer: respond-async"], seconds=20)
    seen[status(a)] = seen.get(status(a), 0) + 1
say(seen); say(call("echo", '{"text":"still there"}'))
for j in json.loads(body(req("GET", "/v1/jobs", None)))["jobs"]: req("DELETE", "/v1/jobs/" + j["id"], None)
""")
    assert "still there" in out[1], out
    assert run.peak["broker"] < 160 * MIB and run.peak["proxy"] < 160 * MIB, (run.peak, out[0])
    assert set(out[0]) <= {"202", "429"} and out[0].get("429"), out[0]


def b8_readers_that_never_read():
    run, out = attack(r"""
job = json.loads(body(call("quarter", '{}', ["Prefer: respond-async"])))["id"]
req("GET", "/v1/jobs/" + job + "?wait=20", None, seconds=30)
def reader():
    s = socket.socket(socket.AF_INET6 if ":" in A else socket.AF_INET); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(5); s.connect((A, 80)); s.sendall(head("GET", "/v1/jobs/" + job + "/events") + b"\r\n"); return s
A = socket.getaddrinfo("tools.local", 80)[0][4][0]
kept = []
for i in range(500):
    try: kept.append(reader())
    except OSError as e: say(str(e)); break
time.sleep(2); say(len(kept))
kept2 = []
for s in kept: s.close()
for i in range(300):
    s = connect(); s.sendall((head("GET", "/v1/jobs/" + job + "/result") + b"\r\n") * 30); kept2.append(s)
time.sleep(2)
for s in kept2: s.close()
say(call("echo", '{"text":"still there"}', seconds=20))
""")
    assert "still there" in out[-1], out
    assert run.peak["broker"] < 160 * MIB and run.peak["proxy"] < 160 * MIB, run.peak


def b5_a_gigabyte():
    run, out = attack(r"""
def one(tool, i): got[i] = call(tool, '{}', seconds=60)
got = {}
ts = [threading.Thread(target=one, args=(("gigabyte", "errors")[i % 2], i)) for i in range(12)]
[t.start() for t in ts]; [t.join() for t in ts]
for i in sorted(got): say([status(got[i]), len(got[i]), body(got[i])[:120]])
say(call("echo", '{"text":"still there"}', seconds=20))
""")
    assert "still there" in out[-1], out
    for code, size, text in out[:-1]:
        assert code in (502, 504) and "error" in text and size < 2 * MIB, (code, size, text)
    assert run.peak["broker"] < 200 * MIB and run.peak["disk"] < 256 * MIB, run.peak


def b5_keys_and_records():
    """Idempotency keys and results are kept for the run; the oldest go."""
    run, out = attack(r"""
n = 0
for i in range(22):
    one = b"".join(head("POST", "/v1/tools/echo", ["Content-Type: application/json", "Content-Length: 12", "Idempotency-Key: %d-%d%s" % (i, k, "k" * 200)]) + b"\r\n" + b'{"text":"x"}' for k in range(50))
    n += raw(one + head("GET", "/healthz", ["Connection: close"]) + b"\r\n", seconds=20).count("HTTP/1.1 200")
say(n); say(len(json.loads(body(req("GET", "/v1/jobs", None)))["jobs"]))
for i in range(60): call("quarter", "{}", ["Idempotency-Key: q%d" % i], seconds=20)
say(len(json.loads(body(req("GET", "/v1/jobs", None)))["jobs"]))
""", timeout=120)
    assert out[1] <= 1024 and out[2] <= 1024, out
    assert run.peak["broker"] < 96 * MIB and run.peak["disk"] < 256 * MIB, run.peak


def b5_mcp_bodies_that_wait():
    """A body's messages are kept while the first of them is handled."""
    run, out = attack(r"""
V = ["MCP-Protocol-Version: 2025-03-26", "Accept: application/json, text/event-stream"]
first = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sleeps","arguments":{"seconds":5}}}'
big = "[" + first + ',{"jsonrpc":"2.0","id":2,"method":"ping","params":{"x":[' + "0," * 200000 + "0]}}]"
got = []
def one():
    got.append(mcp(big, V, seconds=30))
ts = [threading.Thread(target=one) for _ in range(60)]
for t in ts: t.start(); time.sleep(0.03)
for t in ts: t.join()
say([status(g) for g in got]); say(got[0][-500:])
say(call("echo", '{"text":"still there"}', seconds=20))
""")
    assert "still there" in out[-1], out
    assert run.peak["broker"] < 192 * MIB and run.peak["proxy"] < 192 * MIB, (run.peak, out[0])


def b5_mcp_answers_that_wait():
    """Answers of a batch are kept until the last is there."""
    for accept in ("application/json", "application/json, text/event-stream"):
        run, out = attack(r"""
V = ["MCP-Protocol-Version: 2025-03-26", "Accept: %s"]
m = lambda i, name, args: '{"jsonrpc":"2.0","id":%%d,"method":"tools/call","params":{"name":"%%s","arguments":%%s}}' %% (i, name, args)
batch = "[" + ",".join(m(i, "mega", "{}") for i in range(20)) + "," + m(99, "sleeps", '{"seconds":4}') + "]"
got = []
ts = [threading.Thread(target=lambda: got.append(len(mcp(batch, V, seconds=60)))) for _ in range(10)]
[t.start() for t in ts]; [t.join() for t in ts]
say(got); say(call("echo", '{"text":"still there"}', seconds=20))
""" % accept)
        assert "still there" in out[-1], out
        assert run.peak["broker"] < 160 * MIB and run.peak["proxy"] < 192 * MIB, (accept, run.peak, out[0])


def b8_slow_bodies():
    run, out = attack(r"""
kept = []
for i in range(400):
    try:
        s = connect(seconds=3)
        s.sendall(head("POST", "/v1/tools/echo", ["Content-Type: application/json", "Content-Length: 1048576"]) + b"\r\n" + b"x" * 60000); kept.append(s)
    except OSError as e: break
for i in range(100):
    try:
        s = connect(seconds=3); s.sendall(b"POST /v1/tools/echo HT"); kept.append(s)
    except OSError: break
say(len(kept)); time.sleep(1)
for s in kept[::2]:
    s.close()
say(call("echo", '{"text":"after"}', seconds=20))
for s in kept: s.close()
time.sleep(0.5); say(call("echo", '{"text":"still there"}', seconds=20))
""")
    assert "still there" in out[-1], out
    assert run.peak["proxy"] < 200 * MIB and run.peak["broker"] < 64 * MIB, run.peak


# ---- tools that misbehave ----

def p10_tools_end():
    """Each of these ends in its time, and its answer says how."""
    run, out = attack(r"""
for tool in ("daemon", "holder", "parricide", "parricide_open", "stopper", "stopper_open", "stubborn", "forks", "descriptors"):
    at = time.time(); a = call(tool, "{}", seconds=40); say([tool, status(a), body(a), time.time() - at])
say(call("echo", '{"text":"still there"}', seconds=20))
""", timeout=120)
    by = {row[0]: row for row in out[:-1]}
    assert "still there" in out[-1], out
    assert by["daemon"][1] == by["holder"][1] == 200 and "done" in by["daemon"][2], by
    assert by["parricide_open"][1] == 502 and by["parricide_open"][3] < 10, by["parricide_open"]
    for name in ("parricide", "stopper", "stopper_open", "stubborn", "forks"):
        assert by[name][1] == 504 and by[name][3] < 30, by[name]
    assert by["descriptors"][1] == 200, by["descriptors"]
    all_gone()
    assert run.peak["broker"] < 64 * MIB


def b4_directories_that_tools_leave():
    for tool in ("deep", "links", "swap"):
        attack(f"say(call('{tool}', '{{}}', seconds=20))")
        with open(os.path.join(victim, "file"), encoding="ascii") as f:
            assert f.read() == "kept", tool
        assert os.stat(victim).st_mode & 0o777 == 0o755, tool
        assert not os.listdir(runtime), (tool, os.listdir(runtime))


# ---- killed ----

def b5_killed_at_any_moment():
    """Broker, shepherd, proxy: killed during calls, calls end with something typed, and the next one works."""
    for name, seed in (("cove-broker", 1), ("cove-shepherd", 2), ("cove-proxy", 3), ("cove-broker", 4)):
        run = Run(r"""
say("up")
end = time.time() + 3
def worker(k):
    while time.time() < end:
        try: a = call(("echo", "sleeps")[k % 2], ('{"text":"x"}', '{"seconds":1}')[k % 2], seconds=20)
        except OSError as e: a = "closed: " + str(e)
        say([status(a), a[-300:]])
ts = [threading.Thread(target=worker, args=(k,)) for k in range(6)]
[t.start() for t in ts]; [t.join() for t in ts]
say(call("echo", '{"text":"still there"}', seconds=20))
""")
        rand = random.Random(seed)
        wait_until(lambda: run.lines)
        for _ in range(2):
            time.sleep(0.3 + rand.random())
            parent = run.pid if name != "cove-shepherd" else run.helper("cove-broker")
            for pid in children(parent, name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        out, err = run.end()
        assert run.process.returncode == 0 and "still there" in out[-1], (name, out[-2:], err[-500:])
        for row in out[1:-1]:
            # of a connection that was made while there was no proxy nobody knows who made it, and the next
            # one does not know the address that the former gave to the name
            is_unknown = name == "cove-proxy" and row[0] == 403 and (
                "no record of this" in row[1] or "belongs to no name" in row[1])
            assert is_unknown or row[0] in (0, 200, 502, 503, 429), (name, row)
            assert row[0] in (0, 200) or '"error"' in row[1], (name, row)
        assert name == "cove-proxy" or all(row[0] for row in out[1:-1]), (name, [r for r in out[1:-1] if not r[0]])
        all_gone()


def b5_the_supervisor_is_killed():
    for seed in range(3):
        run = Run("say('up')\nwhile True:\n    call('daemon', '{}'); call('sleeps', '{\"seconds\":0}')")
        wait_until(lambda: run.lines)
        time.sleep(random.Random(seed).random())
        broker = run.helper("cove-broker")
        os.kill(run.pid, signal.SIGKILL)
        run.process.wait(10)
        wait_until(lambda: rss(broker) == 0)
        all_gone()


def b5_the_broker_is_killed_and_a_shepherd_stopped():
    run = Run("say('up')\ncall('stopper', '{}', seconds=5)\nsay(call('echo', '{\"text\":\"again\"}'))")
    wait_until(sleepers)
    broker = run.helper("cove-broker")
    for pid in children(broker, "cove-shepherd"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    os.kill(broker, signal.SIGKILL)
    out, err = run.end()
    assert "again" in out[-1], (out, err)
    all_gone()


tap.check("B5 P10 arguments of jobs that wait", b5_arguments_that_wait)
tap.check("B8 500 readers that never read", b8_readers_that_never_read)
tap.check("B5 P10 a gigabyte on stdout and on stderr", b5_a_gigabyte)
tap.check("B5 keys and results are bounded", b5_keys_and_records)
tap.check("B5 MCP bodies that wait", b5_mcp_bodies_that_wait)
tap.check("B5 MCP answers that wait", b5_mcp_answers_that_wait)
tap.check("B8 bodies that never come", b8_slow_bodies)
tap.check("P10 tools that fork, stay, stop and kill end in time", p10_tools_end)
tap.check("B4 what tools leave in their directories", b4_directories_that_tools_leave)
tap.check("B5 broker, shepherd and proxy killed at any moment", b5_killed_at_any_moment)
tap.check("B5 the supervisor killed during calls", b5_the_supervisor_is_killed)
tap.check("B5 the broker killed while a shepherd is stopped", b5_the_broker_is_killed_and_a_shepherd_stopped)
w.close()
tap.done()
