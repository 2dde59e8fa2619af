#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2: h2load through cove, side by side with nginx in front of the same origin.

`cove` runs h2load inside a real sandbox, transparently, with rules and audit on: h2 on both sides.
nginx speaks HTTP/2 to an upstream only with grpc_pass, and HTTP/1.1 with proxy_pass; both are here.
Everything shares this machine's CPUs, so the ratios say something, not the numbers.
Usage: bench/h2.py [REQUESTS] [ROUNDS]"""
import os
import re
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import world  # noqa: E402

REQUESTS = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
HOST = "api.example.test"

w = world.World([HOST])
running = []


def write(name, text):
    path = os.path.join(w.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


tls = f"ssl_certificate {w.pki.cert}; ssl_certificate_key {w.pki.key};"
big = write("big", "x" * (8 << 20))
names = f"proxy_ssl_server_name on; proxy_ssl_name {HOST}; proxy_set_header Host {HOST};"
conf = write("nginx.conf", f"""
worker_processes 2; error_log /dev/null; pid {w.dir}/nginx.pid;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {w.dir};
 proxy_temp_path {w.dir}; fastcgi_temp_path {w.dir}; uwsgi_temp_path {w.dir}; scgi_temp_path {w.dir};
 upstream o {{ server {world.PUBLIC}:443; keepalive 64; keepalive_requests 100000000; }}
 upstream o1 {{ server {world.PUBLIC}:443; keepalive 64; keepalive_requests 100000000; }}
 server {{ listen {world.PUBLIC}:443 ssl http2; {tls}
  location /big {{ alias {big}; }} location / {{ return 200 "{'x' * 600}"; }} }}
 server {{ listen {world.PRIVATE}:8443 ssl http2; {tls}
  location / {{ proxy_pass https://o1; proxy_http_version 1.1; proxy_set_header Connection ""; {names} }} }}
 server {{ listen {world.PRIVATE}:8444 ssl http2; {tls}
  location / {{ grpc_pass grpcs://o; grpc_ssl_server_name on; grpc_ssl_name {HOST}; grpc_set_header Host {HOST};
   grpc_ssl_verify on; grpc_ssl_trusted_certificate {w.pki.ca}; }} }} }}""")
running.append(subprocess.Popen([lib.which("nginx"), "-c", conf, "-g", "daemon off;"]))
time.sleep(1)
policy = w.policy(f"""\
version: 1
network_policies:
  api:
    endpoints:
      - host: {HOST}
        port: 443
        protocol: rest
        enforcement: enforce
        rules: [{{allow: {{method: "*", path: "/**"}}}}]
    binaries: [{{path: "{lib.which("h2load")}"}}]
""")
cove = [lib.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--audit", w.audit, "--policy", policy,
        "--resolve", f"{HOST}:443:{world.PUBLIC}", "--"]
subjects = {
    "direct": ([], f"https://{world.PUBLIC}"),
    "nginx, grpc_pass (h2 to h2)": ([], f"https://{world.PRIVATE}:8444"),
    "nginx, proxy_pass (h2 to h1)": ([], f"https://{world.PRIVATE}:8443"),
    "cove, h2 to h2, rules and audit": (cove, f"https://{HOST}"),
}
MODES = {
    "600 bytes, 1 connection, 1 stream": (REQUESTS // 4, 1, 1, "/v1/a"),
    "600 bytes, 4 connections, 16 streams": (REQUESTS, 4, 16, "/v1/a"),
    "8 MiB bodies, 2 connections, 2 streams": (64, 2, 2, "/big"),
}
results = {}
try:
    for mode, (count, connections, streams, path) in MODES.items():
        runs = {}
        for _ in range(ROUNDS):
            for name, (prefix, url) in subjects.items():
                r = subprocess.run([*prefix, lib.which("h2load"), "-n", str(count), "-c", str(connections), "-m",
                                    str(streams), url + path], capture_output=True, text=True, check=False)
                m = re.search(r"finished in .*?, ([\d.]+) req/s, ([\d.]+)([KMG]?B)/s", r.stdout)
                if not m or f"{count} succeeded" not in r.stdout:
                    print(f"# {name}: {r.returncode} {r.stdout[-600:]} {r.stderr[:300]}", file=sys.stderr)
                    continue
                scale = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[m[3]]
                runs.setdefault(name, []).append({"per_second": float(m[1]),
                                                  "gbit_per_second": float(m[2]) * scale * 8 / 1e9})
        results[mode] = runs
        mid = {n: sorted(v, key=lambda x: x["per_second"])[len(v) // 2] for n, v in runs.items()}
        ours = mid.get("cove, h2 to h2, rules and audit")
        lib.table(mode, ["subject", "requests/s", "Gbit/s", "cove / subject"], [
            [n, f"{m['per_second']:.0f}", f"{m['gbit_per_second']:.2f}",
             f"{ours['per_second'] / m['per_second']:.2f}" if ours else ""] for n, m in mid.items()])
finally:
    for p in running:
        p.terminate()
    w.close()
lib.save("h2", results)
