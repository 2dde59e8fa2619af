#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""P5: connect(2) is told of by a seccomp notification and then goes on with the caller's own pointer, which
another thread may rewrite meanwhile.

Goal: no decision is about an address that was read before the kernel used it.  Method: a thread rewrites the
address between one that the policy allows and one that it refuses while others connect and say where they
meant to go; each server is on its own address, and what it was sent is looked at.  The refused one must have had
nothing, and each connection that the allowed one took must be recorded as that."""
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

PORT = 9000
PROGRAM = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static struct sockaddr_in to;
static volatile unsigned addr[2];
static volatile int over;
static void *flip(void *arg)
{
	volatile unsigned *at = &to.sin_addr.s_addr;
	for (unsigned i = 0; !over; i++)
		*at = addr[i & 1];
	return arg;
}
int main(int argc, char **argv)
{
	pthread_t t;
	int done[2] = { 0, 0 };
	(void)argc;
	addr[0] = inet_addr(argv[1]);
	addr[1] = inet_addr(argv[2]);
	to.sin_family = AF_INET;
	to.sin_port = htons(9000);
	pthread_create(&t, NULL, flip, NULL);
	for (int i = 0; i < 1500; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct sockaddr_in peer;
		socklen_t n = sizeof(peer);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
			getpeername(fd, (struct sockaddr *)&peer, &n) == 0) {
			char byte;
			done[peer.sin_addr.s_addr == addr[1]]++;
			(void)!write(fd, "x", 1);
			shutdown(fd, SHUT_WR);
			(void)!read(fd, &byte, 1);
		}
		close(fd);
	}
	over = 1;
	pthread_join(t, NULL);
	printf("%d %d\n", done[0], done[1]);
	return 0;
}
"""
POLICY = f"""\
version: 1
network_policies:
  raw:
    endpoints: [{{host: "{world.PRIVATE}", port: {PORT}, allowed_ips: ["{world.PRIVATE}/32"]}}]
    binaries: [{{path: "/**"}}]
"""
w = world.World(["unused.test"])
tap = world.Tap()


class Sink:
    """Takes connections, and counts those that said something."""

    def __init__(self, address):
        self.count, self.said = 0, 0
        self.socket = socket.create_server((address, PORT), backlog=512)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            s, _ = self.socket.accept()
            with s:
                self.count += 1
                self.said += len(s.recv(10))


def p5_race():
    allowed, refused = Sink(world.PRIVATE), Sink(world.PUBLIC)
    source, program = os.path.join(w.dir, "race.c"), os.path.join(w.work, "race")
    with open(source, "w", encoding="ascii") as f:
        f.write(PROGRAM)
    subprocess.run(["cc", "-O1", "-w", "-pthread", "-o", program, source], check=True)
    r = w.cove([program, world.PRIVATE, world.PUBLIC], policy=w.policy(POLICY), timeout=120)
    assert r.returncode == 0, r
    to_allowed, to_refused = map(int, r.stdout.split())
    events = w.events()
    passed = [e for e in events if e.get("action") == "Allowed" and e.get("activity_name") == "Open" and str(PORT) in str(e.get("dst_endpoint"))]
    assert refused.count == 0, (refused.count, r.stdout)
    assert to_allowed > 20 and to_refused > 20, (r.stdout, "the race was none")
    assert allowed.said == allowed.count == to_allowed, (allowed.said, allowed.count, r.stdout)
    assert len(passed) == to_allowed and all(world.PRIVATE in str(e["dst_endpoint"]) for e in passed), (
        len(passed), passed[:1], events[:1])


tap.check("P5 an address that is rewritten while connect() is looked at is decided on as the kernel took it", p5_race)
w.close()
tap.done()
