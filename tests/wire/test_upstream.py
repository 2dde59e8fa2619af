#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections to upstreams: addresses that are raced.

Goal: an address that drops everything costs a quarter of a second, and one that is only slow is not
given up for it; only checked addresses are dialled.  Method: a listener whose queue is full drops
what knocks (the kernel does that for a backlog), so a black hole needs no firewall.
"""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, read_all  # noqa: E402

POLICY = """
version: 1
network_policies:
  all:
    endpoints:
      - {host: "*.wild.test", ports: [9000, 9001, 9002, 9003]}
    binaries: [{path: /usr/bin/curl}]
"""
P, P6 = world.PUBLIC, world.PUBLIC6
MORE6 = [f"2606:2800:220:1::{n}" for n in range(101, 105)]

w = world.World(["unused.test"])
proxylab.add_local("10.200.0.0", 24)
for address in MORE6:
    world.add_address(address)
hosts = "".join(f"{a} {name}.wild.test\n" for name, addresses in {
    "both": [P6, P], "many": [*MORE6, P]}.items() for a in addresses)
tap = world.Tap()


class Hole:
    """Listens, and drops each SYN until it is opened."""

    def __init__(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((address, port))
        self.sock.listen(0)
        self.fill = []
        for _ in range(4):
            s = socket.socket(family, socket.SOCK_STREAM)
            s.setblocking(False)
            s.connect_ex((address, port))
            self.fill.append(s)
        time.sleep(0.05)

    def open(self, answer):
        """From now on it serves whoever sends something."""
        def serve(s):
            try:
                if s.recv(100):
                    s.sendall(answer)
            except OSError:
                pass

        def accept():
            while True:
                s, _ = self.sock.accept()
                threading.Thread(target=serve, args=(s,), daemon=True).start()

        for s in self.fill:
            s.close()
        threading.Thread(target=accept, daemon=True).start()


lab = Lab(w, POLICY, hosts=hosts)


def answered(name, port, answer):
    """Seconds until CONNECT was answered; then the server must be the one that gives that answer."""
    start = time.monotonic()
    s, status, _ = lab.tunnel(name + ".wild.test", port)
    took = time.monotonic() - start
    assert status == 200, read_all(s)
    s.sendall(b"ping")
    assert s.recv(10) == answer
    return took


def black_hole_costs_little():
    holes = [Hole(P6, 9000)]
    server = Bytes(P, 9000, answer=b"pong")
    took = []
    while not took or min(took) >= 0.7:  # on a busy machine one may be late
        assert len(took) < 5, took
        took.append(answered("both", 9000, b"pong"))
    assert 0.2 < min(took), took
    assert server.connections == len(took)
    del holes


def slow_one_is_not_given_up():
    slow, _hole = Hole(P6, 9001), Hole(P, 9001)
    threading.Timer(1.5, lambda: slow.open(b"slow")).start()
    took = answered("both", 9001, b"slow")  # at the kernel's third SYN, after three seconds
    assert 1.5 < took < 9, took  # of ten in all


def losers_are_closed():
    slow, fast = Hole(P6, 9002), Bytes(P, 9002, answer=b"pong")
    sockets = look.descriptor_count(lab.process.pid)
    s, status, _ = lab.tunnel("both.wild.test", 9002)
    assert status == 200
    s.sendall(b"ping")
    assert s.recv(10) == b"pong" and fast.connections == 1
    assert look.descriptor_count(lab.process.pid) <= sockets + 2
    del slow


def many_holes_are_walked_through():
    """IPv6, IPv4, IPv6, ... : the IPv4 one is the second; without it the fourth of five is tried in
    place of the oldest."""
    holes = [Hole(a, 9003) for a in (*MORE6[:3], P)]
    Bytes(MORE6[3], 9003, answer=b"pong")
    took = answered("many", 9003, b"pong")
    assert 1.0 < took < 5, took
    del holes


for title, check in [("a black-holed first address costs a quarter of a second", black_hole_costs_little),
                     ("a slow address is not given up when the next starts", slow_one_is_not_given_up),
                     ("the attempts that lost are closed", losers_are_closed),
                     ("more black holes than attempts at a time", many_holes_are_walked_through)]:
    tap.check(title, check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
