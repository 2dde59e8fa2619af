#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a new intercepted connection costs, and how late the late ones are.

New connections: each client does CONNECT, a full handshake, one request, and closes; to an upstream that
lets its connections be kept (the next client takes one), and to one that closes after each response (a
new one every time, which is also the cost without keeping).  Beside connections per second, which load
generator, proxy and origin share the CPUs for, it says what the proxy itself spent: CPU time and system
calls per connection, the latter in a run of its own with strace.

Latency: 64 kept connections, one request after the other on each; direct, nginx between, cove between.
Usage: bench/connections.py [SECONDS] [ROUNDS]"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import box  # noqa: E402
import world  # noqa: E402

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "3"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
HOST, CLOSING = "api.example.test", "closing.example.test"

w = world.World([HOST, CLOSING])
load = os.path.join(w.work, "load")
subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", load, os.path.join(lib.ROOT, "bench/load.c"), "-lssl",
                "-lcrypto"], check=True)
conf = os.path.join(w.dir, "nginx.conf")
tls = f"ssl_certificate {w.pki.cert}; ssl_certificate_key {w.pki.key};"
body = 'location / { return 200 "%s"; }' % ("x" * 600)
with open(conf, "w", encoding="utf-8") as f:
    f.write(f"""
worker_processes 1; error_log /dev/null; pid {w.dir}/nginx.pid;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {w.dir};
 proxy_temp_path {w.dir}; fastcgi_temp_path {w.dir}; uwsgi_temp_path {w.dir}; scgi_temp_path {w.dir};
 server {{ listen {world.PUBLIC}:443 ssl backlog=4096; server_name {HOST}; {tls} {body} }}
 server {{ listen {world.PUBLIC}:443 ssl; server_name {CLOSING}; keepalive_timeout 0; {tls} {body} }}
 upstream o {{ server {world.PUBLIC}:443; keepalive 64; keepalive_requests 100000000; }}
 server {{ listen {world.PRIVATE}:8443 ssl backlog=4096; {tls}
  location / {{ proxy_pass https://o; proxy_http_version 1.1; proxy_set_header Connection "";
   proxy_set_header Host {HOST}; proxy_ssl_server_name on; proxy_ssl_name {HOST};
   proxy_ssl_verify on; proxy_ssl_trusted_certificate {w.pki.ca}; proxy_buffering on; }} }} }}""")
nginx = subprocess.Popen([lib.which("nginx"), "-c", conf, "-g", "daemon off;"])
time.sleep(1)
policy = w.policy("version: 1\nnetwork_policies:\n  api:\n    endpoints:\n" + "".join(
    f"      - {{host: {h}, port: 443, protocol: rest, enforcement: enforce, rules: "
    '[{allow: {method: GET, path: "/**"}}]}\n' for h in (HOST, CLOSING))
    + f'    binaries: [{{path: "{load}"}}]\n')
PINS = [x for h in (HOST, CLOSING) for x in ("--resolve", f"{h}:443:{world.PUBLIC}")]
COVE = [lib.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--audit", w.audit, "--policy", policy,
        *PINS, "--", load, "-d", SECONDS, "-x", "10.200.0.1:3128"]
BASE = [load, "-a", w.pki.ca, "-d", SECONDS]


def proxy_of(pid):
    found = [p for p, name in box.descendants(pid).items() if name == "cove-proxy"]
    return found[0] if found else None


def run(argv, trace=None):
    """The generator's numbers, and the CPU time of the run's proxy in µs, if it has one."""
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pid, spent, tracer = None, 0, None
    while p.poll() is None:
        time.sleep(0.05)
        pid = pid or proxy_of(p.pid)
        try:
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
                spent = int(f.read().split()[0]) / 1000
        except OSError:
            continue
        if trace and not tracer:
            tracer = subprocess.Popen(["strace", "-c", "-p", str(pid), "-o", trace],
                                      stderr=subprocess.DEVNULL)
    if tracer:
        tracer.wait()
    out, err = p.communicate()
    try:
        return json.loads(out), spent
    except ValueError:
        sys.exit(f"{p.returncode} {out[:200]} {err[:400]}")


def middle(values):
    return sorted(values)[len(values) // 2]


def calls(argv):
    """System calls of the proxy for one connection: {name: count}; all of the run's, start included."""
    path = os.path.join(w.dir, "strace")
    numbers, _ = run(argv, path)
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if row and row[2] != "total":
                found[row[2]] = int(row[1])
    return {k: v / numbers["requests"] for k, v in found.items()}


NEW = {"direct": [*BASE, "-r", world.PUBLIC, "-c", "16", "-n", f"https://{HOST}/a"],
       "cove, upstream connections kept": [*COVE, "-c", "16", "-n", f"https://{HOST}/a"],
       "cove, a new one each": [*COVE, "-c", "16", "-n", f"https://{CLOSING}/a"]}
LATE = {"direct": [*BASE, "-r", world.PUBLIC, "-c", "64", f"https://{HOST}/a"],
        "nginx": [*BASE, "-r", world.PRIVATE, "-c", "64", f"https://{HOST}:8443/a"],
        "cove": [*COVE, "-c", "64", f"https://{HOST}/a"]}
results = {"new": {}, "late": {}}
try:
    for _ in range(ROUNDS):
        for kind, subjects in (("new", NEW), ("late", LATE)):
            for name, argv in subjects.items():
                results[kind].setdefault(name, []).append(run(argv))
    rows = []
    for name, runs in results["new"].items():
        cpu = middle([spent / m["requests"] for m, spent in runs])
        rows.append([name, f"{middle([m['per_second'] for m, _ in runs]):.0f}",
                     f"{middle([m['p50_us'] for m, _ in runs]) / 1000:.1f}", f"{cpu:.0f}" if cpu else ""])
    lib.table("new connections, 16 at a time", ["subject", "connections/s", "p50 ms", "proxy's CPU µs each"], rows)
    if shutil.which("strace"):
        counted = {n: calls(a) for n, a in NEW.items() if n != "direct"}
        results["calls"] = counted
        names = sorted({k for c in counted.values() for k in c}, key=lambda k: -max(
            c.get(k, 0) for c in counted.values()))
        rows = [["all", *[f"{sum(c.values()):.1f}" for c in counted.values()]]]
        rows += [[k, *[f"{c.get(k, 0):.1f}" for c in counted.values()]] for k in names
                 if max(c.get(k, 0) for c in counted.values()) >= 0.1]
        lib.table("system calls of the proxy for each", ["call", *counted], rows)
    base = middle([m["p99_us"] for m, _ in results["late"]["direct"]])
    lib.table("64 connections, one request at a time on each", ["subject", "requests/s", "p50 µs", "p99 µs",
                                                              "p99 added µs"], [
        [n, *[f"{middle([m[k] for m, _ in runs]):.0f}" for k in ("per_second", "p50_us", "p99_us")],
         f"{middle([m['p99_us'] for m, _ in runs]) - base:.0f}"] for n, runs in results["late"].items()])
finally:
    nginx.terminate()
    w.close()
lib.save("connections", results)
