#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The backend `build` under a broker that outlives its sandboxes: what is a sandbox's goes with it.

Real buildah; a directory stands for the sandbox's root.  What needs a network is in
tests/e2e/test_build.py.
"""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import Lab, Sandbox, Tap, eventually  # noqa: E402

CATALOG = """
version: 1
tools:
  build_container: {description: Builds an image., build: {operation: build}, limits: {seconds: 100}}
  list_images: {description: Lists images., build: {operation: list}}
"""
if not shutil.which("buildah") or not shutil.which("busybox"):
    print("1..0 # SKIP buildah or busybox is not installed")
    sys.exit(0)
root = tempfile.mkdtemp(prefix="cove-root-")
os.mkdir(f"{root}/ctx")
shutil.copy(shutil.which("busybox"), f"{root}/ctx")
lab = Lab(CATALOG)
builds = os.path.join(lab.state, "builds")


def write(text):
    with open(f"{root}/ctx/Containerfile", "w", encoding="ascii") as f:
        f.write(text)


def a_build():
    write("FROM scratch\nCOPY busybox /bin/busybox\n")
    one, two = Sandbox(lab, "One of a gateway", root=root), Sandbox(lab, "two", root=root)
    r = one.call("build_container", {"tag": "app", "context_dir": "/ctx", "dest": "/app.tar"})
    assert r.status == 200 and r.json["output"]["tag"].startswith("localhost/sandbox--"), r
    assert os.path.getsize(f"{root}/app.tar") == r.json["output"]["size"]
    assert "app" in str(one.call("list_images").json) and "app" not in str(two.call("list_images").json)
    assert len(os.listdir(builds)) == 2
    one.end()
    lab.wait_ended("One of a gateway")
    assert eventually(lambda: len(os.listdir(builds)) == 1)
    two.end()
    lab.wait_ended("two")
    assert eventually(lambda: not os.listdir(builds))


def p16_a_sandbox_that_ends_during_a_build():
    mark = f"6{os.getpid()}"
    write(f'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "sleep", "{mark}"]\n')
    box = Sandbox(lab, "three", root=root)
    box.job("build_container", {"tag": "app", "context_dir": "/ctx"})
    assert eventually(lambda: runs(mark), 20)
    box.end()
    lab.wait_ended("three")
    assert not runs(mark)
    assert eventually(lambda: not os.listdir(builds))


def without_a_root():
    box = Sandbox(lab, "four")
    r = box.call("build_container", {"tag": "app", "context_dir": "/ctx"})
    assert r.status == 502 and r.json["error"] == "backend_failed", r
    box.end()
    lab.wait_ended("four")


def runs(mark):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().rstrip(b"\0").endswith(b"sleep\0" + mark.encode()):
                    return True
        except OSError:
            pass
    return False


STATUS = Tap().run([a_build, p16_a_sandbox_that_ends_during_a_build, without_a_root])
lab.close()
shutil.rmtree(root, ignore_errors=True)
sys.exit(STATUS)
