#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: with --nested-ids a command is root among the ids of /etc/subuid, in a user namespace of its own,
and can no more than who makes one by --nested.  Method: as a user who has a range of ids, all that is
refused to --nested; cove-init and the other processes of the sandbox as targets."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402
import buildlab  # noqa: E402
from nestedlab import REFUSED, sockets_script  # noqa: E402

IDS = ("--nested", "--nested-ids")


def ids(tap, b):
    r = b.sh("cat /proc/self/uid_map; touch f; chown 33:44 f; stat -c %u:%g f; rm f", options=IDS)
    lines = [line.split() for line in r.stdout.splitlines()]
    tap.result(r.returncode == 0 and lines[0][::2] == ["0", "1"] and lines[1][0] == "1" and int(lines[1][2]) > 1 and
               lines[2] == ["33:44"], "root, and ids that files can be given", r)
    r = b.sh("chown 70000 f", options=IDS)
    tap.result(r.returncode != 0, "no id past the range", r)
    r = b.sh("for p in /proc/[0-9]*; do echo $(sed -n 's/^Cap...:.//p' $p/status | sort -u | tr '\\n' ' '); done; "
             "cat /proc/[0-9]*/comm", options=IDS)
    tap.result("cove-init" in r.stdout and r.stdout.startswith("0000000000000000\n"),
               "p1 cove-init has no capability, and nobody is beside it", r)


def inside(tap, b):
    for what, script in (("cove-init killed", "kill -9 1"),
                         ("cove-init's memory", "exec 3<> /proc/1/mem"),
                         ("cove-init's environment", "cat /proc/1/environ"),
                         ("cove-init's descriptors", "ls /proc/1/fd/"),
                         ("cove-init's root", "ls /proc/1/root/"),
                         ("cove-init's maps", "echo '0 0 1' > /proc/1/uid_map")):
        r = b.sh(script, options=IDS)
        tap.result(0 < r.returncode < 125 and not r.stdout.strip("\n"), f"p1 refused: {what}", r)
    r = b.run(["python3", "-c", "import os\nos.setgroups([5])\nprint(os.getgroups())"], options=IDS)
    tap.result("5" not in r.stdout, "p1 groups stay what they are", r)


def main():
    tap = box.Tap(os.environ.get("USER", "user"))
    b = box.Box()
    try:
        b.write(".git/hooks/pre-commit", "#!/bin/sh\n")
        ids(tap, b)
        inside(tap, b)
        for what, script in REFUSED:
            r = b.sh("mkdir -p /tmp/m && " + script, options=IDS)
            tap.result(r.returncode != 0, f"p1 p11 refused: {what}", r)
        tap.result(os.listdir(b.path(".git/hooks")) == ["pre-commit"] and not os.path.exists("/usr/new"),
                   "p11 nothing of it is on the host", r)
        r = b.run(["python3", "-c", sockets_script()], options=IDS)
        tap.result(r.returncode == 0 and "open" not in r.stdout, "n3 no netfilter, raw, packet or vsock socket", r)
        r = b.run(["true"], options=IDS[1:])
        tap.result(r.returncode == 2 and "--nested" in r.stderr, "without --nested it is refused", r)
        tap.ok(not box.survivors(), "nothing outlives it")
    finally:
        b.close()
    tap.done()


if os.environ.get("CV_IDS_PASS"):
    main()
tap = box.Tap("caller")
b = box.Box()
if os.geteuid() == 0 and "root" not in (buildlab.ranges("/etc/subuid") if os.path.exists("/etc/subuid") else ()):
    r = b.run(["true"], options=IDS)
    tap.result(r.returncode == 125 and "--nested-ids: " in r.stderr and r.stderr.count("\n") == 1,
               "who has no range is told: one line", r)
b.close()
user = buildlab.user_with_ids()
if user is None:
    tap.skip("with a range of ids", "unavailable: nobody has ids in /etc/subuid and /etc/subgid, or no newuidmap")
    tap.done()
print(f"1..{tap.count}", flush=True)
os.environ.update({"CV_IDS_PASS": "1", "USER": user.pw_name, "HOME": "/nonexistent"})
os.execvp((w := [*buildlab.words_of(user), sys.executable, *sys.argv])[0], w)
