# SPDX-License-Identifier: Apache-2.0
"""Programs on pseudo-terminals, of tests that have threads: nothing of Python runs between fork and exec, where
a lock that another thread held would be held for ever (so no pty.fork and no preexec_fn)."""
import fcntl
import os
import struct
import subprocess
import termios


def size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def spawn(argv, rows=24, cols=80, name=None, **kw):
    """(process, its terminal's other end): in a session of its own, which the terminal controls."""
    master, slave = os.openpty()
    size(master, rows, cols)
    words = ["bash", "-c", 'exec -a "$0" "$@"', name, *argv] if name else argv
    try:
        process = subprocess.Popen(["setsid", "--ctty", *words], stdin=slave, stdout=slave, stderr=slave, **kw)
    finally:
        os.close(slave)
    return process, master
