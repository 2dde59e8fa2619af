#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a command that goes on without its client has a terminal, or a stdin that stays open, and whoever
comes later goes on with it: one writes at a time, takes over only when he says so, and gets what is kept of
the screen; the command survives clients and the gateway, and its end is told always.
Method: grpcio's stubs and the command line on pseudo-terminals, against a real cove-gateway and real
sandboxes; clients go away in the middle, and the gateway is killed with SIGKILL."""
import hashlib
import json
import os
import queue
import random
import select
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ttylab  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
c = clientlab.Client(g)
pb, cove_pb = g.pb, rpclab.module("cove_pb2")
READY, STOPPED = 2, 7
WAIT_S = 30
MB = 1 << 20


# ---- helpers ----

def cove():
    return rpclab.module("cove_pb2_grpc").CoveStub(g.channel(options=[
        ("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]))


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def ready(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "100000"])))
    until(lambda: get(name).status.phase == READY)
    return get(name).metadata.id


def start(*command, keep=False, tty=False, **kw):
    return cove().StartExec(cove_pb.StartExecRequest(
        exec=pb.ExecSandboxRequest(sandbox_id=box, command=command, tty=tty, **kw), keep_stdin=keep)).exec.id


def follow(x, offset=0):
    out, end = b"", None
    for e in cove().FollowExec(cove_pb.FollowExecRequest(sandbox_id=box, exec_id=x, from_offset=offset)):
        out += e.output.stdout + e.output.stderr
        if e.WhichOneof("event") == "end":
            end = e.end
    return out, end


def row(x):
    return next(e for e in cove().ListExecs(cove_pb.ListExecsRequest(sandbox_id=box)).execs if e.id == x)


class Attach:
    """An AttachExec by hand; what comes is read by a thread."""

    def __init__(self, x, reads=True, **kw):
        self._out, self._in = queue.Queue(), threading.Condition()
        self.out, self.accepted, self.exit, self.status = bytearray(), 0, None, None
        self.say(start=cove_pb.AttachExecStart(sandbox_id=box, exec_id=x, **kw))
        self.call = cove().AttachExec(iter(self._out.get, None))
        if reads:
            threading.Thread(target=self._read, daemon=True).start()

    def say(self, **kw):
        self._out.put(cove_pb.AttachExecInput(**kw))

    def put(self, b):
        self.say(stdin=b)

    def eof(self):
        self.say(stdin_end=cove_pb.AttachExecStdinEnd())

    def _read(self):
        status = ("OK", "")
        try:
            for e in self.call:
                with self._in:
                    self.out += e.output.stdout + e.output.stderr
                    if e.WhichOneof("event") == "accepted":
                        self.accepted = e.accepted.bytes
                    if e.WhichOneof("event") == "end":
                        self.exit = e.end.exit_code
                    self._in.notify_all()
        except Exception as e:  # noqa: BLE001
            status = (e.code().name, e.details())
        with self._in:
            self.status = status
            self._in.notify_all()

    def until(self, what, seconds=WAIT_S):
        with self._in:
            assert self._in.wait_for(what, seconds), (bytes(self.out[-400:]), self.accepted, self.exit, self.status)
        return self

    def sees(self, text):
        """Comes, behind what was seen before."""
        self.until(lambda: text in self.out)
        del self.out[:self.out.index(text) + len(text)]
        return self

    def over(self):
        self.until(lambda: self.status)
        return self.status

    def leave(self):
        self.call.cancel()
        self.over()


class Terminal:
    """The command line on a pseudo-terminal."""

    def __init__(self, *words, rows=24, cols=80):
        self.process, self.master = c.start_on_terminal(*words, rows=rows, cols=cols)
        self.out = b""

    def size(self, rows, cols):
        ttylab.size(self.master, rows, cols)

    def keys(self, b):
        os.write(self.master, b)

    def _more(self, until_s):
        if not select.select([self.master], [], [], max(0, until_s - time.monotonic()))[0]:
            return False
        try:
            b = os.read(self.master, 65536)
        except OSError:
            return False
        self.out += b
        return bool(b)

    def sees(self, text):
        end = time.monotonic() + WAIT_S
        while text not in self.out:
            assert self._more(end), (text, self.out[-600:])
        self.out = self.out[self.out.index(text) + len(text):]

    def ended(self):
        end = time.monotonic() + WAIT_S
        while self._more(end):
            pass
        status = self.process.wait(10)
        os.close(self.master)
        return status


def restart(away_s=0.5):
    g.kill()
    time.sleep(away_s)
    g.start()
    until(lambda: code_of(lambda: get("box").status.phase) == ("OK", READY))


def equal(got, want):
    assert got == want, (got, want)


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


SHELL = ("sh", "-c", "stty -echo; PS1=; echo begun; exec sh")


# ---- a terminal ----

def a_terminal_is_kept_for_whoever_comes():
    x = start(*SHELL, tty=True, rows=31, cols=97)
    equal((row(x).tty, row(x).takes_input, row(x).attached), (True, True, ""))
    a = Attach(x).sees(b"begun")
    a.put(b"tty; stty size; echo $TERM; A=kept\n")
    a.sees(b"/dev/pts/").sees(b"31 97").sees(b"xterm-256color")
    a.leave()
    b = Attach(x).sees(b"begun").sees(b"31 97")  # the screen so far
    b.put(b"echo still $A\n")
    b.sees(b"still kept")
    b.put(b"exit 7\n")
    equal(b.over(), ("OK", ""))
    equal(b.exit, 7)
    equal(Attach(x).over(), ("OK", ""))  # and its end, for who comes after it
    out, end = follow(x)
    equal((end.exit_code, end.reason), (7, "exited"))
    assert b"still kept" in out
    equal(row(x).takes_input, False)


def its_size_follows_and_who_comes_makes_it_draw():
    x = start("sh", "-c", "trap 'echo winch; stty size' WINCH; echo begun; while :; do sleep 0.05; done", tty=True,
              rows=24, cols=80)
    a = Attach(x).sees(b"begun")
    a.say(resize=pb.ExecSandboxWindowResize(rows=50, cols=132))
    a.sees(b"50 132")
    a.leave()
    seen = row(x).output_bytes
    b = Attach(x, from_offset=seen, rows=50, cols=132)  # the same size: it draws all the same
    b.sees(b"winch").sees(b"50 132")
    b.leave()
    b = Attach(x, from_offset=row(x).output_bytes, rows=20, cols=60).sees(b"20 60")
    b.put(b"\x03")
    b.over()
    equal(b.exit, 130)


def keys_are_the_terminals():
    x = start("sh", "-c", "echo begun; cat; echo over; exec sleep 4741", tty=True)
    a = Attach(x).sees(b"begun")
    a.put(b"line\n")
    a.sees(b"line\r\nline\r\n")  # echoed, and printed
    a.until(lambda: a.accepted == 5)
    a.eof()  # as Ctrl-D
    a.sees(b"over")
    a.put(b"\x03")
    a.over()
    equal(a.exit, 130)


# ---- stdin ----

def a_stdin_that_stays_open_takes_from_one_after_the_other():
    x = start("sh", "-c", "cat; echo over; exit 3", keep=True, stdin=b"zero\n")
    a = Attach(x).sees(b"zero\n")
    a.put(b"one\n")
    a.sees(b"one\n").until(lambda: a.accepted == 4)
    a.call.cancel()
    a.over()
    b = Attach(x, from_offset=row(x).output_bytes)
    b.put(b"two\n")
    b.sees(b"two\n").until(lambda: b.accepted == 4)
    b._out.put(None)  # half-closed: that is no end of it
    time.sleep(0.5)
    equal(row(x).takes_input, True)
    b.leave()
    d = Attach(x)
    d.eof()
    equal(d.over(), ("OK", ""))
    equal((d.exit, bytes(d.out)), (3, b"zero\none\ntwo\nover\n"))
    assert follow(x)[0] == b"zero\none\ntwo\nover\n"


def all_of_it_comes_whole_and_it_waits_for_the_command():
    data = random.Random(5).randbytes(8 * MB)
    x = start("sh", "-c", "sleep 4; sha256sum", keep=True)
    a = Attach(x)
    for i in range(0, len(data), 65536):
        a.put(data[i:i + 65536])
    time.sleep(1)
    assert a.accepted <= 256 << 10, "nobody reads it yet"
    a.until(lambda: a.accepted == len(data), 60)
    a.eof()
    a.over()
    equal((a.out.split()[0].decode(), a.exit), (hashlib.sha256(data).hexdigest(), 0))
    # A command that never reads: the writer is held, and the gateway's memory is bounded.
    x = start("sleep", "4742", keep=True)

    def rss():
        with open(f"/proc/{g.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    before = rss()
    a = Attach(x)
    for i in range(0, 4 * len(data), 65536):
        a.put(data[i % len(data):i % len(data) + 65536])
    time.sleep(2)
    assert rss() - before < 8 << 10, (before, rss())
    assert a.accepted <= 128 << 10, a.accepted
    a.leave()
    cove().KillExec(cove_pb.KillExecRequest(sandbox_id=box, exec_id=x, signal=9))
    until(lambda: row(x).HasField("end"))


def who_reads_no_more_ends_it():
    x = start("sh", "-c", "head -c 3; exec <&-; sleep 0.5; exit 4", keep=True)
    a = Attach(x)
    a.put(b"abc")
    a.sees(b"abc")
    a.put(b"lost")
    a.over()
    equal(a.exit, 4)


# ---- one writes at a time ----

def another_writes_only_when_he_takes_over():
    x = start(*SHELL, tty=True)
    a = Attach(x).sees(b"begun")
    equal(row(x).attached, "local")
    code, said = Attach(x).over()
    equal((code, said), ("FAILED_PRECONDITION", "local is attached to it and writes; take over, or follow it"))
    a.put(b"echo still mine\n")
    a.sees(b"still mine")
    b = Attach(x, take_over=True).sees(b"begun")
    equal(a.over(), ("ABORTED", "local took over"))
    b.put(b"echo now mine\n")
    b.sees(b"now mine")
    stream = cove().FollowExec(cove_pb.FollowExecRequest(sandbox_id=box, exec_id=x))
    assert next(stream).output.stdout, "followers look, whoever writes"
    stream.cancel()
    b.put(b"exit\n")
    b.over()
    equal(b.exit, 0)


def what_can_not_be_is_refused():
    plain = start("sleep", "4743")
    ended = start("sh", "-c", "cat; sleep 4744", keep=True)
    a = Attach(ended)
    a.eof()
    until(lambda: not row(ended).takes_input)
    a.leave()
    for what, (x, kw), code, text in (
            ("no input", (plain, {}), "FAILED_PRECONDITION", "it takes no input"),
            ("ended", (ended, {}), "FAILED_PRECONDITION", "its stdin has ended"),
            ("none", ("nothing", {}), "NOT_FOUND", "exec not found"),
            ("offset", (plain, {"from_offset": 9}), "FAILED_PRECONDITION", "no input"),
            ("size", (plain, {"rows": 65536}), "INVALID_ARGUMENT", "at most 65535")):
        got = Attach(x, **kw).over()
        assert got[0] == code and text in got[1], (what, got)

    def raw(*messages):
        return code_of(lambda: list(cove().AttachExec(iter(messages))))
    m = cove_pb.AttachExecInput
    equal(raw(), ("INVALID_ARGUMENT", "first message must be start"))
    equal(raw(m(stdin=b"x")), ("INVALID_ARGUMENT", "first message must be start"))
    x = start("sleep", "4745", keep=True)
    one = m(start=cove_pb.AttachExecStart(sandbox_id=box, exec_id=x))
    equal(raw(one, one), ("INVALID_ARGUMENT", "start was sent twice"))
    for y in (plain, ended, x):
        cove().KillExec(cove_pb.KillExecRequest(sandbox_id=box, exec_id=y, signal=9))


# ---- what ends meanwhile ----

def a_killed_gateway_takes_neither_terminal_nor_stdin():
    t = start(*SHELL, tty=True)
    Attach(t).sees(b"begun").leave()
    s = start("sh", "-c", "cat; exit 6", keep=True)
    a = Attach(s)
    a.put(b"before\n")
    a.sees(b"before\n")
    shut = start("sh", "-c", "cat; sleep 4746", keep=True)
    b = Attach(shut)
    b.eof()
    until(lambda: not row(shut).takes_input)
    restart()
    equal((row(t).tty, row(t).takes_input, row(s).takes_input), (True, True, True))
    until(lambda: not row(shut).takes_input)
    equal(Attach(shut).over()[0], "FAILED_PRECONDITION")
    a = Attach(t).sees(b"begun")
    a.put(b"echo back; exit 9\n")
    a.sees(b"back")
    a.over()
    equal(a.exit, 9)
    a = Attach(s)
    a.put(b"after\n")
    a.sees(b"before\nafter\n")
    a.eof()
    a.over()
    equal(a.exit, 6)
    cove().KillExec(cove_pb.KillExecRequest(sandbox_id=box, exec_id=shut, signal=9))


def a_terminal_is_hung_up_on_at_its_end():
    x = start("sh", "-c", "(trap 'echo hup >/tmp/hup; exit' HUP; while :; do sleep 0.1; done) & sleep 0.5", tty=True)
    until(lambda: row(x).HasField("end"))
    equal(row(x).end.exit_code, 0)
    until(lambda: follow(start("cat", "/tmp/hup"))[0] == b"hup\n")


def a_time_and_a_stop_end_it():
    x = start("sh", "-c", "echo begun; cat", tty=True, timeout_seconds=1)
    a = Attach(x).sees(b"begun")
    a.over()
    equal((a.exit, row(x).end.reason), (124, "timed_out"))
    other = ready("stops")
    y = cove().StartExec(cove_pb.StartExecRequest(exec=pb.ExecSandboxRequest(
        sandbox_id=other, command=["cat"], tty=True))).exec.id
    call = cove().AttachExec(iter([cove_pb.AttachExecInput(
        start=cove_pb.AttachExecStart(sandbox_id=other, exec_id=y))]))
    g.stub.StopSandbox(pb.StopSandboxRequest(name="stops"))
    events = list(call)
    assert events[-1].end.exit_code != 0, events
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="stops"))


# ---- the command line ----

def left_and_attached_again():
    t = Terminal("exec", "-n", "box", "--tty", "--detach", "--", *SHELL, rows=33, cols=99)
    equal(t.ended(), 0)
    x = t.out.split()[0].decode()
    t = Terminal("exec", "attach", "box", x, rows=33, cols=99)
    t.sees(b"begun")
    t.keys(b"stty size\n")
    t.sees(b"33 99")
    t.size(40, 120)
    os.kill(t.process.pid, signal.SIGWINCH)
    time.sleep(1)
    t.keys(b"stty size; echo ctrl-p: $(head -c 2 | od -An -c)\n")
    t.sees(b"40 120")
    t.keys(b"\x10x\n")  # Ctrl-P alone is the program's
    t.sees(b"ctrl-p: 020 x")
    t.keys(b"\x10\x11")
    t.sees(b"left; it goes on: cove exec attach box")
    equal(t.ended(), 0)
    assert not row(x).HasField("end")
    t = Terminal("exec", "attach", "box", x, rows=24, cols=80)
    t.sees(b"ctrl-p: 020 x")
    said = c("exec", "list", "box").stdout
    assert "attached (local)" in said, said
    u = Terminal("exec", "attach", "box", x)
    u.sees(b"hint: cove exec attach box " + x.encode() + b" --take-over")
    equal(u.ended(), 1)
    u = Terminal("exec", "attach", "box", x, "--take-over")
    t.sees(b"local took over")
    equal(t.ended(), 1)
    u.sees(b"ctrl-p")
    u.keys(b"echo un; exit 5\n")
    u.sees(b"un")
    equal(u.ended(), 5)
    equal(c("exec", "attach", "box", x, status=5).returncode, 5)


def a_killed_client_and_a_killed_gateway():
    x = start(*SHELL, tty=True)
    t = Terminal("exec", "attach", "box", x)
    t.sees(b"begun")
    t.process.kill()
    t.ended()
    t = Terminal("exec", "attach", "box", x)
    t.sees(b"begun")
    restart(1)
    t.sees(b"the connection to the gateway was lost; the command goes on")
    until(lambda: row(x).attached)
    t.keys(b"echo we are back; exit 2\n")
    t.sees(b"we are back")
    equal(t.ended(), 2)


def the_screen_begins_with_a_whole_sequence():
    x = start("sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); printf '\\033[1;31m%020d\\033[0m'; done; "
              "echo; echo done; exec cat", tty=True)
    until(lambda: b"done" in follow_some(x))
    t = Terminal("exec", "attach", "box", x)
    t.sees(b"\x1b[H\x1b[2J")
    while len(t.out) < 100:
        assert t._more(time.monotonic() + WAIT_S)
    assert t.out.startswith(b"\x1b["), t.out[:60]
    t.sees(b"done")
    t.keys(b"\x04")
    equal(t.ended(), 0)


def follow_some(x):
    e = row(x)
    out = b""
    call = cove().FollowExec(cove_pb.FollowExecRequest(
        sandbox_id=box, exec_id=x, from_offset=max(0, e.output_bytes - 10)))
    for e in call:
        out += e.output.stdout
        if len(out) >= 8:
            break
    call.cancel()
    return out


def stdin_by_the_command_line():
    x = c("exec", "-n", "box", "--detach", "--stdin", "--", "sh", "-c", "cat; exit 8").stdout.strip()
    c("exec", "attach", "box", x, "--stdin", stdin=b"one\n")  # returns when it is there
    until(lambda: row(x).output_bytes == 4)
    done = c("exec", "attach", "box", x, "--eof", stdin=b"two\n", status=8)
    equal(done.stdout, "one\ntwo\n")
    v = json.loads(c("exec", "list", "box", "-o", "json").stdout)
    equal([(e["tty"], e["takes_input"], e["attached"]) for e in v if e["id"] == x], [(False, False, None)])
    assert "takes no input" in c("exec", "attach", "box", start("sleep", "4747"), "--stdin", status=1).stderr
    x = start("cat", tty=True)
    p = c.start("exec", "attach", "box", x, "--no-input")
    time.sleep(0.5)
    equal(row(x).attached, "")
    p.kill()
    p.communicate()
    c("exec", "kill", "box", x)



try:
    box = ready("box")
    for f in (a_terminal_is_kept_for_whoever_comes, its_size_follows_and_who_comes_makes_it_draw,
              keys_are_the_terminals, a_stdin_that_stays_open_takes_from_one_after_the_other,
              all_of_it_comes_whole_and_it_waits_for_the_command, who_reads_no_more_ends_it,
              another_writes_only_when_he_takes_over, what_can_not_be_is_refused,
              a_killed_gateway_takes_neither_terminal_nor_stdin, a_terminal_is_hung_up_on_at_its_end,
              a_time_and_a_stop_end_it, left_and_attached_again, a_killed_client_and_a_killed_gateway,
              the_screen_begins_with_a_whole_sequence, stdin_by_the_command_line):
        check(f)
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="box"))
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-20:]))
    g.close()
tap.done()
