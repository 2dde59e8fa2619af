#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what a client does for long goes on when its gateway was away: a forwarded port, and the lines of a log,
of which none comes twice; and a forward ends with its own sandbox, and with no other of that name.
Method: the client against a real cove-gateway that is killed and started again, and an HTTP server in a sandbox."""
import http.client
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import ports  # noqa: E402
import world  # noqa: E402
from gatewaylab import until  # noqa: E402

PORT = ports.free()
SERVER = f"""
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode())
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), H).serve_forever()
"""

tap = world.Tap()
g = gatewaylab.Gateway()
pb = g.pb
c = clientlab.Client(g)


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def again():
    """Killed, and another one at the same port."""
    g.kill()
    time.sleep(0.3)
    g.start()


def get(port, path):
    try:
        k = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        k.request("GET", path)
        return k.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None


def a_forwarded_port_is_there_again():
    p = c.start("forward", "service", "box", "--target-port", str(PORT), "--local", "0")
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+) ->", p.stdout.readline().decode()).group(1))
        assert until(lambda: get(port, "/one")) == "/one"
        held = socket.create_connection(("127.0.0.1", port), 10)  # open when the gateway goes
        again()
        held.settimeout(20)
        assert held.recv(1) == b"", "what was connected is lost"
        assert until(lambda: get(port, "/two"), 20) == "/two" and p.poll() is None
        g.stop()
        assert get(port, "/none") is None and p.poll() is None, "and it outlives connections that fail"
        g.start()
        assert until(lambda: get(port, "/three"), 20) == "/three"
    finally:
        p.terminate()
        p.communicate(timeout=20)


def a_followed_log_goes_on():
    box = g.stub.GetSandbox(pb.GetSandboxRequest(name="box")).sandbox.metadata.id

    def push(*texts):
        supervisor = g.connect(token=g.sandbox_token(box))
        supervisor.PushSandboxLogs(iter([pb.PushSandboxLogsRequest(sandbox_id=box, logs=[
            pb.SandboxLogLine(sandbox_id=box, timestamp_ms=int(time.time() * 1000), level="INFO", target="t",
                              message=text) for text in texts])]))
    push("early", "same", "same")
    with open(os.path.join(g.directory, "lines"), "w+", encoding="utf-8") as out:
        p = c.start("logs", "box", "--tail", "-n", "3", "--source", "sandbox", stdin=subprocess.DEVNULL, stdout=out)

        def lines():
            with open(out.name, encoding="utf-8") as f:
                return [line.split("] ")[-1].strip() for line in f.read().splitlines()]
        try:
            until(lambda: lines().count("same") == 2, 20, lines)
            again()
            push("while it was connecting")
            until(lambda: "while it was connecting" in lines(), 30, lines)
            push("late")
            until(lambda: "late" in lines(), 20, lines)
            ours = ["early", "same", "same", "while it was connecting", "late"]
            assert [x for x in lines() if x in ours] == ours, lines()
        finally:
            p.terminate()
            p.communicate(timeout=20)


def a_forward_ends_with_its_own_sandbox():
    c("workspace", "create", "elsewhere")
    c("-w", "elsewhere", "sandbox", "create", "--name", "box")
    c("forward", "start", str(PORT), "box", "-d")
    c("-w", "elsewhere", "sandbox", "stop", "box")
    c("-w", "elsewhere", "sandbox", "delete", "box")
    assert until(lambda: get(PORT, "/still")) == "/still"
    assert "running" in c("forward", "list").stdout
    c("sandbox", "delete", "box")
    assert c("forward", "list").stdout == "No active forwards.\n"


try:
    c("sandbox", "create", "--name", "box", "--detach", "--", "python3", "-c", SERVER)
    for f in (a_forwarded_port_is_there_again, a_followed_log_goes_on, a_forward_ends_with_its_own_sandbox):
        check(f)
finally:
    for w in ("default", "elsewhere"):
        c("-w", w, "sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
