# SPDX-License-Identifier: Apache-2.0
"""A worse machine for one dynamic program: its clock is set, its disk is slow or fails, while it runs.

    with disturb.Disturbed() as d:
        Gateway(env=d.env)
        d.set(wall_ms=-3600_000)        the wall clock, an hour back
        d.set(sync_ms=500)              each fsync() takes half a second
        d.set(sync_errno=errno.EIO)     ... or fails
        d.syncs()                       how many there were

Only the wall clock is changed: nobody can set CLOCK_MONOTONIC.
"""
import mmap
import os
import shutil
import struct
import subprocess
import tempfile

NAMES = ("wall_ms", "sync_ms", "sync_errno", "sync_count")


class Disturbed:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="cove-disturb-")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "disturb.c")
        library = os.path.join(self.directory, "disturb.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        path = os.path.join(self.directory, "numbers")
        with open(path, "wb") as f:
            f.write(bytes(8 * len(NAMES)))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8 * len(NAMES))
        self.env = {"LD_PRELOAD": library, "CV_DISTURB": path}

    def set(self, **numbers):
        for name, value in numbers.items():
            struct.pack_into("=q", self.map, 8 * NAMES.index(name), value)

    def syncs(self):
        return struct.unpack_from("=q", self.map, 8 * NAMES.index("sync_count"))[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.map.close()
        shutil.rmtree(self.directory, ignore_errors=True)
