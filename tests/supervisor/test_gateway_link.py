#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a supervisor in the service of a gateway does what ipc/gateway_link.h says, and its sandbox
does not care whether the gateway is there.
Method: the real cove-supervisor with a real plan, and a gateway in Python that writes and reads
every message itself (tests/lib/supervisorlab.py)."""
import contextlib
import errno
import fcntl
import os
import re
import select
import signal
import socket
import struct
import sys
import termios
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402
import look  # noqa: E402
import supervisorlab  # noqa: E402
import world  # noqa: E402
from supervisorlab import MAIN_ENDS, NO_STDIN, TTY, Lab, Reader, read_all  # noqa: E402

POLICY = """version: 1
network_policies:
  api:
    name: api
    endpoints:
      - host: {host}
        port: 443
        protocol: rest
        access: full
    binaries:
      - path: {binary}
"""
KNOCK = """import socket, time
time.sleep(0.5)
for i in range(2300):
    s = socket.create_connection(("10.200.0.1", 3128))
    s.sendall(b"CONNECT no%d.test:443 HTTP/1.1\\r\\nHost: no%d.test:443\\r\\n\\r\\n" % (i, i))
    assert b" 403 " in s.recv(4096)
    s.close()
print("done")
"""
STAGE_BUILD, STAGE_CWD, STAGE_EXEC = 0, 2, 3

tap = world.Tap()
place = world.World(["api.test", "other.test", "two.test"])
origin = world.Server(world.PUBLIC, 443, place.pki)
start = place.policy(POLICY.format(host="other.test", binary="/**"))
OPTIONS = ["--policy", start, "--ca", place.pki.ca, "--resolve", f"api.test:443:{world.PUBLIC}",
           "--resolve", f"other.test:443:{world.PUBLIC}", "--resolve", f"two.test:443:{world.PUBLIC}"]


@contextlib.contextmanager
def sandbox(**kw):
    lab = Lab(options=kw.pop("options", OPTIONS), **kw)
    try:
        yield lab, lab.ready()
    finally:
        lab.close()


def check(function):
    name = function.__name__.replace("_", " ")
    try:
        function()
        tap.ok(True, name)
    except Exception:
        tap.ok(False, name, traceback.format_exc(limit=-3))


def failure(link, ident):
    r = Reader(link.about(ident, "FAILED").body)
    r.u32()
    found = r.u32(), r.u32(), r.str()
    link.settle("FAILED", ident)
    return found


def close_all(fds):
    for fd in fds:
        os.close(fd)


def curl(link, ident, url):
    return link.run(ident, ["curl", "-sS", "-m", "10", "-o", "-", "-w", "%{http_code}", url])


def read_until(fd, word, seconds=10):
    data, end = b"", time.monotonic() + seconds
    while word not in data and time.monotonic() < end:
        if select.select([fd], [], [], end - time.monotonic())[0]:
            data += os.read(fd, 4096)
    assert word in data, data
    return data


# ---- commands ----

with sandbox() as (lab, link):
    def hello_says_who_dials():
        r = Reader(link.hello.body)
        assert (r.u32(), r.str(), r.str(), r.str(True)) == (1, "sb-1", "instance-1",
                                                            supervisorlab.TOKEN)
        assert r.u32() == lab.proc.pid and r.u64() == 0

    def a_command_gets_what_was_said():
        status, out, err = link.run(2, ["/bin/sh", "-c", "echo $A-$HOME; pwd; echo no >&2; exit 7"],
                                    env=["A=b", "A=c", "HOME=/tmp"], cwd="/usr/bin")
        assert (status, out, err) == (7, b"c-/tmp\n/usr/bin\n", b"no\n"), (status, out, err)

    def a_command_reads_its_stdin_to_the_end():
        assert link.run(3, ["cat"], stdin=b"x" * 5000) == (0, b"x" * 5000, b"")
        assert link.run(4, ["cat"]) == (0, b"", b"")

    def a_command_of_a_megabyte():
        big = ["y" * 100000] * 10
        status, out, _ = link.run(5, ["/bin/sh", "-c", 'echo $# ${#10}', "sh", *big])
        assert (status, out) == (0, b"10 100000\n"), out

    def what_can_not_be_run_is_told():
        link.exec(10, ["/no/such"], flags=NO_STDIN)
        assert failure(link, 10)[:2] == (STAGE_EXEC, errno.ENOENT)
        link.exec(11, ["/etc/passwd"], flags=NO_STDIN)
        assert failure(link, 11)[:2] == (STAGE_EXEC, errno.EACCES)
        link.exec(12, ["true"], cwd="/no/such", flags=NO_STDIN)
        assert failure(link, 12)[:2] == (STAGE_CWD, errno.ENOENT)
        link.exec(13, ["true"], cwd="not/absolute")
        assert failure(link, 13)[0] == STAGE_BUILD
        link.exec(14, [])
        assert failure(link, 14)[0] == STAGE_BUILD
        link.parts(b"garbage")
        link.send("EXEC", struct.pack("<III", 15, 0, 0))
        assert failure(link, 15)[0] == STAGE_BUILD
        link.parts(b"z" * (3 << 20))
        link.send("EXEC", struct.pack("<III", 16, 0, 0))
        assert failure(link, 16)[:2] == (STAGE_BUILD, errno.E2BIG)
        assert link.run(17, ["echo", "well"])[1] == b"well\n"

    def a_signal_goes_to_the_whole_group():
        link.exec(20, ["/bin/sh", "-c", "sleep 1000 & echo on; wait"], flags=NO_STDIN)
        m = link.about(20, "STARTED")
        read_until(m.fds[1], b"on")
        link.signal(20, signal.SIGTERM)
        r = Reader(link.about(20, "EXITED").body)
        r.u32()
        assert os.WTERMSIG(r.u32()) == signal.SIGTERM
        assert read_all(m.fds[1]) == b""  # the sleeper is gone too: nobody holds the pipe
        close_all([m.fds[0], m.fds[2]])
        link.settle("EXITED", 20)

    def t_signals_that_are_none_are_passed_over():
        link.signal(12345, 9)
        link.signal(2, 9)
        link.signal(2, 4096)
        assert link.run(21, ["true"])[0] == 0

    def two_hundred_at_once():
        ids = range(1000, 1200)
        for i in ids:
            link.exec(i, ["/bin/sh", "-c", f"echo {i}"], flags=NO_STDIN)
        for i in ids:
            m = link.about(i, "STARTED", seconds=30)
            assert Reader(link.about(i, "EXITED", seconds=30).body).u32() == i
            assert read_all(m.fds[1]) == b"%d\n" % i
            close_all([m.fds[0], m.fds[2]])
            link.settle("EXITED", i)

    def a_terminal_with_sizes_and_interrupt():
        link.exec(30, ["/bin/sh", "-c", "stty size; trap 'stty size' WINCH; trap 'echo int; exit 3' INT;"
                       " echo on; while :; do sleep 0.05; done"], flags=TTY, size=33 << 16 | 99)
        m = link.about(30, "STARTED_TTY")
        assert b"33 99" in read_until(m.fds[0], b"on")
        fcntl.ioctl(m.fds[0], termios.TIOCSWINSZ, struct.pack("HHHH", 44, 101, 0, 0))
        read_until(m.fds[0], b"44 101")
        os.write(m.fds[0], b"\x03")
        read_until(m.fds[0], b"int")
        r = Reader(link.about(30, "EXITED").body)
        r.u32()
        assert os.waitstatus_to_exitcode(r.u32()) == 3
        link.settle("EXITED", 30)
        close_all(m.fds)

    def as_many_as_the_limit_and_no_more():
        ids = range(2000, 2000 + 1024)
        ends = {}
        for i in ids:
            link.exec(i, ["/bin/sleep", "1000"], flags=NO_STDIN)
            if i % 64 == 63:
                ends |= {j: link.about(j, "STARTED", seconds=30).fds for j in range(i - 63, i + 1)
                         if j in ids}
        ends |= {j: link.about(j, "STARTED", seconds=30).fds for j in ids if j not in ends}
        link.exec(5000, ["true"])
        assert failure(link, 5000)[:2] == (STAGE_BUILD, errno.EAGAIN)
        for i in ids:
            link.signal(i, signal.SIGKILL)
        for i in ids:
            link.about(i, "EXITED", seconds=30)
            link.settle("EXITED", i)
            close_all(ends[i])
        assert link.run(5001, ["echo", "again"])[1] == b"again\n"

    def nothing_is_left_of_them():
        box.until(lambda: look.descriptor_count(lab.proc.pid) < 64, 5)
        count = look.descriptor_count(lab.proc.pid)
        assert count < 64, count

    def a_round_trip_is_short():
        times = []
        for i in range(10000, 10200):
            before = time.perf_counter()
            link.exec(i, ["/bin/true"], flags=NO_STDIN)
            m = link.about(i, "STARTED")
            link.about(i, "EXITED")
            times.append(time.perf_counter() - before)
            close_all(m.fds)
            link.settle("EXITED", i)
        times.sort()
        print(f"# EXEC true to EXITED: p50 {times[100] * 1e3:.2f} ms, p99 {times[198] * 1e3:.2f} ms")
        assert times[100] < 0.05  # a machine that is loaded; the goal is 1.5 ms

    for f in (hello_says_who_dials, a_command_gets_what_was_said, a_command_reads_its_stdin_to_the_end,
              a_command_of_a_megabyte, what_can_not_be_run_is_told, a_signal_goes_to_the_whole_group,
              t_signals_that_are_none_are_passed_over, two_hundred_at_once,
              a_terminal_with_sizes_and_interrupt, as_many_as_the_limit_and_no_more,
              nothing_is_left_of_them, a_round_trip_is_short):
        check(f)

# ---- a gateway that goes ----

with sandbox() as (lab, link):
    def commands_outlive_their_gateway():
        link.exec(2, ["/bin/sh", "-c", "while read x; do echo got $x; done; echo end; exit 5"])
        link.exec(3, ["/bin/sh", "-c", "echo last words; exit 6"], flags=NO_STDIN)
        one = link.about(2, "STARTED")
        three = link.about(3, "STARTED")
        link.about(3, "EXITED")  # and not settled
        link.exec(4, ["/bin/sh", "-c", "stty -echo; read x; echo tty $x"], flags=TTY)
        four = link.about(4, "STARTED_TTY")
        link.close()
        close_all(one.fds + three.fds + four.fds)
        new = lab.accept()
        m = new.about(2, "STARTED")
        os.write(m.fds[0], b"abc\n")
        read_until(m.fds[1], b"got abc")
        t = new.about(3, "STARTED")
        assert new.about(3, "EXITED") and read_all(t.fds[1]) == b"last words\n"
        new.settle("EXITED", 3)
        assert any(k.name == "STARTED_TTY" for k in new.kept) or new.about(4, "STARTED_TTY")
        new.expect("READY")
        new.send("STDIN_END", struct.pack("<I", 2))
        os.close(m.fds[0])
        r = Reader(new.about(2, "EXITED").body)
        r.u32()
        assert os.waitstatus_to_exitcode(r.u32()) == 5
        assert read_all(m.fds[1]) == b"end\n"
        lab.link = new

    def an_end_that_nobody_saw_is_told():
        new = lab.link
        new.exec(50, ["/bin/sh", "-c", "sleep 0.3; echo late; exit 9"], flags=NO_STDIN)
        close_all(new.about(50, "STARTED").fds)
        lab.deafen()
        new.close()
        time.sleep(1)
        lab.listen()
        new = lab.accept()
        m = new.about(50, "STARTED")
        r = Reader(new.about(50, "EXITED").body)
        r.u32()
        assert os.waitstatus_to_exitcode(r.u32()) == 9 and read_all(m.fds[1]) == b"late\n"
        new.expect("READY")  # who is still speaking finds the link closed, and reads no more
        new.settle("EXITED", 50)
        new.close()
        new = lab.accept()
        new.expect("READY")
        assert not any(k.name == "EXITED" and Reader(k.body).u32() == 50 for k in new.kept)
        lab.link = new

    def one_that_refuses_is_dialled_again():
        lab.link.close()
        for _ in range(3):
            lab.accept(is_greeted=False).close()
        lab.link = lab.accept()
        lab.link.expect("READY")
        assert lab.link.run(60, ["echo", "well"])[1] == b"well\n"

    def one_that_says_nonsense_loses_its_link():
        lab.link.sock.send(struct.pack("<II", 77, 0))
        assert lab.link.is_closed()
        lab.link = lab.accept()
        lab.link.sock.send(b"x")
        assert lab.link.is_closed()
        lab.link = lab.accept(is_greeted=False)
        lab.link.send("STOP", struct.pack("<I", 0))  # before ACCEPTED
        assert lab.link.is_closed()
        lab.link = lab.accept()
        lab.link.expect("READY")
        assert lab.link.run(61, ["echo", "well"])[1] == b"well\n"

    for f in (commands_outlive_their_gateway, an_end_that_nobody_saw_is_told,
              one_that_refuses_is_dialled_again, one_that_says_nonsense_loses_its_link):
        check(f)

# ---- network ----

with sandbox() as (lab, link):
    def each_commands_connections_are_known():
        status, out, err = curl(link, 2, "https://other.test/a")
        assert status == 0 and out.endswith(b"200"), (status, out, err, lab.text())
        status, out, _ = curl(link, 3, "https://other.test/b")
        assert status == 0 and out.endswith(b"200")
        line = link.expect("EVENT", where=lambda m: b"/usr/bin/curl" in m.body)
        r = Reader(line.body)
        assert abs(r.u64() / 1000 - time.time()) < 60 and (r.str(), r.str()) == ("OCSF", "ocsf")
        assert "ALLOWED" in r.str()

    def what_is_denied_is_told():
        status, _, _ = curl(link, 4, "https://api.test/a")
        assert status != 0
        r = Reader(link.expect("DENIAL").body)
        found = r.str(), r.u32(), r.str(), r.u32()
        assert found[0] == "api.test" and found[2] == "/usr/bin/curl" and found[3] == 0, found
        assert r.str()
        link.expect("EVENT", where=lambda m: b"DENIED" in m.body and b"api.test" in m.body)

    def a_policy_that_is_pushed_holds():
        link.policy(7, POLICY.format(host="api.test", binary="/usr/bin/curl"))
        assert Reader(link.expect("POLICY_LOADED").body).u64() == 7
        status, out, err = curl(link, 5, "https://api.test/a")
        assert status == 0 and out.endswith(b"200"), (out, err)
        assert curl(link, 6, "https://other.test/a")[0] != 0

    def a_bad_one_is_refused_with_the_reason():
        link.policy(8, "version: 1\nnonsense: [")
        r = Reader(link.expect("POLICY_REFUSED").body)
        assert r.u64() == 8 and r.str()
        link.policy(9, "version: 1\nno_such_key: 1\n")
        r = Reader(link.expect("POLICY_REFUSED").body)
        assert r.u64() == 9 and "no_such_key" in r.str()
        assert curl(link, 7, "https://api.test/a")[0] == 0

    def of_many_each_is_answered_and_the_last_holds():
        for i in range(20, 40):
            link.policy(i, POLICY.format(host="api.test", binary="/usr/bin/curl"))
        answered = set()
        while 39 not in answered:
            answered.add(Reader(link.expect("POLICY_LOADED", "POLICY_REFUSED").body).u64())
        assert answered == set(range(20, 40)), answered

    def a_proxy_that_dies_gets_the_policy_that_was_pushed():
        pids = [p for p, name in box.descendants(lab.proc.pid).items() if name == "cove-proxy"]
        assert len(pids) == 1
        os.kill(pids[0], signal.SIGKILL)
        assert box.until(lambda: [p for p, n in box.descendants(lab.proc.pid).items()
                                  if n == "cove-proxy" and p not in pids])
        status, out, err = curl(link, 8, "https://api.test/a")
        assert status == 0 and out.endswith(b"200"), (out, err, lab.text())
        assert curl(link, 9, "https://other.test/a")[0] != 0

    def the_revision_is_in_the_next_hello():
        link.close()
        lab.link = lab.accept()
        lab.link.expect("READY")
        r = Reader(lab.link.hello.body)
        r.u32(), r.str(), r.str(), r.str(True), r.u32()
        assert r.u64() == 39

    def lines_wait_for_a_gateway_and_are_counted():
        lab.link.exec(70, ["python3", "-c", KNOCK], flags=NO_STDIN)
        m = lab.link.about(70, "STARTED")
        lab.deafen()
        lab.link.close()
        assert read_all(m.fds[1]) == b"done\n"
        close_all([m.fds[0], m.fds[2]])
        time.sleep(1.5)
        lab.listen()
        lab.link = lab.accept()
        lab.link.about(70, "EXITED", seconds=60)
        lines, denials = struct.unpack("<II", lab.link.expect("LOST", seconds=30).body)
        kept = [k for k in lab.link.kept if k.name in ("EVENT", "DENIAL")]
        assert len(kept) == 4096 and any(b"no1.test" in k.body for k in kept), len(kept)
        assert lines > 0 and denials > 0 and lines + denials + len(kept) >= 2 * 2300

    for f in (each_commands_connections_are_known, what_is_denied_is_told, a_policy_that_is_pushed_holds,
              a_bad_one_is_refused_with_the_reason, of_many_each_is_answered_and_the_last_holds,
              a_proxy_that_dies_gets_the_policy_that_was_pushed, the_revision_is_in_the_next_hello,
              lines_wait_for_a_gateway_and_are_counted):
        check(f)

# ---- credentials ----

PROFILE = """\
id: {id}
credentials: [{{name: key, env_vars: [{key}], required: true}}]
endpoints:
  - {{host: {host}, port: 443, protocol: rest, enforcement: enforce, access: full}}
binaries: [{{path: /usr/bin/curl}}]
"""


HOST_OF = {"ONE_KEY": "api.test", "TWO_KEY": "two.test"}


def string_with(plan, word):
    """The string of a plan that has this word in it."""
    at = plan.index(word)
    for start in range(at, 4, -1):
        n = struct.unpack_from("<I", plan, start - 4)[0]
        if at - start + len(word) <= n < 100000 and plan[start:start + n + 1].find(b"\0") == n:
            return plan[start:start + n]
    raise AssertionError(word)


def provided(**keys):
    """(the set of such providers, their placeholders in the environment, their layer)"""
    options = list(OPTIONS)
    os.environ.update(keys)
    for key in keys:
        name = key.lower().replace("_", "-")
        options += ["--provider", place.policy(PROFILE.format(id=name, key=key, host=HOST_OF[key]), f"{name}.yaml")]
    lab = Lab(options=options)
    try:
        found = re.findall(rb"(" + b"|".join(k.encode() for k in keys) + rb")=([^\0]+)", lab.plan)
        return (lab.cred, [f"{k.decode()}={v.decode()}" for k, v in found],
                string_with(lab.plan, b"_provider_"))
    finally:
        lab.close()


with sandbox() as (lab, link):
    def ask(ident, env, variable):
        before = len(origin.seen)
        status, out, err = link.run(
            ident, ["/bin/sh", "-c", "curl -sS -m 10 -o /dev/null -w '%{http_code}' -H "
                    f'"Authorization: Bearer ${variable}" https://{HOST_OF[variable]}/{ident}'], env=env)
        seen = origin.seen[before:]
        return (status, out, err), [r["headers"].get("authorization") for r in seen]

    def a_provider_is_attached_while_the_sandbox_lives():
        link.policy(1, POLICY.format(host="api.test", binary="/usr/bin/curl"))
        link.expect("POLICY_LOADED")
        said, got = ask(2, ["ONE_KEY=cleartext"], "ONE_KEY")
        assert got == ["Bearer cleartext"], (said, got, origin.seen[-1])
        one, env, layer = provided(ONE_KEY="first-VALUE-0123456789")
        assert "first-VALUE" not in str(env)
        attach(2, one, layer)
        said, got = ask(3, env, "ONE_KEY")
        assert got == ["Bearer first-VALUE-0123456789"], (
            said, got, env, [m.body[12:] for m in link.kept if m.name == "EVENT"][-3:])

    def attach(revision, cred, layer):
        link.layer(layer)
        link.policy(revision, POLICY.format(host="other.test", binary="/usr/bin/curl"))
        assert Reader(link.expect("POLICY_LOADED").body).u64() == revision
        link.credentials(revision, cred)
        assert Reader(link.expect("CREDENTIALS_LOADED").body).u64() == revision

    def another_beside_it_and_one_that_goes():
        both, env, layer = provided(ONE_KEY="other-VALUE-0123456789",
                                    TWO_KEY="second-VALUE-0123456789")
        attach(5, both, layer)
        assert ask(4, env, "TWO_KEY")[1] == ["Bearer second-VALUE-0123456789"]
        assert ask(5, env, "ONE_KEY")[1] == ["Bearer other-VALUE-0123456789"]
        two, later, layer = provided(TWO_KEY="third-VALUE-0123456789")
        attach(6, two, layer)
        assert ask(6, later, "TWO_KEY")[1] == ["Bearer third-VALUE-0123456789"]
        assert not any("VALUE" in str(h) for h in ask(7, env, "ONE_KEY")[1])
        lab.env = later

    def a_layer_goes_with_the_policy_that_is_refused():
        link.layer(b"")
        link.policy(8, "version: 1\nnonsense: 1\n")
        assert Reader(link.expect("POLICY_REFUSED").body).u64() == 8
        link.policy(9, POLICY.format(host="other.test", binary="/usr/bin/curl"))
        link.expect("POLICY_LOADED")
        assert ask(20, lab.env, "TWO_KEY")[1] == ["Bearer third-VALUE-0123456789"]

    def a_set_that_is_none_is_refused_and_the_last_stays():
        link.credentials(7, b"garbage")
        r = Reader(link.expect("CREDENTIALS_REFUSED").body)
        assert r.u64() == 7 and r.str()
        assert ask(8, lab.env, "TWO_KEY")[1] == ["Bearer third-VALUE-0123456789"]

    def they_outlive_the_death_of_proxy_and_keeper():
        for ident, victim in ((9, "cove-proxy"), (10, "cove-keeper")):
            pids = [p for p, n in box.descendants(lab.proc.pid).items() if n == victim]
            os.kill(pids[0], signal.SIGKILL)
            assert box.until(lambda v=victim, old=pids: [
                p for p, n in box.descendants(lab.proc.pid).items() if n == v and p not in old])
            time.sleep(0.5)
            said, got = ask(ident, lab.env, "TWO_KEY")
            assert got == ["Bearer third-VALUE-0123456789"], (victim, said, got, lab.text())

    for f in (a_provider_is_attached_while_the_sandbox_lives, another_beside_it_and_one_that_goes,
              a_layer_goes_with_the_policy_that_is_refused,
              a_set_that_is_none_is_refused_and_the_last_stays,
              they_outlive_the_death_of_proxy_and_keeper):
        check(f)

# ---- servers inside ----

with sandbox() as (lab, link):
    def dial(channel, port):
        link.send("DIAL", struct.pack("<II", channel, port))
        m = link.about(channel, "DIALLED", "NOT_DIALLED", seconds=15)
        if m.name == "DIALLED":
            return socket.socket(fileno=m.fds[0])
        return struct.unpack("<II", m.body)[1]

    def a_server_inside_is_reached():
        for address, port in (("127.0.0.1", 8123), ("::1", 8124)):
            link.exec(port, ["python3", "-m", "http.server", str(port), "--bind", address],
                      flags=NO_STDIN)
            m = link.about(port, "STARTED")
            close_all(m.fds)

            def up(port=port):
                s = dial(port, port)
                return s if isinstance(s, socket.socket) else None
            s = box.until(up, 10)
            s.setblocking(True)
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := s.recv(4096):
                answer += chunk
            assert b"200 OK" in answer and b"SimpleHTTP" in answer
            s.close()

    def many_connections_at_once():
        for i in range(100, 150):
            link.send("DIAL", struct.pack("<II", i, 8123))
        for i in range(100, 150):
            close_all(link.about(i, "DIALLED").fds)

    def t_the_hosts_servers_are_not_reached():
        server = socket.create_server(("127.0.0.1", 0))
        got = dial(200, server.getsockname()[1])
        assert got == errno.ECONNREFUSED, got
        server.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            server.accept()
            raise AssertionError("a dial left the sandbox")

    def ports_that_are_none_are_refused():
        assert dial(201, 0) == errno.EINVAL
        assert dial(202, 65536) == errno.EINVAL
        assert dial(203, 9) == errno.ECONNREFUSED

    for f in (a_server_inside_is_reached, many_connections_at_once,
              t_the_hosts_servers_are_not_reached, ports_that_are_none_are_refused):
        check(f)

# ---- the end ----


def ended(link, seconds=10):
    r = Reader(link.expect("ENDED", seconds=seconds).body)
    return r.u32(), r.u32(), r.str()


def a_main_command_has_ends_and_its_end_is_told():
    with sandbox(argv=["/bin/sh", "-c", "read x; echo main $x; exit 4"], flags=MAIN_ENDS) as (lab, link):
        m = link.about(1, "STARTED")
        link.exec(2, ["sleep", "1000"], flags=NO_STDIN)
        close_all(link.about(2, "STARTED").fds)
        os.write(m.fds[0], b"x\n")
        assert read_until(m.fds[1], b"main x")
        assert link.about(2, "EXITED")  # with the sandbox
        assert ended(link) == (4, 0, "")
        link.close()
        new = lab.accept()
        assert new.about(2, "EXITED") and ended(new) == (4, 0, "")
        assert lab.proc.poll() is None
        new.settle("ENDED")
        assert lab.proc.wait(10) == 4


def a_main_command_may_write_to_the_log():
    with sandbox(argv=["/bin/sh", "-c", "echo to the log; sleep 0.2"], flags=0) as (lab, link):
        assert ended(link) == (0, 0, "")
        assert "to the log" in lab.text()


def a_main_command_that_is_not_there():
    lab = Lab(argv=["/no/such"], flags=0, options=OPTIONS)
    try:
        lab.start()
        link = lab.accept()
        status, is_failure, why = ended(link)
        assert status == 127 and is_failure and "not found" in why, why
    finally:
        lab.close()


def a_policy_file_that_is_bad_is_the_end_of_who_connects():
    lab = Lab(options=OPTIONS)
    try:
        path = place.policy("version: 1\nnonsense: 1\n", "bad.yaml")
        assert len(path) <= len(start)
        os.replace(path, start)
        lab.start()
        link = lab.accept()
        link.expect("READY")
        link.exec(2, ["/bin/bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80"], flags=NO_STDIN)
        status, is_failure, why = ended(link)
        assert status == 125 and is_failure and "nonsense" in why, why
    finally:
        lab.close()
        place.policy(POLICY.format(host="other.test", binary="/**"))


def stop_lets_commands_end():
    with sandbox() as (lab, link):
        link.exec(2, ["/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo on; while :; do sleep 0.05;"
                      " done"], flags=NO_STDIN)
        m = link.about(2, "STARTED")
        read_until(m.fds[1], b"on")
        link.send("STOP", struct.pack("<I", 10000))
        r = Reader(link.about(2, "EXITED").body)
        r.u32()
        assert os.waitstatus_to_exitcode(r.u32()) == 3 and read_all(m.fds[1]) == b"bye\n"
        assert ended(link) == (0, 0, "")
        link.settle("ENDED")
        assert lab.proc.wait(10) == 0


def stop_does_not_wait_for_ever():
    with sandbox() as (lab, link):
        link.exec(2, ["/bin/sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.05; done"],
                  flags=NO_STDIN)
        m = link.about(2, "STARTED")
        read_until(m.fds[1], b"on")
        before = time.monotonic()
        link.send("STOP", struct.pack("<I", 300))
        assert ended(link)[0] == 137 and time.monotonic() - before < 5
        link.settle("ENDED")
        lab.proc.wait(10)


def a_terminated_supervisor_stops():
    with sandbox() as (lab, link):
        lab.proc.terminate()
        assert ended(link) == (0, 0, "")


def a_killed_supervisor_leaves_nothing():
    with sandbox() as (lab, link):
        link.exec(2, ["sleep", "1000"], flags=NO_STDIN)
        close_all(link.about(2, "STARTED").fds)
        lab.proc.kill()
        assert link.is_closed()
        lab.proc.wait()
        assert not box.survivors()


for f in (a_main_command_has_ends_and_its_end_is_told, a_main_command_may_write_to_the_log,
          a_main_command_that_is_not_there, a_policy_file_that_is_bad_is_the_end_of_who_connects,
          stop_lets_commands_end, stop_does_not_wait_for_ever, a_terminated_supervisor_stops,
          a_killed_supervisor_leaves_nothing):
    check(f)
place.close()
tap.done()
