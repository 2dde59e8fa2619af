#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `cove exec` reconnects: a command survives its client and its gateway, its output is followed
from an offset, its end is told; and as `openshell` all is as it was.
Method: the program against a real gateway and a real sandbox; SIGKILL for the client in the middle of
its output, SIGKILL for the gateway, interrupts."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402
from gatewaylab import until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
c = clientlab.Client(g)
SLOWLY = 'i=0; while [ $i -lt %d ]; do i=$((i+1)); printf "%%07d\\n" $i; sleep 0.01; done; exit 5'


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def equal(got, want):
    assert got == want, (got, want)


def lines(n):
    return b"".join(b"%07d\n" % i for i in range(1, n + 1))


def start(script, *flags, words=("exec",), **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return c.start(*words, "-n", "box", *flags, "--", "sh", "-c", script, **kw)


def ended(p, seconds=60):
    out, err = p.communicate(timeout=seconds)
    return p.returncode, out, err


def listed():
    return json.loads(c("exec", "list", "box", "-o", "json").stdout)


def the_last():
    return listed()[-1]


# ---- what it is ----

def both_names_run_it():
    for words in (("exec",), ("sandbox", "exec")):
        equal(ended(start("echo out; echo err >&2; pwd; exit 7", "--workdir", "/tmp", words=words)),
              (7, b"out\n/tmp\n", b"err\n"))
    equal(the_last()["exit_code"], 7)
    with open(os.path.join(g.directory, "in"), "wb") as f:
        f.write(b"a\0b\n" * 1000)
    with open(os.path.join(g.directory, "in"), "rb") as f:
        equal(ended(start("cat", stdin=f)), (0, b"a\0b\n" * 1000, b""))
    equal(ended(start("sleep 100", "--timeout", "1"))[0], 124)
    done = c("exec", "-n", "box", "--", "/no/such", stdin=b"", status=127)
    assert "/no/such" in done.stderr, done.stderr


def a_word_that_is_ours_is_a_command_behind_dashes():
    done = c("exec", "-n", "box", "--", "list", status=None)
    assert done.returncode == 127, done


def openshell_is_as_it_was():
    before = len(listed())
    env = {"OPENSHELL_GATEWAY_ENDPOINT": g.url("")}
    p = c.start("sandbox", "exec", "-n", "box", "--no-tty", "--", "sh", "-c", "echo out; exit 3",
                program="openshell", stdin=subprocess.DEVNULL, env=env)
    equal(ended(p)[:2], (3, b"out\n"))
    equal(len(listed()), before)
    p = c.start("sandbox", "exec", "-n", "box", "--detach", "true", program="openshell",
                stdin=subprocess.DEVNULL, env=env)
    equal(ended(p)[0], 2)
    p = c.start("sandbox", "exec", "-n", "box", "--no-tty", "--", "sh", "-c", "echo on; sleep 1000",
                program="openshell", stdin=subprocess.DEVNULL, env=env)
    equal(p.stdout.readline(), b"on\n")
    g.kill()
    code, _, err = ended(p)
    g.start()
    assert code == 1 and b"Error: " in err, (code, err)


# ---- who is lost ----

def a_killed_client_leaves_it_and_another_goes_on():
    p = start(SLOWLY % 200)
    begun = b""
    while len(begun) < 400:
        begun += os.read(p.stdout.fileno(), 100)
    p.kill()
    begun += p.stdout.read()
    p.wait()
    x = the_last()
    equal(x["state"], "running")
    p = c.start("exec", "attach", "box", x["id"], "--from", str(len(begun)))
    code, rest, err = ended(p)
    equal((code, begun + rest, err), (5, lines(200), b""))
    p = c.start("exec", "attach", "box", x["id"])  # and a second time, all of it
    equal(ended(p)[:2], (5, lines(200)))


def a_killed_gateway_is_waited_for():
    p = start(SLOWLY % 300)
    begun = b""
    while len(begun) < 400:
        begun += os.read(p.stdout.fileno(), 100)
    g.kill()
    time.sleep(1)
    g.start()
    code, rest, err = ended(p)
    equal((code, begun + rest), (5, lines(300)))
    assert err.count(b"\n") == 1 and b"the connection to the gateway was lost" in err, err


def a_stopped_gateway_too():
    p = start("echo on; sleep 4; echo off; exit 6")
    equal(p.stdout.readline(), b"on\n")
    g.stop()
    g.start()
    code, rest, err = ended(p)
    equal((code, rest), (6, b"off\n"))
    assert err.count(b"\n") == 1, err


def what_ended_meanwhile_is_told():
    p = start("echo on; sleep 1; echo off; exit 8")
    equal(p.stdout.readline(), b"on\n")
    g.kill()
    time.sleep(2)
    g.start()
    equal(ended(p)[:2], (8, b"off\n"))


# ---- detached ----

def a_detached_one_is_listed_attached_and_killed():
    x = c("exec", "-n", "box", "--detach", "--", "sh", "-c", "echo on; sleep 1000").stdout.strip()
    until(lambda: the_last()["output_bytes"] == 3)
    row = the_last()
    equal((row["id"], row["state"], row["command"][0]), (x, "running", "sh"))
    table = c("exec", "list", "box").stdout
    assert x in table and "running" in table and "sh -c echo on" in table, table
    p = c.start("exec", "attach", "box", x)
    equal(p.stdout.readline(), b"on\n")
    p.send_signal(signal.SIGINT)  # ends who looks, not what runs
    equal(p.wait(10), -signal.SIGINT)
    equal(the_last()["state"], "running")
    said = c("exec", "kill", "box", x, "--signal", "KILL").stdout
    assert "Sent signal 9" in said, (said, the_last())
    until(lambda: the_last()["state"] == "exited")
    equal(ended(c.start("exec", "attach", "box", x))[0], 137)
    assert "over already: exited 137" in c("exec", "kill", "box", x).stdout


def wrong_words():
    for words, want in ((["exec", "attach", "box"], "<ID>"), (["exec", "kill", "box", "x", "-s", "NO"], "--signal"),
                        (["exec", "attach", "box", "x", "--from", "-1"], "--from"),
                        (["exec", "-n", "box", "--stdin", "true"], "--stdin"),
                        (["exec", "-n", "box"], "<CMD>")):
        said = c(*words, status=2)
        assert want in said.stderr, said.stderr
    assert "exec not found" in c("exec", "attach", "box", "nothing", status=1).stderr
    assert "beyond what was printed" in c("exec", "attach", "box", the_last()["id"], "--from", "99999999",
                                          status=1).stderr


# ---- who interrupts ----

def an_interrupt_is_the_commands():
    p = start("trap 'echo caught; exit 9' INT; echo on; while :; do sleep 0.1; done")
    equal(p.stdout.readline(), b"on\n")
    p.send_signal(signal.SIGINT)
    code, out, _ = ended(p)
    equal((code, out), (-signal.SIGINT, b"caught\n"))
    equal(the_last()["exit_code"], 9)
    p = start("trap '' INT; echo on; while :; do sleep 0.1; done")
    equal(p.stdout.readline(), b"on\n")
    p.send_signal(signal.SIGINT)
    time.sleep(1)
    assert p.poll() is None
    p.send_signal(signal.SIGINT)
    equal(ended(p)[0], -signal.SIGINT)
    until(lambda: the_last()["state"] == "exited")
    equal(the_last()["exit_code"], 137)
    p = start("trap '' INT; echo on; while :; do sleep 0.1; done")  # who ignores it is told otherwise
    equal(p.stdout.readline(), b"on\n")
    p.send_signal(signal.SIGINT)
    equal(ended(p, 20)[0], -signal.SIGINT)
    equal(the_last()["exit_code"], 143)


def a_reader_that_goes_ends_it():
    p = start("yes")
    p.stdout.read(10)
    p.stdout.close()
    assert p.wait(30) == 1 and not p.stderr.read()
    until(lambda: the_last()["state"] == "exited")


def a_slow_reader_gets_all_of_it():
    p = start("seq -f %07.0f 1 3000000")  # 24 MB
    begun = os.read(p.stdout.fileno(), 1000)
    time.sleep(1)
    code, rest, err = ended(p)
    equal((code, err, begun + rest == lines(3000000)), (0, b"", True))


def a_gap_is_said():
    x = c("exec", "-n", "box", "-d", "--", "sh", "-c", "seq -f %07.0f 1 300000").stdout.strip()
    until(lambda: the_last()["state"] == "exited")
    row, whole = the_last(), lines(300000)
    code, out, err = ended(c.start("exec", "attach", "box", x))
    equal((code, out), (0, whole[row["kept_from"]:]))
    equal(err, b"cove: %d bytes of output are not kept any more\n" % row["kept_from"])


try:
    c("sandbox", "create", "--name", "box")
    for f in (both_names_run_it, a_word_that_is_ours_is_a_command_behind_dashes,
              a_killed_client_leaves_it_and_another_goes_on, a_killed_gateway_is_waited_for,
              a_stopped_gateway_too, what_ended_meanwhile_is_told,
              a_detached_one_is_listed_attached_and_killed, wrong_words, an_interrupt_is_the_commands,
              a_reader_that_goes_ends_it, a_slow_reader_gets_all_of_it, a_gap_is_said, openshell_is_as_it_was):
        check(f)
    c("sandbox", "delete", "box")
finally:
    g.close()
tap.done()
