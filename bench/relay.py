#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Relay: requests per second and latency through cove, side by side with proxies that people use.

Everything runs on this machine, in a network namespace of its own: load generator, proxy and origin
share its CPUs, so absolute numbers mean little; the ratios are of one run, rounds interleaved.
`cove` runs the generator inside a real sandbox, with rules, binaries and audit on.  nginx and
HAProxy are reverse proxies that terminate TLS and encrypt again towards the origin (they neither
forge leaves nor decide); squid bumps; mitmproxy intercepts.  Usage: bench/relay.py [SECONDS] [ROUNDS]"""
import json
import os
import shutil
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import world  # noqa: E402

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "3"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
HOST = "api.example.test"
BODY = "x" * 600

w = world.World([HOST])
load = os.path.join(w.work, "load")
subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", load, os.path.join(lib.ROOT, "bench/load.c"),
                "-lssl", "-lcrypto"], check=True)
running = []


def start(argv, wait=1.0):
    running.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    time.sleep(wait)


def write(name, text):
    path = os.path.join(w.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def nginx(name, servers):
    conf = write(name, f"""
worker_processes 1; error_log /dev/null; pid {w.dir}/{name}.pid;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {w.dir};
 proxy_temp_path {w.dir}; fastcgi_temp_path {w.dir}; uwsgi_temp_path {w.dir}; scgi_temp_path {w.dir};
 {servers} }}""")
    start([lib.which("nginx"), "-c", conf, "-g", "daemon off;"])


tls = f"ssl_certificate {w.pki.cert}; ssl_certificate_key {w.pki.key};"
big = write("big", "x" * (8 << 20))
nginx("origin.conf", f"""
 server {{ listen {world.PUBLIC}:443 ssl backlog=4096; {tls}
  location /big {{ alias {big}; }}
  location / {{ return 200 "{BODY}"; }} }}""")

base = [load, "-a", w.pki.ca, "-d", SECONDS]
subjects = {"direct": lambda extra, path: [*base, "-r", world.PUBLIC, *extra, f"https://{HOST}{path}"]}

if lib.which("nginx"):
    nginx("reverse.conf", f"""
 upstream o {{ server {world.PUBLIC}:443; keepalive 64; keepalive_requests 100000000; }}
 server {{ listen {world.PRIVATE}:8443 ssl backlog=4096; {tls}
  location / {{ proxy_pass https://o; proxy_http_version 1.1; proxy_set_header Connection "";
   proxy_set_header Host {HOST}; proxy_ssl_server_name on; proxy_ssl_name {HOST};
   proxy_ssl_verify on; proxy_ssl_trusted_certificate {w.pki.ca}; proxy_buffering on; }} }}""")
    subjects["nginx, terminate and re-encrypt"] = lambda extra, path: [
        *base, "-r", world.PRIVATE, *extra, f"https://{HOST}:8443{path}"]
if lib.which("haproxy"):
    pem = write("both.pem", open(w.pki.cert).read() + open(w.pki.key).read())
    conf = write("haproxy.cfg", f"""
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend f
  bind {world.PRIVATE}:8444 ssl crt {pem}
  default_backend b
backend b
  server o {world.PUBLIC}:443 ssl verify required ca-file {w.pki.ca} sni str({HOST})
""")
    start([lib.which("haproxy"), "-f", conf])
    subjects["haproxy, terminate and re-encrypt"] = lambda extra, path: [
        *base, "-r", world.PRIVATE, *extra, f"https://{HOST}:8444{path}"]
hosts = f"{world.PUBLIC} {HOST}\n"
certgen = "/usr/lib/squid/security_file_certgen"
if lib.which("squid") and os.path.exists(certgen):
    subprocess.run(["chmod", "777", w.dir], check=True)
    db = os.path.join(w.dir, "ssl_db")
    subprocess.run([certgen, "-c", "-s", db, "-M", "4MB"], check=False, capture_output=True)
    subprocess.run(["chmod", "-R", "777", db], check=False)
    both = write("bump.pem", open(w.pki.ca).read() + open(w.pki.ca_key).read())
    os.chmod(both, 0o644)
    conf = write("squid.conf", f"""
http_port {world.PRIVATE}:3128 ssl-bump cert={both} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program {certgen} -s {db} -M 4MB
sslcrtd_children 2
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
tls_outgoing_options cafile={w.pki.ca}
http_access allow all
cache deny all
cache_mem 0 MB
access_log none
cache_log /dev/null
pid_filename none
hosts_file {write("hosts", hosts)}
visible_hostname bench
workers 1
shutdown_lifetime 0 seconds
""")
    start([lib.which("squid"), "-N", "-f", conf], 3)
    subjects["squid, ssl_bump"] = lambda extra, path: [
        *base, "-x", f"{world.PRIVATE}:3128", *extra, f"https://{HOST}{path}"]
mitmdump = lib.which("mitmdump")
if mitmdump:
    confdir = os.path.join(w.dir, "mitm")
    os.mkdir(confdir)
    with open(os.path.join(confdir, "mitmproxy-ca.pem"), "w", encoding="utf-8") as f:
        f.write(open(w.pki.ca_key).read() + open(w.pki.ca).read())
    resolver = write("resolve.py", f"""
def server_connect(data):
    data.server.address = ("{world.PUBLIC}", data.server.address[1])
    data.server.sni = "{HOST}"
""")
    start([mitmdump, "-q", "--listen-host", world.PRIVATE, "--listen-port", "8080", "--set",
           f"confdir={confdir}", "--set", f"ssl_verify_upstream_trusted_ca={w.pki.ca}", "-s", resolver], 5)
    subjects["mitmproxy"] = lambda extra, path: [
        *base, "-x", f"{world.PRIVATE}:8080", *extra, f"https://{HOST}{path}"]

RULES = f"""\
version: 1
network_policies:
  api:
    endpoints:
      - host: {HOST}
        port: 443
        protocol: rest
        enforcement: enforce
        rules:
          - allow: {{method: GET, path: "/**"}}
          - allow: {{method: POST, path: /v1/items}}
        deny_rules:
          - {{method: GET, path: "/admin/**"}}
    binaries: [{{path: "{w.work}/load"}}]
"""
PASS = RULES.split("        protocol")[0] + "        tls: skip\n" + RULES[RULES.index("    binaries"):]


def cove(policy):
    return lambda extra, path: [
        lib.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--audit", w.audit, "--policy",
        policy, "--resolve", f"{HOST}:443:{world.PUBLIC}", "--", load, "-d", SECONDS, "-x",
        "10.200.0.1:3128", *extra, f"https://{HOST}{path}"]


ca_in_work = shutil.copy(w.pki.ca, w.work)
if not os.path.exists(lib.COVE):
    sys.exit(f"{lib.COVE} is not built; run ./cove --version first")
subjects["cove, intercepted, rules and audit"] = cove(w.policy(RULES, "rules.yaml"))
passthrough = cove(w.policy(PASS, "pass.yaml"))
subjects["cove, CONNECT passthrough"] = lambda extra, path: [
    *passthrough(["-a", ca_in_work, *extra], path)]

MODES = {"keep-alive, 1 connection": (["-c", "1"], "/v1/a"),
         "keep-alive, 16 connections": (["-c", "16"], "/v1/a"),
         "new connection each, 16 at a time": (["-c", "16", "-n"], "/v1/a"),
         "8 MiB bodies, 4 connections": (["-c", "4"], "/big")}
results = {}
try:
    for mode, (extra, path) in MODES.items():
        runs = {}
        for _ in range(ROUNDS):
            for name, argv in subjects.items():
                r = subprocess.run(argv(extra, path), capture_output=True, text=True, check=False)
                try:
                    runs.setdefault(name, []).append(json.loads(r.stdout))
                except ValueError:
                    print(f"# {name}: {r.returncode} {r.stdout[:200]} {r.stderr[:300]}", file=sys.stderr)
        results[mode] = runs
        mid = {n: sorted(v, key=lambda x: x["per_second"])[len(v) // 2] for n, v in runs.items()}
        ours = mid.get("cove, intercepted, rules and audit")
        lib.table(mode, ["subject", "requests/s", "p50 µs", "p99 µs", "Gbit/s", "cove / subject"], [
            [n, f"{m['per_second']:.0f}", f"{m['p50_us']:.0f}", f"{m['p99_us']:.0f}",
             f"{m['gbit_per_second']:.2f}",
             f"{ours['per_second'] / m['per_second']:.2f}" if ours and m["per_second"] else ""]
            for n, m in mid.items()])
finally:
    for p in running:
        p.terminate()
    w.close()
lib.save("relay", results)
