#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: how the client begins and ends: without standard streams.
Method: the client and cove itself against a real gateway and a real sandbox."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402

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


try:
    for f in (a_missing_stdin_is_empty, a_missing_stdout_is_an_error):
        check(f)
finally:
    c("sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
