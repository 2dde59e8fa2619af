#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stays open costs: tunnels and HTTP/2 streams at once, and the proxy's memory while they stand.

A client in a real sandbox opens CONNECT tunnels (bytes relayed, each has carried some both ways) and
streams on intercepted connections (100 on each, answered with a head and a first piece, and then
left open); cove-proxy's resident and proportional set are read before and after.
Usage: bench/open.py [TUNNELS] [STREAMS]"""
import os
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time

import lib

sys.path.remove(os.path.dirname(os.path.abspath(__file__)))  # h2.py here is not the library of that name
import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402

sys.path.insert(0, os.path.join(lib.ROOT, "tests", "lib"))
import world  # noqa: E402

TUNNELS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
STREAMS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
EACH = 100  # streams on a connection
HOST = "api.example.test"

CLIENT = f"""
import h2.config, h2.connection, h2.events, socket, ssl, sys
tunnels, streams, each, host = {TUNNELS}, {STREAMS}, {EACH}, {HOST!r}
kept = []
def tunnel(port):
    s = socket.create_connection(("10.200.0.1", 3128))
    s.sendall(f"CONNECT {{host}}:{{port}} HTTP/1.1\\r\\nHost: {{host}}:{{port}}\\r\\n\\r\\n".encode())
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += s.recv(1)
    assert b" 200 " in head, head
    return s
print("ready", flush=True); sys.stdin.readline()
for _ in range(tunnels):
    s = tunnel(9000)
    s.sendall(b"ping"); assert s.recv(4) == b"pong"
    kept.append(s)
context = ssl.create_default_context(); context.set_alpn_protocols(["h2"])
for _ in range(streams // each):
    s = context.wrap_socket(tunnel(443), server_hostname=host)
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    c.initiate_connection()
    for k in range(each):
        c.send_headers(1 + 2 * k, [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/held")],
                       end_stream=True)
    s.sendall(c.data_to_send())
    got = 0
    while got < each:
        for e in c.receive_data(s.recv(65536)):
            got += isinstance(e, h2.events.DataReceived) and e.data == b"first"
        s.sendall(c.data_to_send())
    kept.append((s, c))
print("open", flush=True); sys.stdin.readline()
"""


def serve(address, handle):
    listener = socket.create_server(address, backlog=1024)

    def accept():
        while True:
            s, _ = listener.accept()
            threading.Thread(target=handle, args=(s,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def pong(s):
    while s.recv(4):
        s.sendall(b"pong")


def hold(s):
    s = context.wrap_socket(s, server_side=True)
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    c.initiate_connection()
    s.sendall(c.data_to_send())
    while True:
        data = s.recv(65536)
        if not data:
            return
        for e in c.receive_data(data):
            if isinstance(e, h2.events.RequestReceived):
                c.send_headers(e.stream_id, [(":status", "200")])
                c.send_data(e.stream_id, b"first")
        s.sendall(c.data_to_send())


def proxy_memory(root_pid):
    """MiB (resident, proportional) of the cove-proxy below root_pid."""
    children, todo = [], [root_pid]
    while todo:
        pid = todo.pop()
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            below = [int(p) for p in f.read().split()]
        children += below
        todo += below
    for pid in children:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            if f.read().strip() != "cove-proxy":
                continue
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            kib = dict((line.split(":")[0], int(line.split()[1])) for line in f if " kB" in line)
        return kib["Rss"] / 1024, kib["Pss"] / 1024
    raise SystemExit("no cove-proxy")


resource.setrlimit(resource.RLIMIT_NOFILE, (16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
w = world.World([HOST])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(w.pki.cert, w.pki.key)
context.set_alpn_protocols(["h2"])
serve((world.PUBLIC, 9000), pong)
serve((world.PUBLIC, 443), hold)
policy = w.policy(f"""\
version: 1
network_policies:
  api:
    endpoints:
      - {{host: {HOST}, port: 443, protocol: rest, enforcement: enforce, access: read-only}}
      - {{host: {HOST}, port: 9000, tls: skip}}
    binaries: [{{path: "{os.path.realpath("/usr/bin/python3")}"}}]
""")
try:
    run = subprocess.Popen(
        [lib.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--policy", policy,
         "--resolve", f"{HOST}:443:{world.PUBLIC}", "--resolve", f"{HOST}:9000:{world.PUBLIC}",
         "--", "/usr/bin/python3", "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "ready\n"
    time.sleep(1)
    before = proxy_memory(run.pid)
    run.stdin.write("\n")
    run.stdin.flush()
    assert run.stdout.readline() == "open\n"
    time.sleep(1)
    after = proxy_memory(run.pid)
    run.stdin.close()
    run.wait()
finally:
    w.close()
lib.table(f"{TUNNELS} tunnels and {STREAMS} streams open at once", ["cove-proxy", "resident, MiB", "proportional, MiB"],
          [["idle", *(f"{x:.1f}" for x in before)], ["all open", *(f"{x:.1f}" for x in after)]])
lib.save("open", {"tunnels": TUNNELS, "streams": STREAMS, "idle_mib": before, "open_mib": after})
