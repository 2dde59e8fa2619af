# SPDX-License-Identifier: Apache-2.0
"""A small world for end-to-end tests: a network of its own, servers, certificates, `cove run`.

The proxy refuses loopback whatever a policy says, so servers can't listen there.  enter_network()
moves the test process into a network namespace of its own (in a user namespace when it is not
root, where every port is free to all as it is to root) where `lo` also carries a private address, a
public-looking one and their IPv6 counterparts; nothing in it reaches any other machine.  Servers are threads of the test; each keeps what reached
it, so "not one byte reached the server" can be asked.
"""
import contextlib
import ctypes
import fcntl
import http.server
import itertools
import json
import os
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import look  # noqa: E402

PRIVATE = "10.77.0.1"
PUBLIC = "93.184.216.34"
PRIVATE6 = "fd00:77::1"
PUBLIC6 = "2606:2800:220:1::34"

COVE = os.environ.get("CV_COVE", os.path.join(os.getcwd(), "build/src/cli/cove"))

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _SIOCSIFADDR = 0x8914, 0x8916
_SIOCADDRT, _SIOCDELRT, _RTF_UP = 0x890B, 0x890C, 1
_IFF_UP, _IFF_RUNNING = 1, 0x40


def _unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


_has_user_namespace = False  # what is forked has it too; what is executed has lost its capabilities


def enter_user_namespace():
    """For who is not root.  Once in a process: one with threads can make no other, nor needs one."""
    global _has_user_namespace  # pylint: disable=global-statement
    if _has_user_namespace or os.geteuid() == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER)
    _has_user_namespace = True
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def route_everywhere(is_there=True):
    """A default route by lo, or none, in the network that was entered; route(7).  Not by ip(8): who is not
    root has its capabilities in this process alone."""
    class Route(ctypes.Structure):  # struct rtentry
        _fields_ = [("pad1", ctypes.c_ulong), ("dst", ctypes.c_char * 16), ("gateway", ctypes.c_char * 16),
                    ("genmask", ctypes.c_char * 16), ("flags", ctypes.c_ushort), ("pad2", ctypes.c_short),
                    ("pad3", ctypes.c_ulong), ("pad4", ctypes.c_void_p), ("metric", ctypes.c_short),
                    ("dev", ctypes.c_char_p), ("mtu", ctypes.c_ulong), ("window", ctypes.c_ulong),
                    ("irtt", ctypes.c_ushort)]
    anywhere = struct.pack("H", socket.AF_INET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, _SIOCADDRT if is_there else _SIOCDELRT,
                    Route(dst=anywhere, genmask=anywhere, flags=_RTF_UP, dev=b"lo"))


def enter_network():
    """Moves this process into a network namespace with servers' addresses on lo."""
    enter_user_namespace()
    _unshare(_CLONE_NEWNET)
    if os.geteuid() != 0:  # for servers that are programs: they have no capability
        with contextlib.suppress(OSError):
            _write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP | _IFF_RUNNING) + b"\0" * 14)
        for i, addr in enumerate((PRIVATE, PUBLIC)):
            ifreq = struct.pack("16sHH4s8x", b"lo:%d" % (i + 1), socket.AF_INET, 0,
                                socket.inet_aton(addr))
            fcntl.ioctl(s, _SIOCSIFADDR, ifreq)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        for addr in (PRIVATE6, PUBLIC6):
            fcntl.ioctl(s, _SIOCSIFADDR, struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, addr),
                                                     128, 1))


def add_address(address, _count=itertools.count(10)):
    """One more address on lo, after enter_network(): a metadata service's, say."""
    if ":" in address:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, _SIOCSIFADDR, struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, address),
                                                     128, 1))
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, _SIOCSIFADDR, struct.pack("16sHH4s8x", b"lo:%d" % next(_count), socket.AF_INET, 0,
                                                 socket.inet_aton(address)))


class Pki:
    """One CA and a leaf for the names given, made by the openssl program."""

    def __init__(self, directory, names):
        self.dir = directory
        self.ca = os.path.join(directory, "ca.pem")
        self.ca_key = os.path.join(directory, "ca.key")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", self.ca_key, "-out", self.ca, "-days", "30",
                      "-subj", "/CN=test roots")
        self.cert, self.key = self.leaf("server", names)

    def _openssl(self, *argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True)

    def leaf(self, stem, names, days="30"):
        path = os.path.join(self.dir, stem)
        alt = ",".join(("IP:" if n.replace(".", "").isdigit() or ":" in n else "DNS:") + n
                       for n in names)
        _write(path + ".ext", f"subjectAltName={alt}\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", path + ".key", "-out", path + ".csr", "-subj", "/CN=" + stem)
        self._openssl("x509", "-req", "-in", path + ".csr", "-CA", self.ca, "-CAkey", self.ca_key,
                      "-CAcreateserial", "-days", days, "-extfile", path + ".ext", "-out", path + ".pem")
        return path + ".pem", path + ".key"

    def selfsigned(self, stem, names):
        path = os.path.join(self.dir, stem)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", path + ".key", "-out", path + ".pem", "-days", "30", "-subj",
                      "/CN=" + stem, "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names))
        return path + ".pem", path + ".key"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while True:
                size = int(self.rfile.readline(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    break
        else:
            body = self.rfile.read(length)
        self.server.seen.append({"method": self.command, "path": self.path, "body": body,
                                 "headers": dict(self.headers.items())})
        answer = self.server.answer(self.command, self.path, body)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """An HTTP or HTTPS origin; `seen` has the requests, `connections` the number of accepts."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address, port, pki=None, cert=None, handler=_Handler, answer=None):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.seen, self.connections = [], 0
        self.answer = answer or (lambda method, path, body: f"{method} {path}\n".encode() + body)
        self._tls = None
        if pki:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*(cert or (pki.cert, pki.key)))
        super().__init__((address, port), handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        sock, peer = super().get_request()
        self.connections += 1
        return sock, peer

    def finish_request(self, request, client_address):
        if self._tls:
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError):
                return
        with contextlib.suppress(ssl.SSLError, OSError):
            super().finish_request(request, client_address)

    def handle_error(self, *_):
        pass


class World:
    """Temporary directory, PKI and the way to call cove."""

    def __init__(self, names):
        self.dir = tempfile.mkdtemp(prefix="cove-test-")
        os.chmod(self.dir, 0o755)
        self.work = os.path.join(self.dir, "work")
        os.mkdir(self.work)
        enter_network()
        self.pki = Pki(self.dir, names)
        self.audit = os.path.join(self.dir, "audit.jsonl")

    def policy(self, text, name="policy.yaml"):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def cove(self, argv, policy=None, pins=(), options=(), timeout=60, quiet=True, **kw):
        """Runs `cove run … -- argv` and returns the CompletedProcess (text)."""
        cmd = [COVE, "run", *(["-q"] if quiet else []), "--workdir", self.work, "--ca", self.pki.ca]
        if os.environ.get("CV_INTERCEPTION"):  # a whole file of tests with another one
            cmd += ["--interception", os.environ["CV_INTERCEPTION"]]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.audit)
        cmd += ["--audit", self.audit]
        if policy:
            cmd += ["--policy", policy]
        for pin in pins:
            cmd += ["--resolve", pin]
        return subprocess.run([*cmd, *options, "--", *argv], capture_output=True, text=True,
                              timeout=timeout, check=False, **kw)

    def events(self, is_lenient=False):
        """The audit's events; is_lenient passes over lines that are no JSON instead of raising."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            with open(self.audit, encoding="utf-8", errors="replace" if is_lenient else "strict") as f:
                for line in f:
                    with contextlib.suppress(*([ValueError] if is_lenient else [])):
                        found.append(json.loads(line))
        return found

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def where(e):
    """The lines that led there, of the test and of what it was in; an assert may say nothing else."""
    frames = traceback.extract_tb(e.__traceback__)[1:]
    own = [f for f in frames if f.filename == os.path.abspath(sys.argv[0])]
    return "\n".join(f"{os.path.basename(f.filename)}:{f.lineno}: {f.line}"
                     for f in [*own[-1:], *(f for f in frames[-1:] if f not in own[-1:])])


class Tap:
    """Counts and prints; a check that raises is a failure with its reason, or a skip with look's."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, is_ok, name, detail=""):
        self.count += 1
        print(f"{'ok' if is_ok else 'not ok'} {self.count} - {name}", flush=True)
        if not is_ok:
            self.failed += 1
            for line in str(detail).splitlines()[:40]:
                print(f"#   {line}", flush=True)

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)

    def check(self, name, function):
        try:
            function()
            self.ok(True, name)
        except look.Unavailable as e:
            self.skip(name, e)
        except Exception as e:  # a check may fail in any way; all of them are failures
            self.ok(False, name, f"{type(e).__name__}: {e}\n{where(e)}")

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)
