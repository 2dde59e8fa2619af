#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a credential costs: the same requests through cove, without one, and with one put in and every
response searched for it.

Rules and audit are on in both; h1 by bench/load.c, h2 by h2load, each inside a real sandbox that lasts.
All shares this machine's CPUs, so rounds are short and many, the subjects take turns, and what is shown
are medians: of each, and of the ratio of neighbours.  CPU is that of proxy and keeper together, by
/proc/PID/schedstat.
Usage: bench/credentials.py [SECONDS] [ROUNDS] [MODE, or the beginning of one]"""
import json
import os
import re
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import box  # noqa: E402
import world  # noqa: E402

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "0.5"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 15
ONLY = sys.argv[3] if len(sys.argv) > 3 else ""
HOST = "api.example.test"
REQUESTS = 4000

w = world.World([HOST])
load = os.path.join(w.work, "load")
subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", load, os.path.join(lib.ROOT, "bench/load.c"), "-lssl",
                "-lcrypto"], check=True)


def write(name, text, mode=0o600):
    path = os.path.join(w.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


ITEM = '{"id": 17, "name": "an item of a list", "tags": ["a", "b"], "url": "https://api.example.test/v1/items/17"},'
conf = write("nginx.conf", f"""
worker_processes 1; error_log /dev/null; pid {w.dir}/nginx.pid;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {w.dir};
 proxy_temp_path {w.dir}; fastcgi_temp_path {w.dir}; uwsgi_temp_path {w.dir}; scgi_temp_path {w.dir};
 default_type application/json;
 server {{ listen {world.PUBLIC}:443 ssl http2 backlog=4096;
  ssl_certificate {w.pki.cert}; ssl_certificate_key {w.pki.key};
  location /big {{ alias {write("big", ITEM * 9000, 0o644)}; }}
  location / {{ return 200 '{ITEM * 5}'; }} }} }}""", 0o644)
nginx = subprocess.Popen([lib.which("nginx"), "-c", conf, "-g", "daemon off;"])
time.sleep(1)
ENDPOINT = f"""\
      - host: {HOST}
        port: 443
        protocol: rest
        enforcement: enforce
        rules: [{{allow: {{method: GET, path: "/**"}}}}]
"""
BINARIES = f'    binaries: [{{path: "{load}"}}, {{path: "{lib.which("h2load") or "/none"}"}}]\n'
plain = w.policy("version: 1\nnetwork_policies:\n  api:\n    endpoints:\n" + ENDPOINT + BINARIES)
profile = write("bench.yaml", "id: bench\ncredentials:\n  - {name: key, env_vars: [BENCH_KEY], required: true}\n"
                "endpoints:\n" + re.sub("^    ", "", ENDPOINT, flags=re.M) + BINARIES[4:])
common = [lib.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--audit", w.audit, "--resolve",
          f"{HOST}:443:{world.PUBLIC}"]
WITH = "credential put in, responses scrubbed"
MODES = {"h1, 700 bytes, 1 connection": "-c 1", "h1, 700 bytes, 16 connections": "-c 16",
         "h1, 700 bytes, 64 connections": "-c 64", "h1, a path each, 16 connections": "-u -c 16",
         "h1, a new connection each, 16 at a time": "-n -c 16",
         "h1, 1 MiB, 4 connections": "-c 4 big", "h2, 700 bytes, 4 connections, 16 streams": None}
LOAD = f"{load} -d {SECONDS} -x 10.200.0.1:3128 %s -k BENCH_KEY https://{HOST}/%s"
H2LOAD = (f'{lib.which("h2load")} -n {REQUESTS} -c 4 -m 16 -H "authorization: Bearer $BENCH_KEY" '
          f"https://{HOST}/v1/a | grep -e finished -e succeeded | tr '\\n' ' '; echo")


class Subject:
    """A sandbox that runs one command after the other."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [*common, *options, "--", "/bin/sh", "-c", 'while read -r c; do eval "$c"; done'], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"BENCH_KEY": "bench-value-0123456789abcdef"})
        self.say("echo up")
        self.pids = [pid for pid, name in box.descendants(self.process.pid).items()
                     if name in ("cove-proxy", "cove-keeper")]

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def cpu_us(self):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/schedstat", encoding="utf-8") as f:
                total += int(f.read().split()[0]) / 1000
        return total

    def run(self, mode):
        before, began = self.cpu_us(), time.monotonic()
        said = self.say(H2LOAD if mode is None else LOAD % (mode.removesuffix(" big"), "big" if "big" in mode else "v1/00000000"))
        took = time.monotonic() - began
        if mode is None:
            rate = re.search(r"finished in .*?, ([\d.]+) req/s", said)
            if not rate or f"{REQUESTS} succeeded" not in said:
                sys.exit(said)
            r = {"per_second": float(rate[1]), "p50_us": 0, "p99_us": 0, "gbit_per_second": 0, "requests": REQUESTS}
        else:
            r = json.loads(said)
        r["cpu_us"] = (self.cpu_us() - before) / max(r["requests"], 1)
        r["took"] = took
        return r

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def median(values):
    return sorted(values)[len(values) // 2]


results = {}
try:
    subjects = {"without": Subject("--env", "BENCH_KEY=none", "--policy", plain),
                WITH: Subject("--provider", profile)}
    for mode, how in MODES.items():
        if not mode.startswith(ONLY):
            continue
        runs = {name: [] for name in subjects}
        for i in range(ROUNDS):
            for name in (list(subjects) if i % 2 else reversed(subjects)):
                runs[name].append(subjects[name].run(how))
        results[mode] = runs
        ratio = {n: median([a["per_second"] / max(b["per_second"], 1) for a, b in zip(v, runs["without"])])
                 for n, v in runs.items()}
        mid = {n: {k: median([x[k] for x in v]) for k in v[0]} for n, v in runs.items()}
        lib.table(mode, ["", "requests/s", "p50 µs", "p99 µs", "Gbit/s", "CPU µs", "ratio"], [
            [n, f"{m['per_second']:.0f}", f"{m['p50_us']:.0f}", f"{m['p99_us']:.0f}", f"{m['gbit_per_second']:.2f}",
             f"{m['cpu_us']:.1f}", f"{ratio[n]:.2f}"] for n, m in mid.items()])
    for s in subjects.values():
        s.close()
finally:
    nginx.terminate()
    w.close()
lib.save("credentials", results)
