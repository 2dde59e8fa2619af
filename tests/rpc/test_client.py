#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gRPC client against Python's own server, and against servers that misbehave.

Goal: calls of every kind over TLS, mutual TLS and plaintext; messages of every size; and for each way
in which a server can fail one clear sentence within the deadline.
"""
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import rpclab  # noqa: E402
import world  # noqa: E402
from h2lab import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST, SETTINGS, block, frame  # noqa: E402

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402
from concurrent import futures  # noqa: E402

LAB = os.path.join(rpclab.BUILD, "tests/rpc/client_lab")
pb, stubs = rpclab.openshell()
tap = world.Tap()
directory = tempfile.TemporaryDirectory(prefix="cove-rpc-")
pki = world.Pki(directory.name, ["localhost", "127.0.0.1", "::1", "gateway.test"])
seen = {}
went = threading.Event()


class Service(stubs.OpenShellServicer):
    def Health(self, request, context):
        seen["metadata"] = dict(context.invocation_metadata())
        seen["left"] = context.time_remaining()
        seen["peer"] = context.auth_context()
        return pb.HealthResponse(version="1.2.3")

    def ListSandboxes(self, request, context):
        if request.limit == 404:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00fc 100%\n\"x\"")
        if request.limit == 1000000:
            time.sleep(5)
        if request.limit == 17:  # more than the client takes
            return pb.ListSandboxesResponse(sandboxes=[{"metadata": {"name": "x" * (17 << 20)}}])
        seen["selector"] = len(request.label_selector)
        answer = pb.ListSandboxesResponse()
        for i in range(request.limit):
            answer.sandboxes.add().metadata.name = "sandbox-%d" % i
        return answer

    def ExecSandbox(self, request, context):
        word = request.command[0]
        context.add_callback(went.set)
        for i in range({"some": 3, "many": 100, "flood": 500}.get(word, 1)):
            seen["sent"] = i + 1
            yield pb.ExecSandboxEvent(stdout={"data": b"x" * (65536 if word != "some" else 10)})
        if word == "fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "half way")
        if word == "stall":
            while context.is_active():
                time.sleep(0.02)
        yield pb.ExecSandboxEvent(exit={"exit_code": 7})

    def ExecSandboxInteractive(self, requests, context):
        for r in requests:
            yield pb.ExecSandboxEvent(stdout={"data": r.stdin})


def serve(credentials=None):
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[
        ("grpc.max_receive_message_length", 20 << 20), ("grpc.max_send_message_length", 20 << 20)])
    stubs.add_OpenShellServicer_to_server(Service(), server)
    address = "localhost:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    return server, port


def lab(*argv, seconds=20):
    done = subprocess.run([LAB, *map(str, argv)], capture_output=True, text=True, timeout=seconds)
    if done.returncode or done.stderr:
        raise AssertionError(f"exit {done.returncode}: {done.stderr}")
    return done.stdout.splitlines()


def says(got, *wanted):
    if len(got) != len(wanted) or any(w not in g for w, g in zip(wanted, got)):
        raise AssertionError(f"got {got}\nwanted {list(wanted)}")


def read(path):
    with open(path, "rb") as f:
        return f.read()


# ---- plaintext ----

plain, port = serve()
HTTP = f"http://127.0.0.1:{port}"


def unary():
    got = lab("-b", "tok.en", HTTP, "health", "list:3", "list:404", "health")
    says([got[0], got[1], " ".join(got[2:4]), got[4]], "OK 1.2.3 |", "OK 3 of 45 bytes",
         'NOT_FOUND 0 of 0 bytes | no such thing: \u00fc 100% "x"', "OK 1.2.3 |")
    meta = seen["metadata"]
    assert meta["authorization"] == "Bearer tok.en" and meta["user-agent"].startswith("cove/"), meta
    assert 2 < seen["left"] <= 3, seen["left"]


tap.check("unary calls, their statuses and texts; token and deadline arrive", unary)


def sizes():
    says(lab("-t", 15000, HTTP, "list:1", "list:60000", "big:1", "big:100000", "big:5000000"),
         "OK 1 of", "OK 60000 of", "OK 0", "OK 0", "OK 0")
    assert seen["selector"] == 5000000


tap.check("messages of any size in both directions", sizes)
tap.check("an answer above the limit is refused before it is held",
          lambda: says(lab("-t", 15000, HTTP, "list:17", "health"),
                       "RESOURCE_EXHAUSTED 0 of 0 bytes | 127.0.0.1", "OK 1.2.3"))
tap.check("a call past its deadline ends, and the connection is fine",
          lambda: says(lab("-t", 300, HTTP, "list:1000000", "health"),
                       "DEADLINE_EXCEEDED 0 of 0 bytes |", "OK 1.2.3"))
tap.check("a server's stream", lambda: says(lab(HTTP, "exec:some"), "exit 7", "OK 4 messages, 30 bytes |"))
tap.check("a server's stream that fails half way",
          lambda: says(lab(HTTP, "exec:fail"), "FAILED_PRECONDITION 1 messages, 65536 bytes | half way"))
tap.check("a stream of both directions, more than all windows",
          lambda: says(lab("-t", 15000, HTTP, "echo:100000:200"), "OK 200 messages, 20000000 bytes"))


def held():
    got = lab("-t", 15000, HTTP, "held:flood:700")
    says(got, "held at 1 messages", "exit 7", "OK 501 messages, 32768000 bytes")


def held_stops():
    """What the server could send while nobody read."""
    child = subprocess.Popen([LAB, "-t", "300", HTTP, "held:flood:1500"], stdout=subprocess.PIPE)
    time.sleep(1.2)
    sent = seen["sent"]
    child.communicate(timeout=30)
    assert sent < 200, f"{sent} messages of 64 KiB"  # a window of 1 MiB, and what kernel and library hold


tap.check("a held stream loses nothing", held)
tap.check("a held stream stops its server", held_stops)
tap.check("a held stream stops no other",
          lambda: says(lab("-t", 15000, HTTP, "both"), "b exit 7", "b OK 101 messages", "a has 1",
                       "a exit 7", "a OK 101 messages"))


def cancel():
    went.clear()
    says(lab(HTTP, "cancel:stall", "health"), "cancelled after 1", "OK 1.2.3")
    assert went.wait(20), "the server does not know"


tap.check("cancelling tells the server and keeps the connection", cancel)

# ---- TLS ----

tls, tls_port = serve(grpc.ssl_server_credentials([(read(pki.key), read(pki.cert))]))
HTTPS = f"https://localhost:{tls_port}"
tap.check("TLS, verified against a given authority",
          lambda: says(lab("-c", pki.ca, HTTPS, "health", "exec:some"), "OK 1.2.3", "exit 7", "OK 4"))
tap.check("TLS to an address", lambda: says(
    lab("-c", pki.ca, f"https://127.0.0.1:{tls_port}", "health"), "OK 1.2.3"))
tap.check("TLS under another name", lambda: says(
    lab("-c", pki.ca, "-n", "gateway.test", HTTPS, "health"), "OK 1.2.3"))
tap.check("an authority nobody trusts", lambda: says(
    lab(HTTPS, "health"), "open DENIED | the certificate of localhost:%d is not trusted: " % tls_port))
tap.check("a certificate for another name", lambda: says(
    lab("-c", pki.ca, "-n", "other.test", HTTPS, "health"), "is not for other.test"))
tap.check("nothing is verified when told so", lambda: says(lab("-i", HTTPS, "health"), "OK 1.2.3"))
tap.check("an authority's file that is not there", lambda: says(
    lab("-c", "/nonexistent/ca", HTTPS, "health"), "open INVALID | read the trusted authority: /nonexistent/ca"))
tap.check("big messages over TLS", lambda: says(
    lab("-t", 15000, "-c", pki.ca, HTTPS, "echo:100000:100", "held:many:300"),
    "OK 100 messages, 10000000 bytes", "held at 1", "exit 7", "OK 101"))

mtls, mtls_port = serve(grpc.ssl_server_credentials(
    [(read(pki.key), read(pki.cert))], root_certificates=read(pki.ca), require_client_auth=True))
MTLS = f"https://localhost:{mtls_port}"
client_cert, client_key = pki.leaf("alice", ["alice.test"])
other_cert, other_key = pki.selfsigned("mallory", ["alice.test"])


def mutual():
    says(lab("-c", pki.ca, "-C", client_cert, "-k", client_key, MTLS, "health"), "OK 1.2.3")
    assert seen["peer"]["x509_common_name"] == [b"alice"], seen["peer"]


tap.check("a client certificate", mutual)
tap.check("a client certificate that is missing", lambda: says(
    lab("-c", pki.ca, MTLS, "health"), f"localhost:{mtls_port} asks for a client certificate"))
tap.check("a client certificate of somebody else", lambda: says(
    lab("-c", pki.ca, "-C", other_cert, "-k", other_key, MTLS, "health"),
    "perhaps for our client certificate"))
tap.check("a key that is not the certificate's", lambda: says(
    lab("-c", pki.ca, "-C", client_cert, "-k", other_key, MTLS, "health"),
    "open INVALID | read the client certificate's key"))

# ---- endpoints, and servers that are none ----

tap.check("nobody listens", lambda: says(lab("http://127.0.0.1:1", "health"),
                                         "open UNAVAILABLE | nobody listens at 127.0.0.1:1"))
tap.check("a name that is not there", lambda: says(
    lab("http://no.such.invalid:80", "health"), "cannot find the address of no.such.invalid"))
for url in ("ftp://x", "localhost:8080", "http://h:1/path", "http://h:0", "http://u@h:1"):
    tap.check(f"no endpoint: {url}", lambda: says(lab(url, "health"), "open INVALID | the endpoint"))
tap.check("a token with a line break", lambda: says(
    lab("-b", "a\nb", HTTP, "health"), "open INVALID | the token has a byte"))


class Peer:
    """Accepts connections and does to each what it is told."""

    def __init__(self, act):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.act = act
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            c, _ = self.socket.accept()
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        try:
            self.act(c)
        except OSError:
            pass
        c.close()


def until_request(c):
    c.sendall(frame(SETTINGS))
    data = b""
    while b"/openshell.v1.OpenShell/" not in data and b"\x1d" not in data[60:]:
        more = c.recv(65536)
        if not more:
            return
        data += more


HEAD = [(":status", "200"), ("content-type", "application/grpc")]


def answer(*frames, wait=0.3):
    def act(c):
        until_request(c)
        c.sendall(b"".join(frames))
        time.sleep(wait)
    return act


def head(fields=HEAD, flags=0):
    return frame(HEADERS, END_HEADERS | flags, 1, block(fields))


def raw(data, wait=0.3):
    def act(c):
        c.recv(100)
        c.sendall(data)
        time.sleep(wait)
    return act


def message(n, body=b""):
    return b"\0" + n.to_bytes(4, "big") + body


CASES = [
    ("an HTTP/1 server", raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
     "UNAVAILABLE - |", "answers in HTTP/1: it is not an HTTP/2 server"),
    ("an SSH server", raw(b"SSH-2.0-OpenSSH_9\r\n"), "UNAVAILABLE - |", "is not an HTTP/2 server"),
    ("a TLS server behind http://", raw(b"\x15\x03\x01\0\x02\x02\x46"), "UNAVAILABLE - |", "speaks TLS"),
    ("garbage behind SETTINGS", answer(b"\xff" * 100), "UNAVAILABLE - |", "HTTP/2"),
    ("a server that closes at once", lambda c: None, "UNAVAILABLE - |", "closed the connection|broke: Connection reset"),
    ("a server that never speaks", lambda c: time.sleep(5), "DEADLINE_EXCEEDED - |", "no answer from"),
    ("a server that stalls behind its head", answer(head(), wait=5), "DEADLINE_EXCEEDED - |", "no answer"),
    ("a server that dies in a message", answer(head(), frame(DATA, 0, 1, message(10, b"abc")), wait=0),
     "UNAVAILABLE - |", "closed the connection|broke: Connection reset"),
    ("an end in the middle of a message",
     answer(head(), frame(DATA, 0, 1, message(10, b"abc")),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, block([("grpc-status", "0")]))),
     "INTERNAL - |", "ended in the middle of a message"),
    ("an end without a status", answer(head(), frame(DATA, END_STREAM, 1, message(0))),
     "INTERNAL - |", "without a status"),
    ("an OK without an answer", answer(head(HEAD + [("grpc-status", "0")], END_STREAM)),
     "INTERNAL - |", "answer is empty"),
    ("two answers", answer(head(), frame(DATA, 0, 1, message(0) * 2),
                           frame(HEADERS, END_HEADERS | END_STREAM, 1, block([("grpc-status", "0")]))),
     "INTERNAL - |", "answered twice"),
    ("a message that is none", answer(head(), frame(DATA, 0, 1, message(3, b"\xff\xff\xff"))),
     "INTERNAL - |", "bytes that are no openshell.v1.HealthResponse"),
    ("a compressed message", answer(head(), frame(DATA, 0, 1, b"\1\0\0\0\1x")), "INTERNAL - |", "compressed"),
    ("a huge message announced", answer(head(), frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")),
     "RESOURCE_EXHAUSTED - |", "sent a message of 4294967295 bytes"),
    ("a reset", answer(frame(RST, 0, 1, b"\0\0\0\x0b")), "RESOURCE_EXHAUSTED - |", "broke the call off"),
    ("a refusal", answer(frame(RST, 0, 1, b"\0\0\0\x07")), "UNAVAILABLE - |", "broke the call off"),
    ("GOAWAY before the call", answer(frame(GOAWAY, 0, 0, b"\0\0\0\0" + b"\0\0\0\0" + b"restarting")),
     "UNAVAILABLE - |", "is going away: restarting"),
    ("GOAWAY with an error", answer(frame(GOAWAY, 0, 0, b"\0\0\0\0" + b"\0\0\0\x0b" + b"calm down")),
     "UNAVAILABLE - |", "calm down"),
    ("a page of a proxy", answer(head([(":status", "502"), ("content-type", "text/html")]),
                                 frame(DATA, END_STREAM, 1, b"<html>")),
     "UNAVAILABLE - |", "answered HTTP 502, not gRPC|answered with text/html"),
    ("an answer of another kind", answer(head([(":status", "200"), ("content-type", "text/html")]),
                                         frame(DATA, 0, 1, b"<html>")),
     "UNKNOWN - |", "answered with text/html, not gRPC"),
    ("a status that is no number", answer(head(HEAD + [("grpc-status", "99")], END_STREAM)), "UNKNOWN - |", "UNKNOWN"),
    ("a hostile text", answer(head(HEAD + [("grpc-status", "5"), ("grpc-message", "%" * 15000)], END_STREAM)),
     "NOT_FOUND - |", "%%%%"),
]
for name, act, status, text in CASES:
    def one():
        got = lab("-t", 700, Peer(act).url, "health")
        assert len(got) == 1 and got[0].startswith(status) and any(t in got[0] for t in text.split("|")), got
    tap.check(name, one)
tap.check("TLS to a server without", lambda: says(
    lab(HTTP.replace("http:", "https:"), "health"), "does not speak TLS"))
tap.check("a port where nobody answers the handshake", lambda: says(
    lab("-t", 300, Peer(lambda c: time.sleep(5)).url.replace("http:", "https:"), "health"),
    "did not finish TLS within 300 ms"))
for server in (plain, tls, mtls):
    server.stop(0)
tap.done()
