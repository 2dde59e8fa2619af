#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: host.openshell.internal and its like are this host: a policy that names one lets an agent reach a server that
the host has on its network, and no other way does; what listens on loopback stays out of reach.
Method: real servers on the host's own address and on loopback, curl in a real sandbox."""
import http.server
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

tap = world.Tap()
w = world.World(["unused.test"])  # in a network of its own, which leads nowhere
world.route_everywhere()  # so that the host has an address on a network


def serve(address):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"host\n")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def policy(host, port):
    return w.policy(f"""\
version: 1
network_policies:
  a:
    endpoints: [{{host: {host}, port: {port}, protocol: rest, enforcement: enforce, access: full}}]
    binaries: [{{path: /usr/bin/curl}}]
""")


def fetched(host, port, asked=None, words=""):
    r = w.cove(["sh", "-c", f"curl -s -m 20 {words} http://{asked or host}:{port}/"], policy=policy(host, port))
    return r.stdout


def each_name():
    server = serve(world.PRIVATE)
    port = server.server_address[1]
    for name in ("host.openshell.internal", "host.containers.internal", "host.docker.internal"):
        assert fetched(name, port) == "host\n", name
    assert fetched(name, port, words="--noproxy '*'") == "host\n", "by its own DNS"
    assert fetched("host.openshell.internal", port, words="-d body") == "host\n"
    assert "policy_denied" in fetched("host.openshell.internal", port, "host.docker.internal"), "another's name"
    assert "policy_denied" in fetched("unused.test", port, "host.openshell.internal"), "without a policy for it"
    assert "ssrf_denied" in fetched('"*.openshell.internal"', port, "host.openshell.internal"), "a pattern is not enough"
    server.shutdown()


def not_what_is_on_loopback():
    server = serve("127.0.0.1")
    said = fetched("host.openshell.internal", server.server_address[1])
    assert "upstream_unreachable" in said, said
    server.shutdown()


def where_there_is_no_network():
    world.route_everywhere(False)
    said = fetched("host.openshell.internal", 80)
    assert "NXDOMAIN" in said or "upstream_unreachable" in said, said


tap.check("each of its names is the host", each_name)
tap.check("what the host has on loopback is not reached", not_what_is_on_loopback)
tap.check("a host that is on no network has no such name", where_there_is_no_network)
w.close()
tap.done()
