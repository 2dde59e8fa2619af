#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a call of a host tool costs, over what does its work: latency, calls a second, system calls, memory.

Latency and rate: bench/load.c in a real sandbox, through the reserved route, so proxy and broker are in
it; beside it, in turn, what the tool is without them: the program spawned and waited for, the backend
asked directly.  Memory: a broker alone, with streams as a proxy hands them over.  All shares this
machine's CPUs.
Usage: bench/tools.py [SECONDS] [ROUNDS]"""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import lib

os.environ.setdefault("CV_BUILD", os.path.dirname(os.path.dirname(os.path.dirname(lib.COVE))))
sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import world  # noqa: E402

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "3"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
TRUE = "/bin/true"

w = world.World(["unused.test"])
import brokerlab  # noqa: E402

load = os.path.join(w.work, "load")
subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", load, os.path.join(lib.ROOT, "bench/load.c"), "-lssl",
                "-lcrypto"], check=True)
POLICY = w.policy("version: 1\ntools:\n  all: {tools: ['*']}\n")
COMMAND = f"""
  "true":
    description: Does nothing.
    command: {{argv: [{TRUE}]}}
    limits: {{concurrency: 256}}
  bare:
    description: Does nothing, in no cell.
    command: {{argv: [{TRUE}], private: false}}
    limits: {{concurrency: 256}}
"""
HTTP = """
  backend:
    description: Asks a backend on the loopback.
    http: {url: "http://127.0.0.1:8099", path: /}
    limits: {concurrency: 256}
"""


def nginx():
    """The backend, where there is one to be had; its process."""
    if not lib.which("nginx"):
        return None
    conf = os.path.join(w.dir, "nginx.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(f"""worker_processes 1; error_log /dev/null; pid {w.dir}/nginx.pid;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {w.dir};
 proxy_temp_path {w.dir}; fastcgi_temp_path {w.dir}; uwsgi_temp_path {w.dir}; scgi_temp_path {w.dir};
 default_type application/json;
 server {{ listen 127.0.0.1:8099 backlog=4096; location / {{ return 200 '{{"ok":true}}'; }} }} }}""")
    os.chmod(w.dir, 0o755)
    p = subprocess.Popen([lib.which("nginx"), "-c", conf, "-g", "daemon off;"])
    time.sleep(0.5)
    return p


def catalog(text):
    return w.policy("version: 1\ntools:" + text, "tools.yaml")


def sandbox(tools, *argv):
    return [lib.COVE, "run", "-q", "--workdir", w.work, "--policy", POLICY, "--tools", tools, "--", *argv]


def loaded(tools, name, connections, seconds=SECONDS):
    r = subprocess.run(sandbox(tools, load, "-d", seconds, "-x", "10.200.0.1:3128", "-c", str(connections), "-k",
                               "COVE_TOOLS_TOKEN", "-p", "{}", f"http://tools.local/v1/tools/{name}"),
                       capture_output=True, text=True, check=False)
    try:
        return json.loads(r.stdout)
    except ValueError:
        print(f"# {name}: {r.returncode} {r.stdout[:200]} {r.stderr[:400]}", file=sys.stderr)
        return None


def direct(connections=1, fresh=False):
    r = subprocess.run([load, "-d", SECONDS, "-c", str(connections), *(["-n"] if fresh else []), "-p", "{}",
                        "http://127.0.0.1:8099/"], capture_output=True, text=True, check=True)
    return json.loads(r.stdout)


def middle(runs, key):
    return sorted(r[key] for r in runs)[len(runs) // 2]


results = {}
HEAD = ["", "p10 µs", "p50 µs", "p99 µs", "calls/s"]


def row(name, runs):
    return [name, *(f"{middle(runs, key):.0f}" for key in ("p10_us", "p50_us", "p99_us", "per_second"))]


def command():
    tools, calls, bare, spawns = catalog(COMMAND), [], [], []
    for _ in range(ROUNDS):
        calls.append(loaded(tools, "true", 1))
        bare.append(loaded(tools, "bare", 1))
        spawns += [lib.spawn_wait([TRUE])[0] * 1e6 for _ in range(400)]
    spawn, call = lib.quantile(spawns, 0.5), middle(calls, "p50_us")
    many = [loaded(tools, "true", 16) for _ in range(ROUNDS)]
    results["command"] = {"spawn_us": spawn, "calls": calls, "bare": bare, "many": many}
    low = lib.quantile(spawns, 0.1)
    lib.table("a command that runs `true`", HEAD, [
        ["spawned and waited for", f"{low:.0f}", f"{spawn:.0f}", f"{lib.quantile(spawns, 0.99):.0f}", ""],
        row("called, 1 connection", calls),
        ["over it", f"{middle(calls, 'p10_us') - low:.0f}", f"{call - spawn:.0f}", "", ""],
        row("called, in no cell", bare),
        row("called, 16 connections", many)])


def backend():
    server = nginx()
    tools = catalog(HTTP)
    if not server or not loaded(tools, "backend", 1, "1"):
        print("# http tools left out", file=sys.stderr)
    else:
        plain, calls, many = [], [], []
        for _ in range(ROUNDS):
            plain.append(direct())
            calls.append(loaded(tools, "backend", 1))
            many.append(loaded(tools, "backend", 16))
        results["http"] = {"direct": plain, "calls": calls, "many": many}
        over = [f"{middle(calls, q) - middle(plain, q):.0f}" for q in ("p10_us", "p50_us")]
        lib.table("a tool that asks a server on the loopback", HEAD, [
            row("asked directly, kept connection", plain), row("called, 1 connection", calls),
            ["over it", *over, "", ""], row("called, 16 connections", many)])
    if server:
        server.terminate()


# ---- a broker alone ----

HELD = """
  held:
    description: Asks first.
    command: {argv: [/bin/true]}
    limits: {concurrency: 256}
  sleep:
    description: Sleeps.
    command: {argv: [/bin/sleep, "60"]}
    limits: {seconds: 100, concurrency: 250}
"""


def mib(pid, what):
    """VmRSS: all of it; RssAnon: without files, such as libraries, that others have too."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return f"{next(int(line.split()[1]) for line in f if line.startswith(what + ':')) / 1024:.1f}"


def memory():
    """A row for each kind of load, each by a broker of its own."""
    policy = "version: 1\ntools:\n  a: {tools: ['true', sleep]}\n  b: {tools: [held], approval: always}\n"
    rows = []
    for title, fill in (("nothing", lambda box: []), ("500 held calls", held), ("500 held calls over MCP", held_mcp),
                        ("500 jobs: 250 run, 250 wait", jobs), ("500 held calls and 500 jobs",
                                                                 lambda box: held(box) + jobs(box)),
                        ("1,000 jobs that ended", ended)):
        labs = brokerlab.Lab("version: 1\ntools:" + COMMAND + HELD)
        box = brokerlab.Sandbox(labs, "one", policy)
        kept = fill(box)
        time.sleep(1)
        rows.append([title, mib(labs.process.pid, "VmRSS"), mib(labs.process.pid, "RssAnon")])
        for stream in kept:
            stream.close()
        labs.close()
    results["memory_mib"] = rows
    lib.table("memory of the broker", ["with", "RSS, MiB", "its own, MiB"], rows)


def held(box):
    streams = []
    for _ in range(500):
        s = box.open()
        s.send("POST", "/v1/tools/held", {})
        streams.append(s)
    return streams


def held_mcp(box):
    streams = []
    for i in range(500):
        s = box.open()
        s.send("POST", "/mcp", {"jsonrpc": "2.0", "id": i, "method": "tools/call", "params": {
            "name": "held", "_meta": {"progressToken": i}}}, accept="application/json, text/event-stream")
        streams.append(s)
    return streams


def jobs(box):
    for _ in range(500):
        box.job("sleep")
    return []


def ended(box):
    for _ in range(1000):
        assert box.job("true")
    end = time.monotonic() + 30
    while time.monotonic() < end and any(j["ended"] is None for j in box.request("GET", "/v1/jobs").json["jobs"]):
        time.sleep(0.2)
    return []


def cpu_seconds(pid):
    """Its own, and that of the children it has waited for."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        words = f.read().rsplit(")", 1)[1].split()
    return [sum(int(w) for w in words[i:i + 2]) / os.sysconf("SC_CLK_TCK") for i in (11, 13)]


def processor():
    """Time of the processor for a call of `true`: other than latency it does not depend on who else runs."""
    labs, count = brokerlab.Lab("version: 1\ntools:" + COMMAND), 1000
    stream = brokerlab.Sandbox(labs, "one").open()
    before = cpu_seconds(labs.process.pid)
    for _ in range(count):
        stream.request("POST", "/v1/tools/true", {})
    after, used = cpu_seconds(labs.process.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
    own, rest = ((b - a) / count * 1e6 for a, b in zip(before, after))
    for _ in range(count):
        lib.spawn_wait([TRUE])
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spawn = (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / count * 1e6
    results["processor_us"] = {"broker": own, "shepherd_and_true": rest, "true": spawn}
    lib.table("time of the processor for one call", ["", "µs"], [
        ["the broker", f"{own:.0f}"], ["the shepherd and `true`", f"{rest:.0f}"], ["`true` alone", f"{spawn:.0f}"]])
    labs.close()


def system_calls():
    """Of the broker's own process, for each call of `true` on one kept connection."""
    if not shutil.which("strace"):
        print("# no strace: system calls left out", file=sys.stderr)
        return
    labs = brokerlab.Lab("version: 1\ntools:" + COMMAND)
    stream = brokerlab.Sandbox(labs, "one").open()
    for _ in range(20):
        stream.request("POST", "/v1/tools/true", {})
    out = os.path.join(w.dir, "strace")
    trace = subprocess.Popen(["strace", "-c", "-o", out, "-p", str(labs.process.pid)], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    for _ in range(200):
        stream.request("POST", "/v1/tools/true", {})
    trace.send_signal(signal.SIGINT)
    trace.wait()
    rows, total = [], 0
    with open(out, encoding="ascii") as f:
        for line in f:
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                rows.append([words[-1], f"{int(words[3]) / 200:.2f}", words[2]])
                total += int(words[3]) / 200
    rows.sort(key=lambda r: -float(r[1]))
    results["system_calls"] = rows
    lib.table("system calls of the broker for one call", ["call", "times", "µs each"],
              [r for r in rows if float(r[1]) >= 0.05] + [["all", f"{total:.1f}", ""]])
    labs.close()


try:
    for part in (command, backend, processor, system_calls, memory):
        part()
finally:
    w.close()
lib.save("tools", results)
