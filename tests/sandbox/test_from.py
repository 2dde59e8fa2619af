#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: with --from DIR the sandbox's root is that directory, read-only, and nothing of the host's own
system is in it; a root that tries to lead outside does not (p7).
Method: roots made of a few of the host's programs and their libraries, with links where an image
could put them; real runs, as root and as an ordinary user."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

PROGRAMS = ["sh", "cat", "ls", "touch", "id", "true"]


def root_make(where):
    """A root that holds PROGRAMS, what they link, and a file that says whose root it is."""
    for d in ("usr/bin", "etc", "tmp", "proc", "dev"):
        os.makedirs(os.path.join(where, d), exist_ok=True)
    for name in PROGRAMS:
        path = os.path.realpath(shutil.which(name))
        shutil.copy(path, os.path.join(where, "usr/bin", name))
        for lib in re.findall(r"(/\S+\.so\S*)", subprocess.run(
                ["ldd", path], capture_output=True, text=True, check=False).stdout):
            to = where + lib
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(os.path.realpath(lib), to)
    os.symlink("usr/bin", os.path.join(where, "bin"))
    with open(os.path.join(where, "etc/os-release"), "w", encoding="ascii") as f:
        f.write("ID=ours\n")
    return where


def main(tap, b):
    base = tempfile.mkdtemp(prefix="cove-from-")
    os.chmod(base, 0o755)

    def run(root, *argv, options=()):
        return subprocess.run([box.COVE, "run", "-q", "--from", root, *options, "--", *argv],
                              capture_output=True, text=True, cwd=b.work, timeout=60, check=False)

    try:
        root = root_make(os.path.join(base, "root"))
        r = run(root, "/bin/cat", "/etc/os-release")
        tap.result(r.returncode == 0 and r.stdout == "ID=ours\n", "the root is DIR", r)
        r = run(root, "cat", "/etc/os-release")
        tap.result(r.returncode == 0 and r.stdout == "ID=ours\n", "commands are found in DIR", r)
        r = run(root, "/bin/ls", "/usr/bin")
        tap.result(r.stdout.split() == sorted(PROGRAMS), "nothing of the host's /usr is there", r)
        r = run(root, "/usr/bin/python3", "-c", "1")
        tap.result(r.returncode == 127, "a program that only the host has is not found: 127", r)
        r = run(root, "/bin/touch", "/usr/bin/new", "/etc/new", "/new")
        tap.result(r.returncode != 0 and not os.path.exists(os.path.join(root, "usr/bin/new")) and
                   not os.path.exists(os.path.join(root, "etc/new")) and
                   not os.path.exists(os.path.join(root, "new")), "DIR is not written to", r)
        r = run(root, "/bin/sh", "-c", "echo in > made && cat made")
        tap.result(r.stdout == "in\n" and os.path.exists(os.path.join(b.work, "made")),
                   "the working directory is there, and written", r)
        r = run(root, "/bin/sh", "-c", "echo x > /tmp/x && cat /tmp/x")
        tap.result(r.stdout == "x\n" and not os.listdir(os.path.join(root, "tmp")),
                   "/tmp is private", r)

        secret = os.path.join(base, "secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write("the host's\n")
        for place in ("tmp", "proc", "dev", "etc"):
            bad = root_make(os.path.join(base, f"link-{place}"))
            shutil.rmtree(os.path.join(bad, place))
            os.symlink(base, os.path.join(bad, place))
            r = run(bad, "/bin/cat", f"/{place}/secret")
            tap.result("the host's" not in r.stdout and r.returncode != 0,
                       f"p7 /{place} as a link to the host shows nothing of it", r)
        bad = root_make(os.path.join(base, "up"))
        os.symlink("../../../../../.." + secret, os.path.join(bad, "etc/secret"))
        r = run(bad, "/bin/cat", "/etc/secret")
        tap.result("the host's" not in r.stdout, "p7 a link with .. ends at the root", r)

        for what, path in (("missing", os.path.join(base, "none")), ("a file", secret)):
            r = run(path, "/bin/true")
            tap.result(r.returncode in (2, 125) and r.stderr.count("\n") == 1 and path in r.stderr,
                       f"--from {what}: one line that names it, nothing started", r)
        r = run(os.path.join(base, "link-etc", ".."), "/bin/true")
        tap.result(r.returncode != 0, "a directory without programs: the command is not found", r)
    finally:
        shutil.rmtree(base, ignore_errors=True)


box.each_user(main)
