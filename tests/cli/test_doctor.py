#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a host that lacks something is told what, and the command that would enable it: by `cove
doctor`, and by a run that fails for it.
Method: a user namespace whose own knob forbids further ones stands for a host that does; the profile
for AppArmor by its text, and by AppArmor's parser where there is one."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from world import COVE, Tap  # noqa: E402

tap = Tap()
here = tempfile.mkdtemp(prefix="cove-test-")
ENABLE = "sysctl -w user.max_user_namespaces=15000"


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=here,
                          stdin=subprocess.DEVNULL)


def without_namespaces(*argv):
    return run("unshare", "-Ur", "sh", "-c",
               'echo 0 >/proc/sys/user/max_user_namespaces || exit 77; exec "$@"', "sh", *argv)


def namespaces_refused():
    r = without_namespaces(COVE, "run", "--no-tty", "--", "echo", "started")
    if r.returncode == 77 or "unshare failed" in r.stderr:
        for name in ("a run", "the report", "the exit status"):
            tap.skip(name, "unavailable: no user namespace can be made to forbid them in")
        return
    tap.ok(r.returncode == 125 and r.stdout == "" and r.stderr.count("\n") == 1 and
           "(user.max_user_namespaces is 0)" in r.stderr and "to enable: " + ENABLE in r.stderr,
           "a run that gets no namespaces says which knob and which command", (r.returncode, r.stderr))
    r = without_namespaces(COVE, "doctor", "-o", "json")
    report = json.loads(r.stdout)
    row = {m["name"]: m for m in report["mechanisms"]}["user-namespace"]
    tap.ok(r.returncode == 1 and report["tier"] == "none" and not report["is_enough"] and
           row["status"] == "missing" and row["enable"] == ENABLE,
           "the report: the tier is none, the same command", (r.returncode, report["tier"], row))
    statuses = [without_namespaces(COVE, "doctor", "--require", tier).returncode
                for tier in ("none", "landlock", "namespaces")]
    tap.ok(statuses == [0, 1, 1], "no tier is promised that no run could have", statuses)


def profile():
    r = run(COVE, "doctor", "--apparmor")
    programs = {os.path.realpath(COVE): "cove",
                os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(COVE)),
                                              "../supervisor/cove-supervisor")): "cove-supervisor"}
    tap.ok(r.returncode == 0 and r.stdout.count("userns,") == 2 and
           all(f'profile {name} "{path}" flags=(unconfined) {{' in r.stdout
               for path, name in programs.items()), "a profile of the programs where they are", r.stdout)
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin")
    if parser and os.path.exists("/etc/apparmor.d/abi/4.0"):
        path = os.path.join(here, "profile")
        with open(path, "w", encoding="utf-8") as f:
            f.write(r.stdout)
        r = run(parser, "--skip-kernel-load", "--skip-cache", path)
        tap.ok(r.returncode == 0, "AppArmor reads it", r.stderr)
    else:
        tap.skip("AppArmor reads it", "unavailable: no apparmor_parser of version 4 here")
    for folder, word in (("a*b", "pattern"), ('a"b', "pattern")):  # would be another profile
        os.makedirs(os.path.join(here, folder))
        shutil.copy(COVE, os.path.join(here, folder, "cove"))
        r = run(os.path.join(here, folder, "cove"), "doctor", "--apparmor")
        tap.ok(r.returncode == 125 and r.stdout == "" and word in r.stderr and r.stderr.count("\n") == 1,
               f"a path that a profile would read otherwise is refused: {folder}", (r.stdout, r.stderr))


try:
    namespaces_refused()
    profile()
finally:
    shutil.rmtree(here)
tap.done()
