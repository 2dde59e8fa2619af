#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: how the client begins and ends: without standard streams, by a signal, with its terminal hung up.
Method: the client and cove itself against a real gateway and real sandboxes."""
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
g = gatewaylab.Gateway()
c = clientlab.Client(g)
COVE = os.environ.get("CV_COVE", os.path.join(os.path.dirname(clientlab.EXE), "../cli/cove"))


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


# ---- streams that are not there ----

def shell(script, *words, exe=clientlab.EXE, stdin=subprocess.DEVNULL, timeout=20):
    return subprocess.run(["sh", "-c", f'"$@" {script}', "sh", exe, *words], env=c.env, stdin=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


def a_missing_stdin_is_empty():
    c("sandbox", "create", "--name", "box")
    for exe in (clientlab.EXE, COVE):
        for words in (("sandbox", "exec"), ("exec",)):
            done = shell("<&-", *words, "-n", "box", "--no-tty", "--", "sh", "-c", "cat; echo end", exe=exe)
            assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", ""), done


def a_missing_stdout_is_an_error():
    """What would have been printed is lost, which is no success."""
    for exe in (clientlab.EXE, COVE):
        for words in (("sandbox", "list"), ("sandbox", "exec", "-n", "box", "--no-tty", "--", "echo", "on")):
            done = shell(">&-", *words, exe=exe)
            assert done.returncode == 1 and "Bad file descriptor" in done.stderr, (words, done)
        assert shell("<&- >&- 2>&-", "sandbox", "list", exe=exe).returncode == 1
        assert shell("2>&-", "sandbox", "get", "none", exe=exe).returncode == 1


# ---- --no-keep ----

def names():
    return c("sandbox", "list", "--names").stdout.split()


def begun(name, *more, start=c.start, **kw):
    p = start("sandbox", "create", "--no-keep", "--name", name, *more, **kw)
    assert p.stdout.readline() == f"Created sandbox: {name}\n".encode()
    return p


def no_keep_ends_with_a_signal():
    for i, sig in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        name = f"nk{i}"
        p = begun(name, "--", "sh", "-c", "echo on; exec sleep 600", stdin=subprocess.DEVNULL)
        assert p.stdout.readline() == b"on\n"
        p.send_signal(sig)
        assert p.wait(30) == -sig, p.returncode
        assert name not in names(), sig
        assert p.stderr.read().count(b"Error") == 0


def no_keep_ends_while_it_is_being_made():
    """At different times of it, before its name is known here too."""
    for i in range(8):
        p = c.start("sandbox", "create", "--no-keep", "--name", f"early{i}", "--", "sleep", "600",
                    stdin=subprocess.DEVNULL)
        time.sleep(0.02 * i)
        p.send_signal(signal.SIGTERM)
        assert p.wait(30) == -signal.SIGTERM, p.returncode
        assert names() == ["box"], (i, names())


def no_keep_ends_with_its_terminal():
    p, end = c.start_on_terminal("sandbox", "create", "--no-keep", "--name", "tty", "--", "sh", "-c",
                                 "echo on; exec sleep 600")
    seen = b""
    while b"on\r\n" not in seen:
        seen += os.read(end, 4096)
    os.close(end)
    p.wait(30)
    assert until(lambda: "tty" not in names(), 20), names()


def no_keep_ends_with_its_reader():
    p = begun("loud", "--", "sh", "-c", "while :; do echo y; done", stdin=subprocess.DEVNULL)
    p.stdout.close()
    assert p.wait(30) == 1
    assert "loud" not in names()


def no_keep_ends_when_nobody_reads():
    """Held up in a write, where nothing looks out for signals."""
    p = begun("held", "--", "sh", "-c", "while :; do echo y; done", stdin=subprocess.DEVNULL)
    time.sleep(2)
    p.send_signal(signal.SIGTERM)
    assert p.wait(30) == -signal.SIGTERM
    assert "held" not in names()


try:
    for f in (a_missing_stdin_is_empty, a_missing_stdout_is_an_error, no_keep_ends_with_a_signal,
              no_keep_ends_while_it_is_being_made, no_keep_ends_with_its_terminal, no_keep_ends_with_its_reader,
              no_keep_ends_when_nobody_reads):
        check(f)
finally:
    c("sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
