#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: commands in a sandbox that others run, through ExecSandbox and ExecSandboxInteractive, as in any
other: argv, variables, a directory, stdin, a terminal, signals, exit codes, timeouts, and the pace of the
slower end; whatever the SSH server there does, its client hears how it ended and the gateway goes on.
Method: the machine's own OpenSSH server behind a supervisor in Python (lib/foreignlab.py), and servers
that speak no SSH or stop in the middle; grpcio and the command line as clients."""
import hashlib
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import foreignlab  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import sshdlab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
if not sshdlab.is_possible():
    tap.skip("commands over SSH", "unavailable: no sshd, or no right to give it another /etc/passwd")
    tap.done()
g = gatewaylab.Gateway(tls=False, config={"images": {"theirs": "external"}})
pb = g.pb
cove_pb2 = rpclab.module("cove_pb2")
c = clientlab.Client(g)
sshd = sshdlab.Server()
READY = 2
MB = 1 << 20


NAP = f"47{os.getpid()}"  # how the seconds begin that only this test's commands sleep


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def cove():
    return rpclab.module("cove_pb2_grpc").CoveStub(g.channel())


def start(name, port, instance="one"):
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name=name, spec={"template": {"image": "theirs"}, "command": ["sleep", "1000"]})).sandbox.metadata.id
    until(lambda: "NotConnected" in str(g.stub.GetSandbox(pb.GetSandboxRequest(name=name))))
    s = again(name, box, port, instance)
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase == READY)
    return box, s


def again(name, box, port, instance="one"):
    s = foreignlab.Supervisor(g, box, cove().CreateSupervisorToken(
        cove_pb2.CreateSupervisorTokenRequest(name=name)).token, instance, ports={0: port})
    s.accepted()
    return s


def run(*command, box=None, timeout=None, **kw):
    """stdout, stderr, exit code."""
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=box or web, command=list(command), **kw), timeout=timeout))
    return said.out, said.err, said.code


class Live:
    """An ExecSandboxInteractive by hand."""

    def __init__(self, *command, box=None, stub=None, **kw):
        self._out = queue.Queue()
        self.out, self.code = bytearray(), None
        self._out.put(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(
            sandbox_id=box or web, command=list(command), **kw)))
        self.call = (stub or g.stub).ExecSandboxInteractive(iter(self._out.get, None))

    def put(self, b):
        self._out.put(pb.ExecSandboxInput(stdin=b))

    def resize(self, rows, cols):
        self._out.put(pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(rows=rows, cols=cols)))

    def end(self):
        self._out.put(None)

    def until(self, text):
        while text not in self.out:
            self._take(next(self.call))
        self.out = self.out[self.out.index(text) + len(text):]

    def _take(self, e):
        self.out += e.stdout.data + e.stderr.data
        if e.WhichOneof("payload") == "exit":
            self.code = e.exit.exit_code

    def rest(self):
        for e in self.call:
            self._take(e)
        return self.out, self.code


def children(name="cove-ssh-exec"):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        if f"({name})" in text and int(text.rpartition(")")[2].split()[1]) == g.process.pid:
            found.append(int(pid))
    return found


def is_running(mark):
    return subprocess.run(["pgrep", "-f", mark], capture_output=True).returncode == 0


def sleeps_end(seconds):
    """Whether a command ends with its connection is the server's business; this one lets it run."""
    subprocess.run(["pkill", "-u", "1000", "-f", f"^sleep {seconds}$"])


# ---- a command ----

def output_errors_and_exit_codes_come_as_they_are():
    assert run("sh", "-c", "echo out; echo err >&2; exit 7") == (b"out\n", b"err\n", 7)
    assert run("true") == (b"", b"", 0)
    assert run("sh", "-c", "kill -9 $$")[2] == 137
    assert run("sh", "-c", "kill -TERM $$")[2] == 143
    out, err, code = run("/no/such/program")
    assert code == 127 and b"/no/such/program" in err, (out, err, code)
    assert run("id", "-un")[0] == b"sandbox\n"


def words_variables_and_the_directory_are_no_shells():
    hostile = ["a b", "it's", "'", "''", "$HOME", "`id`", "$(id)", "\\", "\n", "two\nlines", "*", "", "~", ";", "&&",
               "\"", "-n", "ümlaut", "a=b", "\t", "!x", "#"]
    out, _, code = run("printf", "%s\\0", *hostile)
    assert code == 0 and out.split(b"\0")[:-1] == [h.encode() for h in hostile], out
    env = {"B": "it's $HOME", "A": "`id`;'", "_Z9": "", "TERM": "vt100"}
    out, _, code = run("sh", "-c", 'printf "%s|" "$B" "$A" "$_Z9" "$TERM"; pwd', environment=env, workdir="/usr/lib")
    assert out == b"it's $HOME|`id`;'||vt100|/usr/lib\n", out
    out, err, code = run("pwd", workdir="/no such'place")
    assert code and not out and b"such" in err, (out, err, code)
    assert run("A=1") == (b"", run("A=1")[1], 127), "a word is no assignment"


def what_does_not_fit_is_refused():
    for what, kw in (("line", {"command": ["echo"] + ["'" * 32000] * 3}),
                     ("newline", {"command": ["id"], "environment": {"A": "x\ny"}}),
                     ("name", {"command": ["id"], "environment": {"A;id": "x"}}),
                     ("directory", {"command": ["id"], "workdir": "/tmp\n"})):
        code, said = code_of(lambda kw=kw: list(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=web, **kw))))
        assert code == "INVALID_ARGUMENT", (what, code, said)
    big = ["x" * 32000] * 4  # one string for a shell: the kernel takes 128 KiB
    assert len(run("printf", "%s", *big)[0]) == 4 * 32000
    code, said = code_of(lambda: cove().StartExec(cove_pb2.StartExecRequest(
        exec=pb.ExecSandboxRequest(sandbox_id=web, command=["id"], environment={"A": "x\ny"}))))
    assert code == "INVALID_ARGUMENT", (code, said)


def stdin_goes_in_whole_and_ends():
    assert run("cat", stdin=b"from the request")[0] == b"from the request"
    assert run("cat")[0] == b"", "stdin has no end"
    data = random.Random(1).randbytes(12 * MB)
    x = Live("sha256sum")
    for i in range(0, len(data), 65536):
        x.put(data[i:i + 65536])
    x.end()
    out, code = x.rest()
    assert code == 0 and out.split()[0].decode() == hashlib.sha256(data).hexdigest(), out
    out, _, code = run("sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x")
    assert len(out) == 20000000 and set(out) == {ord("x")}


def a_terminal_has_a_size_and_keys():
    x = Live("sh", tty=True, rows=33, cols=101)
    x.put(b"stty -echo; tty; stty size; echo $TERM; echo ready\n")
    x.until(b"/dev/pts/")
    x.until(b"33 101")
    x.until(b"xterm-256color")
    x.until(b"ready\r\n")
    x.resize(50, 132)
    time.sleep(0.3)
    x.put(b"stty size; echo again\n")
    x.until(b"50 132")
    x.until(b"again")
    x.put(b"sleep 1000\n")
    time.sleep(0.5)
    x.put(b"\x03echo interrupted $?\n")
    x.until(b"interrupted 130")
    x.put(b"exit 5\n")
    assert x.rest()[1] == 5


def a_slow_client_slows_the_command():
    path = os.path.join(sshd.directory, "progress")
    with open(path, "w", encoding="ascii"):
        os.chmod(path, 0o666)
    x = Live("sh", "-c", f"i=0; while [ $i -lt 1000 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i >{path}; done",
             stub=g.stubs.OpenShellStub(g.channel(options=[
                 ("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)])))
    next(x.call)

    def progress():
        with open(path, encoding="ascii") as f:
            return int(f.read().strip() or 0)
    last = -1
    while progress() != last:
        last = progress()
        time.sleep(1)
    print("#   printed before it had to wait:", last * 64, "KiB")
    assert last < 400, last
    until(lambda: not x.rest() or x.code is not None)
    assert x.code == 0 and len(x.out) > 60 * MB and progress() == 1000


def a_timeout_is_124_and_ends_it():
    begun = time.monotonic()
    out, _, code = run("sh", "-c", f"echo begun; exec sleep {NAP}11", timeout_seconds=1)
    assert (out, code) == (b"begun\n", 124) and time.monotonic() - begun < 20
    until(lambda: not is_running(f"^sleep {NAP}11"))
    _, _, code = run("sh", "-c", f"trap '' TERM; while :; do sleep {NAP}12; done", timeout_seconds=1)
    assert code == 124
    until(lambda: not children())
    subprocess.run(["pkill", "-KILL", "-f", f"sleep {NAP}12"], check=True)  # theirs to end, and nobody does


def who_goes_takes_his_command_with_him():
    x = Live("sh", "-c", f"echo begun; exec sleep {NAP}13")
    x.until(b"begun")
    until(lambda: is_running(f"^sleep {NAP}13"))  # the shell says it before it becomes one
    x.call.cancel()
    until(lambda: not is_running(f"^sleep {NAP}13") and not children())
    stuck = foreignlab.Echo(lambda s: time.sleep(1000))  # before it runs
    current.ports[0] = stuck.port
    try:
        x = Live("true")
        until(children)
        x.call.cancel()
        until(lambda: not children())
    finally:
        current.ports[0] = sshd.port


def what_it_left_in_the_background_holds_nobody():
    begun = time.monotonic()
    out, _, code = run("sh", "-c", f"sleep {NAP}60 & echo left")
    assert (out, code) == (b"left\n", 0) and time.monotonic() - begun < 40, time.monotonic() - begun
    sleeps_end(f"{NAP}60")


# ---- commands that outlive their client ----

def keep(*command, hold=False, key="", keep_stdin=False, **kw):
    """The id of a command."""
    return cove().StartExec(cove_pb2.StartExecRequest(exec=pb.ExecSandboxRequest(
        sandbox_id=web, command=list(command), **kw), hold=hold, idempotency_key=key, keep_stdin=keep_stdin)).exec.id


def follow(exec_id, offset=0, hold=False, stub=None):
    """stdout, stderr, gaps, end."""
    out, err, gaps, end = b"", b"", [], None
    for e in (stub or cove()).FollowExec(cove_pb2.FollowExecRequest(sandbox_id=web, exec_id=exec_id,
                                                                   from_offset=offset, hold=hold)):
        out, err = out + e.output.stdout, err + e.output.stderr
        if e.WhichOneof("event") == "gap":
            gaps.append((e.gap.offset, e.gap.bytes))
        if e.WhichOneof("event") == "end":
            end = (e.end.exit_code, e.end.reason)
    return out, err, gaps, end


def listed(exec_id):
    return next((e for e in cove().ListExecs(cove_pb2.ListExecsRequest(sandbox_id=web)).execs if e.id == exec_id), None)


def a_kept_command_needs_no_client():
    """From the start, from the middle, after its end; its end comes last and always."""
    kept = keep("sh", "-c", "echo one; echo two >&2; sleep 1; echo three; exit 7")
    assert listed(kept).command[0] == "sh" and not listed(kept).HasField("end")
    time.sleep(0.5)
    assert follow(kept) == (b"one\nthree\n", b"two\n", [], (7, "exited"))
    assert follow(kept, 8) == (b"three\n", b"", [], (7, "exited"))
    assert listed(kept).end.exit_code == 7 and listed(kept).output_bytes == 14
    until(lambda: not children())
    assert follow(keep("cat", stdin=b"from the request"))[0] == b"from the request"
    assert follow(keep("cat"))[3] == (0, "exited"), "stdin has no end"
    assert follow(keep("sh", "-c", "kill -9 $$"))[3] == (137, "exited")
    code, said = code_of(lambda: follow(kept, 15))
    assert code == "OUT_OF_RANGE", (code, said)


def the_same_key_is_the_same_command():
    once = keep("sleep", f"{NAP}18", key="k1")
    assert keep("sleep", f"{NAP}18", key="k1") == once and len(children()) == 1
    assert code_of(lambda: keep("sleep", "1", key="k1"))[0] == "ALREADY_EXISTS"
    cove().KillExec(cove_pb2.KillExecRequest(sandbox_id=web, exec_id=once))
    assert follow(once)[3] == (143, "exited")
    until(lambda: not is_running(f"^sleep {NAP}18"))


def the_last_megabyte_is_kept_and_who_holds_misses_nothing():
    n = 5 * MB
    kept = keep("sh", "-c", f"head -c {n} /dev/zero | tr '\\0' x")
    until(lambda: listed(kept).HasField("end"))
    out, _, gaps, end = follow(kept)
    assert end == (0, "exited") and gaps and gaps[0][0] == 0 and gaps[0][1] + len(out) == n, (gaps, len(out))
    assert 900 << 10 < len(out) <= MB, len(out)
    kept = keep("sh", "-c", f"head -c {n} /dev/zero | tr '\\0' x", hold=True)
    out, _, gaps, end = follow(kept, hold=True)
    assert (len(out), gaps, end) == (n, [], (0, "exited")), (len(out), gaps, end)


def a_kept_command_has_a_time_too():
    begun = time.monotonic()
    out, _, _, end = follow(keep("sh", "-c", f"echo begun; exec sleep {NAP}19", timeout_seconds=1))
    assert (out, end) == (b"begun\n", (124, "timed_out")) and time.monotonic() - begun < 20
    until(lambda: not is_running(f"^sleep {NAP}19"))
    out, _, _, end = follow(keep("sh", "-c", f"sleep {NAP}60 & echo left"))
    assert (out, end) == (b"left\n", (0, "exited")) and time.monotonic() - begun < 60
    sleeps_end(f"{NAP}60")


class Attached:
    def __init__(self, kept, **kw):
        self._out = queue.Queue()
        self.out, self.end = bytearray(), None
        self.put(start=cove_pb2.AttachExecStart(sandbox_id=web, exec_id=kept, **kw))
        self.call = cove().AttachExec(iter(self._out.get, None))

    def put(self, **kw):
        self._out.put(cove_pb2.AttachExecInput(**kw))

    def until(self, text):
        while text not in self.out:
            e = next(self.call)
            self.out += e.output.stdout
        self.out = self.out[self.out.index(text) + len(text):]

    def rest(self):
        for e in self.call:
            self.out += e.output.stdout
            if e.WhichOneof("event") == "end":
                self.end = e.end.exit_code
        return bytes(self.out), self.end


def input_comes_from_whoever_attaches():
    kept = keep("sh", "-c", "read a; read b; echo $a-$b; cat", keep_stdin=True, stdin=b"first\n")
    one = Attached(kept)
    one.put(stdin=b"second\n")
    one.until(b"first-second\n")
    code, said = code_of(lambda: Attached(kept).rest())
    assert code == "FAILED_PRECONDITION" and "take over" in said, (code, said)
    one.call.cancel()
    two = until(lambda: code_of(lambda: (x := Attached(kept)) and next(x.call) and x)[1])
    two.put(stdin=b"more")
    two.put(stdin_end=cove_pb2.AttachExecStdinEnd())
    out, end = two.rest()
    assert out.endswith(b"more") and end == 0, (out, end)


def a_kept_terminal_is_left_and_found_again():
    kept = keep("sh", tty=True, rows=33, cols=101)
    one = Attached(kept, rows=40, cols=110)
    one.put(stdin=b"stty -echo; stty size; echo here-$((1+1))\n")
    one.until(b"here-2")
    one.call.cancel()
    time.sleep(0.3)
    two = Attached(kept, rows=50, cols=120)
    two.until(b"40 110")
    two.put(stdin=b"stty size; exit 3\n")
    two.until(b"50 120")
    assert two.rest()[1] == 3


def what_carries_a_kept_command_may_go():
    """Its process, its session, its gateway: the end says that nobody knows how it ended, or it is gone."""
    kept = keep("sh", "-c", f"echo begun; exec sleep {NAP}20")
    until(lambda: listed(kept).output_bytes)
    os.kill(children()[0], 9)
    assert follow(kept) == (b"begun\n", b"", [], (137, "sandbox_ended"))
    current.ports[0] = foreignlab.Echo(lambda s: None).port
    try:
        code, said = code_of(lambda: keep("id"))
        assert code == "UNAVAILABLE" and "no SSH server answers" in said, (code, said)
        current.ports[0] = 1
        code, said = code_of(lambda: keep("id"))
        assert code == "UNAVAILABLE" and "does not connect" in said, (code, said)
    finally:
        current.ports[0] = sshd.port
    until(lambda: not children())
    sleeps_end(f"{NAP}20")


def the_command_line_keeps_them_too():
    kept = c("exec", "-n", "web", "--detach", "--", "sh", "-c", "echo kept; exit 4").stdout.strip()
    done = c("exec", "attach", "web", kept, status=4)
    assert done.stdout == "kept\n", done
    assert kept in c("exec", "list", "web").stdout


# ---- servers and connections that fail ----

def servers_that_are_none_are_said():
    refused = sshdlab.Server(is_open=False)
    servers = {
        "nobody": (1, "does not connect"),
        "silent at once": (foreignlab.Echo(lambda s: None).port, "no SSH server answers"),
        "a web server": (foreignlab.Echo(lambda s: s.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)).port,
                         "no SSH server answers"),
        "noise": (foreignlab.Echo(lambda s: s.sendall(random.Random(3).randbytes(MB))).port, "no SSH server answers"),
        "noise behind a banner": (foreignlab.Echo(lambda s: s.sendall(
            b"SSH-2.0-x\r\n" + random.Random(4).randbytes(MB))).port, "no SSH server answers"),
        "a long packet": (foreignlab.Echo(lambda s: s.sendall(b"SSH-2.0-x\r\n" + b"\xff" * 4096)).port,
                          "no SSH server answers"),
        "one that wants a key": (refused.port, "without a key")}
    try:
        for what, (port, text) in servers.items():
            current.ports[0] = port
            code, said = code_of(lambda: run("id"))
            assert code == "UNAVAILABLE" and said.startswith("supervisor relay failed: ") and text in said, \
                (what, code, said)
    finally:
        current.ports[0] = sshd.port
        refused.close()
    until(lambda: not children())
    assert run("echo", "well")[0] == b"well\n"


def a_server_that_says_nothing_is_waited_for_a_while_only():
    current.ports[0] = foreignlab.Echo(lambda s: time.sleep(1000)).port
    begun = time.monotonic()
    try:
        code, said = code_of(lambda: run("id"))
    finally:
        current.ports[0] = sshd.port
    assert code == "UNAVAILABLE" and 10 < time.monotonic() - begun < 40, (code, said, time.monotonic() - begun)
    until(lambda: not children())


def a_connection_that_breaks_is_no_exit_code():
    pipes = []

    def serve(s):
        t = socket.create_connection(("127.0.0.1", sshd.port))
        pipes.append((s, t))

        def pump(a, b):
            try:
                while (data := a.recv(65536)):
                    b.sendall(data)
            except OSError:
                pass
        threading.Thread(target=pump, args=(t, s), daemon=True).start()
        pump(s, t)
    current.ports[0] = foreignlab.Echo(serve).port
    try:
        x = Live("sh", "-c", f"echo begun; exec sleep {NAP}14")
        x.until(b"begun")
        for s in pipes[0]:
            s.shutdown(socket.SHUT_RDWR)
        code, said = code_of(x.rest)
        assert (code, said) == ("UNAVAILABLE", "exec relay closed before the command reported an exit status")
    finally:
        current.ports[0] = sshd.port
    x = Live("sh", "-c", f"echo begun; exec sleep {NAP}15")
    x.until(b"begun")
    os.kill(children()[0], 9)
    assert code_of(x.rest)[0] == "UNAVAILABLE"
    until(lambda: not children())
    sleeps_end(f"{NAP}1[45]")


def b4_the_process_can_open_nothing():
    x = Live("sleep", f"{NAP}16")
    until(children)
    pid = until(lambda: [p for p in children() if "Seccomp:\t2" in open(f"/proc/{p}/status").read()])[0]
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        text = f.read()
    assert "NoNewPrivs:\t1" in text, text
    with open(f"/proc/{pid}/environ", "rb") as f:
        assert f.read() == b""
    held = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)
    assert len(held) <= 8, held  # stderr, link, relay, three pipes, what libssh polls with
    x.call.cancel()
    until(lambda: not children())


def many_at_once_and_nothing_is_left():
    def fds():
        return len(os.listdir(f"/proc/{g.process.pid}/fd"))
    until(lambda: not children())
    before, results = fds(), []

    def one(i):
        try:
            results.append(run("sh", "-c", f"echo {i}; exit {i}") == (b"%d\n" % i, b"", i))
        except Exception as e:  # noqa: BLE001
            results.append(e)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 24, results
    until(lambda: not children())
    until(lambda: fds() <= before + 1)
    begun = time.monotonic()
    for _ in range(10):
        run("true")
    print(f"#   one command: {(time.monotonic() - begun) * 100:.0f} ms")


def a_session_that_comes_back_is_waited_for():
    global current
    current.drop()
    current.end()
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="web")).sandbox.status.phase != READY)
    got = []
    t = threading.Thread(target=lambda: got.append(code_of(lambda: got.append(run("echo", "waited")))))
    t.start()
    time.sleep(1)
    current = again("web", web, sshd.port)
    t.join()
    assert (b"waited\n", b"", 0) in got, got


def the_command_line_is_the_same():
    done = c("sandbox", "exec", "-n", "web", "--no-tty", "--", "sh", "-c", "cat; exit 3", stdin=b"by hand", status=3)
    assert done.stdout == "by hand", done


def with_the_sandbox_its_commands_end():
    x = Live("sh", "-c", f"echo begun; exec sleep {NAP}17")
    x.until(b"begun")
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="web"))
    code, said = code_of(x.rest)
    assert code == "UNAVAILABLE", (code, said)
    until(lambda: not children())
    sleeps_end(f"{NAP}17")


try:
    web, current = start("web", sshd.port)
    for t in (output_errors_and_exit_codes_come_as_they_are, words_variables_and_the_directory_are_no_shells,
              what_does_not_fit_is_refused, stdin_goes_in_whole_and_ends, a_terminal_has_a_size_and_keys,
              a_slow_client_slows_the_command, a_timeout_is_124_and_ends_it, who_goes_takes_his_command_with_him,
              what_it_left_in_the_background_holds_nobody, a_kept_command_needs_no_client,
              the_same_key_is_the_same_command, the_last_megabyte_is_kept_and_who_holds_misses_nothing,
              a_kept_command_has_a_time_too, input_comes_from_whoever_attaches,
              a_kept_terminal_is_left_and_found_again, what_carries_a_kept_command_may_go,
              the_command_line_keeps_them_too, servers_that_are_none_are_said,
              a_server_that_says_nothing_is_waited_for_a_while_only, a_connection_that_breaks_is_no_exit_code,
              b4_the_process_can_open_nothing, many_at_once_and_nothing_is_left,
              a_session_that_comes_back_is_waited_for, the_command_line_is_the_same,
              with_the_sandbox_its_commands_end):
        check(t)
    assert g.stop() == 0
finally:
    g.close()
    sshd.close()
tap.done()
