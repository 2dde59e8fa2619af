# SPDX-License-Identifier: Apache-2.0
"""The proxy without a sandbox: a supervisor for tests, in the test's own network namespace.

Speaks src/ipc/proxy_link.h over a socket pair: hands the proxy listening sockets made here, a
policy, sinks, and for each connection of a test the identity of its choice, found by SO_COOKIE.
The keeper is the real one.  Everything that the proxy can reach is in this namespace (world.py).
"""
import array
import json
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import world  # noqa: E402

BUILD = os.environ.get("CV_BUILD", os.path.join(os.getcwd(), "build"))
PROXY = os.path.join(BUILD, "src/proxy/cove-proxy")
KEEPER = os.path.join(BUILD, "src/keeper/cove-keeper")

EXPLICIT = ("10.200.0.1", 3128)
REQS = ("LISTENERS KEEPER ROOTS RESOLVER HOSTS PIN AUDIT_SINK BUDGET ROUTES LAYER POLICY GO IDENTITY "
         "RESOLVED REPORT FORWARD METADATA TOOLS BROKER ANSWER DENIALS CREDENTIALS SPOOL MORE "
         "PROPOSED").split()
INTERCEPTIONS = "auto tproxy redirect anyip".split()
REPLIES = "READY POLICY_RESULT RESOLVE REPORT_TEXT FATAL ASK ASK_END DENIED COUNTS PROPOSE".split()

_NETLINK_SOCK_DIAG = 4
_SO_COOKIE = 57
_IP_PKTINFO, _IPV6_RECVPKTINFO = 8, 49


def pack_str(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("<I", len(b)) + b


def link_send(sock, kind, body=b"", fds=()):
    sock.sendmsg([struct.pack("<II", kind, len(body)) + body],
                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def replies_read(link, names, replies, lock):
    """Puts each message of a link into replies as (name, body), and (None, b"") when it has ended."""
    while True:
        try:
            data = link.recv(1 << 17)
        except OSError:
            data = b""
        with lock:
            if data:
                kind, n = struct.unpack_from("<II", data)
                replies.append((names[kind], data[8:8 + n]))
            else:
                replies.append((None, b""))
            lock.notify_all()
        if not data:
            return


def memfd(name, text):
    fd = os.memfd_create(name)
    os.write(fd, text if isinstance(text, bytes) else text.encode())
    return fd


def add_local(address, bits, dev="lo"):
    """Makes a prefix local: every address in it is accepted here (rtnetlink RTM_NEWROUTE)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    dst = socket.inet_pton(family, address)
    rtm = struct.pack("BBBBBBBBI", family, bits, 0, 0, 255, 4, 254, 2, 0)  # table local, type local
    attrs = struct.pack("HH", 4 + len(dst), 1) + dst
    attrs += struct.pack("HHI", 8, 4, socket.if_nametoindex(dev))
    msg = struct.pack("IHHII", 16 + len(rtm) + len(attrs), 24, 0x605, 1, 0) + rtm + attrs
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.send(msg)
        code = struct.unpack("i", s.recv(4096)[16:20])[0]
        if code:
            raise OSError(-code, "add local route")


def listener(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # a wildcard beside a server's address
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, port))
    s.listen(512)
    return s


class Lab:
    """One proxy.  listen: (address, port) of the IPv4 listener; the default is the explicit one."""

    def __init__(self, lab_world, policy, pins=(), listen=EXPLICIT, resolv="", hosts="",
                 has_keeper=True, roots=None, audit_path=None, is_audit_required=True, names=(),
                 budgets=(), routes="", forward=None, metadata=(), tools=None, broker=None,
                 secrets=None, spool=None, layer=None, interception="tproxy"):
        self.world = lab_world
        self.dir = tempfile.mkdtemp(dir=lab_world.dir)
        self.audit_path = audit_path or os.path.join(self.dir, "audit.jsonl")
        self.line_path = os.path.join(self.dir, "audit.log")
        self.identity = {"exe": "/usr/bin/curl", "ancestors": ["/usr/bin/bash"], "pid": 7}
        self.replies, self.lock = [], threading.Condition()
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = self._spawn(PROXY, theirs)
        theirs.close()
        self.listeners = [listener(*listen), listener("::1", 0)]
        self.udp = [self._udp(socket.AF_INET, "0.0.0.0"), self._udp(socket.AF_INET6, "::")]
        self.diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        self.send("LISTENERS", struct.pack("<I", INTERCEPTIONS.index(interception)),
                  [s.fileno() for s in (*self.listeners, *self.udp, self.diag)])
        self.keeper = self.ca = None
        self.upstream = forward[3] if forward else ""
        self.secrets = secrets  # a cv_cred_set's bytes
        if has_keeper:
            self._keeper_start()
        self._memfd("ROOTS", roots if roots is not None else open(lab_world.pki.ca, "rb").read())
        self.send("RESOLVER", resolv.encode())
        self._memfd("HOSTS", hosts)
        for host, port, addr in pins:
            self.send("PIN", pack_str(host) + struct.pack("<I", port) + pack_str(addr))
        for text in budgets:
            self.send("BUDGET", pack_str(text))
        if forward:  # (url, list of what goes past it, by name, user:password)
            self.send("FORWARD", pack_str(forward[0]) + pack_str(forward[1])
                      + struct.pack("<II", forward[2], bool(forward[3])))
        if routes:
            self._memfd("ROUTES", routes)
        if metadata:
            self.send("METADATA", b"".join(pack_str(x) for x in metadata))
        if tools is not None:  # lines of plan/toolmap.h
            self._memfd("TOOLS", tools)
        if broker:
            self.broker(broker)
        if spool:  # (descriptor, bytes of one body, of all)
            self.send("SPOOL", struct.pack("<QQ", *spool[1:]), [spool[0]])
        self.sinks = [os.open(p, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                      for p in (self.audit_path, self.line_path)]
        for form, fd in enumerate(self.sinks):
            required = is_audit_required and form == 0
            self.send("AUDIT_SINK", struct.pack("<II", form, required), [fd])
        threading.Thread(target=self._read, daemon=True).start()
        if layer:  # of providers
            self._memfd("LAYER", layer)
        self.policy_result = self.policy(policy)
        self.send("GO")
        self.wait("READY")
        for s in self.listeners:
            s.close()

    def _spawn(self, path, sock):
        fd = sock.fileno()

        def child():
            os.dup2(fd, 3, inheritable=True)

        # close_fds is off because 3 may be the very descriptor; all others are close-on-exec
        stderr = open(os.path.join(self.dir, os.path.basename(path) + ".stderr"), "w")
        return subprocess.Popen([path], preexec_fn=child, close_fds=False, env={
            k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}, stderr=stderr)

    def _keeper_start(self):
        """A keeper, and the end of its link that is the proxy's; .ca is its CA."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours, leaves = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper = self._spawn(KEEPER, theirs)
        theirs.close()
        if self.upstream:
            fd = memfd("upstream", self.upstream)
            link_send(control, 5, b"", [fd])  # CV_KEEPER_CONTROL_UPSTREAM
            os.close(fd)
        if self.secrets:
            fd = memfd("secrets", self.secrets)
            link_send(control, 2, b"", [fd])  # CV_KEEPER_CONTROL_SECRETS
            os.close(fd)
        link_send(control, 0, pack_str("test"), [leaves.fileno()])
        leaves.close()
        control.settimeout(30)
        body = control.recv(65536)
        kind, = struct.unpack_from("<I", body)
        n, = struct.unpack_from("<I", body, 8)
        assert kind == 0, body
        self.ca = os.path.join(self.dir, f"cove-ca-{self.keeper.pid}.pem")
        with open(self.ca, "wb") as f:
            f.write(body[12:12 + n])
        self.keeper_control = control
        self.keeper_link(ours)

    def keeper_link(self, sock):
        """Hands the proxy its end of a link to a keeper."""
        self.send("KEEPER", fds=[sock.fileno()])
        sock.close()

    def keeper_kill(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper_control.close()
        self.keeper = None

    def keeper_anew(self):
        """As the supervisor does when a keeper died."""
        if self.keeper:
            self.keeper_kill()
        self._keeper_start()

    def _udp(self, family, address):
        s = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        s.bind((address, 0))
        return s

    def _memfd(self, kind, text):
        fd = memfd(kind.lower(), text)
        self.send(kind, fds=[fd])
        os.close(fd)

    def send(self, kind, body=b"", fds=()):
        link_send(self.link, REQS.index(kind), body, fds)

    def broker(self, broker):
        """Hands over one end of a new link; broker.take() gets the other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.send("BROKER", fds=[theirs.fileno()])
        theirs.close()
        broker.take(ours)

    def _read(self):
        replies_read(self.link, REPLIES, self.replies, self.lock)

    def wait(self, kind, seconds=20):
        """The body of the next reply of that kind, which is taken out."""
        end = time.monotonic() + seconds
        with self.lock:
            while True:
                for i, (k, body) in enumerate(self.replies):
                    if k == "FATAL":
                        raise AssertionError(f"proxy: {body[4:].decode()}")
                    if k == kind:
                        del self.replies[i]
                        return body
                    if k is None:
                        raise AssertionError(f"proxy ended: {self.stderr()}")
                if not self.lock.wait(end - time.monotonic()):
                    raise AssertionError(f"no {kind} from the proxy; {self.stderr()}")

    def stderr(self):
        with open(os.path.join(self.dir, "cove-proxy.stderr")) as f:
            return f.read()[-4000:]

    def policy(self, text):
        """Sends a policy; returns (code, text) of POLICY_RESULT."""
        fd = memfd("policy", text)
        self.send("POLICY", pack_str("policy.yaml"), [fd])
        os.close(fd)
        body = self.wait("POLICY_RESULT")
        return struct.unpack_from("<I", body)[0], body[8:].decode()

    def identify(self, sock, **changes):
        who = {**self.identity, **changes}
        cookie, = struct.unpack("<Q", sock.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8))
        body = struct.pack("<QI", cookie, who["pid"]) + pack_str(who.get("unknown", ""))
        body += pack_str(who.get("changed", "")) + pack_str(who["exe"])
        body += struct.pack("<I", len(who["ancestors"]))
        self.send("IDENTITY", body + b"".join(pack_str(a) for a in who["ancestors"]))

    def connect(self, to=EXPLICIT, is_known=True, timeout=20, **who):
        """A connection as the sandbox would make it, its identity recorded first."""
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(timeout)
        if is_known:
            self.identify(s, **who)
        s.connect(to)
        return s

    def tunnel(self, host, port, **who):
        """CONNECT; returns (socket, status, reply bytes)."""
        s = self.connect(**who)
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        s.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = read_head(s)
        return s, int(head.split(b" ")[1]) if head else 0, head

    def tls(self, host, port, sni=None, alpn=("http/1.1",), session=None, context=None, **who):
        """CONNECT and a handshake that trusts this run's CA."""
        s, status, head = self.tunnel(host, port, **who)
        assert status == 200, head
        return self.wrap(s, sni or host, alpn, session, context)

    def context(self, alpn=("http/1.1",)):
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(list(alpn))
        return context

    def wrap(self, s, sni, alpn=("http/1.1",), session=None, context=None):
        return (context or self.context(alpn)).wrap_socket(s, server_hostname=sni, session=session)

    def events(self, settle=0.15):
        time.sleep(settle)
        self.settled()
        with open(self.audit_path, encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def decisions(self, action=None):
        """Events of decisions (not of ends); action: "Allowed" or "Denied"."""
        return [e for e in self.events()
                if e.get("activity_name") != "Close" and (not action or e.get("action") == action)]

    def lines(self):
        with open(self.line_path, encoding="utf-8") as f:
            return f.read().splitlines()

    def settled(self):
        """What the proxy heard of before is done, and in its log, when it answers."""
        if self.process.poll() is None:
            self.report()

    def report(self):
        self.send("REPORT")
        return self.wait("REPORT_TEXT")[4:].decode()

    def close(self):
        self.link.shutdown(socket.SHUT_RDWR)
        self.link.close()
        for s in (*self.udp, self.diag):
            s.close()
        for fd in self.sinks:
            os.close(fd)
        status = self.process.wait(30)
        if self.keeper:
            self.keeper_control.close()
            self.keeper.wait(30)
        return status


class Bytes:
    """A server that keeps every byte that reached it, and answers with fixed ones."""

    def __init__(self, address, port, answer=b"", pki=None, cert=None, greeting=b"", is_close=False):
        self.seen, self.connections = b"", 0
        self.answer, self.greeting, self.is_close = answer, greeting, is_close
        self.tls = None
        if pki:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*(cert or (pki.cert, pki.key)))
        self.sock = listener(address, port)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True)
            if self.greeting:
                s.sendall(self.greeting)
            while data := s.recv(65536):
                self.seen += data
                answer = self.answer(self.seen) if callable(self.answer) else self.answer
                if answer:
                    s.sendall(answer)
                    if self.is_close:
                        break
        except (OSError, ssl.SSLError):
            pass
        finally:
            try:
                s.close()
            except OSError:
                pass

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        byte = s.recv(1)
        if not byte:
            return data
        data += byte
    return data


def read_all(s):
    """Everything until the end (or a reset, which is told)."""
    data = b""
    try:
        while piece := s.recv(65536):
            data += piece
    except ConnectionResetError:
        data += b"<reset>"
    except (socket.timeout, TimeoutError):
        data += b"<timeout>"
    except ssl.SSLError as e:
        data += f"<tls {e.reason}>".encode()
    return data


def read_response(s):
    """(status, headers, body) of one response with a length or chunks, or until the end."""
    head = read_head(s)
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1]) if " " in lines[0] else 0
    headers = {k.strip().lower(): v.strip() for k, v in
               (line.split(":", 1) for line in lines[1:] if ":" in line)}
    if "content-length" in headers:
        body = b""
        while (left := int(headers["content-length"]) - len(body)) > 0:
            piece = s.recv(min(left, 65536))
            if not piece:
                break
            body += piece
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        f = s.makefile("rb")
        while size := int(f.readline(), 16):
            body += f.read(size)
            f.readline()
        f.readline()
    else:
        body = read_all(s) if status >= 200 and status not in (204, 304) else b""
    return status, headers, body
