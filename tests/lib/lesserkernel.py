# SPDX-License-Identifier: Apache-2.0
"""A kernel that has less than this one, for the caller and all that it starts from here on: seccomp
filters that answer as it would.  Each function is one for preexec_fn, too.  x86-64."""
import ctypes
import errno
import struct

_SOCKET, _SENDTO = 41, 44
_AF_NETLINK, _NETFILTER = 16, 12
_LD, _JEQ, _RET = 0x20, 0x15, 0x06
_ERRNO, _ALLOW = 0x00050000, 0x7fff0000
_NO_NEW_PRIVS, _SECCOMP = 38, 22


def _bpf(code, jt, jf, k):
    return struct.pack("HBBI", code, jt, jf, k)


def _answer(call, arguments, error):
    """The call, with these low words among its arguments, ends with error."""
    n = len(arguments)
    program = _bpf(_LD, 0, 0, 0) + _bpf(_JEQ, 0, 2 * n + 1, call)
    for i, (at, value) in enumerate(arguments.items()):
        program += _bpf(_LD, 0, 0, 16 + 8 * at) + _bpf(_JEQ, 0, 2 * (n - i) - 1, value)
    program += _bpf(_RET, 0, 0, _ERRNO | error) + _bpf(_RET, 0, 0, _ALLOW)
    memory = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = [("n", ctypes.c_ushort), ("p", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    header = Program(len(program) // 8, ctypes.addressof(memory))
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_SECCOMP, 2, ctypes.byref(header), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def without_nftables():
    """socket(AF_NETLINK, ..., NETLINK_NETFILTER) is EPROTONOSUPPORT."""
    _answer(_SOCKET, {0: _AF_NETLINK, 2: _NETFILTER}, errno.EPROTONOSUPPORT)


def without_tcp_diag():
    """A question of sock_diag about one connection, of 72 bytes to an address of 12, is ENOENT.  (A kernel
    without tcp_diag says that in its answer, which no filter sees.)"""
    _answer(_SENDTO, {2: 72, 5: 12}, errno.ENOENT)
