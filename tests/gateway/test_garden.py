#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what two parsers of HTTP/1 may read differently, the gateway does not read at all.
Method: each fault of tests/lib/garden.py in a request, with another request behind it: one answer,
400 or 505, and the end."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import garden  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402

PATIENCE_S = 10
HOST = b"Host: api.test\r\n"
EVIL = b"GET /EVIL HTTP/1.1\r\n" + HOST + b"\r\n"
CALL = b"POST /v1/health HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
tap = world.Tap()


def ask(data):
    with socket.create_connection(("127.0.0.1", g.port)) as s:
        s.settimeout(PATIENCE_S)
        s.sendall(data.replace(b"api.test", b"localhost:%d" % g.port))
        got = b""
        try:
            while piece := s.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    return got


def refused(*requests):
    for data in requests:
        got = ask(data)
        assert got[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 505 ") and got.count(b"HTTP/1.1 ") == 1, (data, got)


def is_well():
    got = ask(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nGET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200") == 2, got


with gatewaylab.Gateway(tls=False) as g:
    for name, line in {**garden.LINES, **garden.LINES_OF_REQUESTS}.items():
        head = b"POST /healthz HTTP/1.1\r\n" + (b"" if line.startswith(b"Host") else HOST)
        tap.check(f"t10 request with {name}: refused",
                  lambda head=head, line=line: refused(head + line + b"\r\n\r\n0\r\n\r\n" + EVIL))
    for name, line in garden.STARTS.items():
        tap.check(f"t10 request line with {name}: refused",
                  lambda line=line: refused(line + b"\r\n" + HOST + b"\r\n" + EVIL))
    for name, body in garden.CHUNKS.items():
        tap.check(f"t10 request body with {name}: refused",
                  lambda body=body: refused(CALL + b"Transfer-Encoding: chunked\r\n\r\n" + body + EVIL))
    tap.check("the gateway is well, and answers one after the other", is_well)
tap.done()
