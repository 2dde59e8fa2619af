#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clones a repository with a credential of the host, looks through it, and puts it into the workspace.

FORGE is where repositories are (a directory or https://...), WORKSPACE where they go.  The clone has
neither hooks nor a remote, so nothing of the credential is in it.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import contract  # noqa: E402

WORKSPACE = os.path.realpath(os.environ.get("WORKSPACE", "."))
FORGE = os.environ.get("FORGE", "https://github.com")
KEPT_MAX = 1000
operations, lock = {}, threading.Lock()


def findings(root):
    found = []
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(root + os.sep):
                found.append({"file": os.path.relpath(path, root), "issue": "symlink leaves the repository",
                              "severity": "high"})
    return found


def clone(repo, ref, to):
    git = ["git", "-c", "core.hooksPath=/dev/null", "clone", "-q", "--depth", "1", "--branch", ref, "--",
           f"{FORGE}/{repo}", to]
    r = subprocess.run(git, capture_output=True, text=True, check=False, timeout=600)
    if r.returncode:
        raise contract.Refused(502, "the clone failed: " + re.sub(r"://[^@\s]*@", "://", r.stderr)[-500:])
    shutil.rmtree(os.path.join(to, ".git", "hooks"), ignore_errors=True)
    subprocess.run(["git", "-C", to, "remote", "remove", "origin"], check=True)


def provision(a):
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", a["repo"]):
        raise contract.Refused(400, "repo must be in org/name format")
    ref = a.get("ref", "main")
    if not re.fullmatch(r"[A-Za-z0-9][\w./-]*", ref):
        raise contract.Refused(400, "ref is no name of a branch or tag")
    dest = os.path.realpath(os.path.join(WORKSPACE, a.get("dest", a["repo"].split("/")[1])))
    if not dest.startswith(WORKSPACE + os.sep) or os.path.exists(dest):
        raise contract.Refused(400, "dest leaves the workspace, or is there already")
    answer = {"id": str(uuid.uuid4()), "repo": a["repo"], "ref": ref}
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(os.path.realpath(scratch), "repo")
        clone(a["repo"], ref, path)
        answer["findings"] = findings(path)
        bad = any(f["severity"] == "high" for f in answer["findings"])
        answer["status"] = "rejected" if bad else "completed"
        if not bad:
            shutil.move(path, dest)
            answer["dest"] = os.path.relpath(dest, WORKSPACE)
    with lock:
        operations[answer["id"]] = answer
        while len(operations) > KEPT_MAX:
            del operations[next(iter(operations))]
    return answer


def status(a):
    with lock:
        if a["id"] not in operations:
            raise contract.Refused(404, "operation not found")
        return operations[a["id"]]


STRING = {"type": "string"}
contract.main("provisioner", [
    contract.Operation("provision_repo", "POST", "/repo/provision", "Clones a repository into the workspace.",
                       {"repo": STRING, "ref": STRING, "dest": STRING, "sandbox": STRING}, ["repo"], provision),
    contract.Operation("check_provision_status", "GET", "/repo/status/{id}", "What became of a clone.",
                       {"id": STRING}, ["id"], status),
])
