# SPDX-License-Identifier: Apache-2.0
"""The agent of a wire script: runs inside the sandbox, speaks bytes, and says what came back.

    agent.py STEPS.json RESULT.json

It is one file and imports nothing of ours, because the sandbox sees only the working directory.
STEPS.json has {"steps": [[line, word, argument...]], "direct": {"host:port": "address"}?}.  The
first expectation that does not hold ends it; RESULT.json then has the failure and a log of both
directions.  The words are the methods `do_<word>` below, and their text is what docs/wire-tests.md
tells of; what can be expected are the methods `see_<subject>`.

A connection is a stack of layers, a socket at the bottom and any number of TLS sessions on it, so
that TLS in TLS, a ClientHello in pieces or plain bytes inside a tunnel are all the same to it.
"""
import contextlib
import errno
import glob
import json
import os
import re
import socket
import ssl
import struct
import sys
import time

PROXY = ("10.200.0.1", 3128)
ANSWER_SECONDS = 5.0  # for an answer, unless a step says `patience`
BODY_MAX = 8 << 20

QTYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
          "SVCB": 64, "HTTPS": 65, "ANY": 255}
RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"]


class Failed(Exception):
    pass


def compare(is_value, op, want):
    """The operators of `expect`, here and outside: None is a thing that is absent."""
    if op in ("absent", "present"):
        return (is_value is None) == (op == "absent")
    if is_value is None:
        return op in ("!=", "lacks") or op == "in" and "" in want.split("|")
    text = str(is_value)
    if op in ("<", ">", "<=", ">="):
        a, b = float(text), float(want)
        return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[op]
    if op == "matches":
        return re.search(want, text, re.S) is not None
    return {"==": text == want, "!=": text != want, "contains": want in text,
            "lacks": want not in text, "in": text in want.split("|")}[op]


def options(words, flags=(), values=()):
    """Splits -flag and -option VALUE from the other words."""
    given, rest, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        name = word[1:]
        if word.startswith("-") and name in flags:
            given[name] = True
        elif word.startswith("-") and name in values:
            given[name] = words.pop(0)
        else:
            rest.append(word)
    return given, rest


def split_authority(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Tls:
    """One TLS session on top of another layer."""

    def __init__(self, lower, context, name, split=0, fragment=0):
        self.lower, self.inb, self.outb = lower, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.split, self.fragment = split, fragment
        self.obj = context.wrap_bio(self.inb, self.outb, server_hostname=name)
        self._pump(self.obj.do_handshake)
        self.split = self.fragment = 0

    def _flush(self):
        data = self.outb.read()
        if data and self.fragment:  # the same handshake bytes in records of `fragment` bytes
            body, data, step = data[5:], b"", self.fragment
            for i in range(0, len(body), step):
                part = body[i:i + step]
                data += b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
            self.fragment = 0
        if data and self.split:
            for i in range(0, len(data), self.split):
                self.lower.send(data[i:i + self.split])
                time.sleep(0.002)
        elif data:
            self.lower.send(data)

    def _pump(self, call):
        while True:
            try:
                value = call()
                self._flush()
                return value
            except ssl.SSLWantReadError:
                self._flush()
                data = self.lower.recv()
                if data:
                    self.inb.write(data)
                else:
                    self.inb.write_eof()
            except ssl.SSLError:
                self._flush()  # our alert
                raise

    def send(self, data):
        self._pump(lambda: self.obj.write(data) if data else 0)

    def recv(self):
        try:
            return self._pump(lambda: self.obj.read(65536))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""


class Plain:
    def __init__(self, sock):
        self.sock = sock

    def send(self, data):
        self.sock.sendall(data)

    def recv(self):
        return self.sock.recv(65536)


class Connection:
    def __init__(self, sock, host):
        self.sock, self.host, self.layer = sock, host, Plain(sock)
        self.buf, self.dead, self.is_head, self.is_connect = b"", None, False, False

    def more(self):
        data = self.layer.recv()
        self.buf += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise EOFError
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise EOFError
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def response(self):
        """One response: status, headers (names in lower case), body."""
        got = {"status": None, "headers": [], "body": ""}
        first = self.line()
        got["status"] = first.split(" ")[1] if first.startswith("HTTP/1.") else "not-http"
        while line := self.line():
            name, _, value = line.partition(":")
            got["headers"].append((name.lower(), value.strip()))
        headers = dict(got["headers"])
        if self.is_head or got["status"] in ("204", "304") or got["status"][0] == "1":
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.line().split(";")[0], 16):
                body += self.exactly(size)
                self.line()
            while self.line():
                pass
        elif "content-length" in headers:
            body = self.exactly(min(int(headers["content-length"]), BODY_MAX))
        elif got["status"] == "200" and self.is_connect:
            body = b""
        else:
            while len(self.buf) < BODY_MAX and self.more():
                pass
            body, self.buf = self.buf, b""
        got["body"] = body.decode("latin-1")
        return got


class Agent:
    def __init__(self, plan):
        self.direct, self.log = plan.get("direct"), []
        self.conns, self.conn, self.last, self.connected = {}, None, None, "never"
        self.tls_state, self.patience, self.dns, self.note = "none", ANSWER_SECONDS, {}, {}
        self.asks = 0

    # -- words ----------------------------------------------------------------------------------

    def do_connect(self, *words):
        """connect proxy|HOST:PORT [-as NAME]"""
        given, (where,) = options(words, values=("as",))
        host, port = PROXY if where == "proxy" else split_authority(where)
        address = host
        if self.direct is not None:
            address = self.direct.get(where, host)
        self.last, self.tls_state = None, "none"
        try:
            if self.direct is not None and where == "proxy":
                sock = None
            else:
                sock = socket.create_connection((address, port), timeout=self.patience)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connected = "ok"
            self.conn = Connection(sock, host)
        except OSError as e:
            self.connected = (errno.errorcode.get(e.errno) if e.errno and e.errno > 0 else None) or (
                "unresolved" if isinstance(e, socket.gaierror) else type(e).__name__)
            self.conn = Connection(None, host)
            self.conn.dead = "unconnected"
        self.log.append(f"connect {where}: {self.connected}")
        self.conns[given.get("as", where)] = self.conn

    def do_use(self, name):
        """use NAME: goes back to a connection"""
        self.conn, self.last = self.conns[name], None

    def do_tunnel(self, *words):
        """tunnel HOST:PORT: connects to the proxy, asks for it with CONNECT, reads the answer"""
        (where,) = words
        if self.direct is not None:
            return self.do_connect(where)
        self.do_connect("proxy")
        self.do_send(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n")
        answer = self.read()
        self.conn.host = split_authority(where)[0]
        if answer["status"] != "200" and not self.conn.dead:
            self.conn.dead = "refused"
        return None

    def do_tls(self, *words):
        """tls [-sni NAME|-nosni] [-alpn A,B] [-max 1.2] [-insecure] [-split N] [-fragment N]"""
        given, _ = options(words, ("nosni", "insecure"), ("sni", "alpn", "max", "split", "fragment"))
        if self.conn.dead:
            return
        context = ssl.create_default_context()
        name = None if "nosni" in given else given.get("sni", self.conn.host)
        if "insecure" in given or name is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "alpn" in given:
            context.set_alpn_protocols(given["alpn"].split(","))
        if given.get("max") == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.conn.layer = Tls(self.conn.layer, context, name, int(given.get("split", 0)),
                                  int(given.get("fragment", 0)))
            self.tls_state = "ok"
        except (OSError, ValueError) as e:  # ssl.SSLError is an OSError
            self.tls_state = f"failed: {e}"
            self.conn.dead = "closed"
            if self.last and self.last["status"] == "200":
                self.last = None
        self.log.append(f"tls {name}: {self.tls_state}")

    def do_hello(self, *words):
        """hello [-names A,B] [-pad N] [-bad]: a ClientHello built by hand, not a handshake"""
        given, _ = options(words, ("bad",), ("names", "pad"))
        names = b""
        for name in filter(None, given.get("names", "").split(",")):
            names += b"\0" + struct.pack(">H", len(name)) + name.encode()
        exts = b""
        if names:
            exts += struct.pack(">HHH", 0, len(names) + 2, len(names)) + names
        exts += b"\0\x0a\0\x04\0\x02\0\x17" + b"\0\x0d\0\x04\0\x02\x04\x03"  # P-256, ECDSA
        exts += b"\0\x2b\0\x03\x02\x03\x04"  # TLS 1.3
        pad = int(given.get("pad", 0))
        while pad > 0:
            part = min(pad, 60000)
            exts += struct.pack(">HH", 0x0015 if pad == part else 0xfafa, part) + bytes(part)
            pad -= part
        body = b"\x03\x03" + bytes(range(32)) + b"\0" + b"\0\x04\x13\x01\x13\x02" + b"\x01\0"
        body += struct.pack(">H", len(exts) & 0xffff) + exts
        message = b"\x01" + struct.pack(">I", len(body))[1:] + body
        if "bad" in given:
            message = message[:4] + b"\xff" * (len(message) - 4)
        data = b""
        for i in range(0, len(message), 16000):
            part = message[i:i + 16000]
            data += b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
        self.write(data)

    def do_send(self, *words):
        """send [-piece N] [-delay SECONDS] TEXT...: the texts joined; in pieces with pauses"""
        given, rest = options(words, values=("piece", "delay"))
        data = "".join(rest).encode("latin-1")
        if self.conn.dead:
            self.log.append(f"not sent, {self.conn.dead}: {data[:60]!r}")
            return
        self.last, self.conn.is_head = None, data.startswith(b"HEAD ")
        self.conn.is_connect = data.startswith(b"CONNECT ")
        step = int(given.get("piece", 0)) or len(data) or 1
        for i in range(0, len(data), step):
            if not self.write(data[i:i + step]):
                break
            time.sleep(float(given.get("delay", 0)))

    def do_get(self, target, *headers):
        """get TARGET [HEADER...]: a GET with Host and the headers given"""
        self.request("GET", target, headers, "")

    def do_request(self, method, target, *words):
        """request METHOD TARGET [HEADER...] [-body TEXT]"""
        given, headers = options(words, values=("body",))
        self.request(method, target, headers, given.get("body", ""))

    def do_next(self):
        """next: forgets the answer, so that the next `expect` reads another"""
        self.last = None

    def do_drain(self):
        """drain: reads to the end, whatever comes"""
        self.log.append(f"drained: {self.see_end()}")

    def do_shut(self):
        """shut: half-closes, like a client that has said everything; a peer may have reset before"""
        if self.conn.sock:
            with contextlib.suppress(OSError):
                self.conn.sock.shutdown(socket.SHUT_WR)

    def do_close(self):
        """close"""
        if self.conn.sock:
            self.conn.sock.close()

    def do_reset(self):
        """reset: closes with RST"""
        self.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.conn.sock.close()

    def do_sleep(self, seconds):
        """sleep SECONDS"""
        time.sleep(float(seconds))

    def do_patience(self, seconds):
        """patience SECONDS: how long an answer may take"""
        self.patience = float(seconds)

    def do_ask(self):
        """ask: what `reload` becomes; waits until the outside has done its next thing"""
        self.asks += 1
        with open(f"ask.{self.asks}", "w", encoding="ascii"):
            pass
        for _ in range(1000):
            if os.path.exists(f"done.{self.asks}"):
                return
            time.sleep(0.005)
        raise Failed("the outside did not answer")

    def do_dns(self, *words):
        """dns NAME TYPE [-tcp] [-server ADDRESS]"""
        given, (name, qtype) = options(words, ("tcp",), ("server",))
        server = given.get("server")
        if not server:
            with open("/etc/resolv.conf", encoding="ascii") as f:
                server = re.search(r"^nameserver\s+(\S+)", f.read(), re.M)[1]
        labels = b"".join(bytes([len(x)]) + x.encode("latin-1") for x in name.split(".") if x)
        query = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0"
        query += struct.pack(">HH", QTYPES.get(qtype) or int(qtype), 1)
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self.dns = {"rcode": "none", "answers": 0, "addresses": ""}
        try:
            with socket.socket(family, socket.SOCK_STREAM if "tcp" in given else socket.SOCK_DGRAM) as s:
                s.settimeout(self.patience)
                s.connect((server, 53))
                s.sendall((struct.pack(">H", len(query)) if "tcp" in given else b"") + query)
                data = s.recv(65536)
                if "tcp" in given:
                    while len(data) < 2 + struct.unpack(">H", data[:2])[0]:
                        data += s.recv(65536)
                    data = data[2:]
            self.dns_answer(data)
        except OSError as e:
            self.dns["rcode"] = errno.errorcode.get(e.errno) or type(e).__name__
        self.log.append(f"dns {name} {qtype}: {self.dns}")

    def do_udp(self, where, text):
        """udp HOST:PORT TEXT: sends one datagram; `udp` is then sent, answered, or the errno"""
        host, port = split_authority(where)
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                               socket.SOCK_DGRAM) as s:
                s.settimeout(0.3)
                s.connect((host, port))
                s.send(text.encode("latin-1"))
                self.note["udp"] = "sent"
                if s.recv(100):
                    self.note["udp"] = "answered"
        except TimeoutError:
            pass
        except OSError as e:
            self.note["udp"] = errno.errorcode.get(e.errno, str(e))
        self.log.append(f"udp {where}: {self.note['udp']}")

    def do_read(self, pattern):
        """read GLOB: `file` is then the text of all files that match"""
        paths = glob.glob(pattern)
        self.note["file"] = "".join(open(p, encoding="utf-8").read() for p in paths) if paths else None

    def do_write(self, pattern):
        """write GLOB: tries to append to the first match; `write` is then ok or the errno"""
        try:
            with open((glob.glob(pattern) or [pattern])[0], "a", encoding="ascii") as f:
                f.write("x")
            self.note["write"] = "ok"
        except OSError as e:
            self.note["write"] = errno.errorcode[e.errno]

    def do_expect(self, *words):
        """expect SUBJECT OPERATOR [VALUE]"""
        subject, op, want = words[0], words[1], " ".join(words[2:])
        head, _, rest = subject.partition(".")
        see = getattr(self, "see_" + head, None)
        value = see(*([rest] if rest else [])) if see else self.note.get(head)
        if not compare(value, op, want):
            raise Failed(f"expect {subject} {op} {want}: it is {str(value)[:600]!r}")

    # -- what can be expected -------------------------------------------------------------------

    def see_connect(self):
        return self.connected

    def see_tls(self):
        return self.tls_state.split(":")[0] if self.tls_state != "ok" else "ok"

    def see_alpn(self):
        return self.conn.layer.obj.selected_alpn_protocol() or "none"

    def see_version(self):
        return self.conn.layer.obj.version()

    def see_status(self):
        return self.read()["status"]

    def see_header(self, name):
        values = [v for n, v in self.read()["headers"] if n == name.lower()]
        return ", ".join(values) if values else None

    def see_body(self):
        return self.read()["body"]

    def see_json(self, path):
        try:
            value = json.loads(self.read()["body"])
        except ValueError as e:
            raise Failed(f"the body is not JSON ({e}): {self.read()['body'][:300]!r}") from e
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def see_bytes(self):
        """What has come and is no answer yet; waits for the first of it."""
        if not self.conn.buf and not self.conn.dead:
            try:
                self.conn.more()
            except OSError:
                pass
        return self.conn.buf.decode("latin-1")

    def see_end(self):
        """closed, reset, timeout (still open), or the bytes that came instead."""
        if self.conn.dead:
            return self.conn.dead
        if self.last and self.last["status"] in ("closed", "reset"):
            return self.last["status"]
        try:
            self.conn.sock.settimeout(self.patience)
            while self.conn.more():
                pass
            end = "closed"
        except TimeoutError:
            end = "timeout"
        except OSError:
            end = "reset"
        return end if not self.conn.buf else "bytes " + repr(self.conn.buf[:200])

    def see_rcode(self):
        return self.dns["rcode"]

    def see_answers(self):
        return self.dns["answers"]

    def see_addresses(self):
        return self.dns["addresses"]

    # -- helpers --------------------------------------------------------------------------------

    def request(self, method, target, headers, body):
        head = [f"{method} {target} HTTP/1.1"]
        if not any(h.lower().startswith("host:") for h in headers):
            head.append(f"Host: {self.conn.host}")
        head += headers
        if body:
            head.append(f"Content-Length: {len(body)}")
        self.do_send("\r\n".join(head) + "\r\n\r\n" + body)

    def write(self, data):
        try:
            self.conn.sock.settimeout(self.patience)
            self.conn.layer.send(data)
            self.log.append(f"> {data[:200]!r}" + (f" ({len(data)} bytes)" if len(data) > 200 else ""))
            return True
        except OSError as e:
            self.log.append(f"> failed: {e}")
            return False

    def read(self):
        """The answer to what was sent last; read once, then kept until the next send."""
        if self.last is None:
            empty = {"headers": [], "body": ""}
            if self.conn is None or self.conn.dead:
                return {"status": self.conn.dead if self.conn else "unconnected", **empty}
            try:
                self.conn.sock.settimeout(self.patience)
                self.last = self.conn.response()
            except EOFError:
                self.last = {"status": "closed", **empty}
            except TimeoutError:
                self.last = {"status": "timeout", **empty}
            except OSError as e:
                self.last = {"status": "reset", **empty}
                self.log.append(f"< {e}")
            self.log.append(f"< {self.last['status']} {self.last['headers']} {self.last['body'][:400]!r}")
        return self.last

    def dns_answer(self, data):
        _, flags, _, answers, _, _ = struct.unpack(">HHHHHH", data[:12])
        rcode = flags & 15
        self.dns.update(rcode=RCODES[rcode] if rcode < 6 else str(rcode), answers=answers)
        at, found = 12, []
        while data[at]:
            at += data[at] + 1
        at += 5
        for _ in range(answers):
            if data[at] & 0xc0 == 0xc0:
                at += 2
            else:
                while data[at]:
                    at += data[at] + 1
                at += 1
            kind, _, _, size = struct.unpack(">HHIH", data[at:at + 10])
            rdata, at = data[at + 10:at + 10 + size], at + 10 + size
            if kind in (1, 28):
                found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, rdata))
        self.dns["addresses"] = ",".join(found)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    agent, failure = Agent(plan), None
    for line, word, *rest in plan["steps"]:
        try:
            getattr(agent, "do_" + word)(*rest)
        except Failed as e:
            failure = f"line {line}: {e}"
        except Exception as e:  # whatever it is, it belongs in the report
            failure = f"line {line}: {word}: {type(e).__name__}: {e}"
        if failure:
            break
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        json.dump({"failure": failure, "log": agent.log}, f)


if __name__ == "__main__":
    main()
