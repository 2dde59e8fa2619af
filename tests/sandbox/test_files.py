#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p6, p8, p14, p15, n8: of the host's files the sandbox has what it was given and nothing else,
by whatever path, link, device, other process's directory or privileged program it is tried.
Method: a program inside tries each; the errno is compared with a table, and the host's files are
looked at afterwards from outside, for that is what counts."""
import os
import re
import shutil
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

ABSENT = ("ENOENT", "EACCES", "EPERM", "ENOTDIR", "ENXIO")
DENIED = ("EACCES", "EPERM", "EROFS", "ENOENT", "EXDEV", "EBUSY", "EINVAL", "ENXIO", "EOPNOTSUPP",
          "ETXTBSY", "EEXIST", "EIO", "ESRCH", "ECONNREFUSED")
MARK = f"cove-test-mark-{os.getpid()}"


def main(tap, b):
    b.write("secret", "SECRET", where=b.outside)
    b.write("mine", "mine")
    os.symlink(os.path.join(b.outside, "secret"), b.path("planted"))
    os.symlink(b.outside, b.path("planted-dir"))
    for top in ("/tmp", "/dev/shm"):
        b.write(MARK, "SECRET", where=top)
    servers = []
    for address in ("\0" + MARK, os.path.join(b.outside, "socket")):
        s = socket.socket(socket.AF_UNIX)
        s.bind(address)
        s.listen()
        servers.append(s)
    probe = b.probe("files.py")
    try:
        r = b.run(["python3", probe, b.outside, MARK], timeout=60)
    finally:
        for top in ("/tmp", "/dev/shm"):
            os.unlink(os.path.join(top, MARK))
    tap.ok(r.returncode == 0, "the probe ran to its end", f"{r.returncode} {r.stderr}")
    said = {line.split()[0]: line.split()[1] for line in r.stdout.splitlines()}
    for name, got in said.items():
        if name == "create-beside-workdir":  # in the sandbox's own /tmp; the host's is looked at below
            continue
        if re.match(r"(work|tmp-write|home-write|shm-write|null|urandom|usr-read|etc-read|self-(read|fd))",
                    name):
            tap.ok(got == "OK", f"{name}: OK", got)
        else:
            detail = [line for line in r.stdout.splitlines() if line.startswith(name + " ")]
            tap.ok(got in DENIED + ABSENT, f"{name}: refused or absent", detail)
    tap.ok(len(said) > 160, "every attempt was made", len(said))
    tap.ok("SECRET" not in r.stdout, "nobody said the secret")

    tap.ok(sorted(os.listdir(b.outside)) == ["secret", "socket"], "nothing new outside",
           os.listdir(b.outside))
    with open(os.path.join(b.outside, "secret"), encoding="utf-8") as f:
        tap.ok(f.read() == "SECRET", "the secret is unchanged")
    tap.ok(sorted(os.listdir(b.dir)) == ["outside", "work"], "nothing new beside the workdir",
           os.listdir(b.dir))
    for s in servers:
        s.setblocking(False)
        try:
            s.accept()
            tap.ok(False, "nobody connected to the host's sockets")
        except BlockingIOError:
            tap.ok(True, "nobody connected to the host's sockets")

    # every mount is nosuid, and nodev but for the devices that are given
    r = b.sh("cat /proc/self/mountinfo")
    lines = [line.split() for line in r.stdout.splitlines()]
    tap.ok(lines and all("nosuid" in w[5] or w[4].startswith("/proc/") for w in lines),
           "every mount is nosuid", [w[4] for w in lines if "nosuid" not in w[5]])
    tap.ok(lines and all("nodev" in w[5] or w[4].startswith(("/proc", "/dev")) for w in lines),
           "every mount of files is nodev", [w[4] for w in lines if "nodev" not in w[5]])
    tap.ok(not any("master:" in word or "shared:" in word for w in lines for word in w),
           "no mount is shared with the host", [w for w in lines if "master:" in str(w)])

    # --mount: what was named, read-only where it was said so, and nothing beside it
    shared = b.write("a", "a", where=os.path.join(b.dir, "shared", "inner"))
    b.write("b", "b", where=os.path.join(b.dir, "shared"))
    inner = os.path.dirname(shared)
    r = b.sh("cat /data/a; echo x >/data/a; echo y >/data/new; mv /data/a /data/c; ls /data/..;"
             "cat /data/../b", options=["--mount", f"{inner}:/data:ro"])
    tap.result(r.stdout.startswith("a") and sorted(os.listdir(inner)) == ["a"] and open(shared).read() == "a",
           "--mount :ro is read and not written", r)
    r = b.sh("echo x >/data/a && echo y >/data/new && cat /data/a", options=["--mount", f"{inner}:/data"])
    tap.result(r.returncode == 0 and open(shared).read() == "x\n", "--mount is written", r)
    # a link inside the workdir that points at the mount source's parent leads nowhere
    os.symlink("..", os.path.join(inner, "up"))
    r = b.sh("cat /data/up/b", options=["--mount", f"{inner}:/data"])
    tap.result("b" not in r.stdout.split() and r.returncode != 0, "a link out of a --mount leads nowhere", r)
    # a symlink as source: what it points to when named by the user, never swapped later
    r = b.sh("cat /etc/shadow; ls /root", options=["--mount", f"{b.outside}:/etc"])
    tap.result("root:" not in r.stdout, "a mount over /etc does not reveal the host's", r)
    # the path of the workdir goes through a symlink
    os.symlink(b.work, os.path.join(b.dir, "alias"))
    r = b.sh("pwd -P; echo w >via; cat via", workdir=os.path.join(b.dir, "alias"))
    tap.result(r.returncode == 0 and "w" in r.stdout and os.path.exists(b.path("via")),
           "a workdir named by a symlink is that directory", r)
    other = tempfile.mkdtemp(prefix="cove-test-", dir="/var/tmp")
    r = b.sh("pwd && echo x >here", workdir=other)
    tap.result(r.returncode == 0 and r.stdout.strip() == other and os.path.exists(other + "/here"),
           "a workdir in /var/tmp is at its path", r)
    shutil.rmtree(other)
    # the command writes nothing: were one of these accepted, it would be the machine's own
    for refused in ("/", "/proc", "/proc/self", "/sys", "/dev", "/dev/shm", "/usr", "/etc", "/bin"):
        r = b.run(["true"], workdir=refused)
        tap.result(r.returncode in (2, 125) and refused.split("/")[1] in r.stderr, f"--workdir {refused} is refused", r)
    # a big sparse file and a name with a newline are the workdir's own business
    r = b.sh("""truncate -s 1T sparse && rm sparse && touch "$(printf 'a\\nb')" && ls -b""")
    tap.result(r.returncode == 0 and "a\\nb" in r.stdout, "p6 a newline in a name is a name", r)


if __name__ == "__main__":
    box.each_user(main)
