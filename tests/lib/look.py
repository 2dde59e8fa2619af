# SPDX-License-Identifier: Apache-2.0
"""Looking into processes that are not dumpable: their memory, environment and descriptors.

The files in /proc that show these belong to root then, whoever the process's user is.  The system
calls that answer the same ask for CAP_SYS_PTRACE in the user namespace that the process was started
in, which root has, and an ordinary user after world.enter_network(): that makes a user namespace.
So each function here opens the file, and where it may not, makes the call.  Who has neither gets
Unavailable, of which the labs' Tap makes a skip.
"""
import collections
import contextlib
import ctypes
import errno
import os

_PIDFD_GETFD = 438  # the same on every architecture
_STAT_ENV_START = 50 - 3  # proc(5) counts from 1, and pid and comm are cut off; env_end is the next

_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """A skip's reason."""


@contextlib.contextmanager
def _or_unavailable():
    try:
        yield
    except PermissionError as e:
        if os.geteuid() == 0:
            raise
        raise Unavailable("unavailable: what is in a process that is not dumpable is for root only here "
                          f"({e.strerror})") from None


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _vm_read(pid, address, length):
    data = ctypes.create_string_buffer(length)
    ours = _Iovec(ctypes.cast(data, ctypes.c_void_p), length)
    theirs = _Iovec(address, length)
    got = _libc.process_vm_readv(pid, ctypes.byref(ours), ctypes.c_ulong(1), ctypes.byref(theirs),
                                 ctypes.c_ulong(1), ctypes.c_ulong(0))
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"memory of {pid}")
    return data.raw[:got]


def _reader(pid):
    """read(address, length) of a process's memory; it gives less where the rest is not mapped."""
    try:
        mem = open(f"/proc/{pid}/mem", "rb", 0)  # pylint: disable=consider-using-with
    except PermissionError:
        return lambda address, length: _vm_read(pid, address, length)
    return lambda address, length: os.pread(mem.fileno(), length, address)


def memory(pid, piece=4 << 20, is_wanted=lambda mode, size: True):
    """(line of maps, address, bytes) of all that can be read, in pieces; is_wanted chooses mappings."""
    with _or_unavailable():
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
        read = _reader(pid)
    for line in lines:
        span, mode = line.split(None, 2)[:2]
        at, end = (int(x, 16) for x in span.split("-"))
        if "[v" in line or not is_wanted(mode, end - at):
            continue
        while at < end:
            try:
                data = read(at, min(end - at, piece))
            except PermissionError:
                with _or_unavailable():
                    raise
            except (OSError, OverflowError):
                break  # not to be read: a guard, a file that is shorter
            if not data:
                break
            yield line, at, data
            at += len(data)


def environ(pid):
    """The environment as /proc/PID/environ has it."""
    with _or_unavailable():
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                return f.read()
        except PermissionError:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
            start, end = (int(x) for x in fields[_STAT_ENV_START:_STAT_ENV_START + 2])
            if not start:  # shown to nobody who may not look
                raise
            return _vm_read(pid, start, end - start) if end > start else b""


def _table_size(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("FDSize:"))


def _duplicate(pidfd, number):
    """A descriptor of ours for what is the other's `number`; None if it has none."""
    ours = _libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if ours >= 0:
        return ours
    code = ctypes.get_errno()
    if code == errno.EBADF:
        return None
    with _or_unavailable():
        raise OSError(code, os.strerror(code))


def descriptors(pid):
    """(number, a descriptor of ours for the same file) of each that the process has; closed after."""
    pidfd = os.pidfd_open(pid)
    try:
        for number in range(_table_size(pid)):
            ours = _duplicate(pidfd, number)
            if ours is not None:
                try:
                    yield number, ours
                finally:
                    os.close(ours)
    finally:
        os.close(pidfd)


def paths(pid):
    """What the process's descriptors are, as /proc/PID/fd says it: {number: path}."""
    return {number: os.readlink(f"/proc/self/fd/{fd}") for number, fd in descriptors(pid)}


def names_below(pid):
    """Of its children; none when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            children = f.read().split()
    except OSError:
        return []
    return [s.comm for s in map(stat, map(int, children)) if s]


def adopted(pid):
    """The processes that it has a pidfd of: a supervisor's keeper may be none of its children."""
    found = []
    try:
        for _, fd in descriptors(pid):
            with open(f"/proc/self/fdinfo/{fd}", encoding="ascii", errors="replace") as f:
                found += [int(line.split()[1]) for line in f if line.startswith("Pid:")]
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended
    return [p for p in found if p > 0]


def descriptor_count(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return sum(1 for _ in descriptors(pid))


Stat = collections.namedtuple("Stat", "comm state parent session start")


def stat(pid):
    """What /proc/PID/stat says (proc(5)), or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            before, _, after = f.read().rpartition(")")
    except OSError:
        return None
    rest = after.split()
    return Stat(before.partition("(")[2], rest[0], int(rest[1]), int(rest[3]), int(rest[19]))


def runs(pid):
    """One that ended and that nobody waits for (not every process 1 does) runs no more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
