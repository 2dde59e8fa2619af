#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a credential costs: the same requests through cove, without one, and with one put in and every
response searched for it.

Rules and audit are on in both; h1 by bench/load.c, h2 by h2load, each inside a real sandbox.  All
shares this machine's CPUs: the ratio says something, not the numbers.
Usage: bench/credentials.py [SECONDS] [ROUNDS]"""
import json
import os
import re
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import world  # noqa: E402

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "3"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
HOST = "api.example.test"
REQUESTS = 20000

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
subjects = {"without": [*common, "--env", "BENCH_KEY=none", "--policy", plain, "--"],
            "credential put in, responses scrubbed": [*common, "--provider", profile, "--"]}
MODES = {"h1, 700 bytes, 1 connection": (1, "/v1/a"), "h1, 700 bytes, 16 connections": (16, "/v1/a"),
         "h1, 700 bytes, 64 connections": (64, "/v1/a"), "h1, 1 MiB, 4 connections": (4, "/big")}


def h1(prefix, connections, path):
    r = subprocess.run([*prefix, load, "-d", SECONDS, "-x", "10.200.0.1:3128", "-c", str(connections), "-k",
                        "BENCH_KEY", f"https://{HOST}{path}"], capture_output=True, text=True, check=False,
                       env=os.environ | {"BENCH_KEY": "bench-value-0123456789abcdef"})
    try:
        return json.loads(r.stdout)
    except ValueError:
        sys.exit(f"{r.returncode} {r.stdout[:200]} {r.stderr[:400]}")


def h2(prefix):
    script = (f'exec {lib.which("h2load")} -n {REQUESTS} -c 4 -m 16 -H "authorization: Bearer $BENCH_KEY" '
              f"https://{HOST}/v1/a")
    r = subprocess.run([*prefix, "/bin/sh", "-c", script], capture_output=True, text=True, check=False,
                       env=os.environ | {"BENCH_KEY": "bench-value-0123456789abcdef"})
    m = re.search(r"finished in .*?, ([\d.]+) req/s", r.stdout)
    if not m or f"{REQUESTS} succeeded" not in r.stdout:
        sys.exit(f"{r.returncode} {r.stdout[-600:]} {r.stderr[:300]}")
    return {"per_second": float(m[1]), "p50_us": 0, "p99_us": 0, "gbit_per_second": 0}


results = {}
try:
    for mode, (connections, path) in [*MODES.items(), ("h2, 700 bytes, 4 connections, 16 streams", (0, ""))]:
        runs = {}
        for _ in range(ROUNDS):
            for name, prefix in subjects.items():
                runs.setdefault(name, []).append(h1(prefix, connections, path) if connections else h2(prefix))
        results[mode] = runs
        mid = {n: sorted(v, key=lambda x: x["per_second"])[len(v) // 2] for n, v in runs.items()}
        lib.table(mode, ["", "requests/s", "p50 µs", "p99 µs", "Gbit/s", "ratio"], [
            [n, f"{m['per_second']:.0f}", f"{m['p50_us']:.0f}", f"{m['p99_us']:.0f}", f"{m['gbit_per_second']:.2f}",
             f"{m['per_second'] / mid['without']['per_second']:.2f}"] for n, m in mid.items()])
finally:
    nginx.terminate()
    w.close()
lib.save("credentials", results)
