#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the server that fall silent while a call of theirs runs.

Goal: after 20 s without a byte comes a PING; who answers stays, who doesn't within 10 s is closed and
their calls with it; a message that never comes is not waited for longer than 30 s.
"""
import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402  (first: it may start another Python)
import rpclab  # noqa: E402
import rpcserver  # noqa: E402
import world  # noqa: E402
from h2lab import DATA, END_HEADERS, END_STREAM, HEADERS, PING, block, frame  # noqa: E402

pb, _ = rpclab.openshell()
tap = world.Tap()
server = rpcserver.Server()
begun = time.monotonic()


def message(m):
    data = m.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def head(method):
    return [(":method", "POST"), (":scheme", "http"), (":authority", "a"),
            (":path", "/openshell.v1.OpenShell/" + method), ("content-type", "application/grpc"),
            ("authorization", "Bearer u")]


def watcher():
    """A stream of the server that sends nothing."""
    r = h2lab.Raw(server.connect())
    r.send(frame(HEADERS, END_HEADERS, 1, block(head("ExecSandbox"))),
           frame(DATA, END_STREAM, 1, message(pb.ExecSandboxRequest())))
    return r


def after():
    return time.monotonic() - begun


alive, dead = watcher(), watcher()
half = h2lab.Client(server.connect(), "a", "http")
half_id = half.send(head("GetSandbox"), end=False)
half.data(half_id, b"\0\0")


def pings():
    assert alive.read(lambda f: f[0] == PING and not f[1], 25)[0] == PING
    assert 19 < after() < 23, after()
    alive.send(frame(PING, 1, 0, alive.frames[-1][3]))


def silence():
    assert dead.read(lambda f: False, 15) == "closed"
    assert 29 < after() < 33, after()
    assert sum(f[0] == PING for f in dead.frames) == 1
    end = time.monotonic() + 5
    while server.open() != (1, 0):  # of the one who answered
        assert time.monotonic() < end, server.open()
        time.sleep(0.05)


def half_message():
    s = half.finish(half_id, 10)
    assert s["end"] and s["head"]["grpc-status"] == "4", s
    assert 29 < after() < 35, after()


def stays():
    assert alive.read(lambda f: f[0] == PING and not f[1], 25)[0] == PING  # the next one
    assert 39 < after() < 46, after()
    assert server.open() == (1, 0)


def a_silent_server():
    """Our client waits for the first word as long as for TLS, and says what is the matter."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        r = subprocess.run([world.COVE, "sandbox", "list"], capture_output=True, text=True, timeout=40, check=False,
                           env={"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                                "OPENSHELL_GATEWAY_ENDPOINT": f"http://127.0.0.1:{s.getsockname()[1]}"})
    assert r.returncode == 1 and "takes connections and says nothing" in r.stderr, r


tap.check("a PING after 20 s of silence", pings)
half.read(lambda: False, 0.1)  # it answers its own
tap.check("t20 who doesn't answer is closed, and the call", silence)
tap.check("t20 a message that doesn't come", half_message)
tap.check("who answers stays", stays)
tap.check("a server that takes connections and says nothing", a_silent_server)
tap.check("the end", lambda: (alive.sock.close(), server.close()))
tap.done()
