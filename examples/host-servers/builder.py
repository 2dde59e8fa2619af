#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packs a directory of the workspace into an archive beside it: a builder's shape, in few lines.

WORKSPACE is the directory that the sandbox works in; nothing outside of it is read or written.
"""
import os
import re
import sys
import tarfile
import threading
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import contract  # noqa: E402

WORKSPACE = os.path.realpath(os.environ.get("WORKSPACE", "."))
images, lock = {}, threading.Lock()


def beneath(path, what):
    """An absolute or relative path of the sandbox, as one of the host's, or refused."""
    whole = os.path.realpath(os.path.join(WORKSPACE, path))
    if whole != WORKSPACE and not whole.startswith(WORKSPACE + os.sep):
        raise contract.Refused(400, f"{what} leaves the workspace")
    return whole


def build(a):
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]{0,100}(:[A-Za-z0-9_.-]{1,100})?", a["tag"]):
        raise contract.Refused(400, "tag is no image reference")
    context = beneath(a.get("context_dir", "."), "context_dir")
    recipe = beneath(os.path.join(context, a.get("dockerfile", "Containerfile")), "dockerfile")
    answer = {"id": str(uuid.uuid4()), "tag": a["tag"]}
    if not os.path.isfile(recipe):
        raise contract.Refused(400, f"there is no {a.get('dockerfile', 'Containerfile')} in context_dir")
    dest = beneath(a.get("dest", a["tag"].replace("/", "-").replace(":", "-") + ".tar"), "dest")
    with tarfile.open(dest, "w") as tar:
        tar.add(context, arcname=".", filter=lambda m: m if m.isfile() or m.isdir() else None)
    with lock:
        images[a["tag"]] = os.path.getsize(dest)
    return {**answer, "status": "success", "output": f"packed {os.path.relpath(dest, WORKSPACE)}"}


def push(a):
    with lock:
        if a["tag"] not in images:
            raise contract.Refused(404, "no such image")
    return {"tag": a["tag"], "status": "success", "output": "pushed nowhere: this is an example"}


def listing(_):
    with lock:
        return {"images": [{"tag": t, "bytes": n} for t, n in sorted(images.items())]}


STRING = {"type": "string"}
contract.main("builder", [
    contract.Operation("build_container", "POST", "/build", "Builds an image from a directory of the workspace.",
                       {"tag": STRING, "dockerfile": STRING, "context_dir": STRING, "dest": STRING,
                        "sandbox": STRING}, ["tag"], build),
    contract.Operation("push_container", "POST", "/push", "Pushes an image.", {"tag": STRING}, ["tag"], push),
    contract.Operation("list_images", "GET", "/images", "Lists the images.", {}, [], listing),
])
