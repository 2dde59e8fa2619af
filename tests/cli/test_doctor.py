#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a host that lacks something is told what, and the command that would enable it: by `cove
doctor`, and by a run that fails for it.
Method: a user namespace whose own knob forbids further ones stands for a host that does; a seccomp
filter, for a kernel that can't find whose a connection is; the profile for AppArmor by its text, and by
AppArmor's parser where there is one."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import lesserkernel  # noqa: E402
from world import COVE, Tap  # noqa: E402

tap = Tap()
here = tempfile.mkdtemp(prefix="cove-test-")
ENABLE = "sysctl -w user.max_user_namespaces=15000"
LOOKUP = "modprobe -a inet_diag tcp_diag"
POLICY = """
version: 1
network_policies:
  api:
    endpoints: [{host: api.test, port: 443}]
    binaries: [{path: /usr/bin/curl}]
"""


def run(*argv, **kw):
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=here,
                          stdin=subprocess.DEVNULL, **kw)


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


def callers_not_found():
    """Every identity would be unknown, and so every request denied: the run says it, once and at its start."""
    less = {"preexec_fn": lesserkernel.without_tcp_diag}
    policy = os.path.join(here, "policy.yaml")
    with open(policy, "w", encoding="utf-8") as f:
        f.write(POLICY)
    words = [COVE, "run", "--no-tty", "--policy", policy, "--", "echo", "started"]
    r = run(*words)
    if r.returncode != 0:
        for name in ("a run with a policy", "a run without network", "the report"):
            tap.skip(name, f"unavailable: no sandbox here: {r.stderr}")
        return
    r = run(*words, **less)
    tap.ok(r.returncode == 125 and r.stdout == "" and r.stderr.count("\n") == 1 and
           "whose a request is" in r.stderr and "to enable: " + LOOKUP in r.stderr,
           "p4 p13 a run with a policy is refused where no caller can be found, with the command",
           (r.returncode, r.stdout, r.stderr))
    r = run(COVE, "run", "--no-tty", "--", "echo", "started", **less)
    tap.ok(r.returncode == 0 and r.stdout == "started\n", "... one that may connect to nothing is not",
           (r.returncode, r.stderr))
    for kw, status, tier in ((less, "missing", "none"), ({}, "ok", "namespaces")):
        r = run(COVE, "doctor", "-o", "json", **kw)
        report = json.loads(r.stdout)
        rows = {m["name"]: m for m in report["mechanisms"]}
        row = rows["caller-lookup"]
        tap.ok(report["tier"] == tier and r.returncode == (tier == "none") and row["status"] == status and
               row.get("enable") == (LOOKUP if kw else None) and row["needed_for"] == ["namespaces"] and
               rows["network-interception"]["status"] == "ok",
               f"the report: caller-lookup is {status}, and the tier {tier}", (r.returncode, report["tier"], row))


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
    callers_not_found()
    profile()
finally:
    shutil.rmtree(here)
tap.done()
