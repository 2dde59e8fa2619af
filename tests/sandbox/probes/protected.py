#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Tries to change what is protected in a working directory: argv are paths in it that exist.  A line
# for each path and way: "WAY:PATH errno".
import ctypes
import errno
import os
import shutil
import sys

libc = ctypes.CDLL(None, use_errno=True)
RENAME_EXCHANGE = 2


def attempt(way, path, function):
    try:
        function()
        print(f"{way}:{path} OK", flush=True)
    except OSError as e:
        print(f"{way}:{path} {errno.errorcode.get(e.errno, '?')}", flush=True)


def write(path):
    with open(path, "a", encoding="ascii") as f:
        f.write("EVIL\n")


def exchange(a, b):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "")


def mount_over(path):
    if libc.mount(b"/tmp", path.encode(), None, 4096, None):
        raise OSError(ctypes.get_errno(), "")


def unmount(path):
    if libc.umount2(path.encode(), 2):
        raise OSError(ctypes.get_errno(), "")


def evil(path):
    """Something of the same kind to put in its place."""
    name = "evil-" + os.path.basename(path)
    if os.path.isdir(path):
        os.makedirs(name, exist_ok=True)
        write(name + "/EVIL")
    else:
        write(name)
    return name


def linked(path):
    os.link(path, "linked")
    try:
        write("linked")
    finally:
        os.unlink("linked")


def through_fd(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        write(f"/proc/self/fd/{fd}" + ("/EVIL" if os.path.isdir(path) else ""))
    finally:
        os.close(fd)


for path in sys.argv[1:]:
    inside = os.path.join(path, "EVIL") if os.path.isdir(path) else path
    attempt("write", path, lambda: write(inside))
    if os.path.isdir(path):
        attempt("mkdir-in", path, lambda: os.mkdir(os.path.join(path, "evil")))
        attempt("unlink-in", path, lambda: os.unlink(os.path.join(path, "there")))
        attempt("append-in", path, lambda: write(os.path.join(path, "there")))
        attempt("rename-into", path, lambda: os.rename(evil("x"), os.path.join(path, "x")))
        attempt("rmtree", path, lambda: shutil.rmtree(path))
    else:
        attempt("truncate", path, lambda: os.truncate(path, 0))
        attempt("unlink", path, lambda: os.unlink(path))
    attempt("hard-link", path, lambda: linked(path))
    attempt("by-descriptor", path, lambda: through_fd(path))
    attempt("by-proc-root", path, lambda: write("/proc/self/root" + os.path.abspath(inside)))
    attempt("by-proc-cwd", path, lambda: write("/proc/self/cwd/" + inside))
    attempt("chmod", path, lambda: os.chmod(path, 0o777))
    attempt("utime", path, lambda: os.utime(path))
    attempt("rename-away", path, lambda: os.rename(path, "away"))
    attempt("replace-by-rename", path, lambda: os.rename(evil(path), path))
    attempt("exchange", path, lambda: exchange(evil(path), path))
    attempt("mount-over", path, lambda: mount_over(path))
    attempt("unmount", path, lambda: unmount(path))
    parent = os.path.dirname(path)
    while parent:
        attempt("rename-parent-" + parent, path, lambda p=parent: os.rename(p, "away"))
        attempt("exchange-parent-" + parent, path, lambda p=parent: exchange(evil(p), p))
        parent = os.path.dirname(parent)
attempt("rename-workdir", ".", lambda: os.rename(os.getcwd(), os.getcwd() + "-away"))
