#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `cove top` on a terminal, and once: sandboxes that come and go, decisions, logs, approvals, the
gateway's end and return, sizes, colours, and that the terminal is given back.
Method: the client on a pseudo-terminal whose screen a terminal emulator (pyte) keeps, against a real
gateway and real sandboxes."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import heldlab  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402

try:
    import pyte
except ImportError:
    pyte = None

CURL = "/usr/bin/curl"
tap = world.Tap()
lab = heldlab.Lab()
g = gatewaylab.Gateway(config=lab.config)
c = clientlab.Client(g)
pb = g.pb
WAIT_S = 30


class Top:
    def __init__(self, *words, width=110, height=30, **env):
        self.master, slave = pty.openpty()
        self.raw = b""
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)
        self.size(width, height)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = c.start("top", *words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                               env=dict({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}, **env))
        self.lock = threading.Lock()
        self.is_over = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while not self.is_over:
            if not select.select([self.master], [], [], 0.1)[0]:
                continue
            data = os.read(self.master, 65536)
            with self.lock:
                self.raw += data
                self.stream.feed(data)

    def size(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        if hasattr(self, "process"):
            with self.lock:
                self.screen.resize(height, width)
            os.kill(self.process.pid, signal.SIGWINCH)

    def text(self):
        with self.lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def keys(self, text):
        os.write(self.master, text.encode())

    def until(self, *wanted, gone=()):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            text = self.text()
            if all(w in text for w in wanted) and not any(w in text for w in gone):
                return text
            assert self.process.poll() is None, "it ended: " + text
            time.sleep(0.05)
        raise AssertionError("no %r (without %r) on the screen:\n%s" % (wanted, gone, self.text()))

    def quit(self, key="q"):
        self.keys(key)
        return self.ended()

    def ended(self):
        status = self.process.wait(15)
        self.is_over = True
        self.reader.join()
        after = termios.tcgetattr(self.slave)
        os.close(self.master)
        os.close(self.slave)
        assert after[:4] == self.before[:4], "the terminal's mode is not what it was"
        return status


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def phase(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase


def ready(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "600"])))
    settled(name)
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.metadata.id


def settled(name):
    end = time.monotonic() + WAIT_S
    while phase(name) != 2:
        assert time.monotonic() < end, "it does not get ready"
        time.sleep(0.05)


def curl_in(sandbox_id, url):
    for _ in g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sandbox_id, command=[CURL, "-sS", "-m", "5", url])):
        pass


def drafts(status):
    return g.stub.GetDraftPolicy(pb.GetDraftPolicyRequest(name="box", status_filter=status)).chunks


def without_a_terminal():
    said = c("top", status=1).stderr
    assert "needs a terminal" in said and "hint: cove top --once" in said, said
    assert "hint: openshell top --once" in c("top", status=1, program="openshell").stderr
    assert c("top", "--once").stdout.splitlines()[1].startswith("NAME"), "an empty gateway"
    assert c("top", "--once", program="openshell").stdout.startswith("openshell top  ")
    assert json.loads(c("top", "-o", "json").stdout)["sandboxes"] == []


def live():
    identity = ready("box")
    t = Top()
    t.until("cove top  test  connected", "box", "Ready", "DECISIONS")
    ready("second")
    t.until("second", "2 sandboxes")
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="second"))
    t.until("1 sandboxes", gone=["second"])
    curl_in(identity, "https://wanted.test/")
    t.until("DENIED", "wanted.test")
    t.keys("\r")
    t.until("LOG of box", "phase Ready", gone=["NAME"])
    t.keys("\x1b")
    t.until("NAME", "1 pending")
    t.keys("p")
    t.until("PENDING: what would be allowed", "wanted.test:443")
    t.keys("\r")
    t.until("host: wanted.test", CURL)
    t.keys("a")
    t.until("Approve wanted.test:443 for box? y")
    t.keys("n")
    t.until(gone=["? y"])
    assert [k.status for k in drafts("pending")] == ["pending"]
    t.keys("ay")
    t.until("approved", "0 pending")
    assert [k.proposed_rule.endpoints[0].host for k in drafts("approved")] == ["wanted.test"]
    curl_in(identity, "https://refused.test/")
    t.until("1 pending")
    t.keys("px")
    t.until("Reject refused.test:443 for box? y")
    t.keys("y")
    t.until("rejected", "0 pending")
    assert [k.proposed_rule.endpoints[0].host for k in drafts("rejected")] == ["refused.test"]
    t.keys("s/none\r")
    t.until("no sandbox has that in its name")
    t.keys("\x1b")
    t.until("Ready")
    t.keys("?")
    t.until("PgUp")
    assert t.quit() == 0


def held_calls():
    """A call of a host tool waits on the screen; y lets it go, and the caller gets its answer."""
    asker = lab.sandbox(g, "asker")
    t = Top()
    t.until("asker", "0 pending")
    call = heldlab.Asking(g, asker, "the first \x1b[31m\u202ewords")
    t.until("1 pending")
    t.keys("p")
    t.until("PENDING", "each", "asker")
    t.keys("\r")
    shown = t.until("Asks for", "each", "the first", "curl")
    assert "\u202e" not in shown and call.got is None
    t.keys("a")
    t.until("for asker? y")
    t.keys("n")
    t.until(gone=["? y"])
    assert call.got is None, "n is no answer"
    t.keys("ay")
    assert call.wait() == (200, {"output": "the first \x1b[31m\u202ewords\n"}), call.got
    t.until("0 pending")
    call = heldlab.Asking(g, asker, "the second")
    t.until("1 pending")
    t.keys("px")
    t.until("for asker? y")
    t.keys("y")
    status, what = call.wait()
    assert (status, what["error"]) == (403, "approval_denied"), call.got
    t.until("0 pending")
    # answered elsewhere: it goes from the screen
    call = heldlab.Asking(g, asker, "the third")
    t.until("1 pending")
    listed = c("approve", "--list").stdout
    c("approve", listed.split()[0], "--yes")
    assert call.wait()[0] == 200
    t.until("0 pending")
    assert t.quit() == 0
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="asker"))


def keys_move():
    ids = [ready(n) for n in ("aa", "bb")]
    t = Top()
    t.until("aa", "bb", "box")

    def selected():
        with t.lock:
            for y in range(t.screen.lines):
                if t.screen.buffer[y][0].reverse:
                    return t.screen.display[y].split()[0]
        return None

    def goes(keys, to):
        t.keys(keys)
        end = time.monotonic() + WAIT_S
        while selected() != to:
            assert time.monotonic() < end, (keys, to, selected(), t.text())
            time.sleep(0.05)

    names = [line.split()[0] for line in t.text().splitlines() if " Ready " in line]
    goes("g", names[0])
    goes("j", names[1])
    goes("\x1bOB", names[2])  # arrows, as the terminal sends them
    goes("\x1bOA", names[1])
    goes("k", names[0])
    goes("G", names[2])
    assert t.quit() == 0
    for n in ("aa", "bb"):
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=n))
    assert ids


def sizes():
    t = Top()
    t.until("box", "q quit")
    t.size(30, 5)
    t.until("too small: 40x8", gone=["DECISIONS"])
    t.size(60, 12)
    t.until("box", "DECISIONS", gone=["too small"])
    t.size(200, 60)
    t.until("box", "q quit")
    assert t.quit() == 0


def colours():
    t = Top()
    t.until("Ready")
    assert b"\x1b[32m" in t.raw, "no green"
    t.quit()
    t = Top(NO_COLOR="1")
    t.until("Ready")
    colours = [n for m in re.findall(rb"\x1b\[([0-9;]*)m", t.raw) for n in m.split(b";") if 30 <= int(n or 0) <= 107]
    assert not colours, t.raw
    t.quit()
    t = Top(LC_ALL="C")
    t.until("box")
    assert all(byte < 0x80 for byte in t.raw)
    t.quit()


def ends():
    """However it ends, the terminal is as it was."""
    t = Top()
    t.until("box")
    t.process.send_signal(signal.SIGTERM)
    t.ended()


def reconnects():
    t = Top()
    t.until("connected", "box")
    g.kill()
    t.until("not connected")
    g.start()
    t.until("  connected  ", gone=["not connected"])
    settled("box")
    identity = g.stub.GetSandbox(pb.GetSandboxRequest(name="box")).sandbox.metadata.id
    time.sleep(1.5)
    curl_in(identity, "https://later.test/")
    t.until("later.test")
    assert t.quit() == 0


def once():
    end = time.monotonic() + WAIT_S
    while not drafts("pending"):
        assert time.monotonic() < end, "the denial becomes no proposal"
        time.sleep(0.1)
    text = c("top", "--once").stdout
    assert "\x1b" not in text and "box" in text and "DECISIONS" in text, text
    v = json.loads(c("top", "-o", "json").stdout)
    assert [s["name"] for s in v["sandboxes"]] == ["box"] and v["sandboxes"][0]["phase"] == "Ready", v
    assert any("later.test" in d["message"] and d["is_denied"] for d in v["decisions"]), v
    assert [p["endpoints"] for p in v["pending"]] == ["later.test:443"], v
    assert "later.test:443" in text, text


def memory():
    v = json.loads(c("top", "-o", "json").stdout)
    if os.geteuid() != 0 and "memory_bytes" not in v["sandboxes"][0]:
        raise look.Unavailable("unavailable: whose supervisor is not dumpable is for root only to see")
    assert v["sandboxes"][0]["memory_bytes"] > 1 << 20, "its processes are here"


try:
    check(without_a_terminal)
    if pyte:
        for f in (live, held_calls, keys_move, sizes, colours, ends, reconnects, once, memory):
            check(f)
    else:
        tap.skip("on a terminal", "unavailable: no python3-pyte (tools/deps test)")
finally:
    g.close()
tap.done()
