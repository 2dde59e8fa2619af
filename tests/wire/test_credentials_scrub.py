#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a bound host that echoes a released value, in any of the documented encodings and anywhere in
its answer, does not hand it to the agent (C2, C3); what can't be decoded is refused; what holds no
value comes as it was, and streams.
Method: a real run; each request releases a value; the origin answers with it in some disguise, and
whatever the agent gets is searched for it, decoded in every way."""
import base64
import gzip
import json
import os
import random
import sys
import urllib.parse
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import ENCODERS, b64, equal, request  # noqa: E402

VALUE = "s3cr3t/VALUE+0123456789=abc\"d"
TAIL = "another.VALUE-98765"
PLAIN = "pl41n-VALUE-0123456789"
PROFILE = """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
  - {name: other, env_vars: [OTHER_KEY], required: true}
  - {name: plain, env_vars: [PLAIN_KEY], required: true}
endpoints:
  - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: off.test, port: 443, protocol: rest, enforcement: enforce, access: full, scrub: off}
binaries: [{path: "/**"}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints: [{host: free.test, port: 443, protocol: rest, enforcement: enforce, access: full}]
    binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": PROFILE}, POLICY,
                  env={"MY_KEY": VALUE, "OTHER_KEY": TAIL, "PLAIN_KEY": PLAIN},
                  names=["api.test", "off.test", "free.test"])
P, PLAIN_P = lab.inside["MY_KEY"], lab.inside["PLAIN_KEY"]
AUTH = [f"Authorization: Bearer {P}", f"X-Plain: {PLAIN_P}"]


def json_u(text, form="\\u%04x"):
    return "".join(form % ord(c) for c in text)


def percent(text, form="%%%02X"):
    return "".join(form % ord(c) for c in text)


def disguises(value):
    """{name: text with the value in it} of the documented encodings."""
    plain = {
        "plain": value, "percent, what has to be": urllib.parse.quote(value, safe=""),
        "percent, in a form": urllib.parse.quote_plus(value), "percent, whole": percent(value),
        "percent, in small letters": percent(value, "%%%02x"),
        "percent, every other": "".join(c if i % 2 else percent(c) for i, c in enumerate(value)),
        "hex": value.encode().hex(), "HEX": value.encode().hex().upper(),
        "JSON": json.dumps(value)[1:-1], "JSON \\u": json_u(value), "JSON \\U": json_u(value, "\\u%04X"),
        "JSON, every third": "".join(c if i % 3 else json_u(c) for i, c in enumerate(value)),
        "JSON, slashes": json.dumps(value)[1:-1].replace("/", "\\/")}
    for before in ("", "u", "us", "use", "user:"):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            text = encode(f"{before}{value}".encode()).decode()
            plain[f"{name} behind {len(before)}"] = text
            plain[f"{name} behind {len(before)}, unpadded"] = text.rstrip("=")
            plain[f"{name} behind {len(before)}, in more"] = encode(f"{before}{value} and more".encode()).decode()
    return plain


def found(data):
    """Which value can be had from data, and how."""
    texts = {"as it is": data}
    with_unquote = urllib.parse.unquote_to_bytes(data)
    texts["percent"] = with_unquote
    texts["plus"] = urllib.parse.unquote_to_bytes(data.replace(b"+", b" "))
    latin = data.decode("latin-1")
    try:
        texts["json"] = latin.replace("\\/", "/").replace("\\\"", '"').encode("latin-1").decode(
            "unicode_escape").encode("latin-1", "replace")
    except UnicodeDecodeError:
        pass
    for value in (VALUE, PLAIN, TAIL):
        for how, text in texts.items():
            if value.encode() in text:
                return f"{value} {how}"
        raw = value.encode()
        if raw.hex().encode() in data.lower():
            return f"{value} hex"
        for shift in range(3):  # what is left of base64 without the letters that neighbours share
            core = base64.b64encode(b"\0" * shift + raw)[(shift * 8 + 5) // 6 + 1:]
            core = core[:(len(raw) * 8 // 6) - 2].rstrip(b"=")
            for form in (core, core.replace(b"+", b"-").replace(b"/", b"_")):
                if form in data:
                    return f"{value} base64, shift {shift}"
    return None


def decoded(reply):
    """All that the agent can have: bytes, and the body out of its encoding."""
    body = reply.body
    head = reply.head.lower()
    for name in ("gzip", "deflate"):
        if f"content-encoding: {name}".encode() in head:
            rest, body = body, b""
            while rest and len(body) < 1 << 20:
                member = zlib.decompressobj(47)
                try:
                    body += member.decompress(rest, 1 << 20)
                except zlib.error:
                    body += rest  # a client may take it as it is
                    break
                rest = member.unused_data
    if b"content-encoding: br" in head:
        import brotli
        body = brotli.decompress(body)
    if b"content-encoding: zstd" in head:
        import subprocess
        body = subprocess.run(["zstd", "-dqc"], input=body, capture_output=True).stdout
    return reply.data + b"\n" + reply.body + b"\n" + body


def response(body=b"", fields=(), status="200 OK", is_chunked=False, size=None, trailer=(), has_length=True):
    body = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", *fields]
    if is_chunked:
        size = size or len(body) or 1
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in
                        (body[i:i + size] for i in range(0, len(body), size)))
        body += b"0\r\n" + "".join(f"{t}\r\n" for t in trailer).encode("latin-1") + b"\r\n"
        head.append("Transfer-Encoding: chunked")
    elif has_length:
        head.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


def clean(answer, wants=None, status=None, host="api.test", fields=AUTH, **more):
    """Asks, gets the answer, and finds no value in it; `wants` is what has to be there still."""
    reply = lab.get(host, "/echo", fields, answer=answer, **more)
    assert lab.origin.seen(), f"the server was not asked: {reply!r}"
    how = found(decoded(reply))
    assert not how, f"the agent has {how}: {reply!r}"
    if status:
        assert reply.status in (status if isinstance(status, tuple) else (status,)), repr(reply)
    if wants is not None:
        assert wants in decoded(reply), repr(reply)
    return reply


def clean_or_opaque(answer):
    """Nothing, or nothing undecoded: two layers are peeled here."""
    reply = clean(answer)
    body = reply.body
    for _ in range(3):
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            break
    assert not found(body), repr(reply)


# ---- C2: encodings, in a body ----

for key, value in (("odd", VALUE), ("plain", PLAIN)):
    for name, text in disguises(value).items():
        tap.check(f"C2 {key} value, {name}", lambda: clean(
            response(f'{{"a": "begin {text} end"}}', ["Content-Type: application/json"]), b"begin "))
for name in ("plain", "percent, whole", "base64 behind 5", "hex", "JSON \\u"):
    text = disguises(VALUE)[name]
    tap.check(f"C2 {name}, chunks of 1", lambda: clean(
        response(f"begin {text} end", is_chunked=True, size=1), b" end", 200))
    tap.check(f"C2 {name}, many times", lambda: clean(response(f"begin {text} end " * 2000), b" end", 200))
    tap.check(f"C2 {name}, with nothing around it", lambda: clean(response(text)))
    tap.check(f"C2 {name}, until the end of the connection", lambda: clean(
        [response(f"begin {text} end", has_length=False), None], b"begin"))


def every_cut():
    """One answer to many requests: each cuts the value at another byte, in a segment of its own."""
    text = f"begin {VALUE} end"
    cuts = list(range(6, 7 + len(VALUE)))
    lab.origin.answer = lambda req: (lambda n: [
        response("", ["Transfer-Encoding: chunked"], has_length=False), b"%x\r\n%s\r\n" % (n, text[:n].encode()), 0.03,
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(text) - n, text[n:].encode())])(int(req.split(b" ")[1][1:]))
    jobs = [lab.start_talk("api.test", request("GET", "api.test", f"/{n}", AUTH)) for n in cuts]
    for n, job in zip(cuts, jobs):
        reply = credlab.Reply(lab.wait(job))
        how = found(decoded(reply))
        assert not how and reply.body.endswith(b" end"), f"cut at {n}: {how} {reply!r}"


tap.check("C2 cut at every byte, in chunks that come apart", every_cut)
for name, encode in ENCODERS.items():
    body = encode(f'{{"a": "begin {VALUE} end", "b": "{b64("u:" + PLAIN)}"}}'.encode())
    head = [f"Content-Encoding: {name}", "Content-Type: application/json"]
    tap.check(f"C2 {name}", lambda: clean(response(body, head), b"begin", 200))
    tap.check(f"C2 {name}, chunks of 1", lambda: clean(response(body, head, is_chunked=True, size=1), b"begin", 200))
    tap.check(f"C2 {name.upper()} in capitals", lambda: clean(response(body, [head[0].upper()])))
    tap.check(f"C2 {name}, cut short", lambda: clean([response(body[:-4], head, has_length=False), None]))
    tap.check(f"C2 {name} with a value in a body of a refusal", lambda: clean(
        response(body, head, "401 Unauthorized"), None, (401, 403, 502)))
    big = encode(b"x" * (1 << 24))
    tap.check(f"C2 {name} of 16 MiB in {len(big)} bytes ends bounded", lambda: clean(
        response(big, head), None, timeout=15))
    bad = bytes(reversed(body))
    tap.check(f"C2 {name} that isn't", lambda: clean(response(f"begin {VALUE} end", head)))
    tap.check(f"C2 {name} damaged", lambda: clean(response(bad, head)))
two = gzip.compress(b"begin ") + gzip.compress(VALUE[:9].encode()) + gzip.compress(VALUE[9:].encode() + b" end")
tap.check("C2 gzip of several members", lambda: clean(response(two, ["Content-Encoding: gzip"])))
tap.check("C2 gzip with bytes behind it", lambda: clean(response(
    gzip.compress(b"begin") + VALUE.encode(), ["Content-Encoding: gzip"])))
tap.check("C2 gzip with the value in its name field", lambda: clean(response(
    b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + VALUE.encode() + b"\0" + gzip.compress(b"begin")[10:],
    ["Content-Encoding: gzip"])))
for fields in (["Content-Encoding: gzip, gzip"], ["Content-Encoding: gzip", "Content-Encoding: gzip"]):
    tap.check(f"C2 gzip twice, {len(fields)} fields", lambda: clean_or_opaque(response(
        gzip.compress(gzip.compress(f"begin {VALUE} end".encode())), fields)))


for name in ("compress", "x-own", "identity, x-own", "exi", "aes128gcm", "dcb"):
    def undecodable(name=name):
        reply = clean(response(bytes(b ^ 0x55 for b in VALUE.encode()), [f"Content-Encoding: {name}"]))
        assert bytes(b ^ 0x55 for b in VALUE.encode()) not in reply.data, repr(reply)
        assert reply.status in (403, 502) or reply.end in ("reset", "closed"), repr(reply)
    tap.check(f"C2 an encoding that can't be undone ({name}) is refused", undecodable)
tap.check("C2 the server is asked for encodings that can be undone", lambda: (
    lab.get("api.test", "/", [*AUTH, "Accept-Encoding: x-own, gzip, dcb"]),
    equal([e for f in credlab.field(lab.origin.seen(), "accept-encoding") for e in f.replace(" ", "").split(",")
           if e.split(";")[0] not in ("gzip", "br", "zstd", "deflate", "identity")], [])))

# ---- C3: channels ----

for name, value in (("plain", VALUE), ("base64", b64("u:" + VALUE)), ("percent", percent(VALUE)),
                    ("hex", VALUE.encode().hex()), ("PLAIN", PLAIN)):
    for field in ("Location", "Set-Cookie", "WWW-Authenticate", "ETag", "X-Echo", "Server", "Link", "Refresh",
                  "Content-Type", "Content-Disposition", "Authentication-Info", "Via", "Vary", "Warning"):
        tap.check(f"C3 {name} in {field}", lambda: clean(
            response("body", [f"{field}: a/b; c={value}"], "302 Found" if field == "Location" else "200 OK")))
    tap.check(f"C3 {name} in a trailer", lambda: clean(
        response("body", is_chunked=True, trailer=[f"X-Trailer: {value}"])))
    tap.check(f"C3 {name} in an error body", lambda: clean(
        response(f'{{"message": "bad token {value}"}}', ["Content-Type: application/json"], "401 Unauthorized"),
        None, 401))
    tap.check(f"C3 {name} in SSE", lambda: clean(
        [response("", ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"], has_length=False),
         b"7\r\ndata: a\r\n", 0.02, b"%x\r\ndata: %s\n\n\r\n" % (len(value) + 8, value.encode()), b"0\r\n\r\n"], b"data: "))
    tap.check(f"C3 {name} in multipart 206", lambda: clean(
        response(f"--x\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-9/99\r\n\r\n{value}\r\n--x--\r\n",
                 ["Content-Type: multipart/byteranges; boundary=x"], "206 Partial Content")))
tap.check("C3 in a field's name", lambda: clean(response("b", [f"X-{PLAIN}: 1"])))
tap.check("C3 in the reason", lambda: clean(response("b", status=f"200 {PLAIN}")))
tap.check("C3 in a chunk's extension", lambda: clean(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + PLAIN.encode() + b"\r\nx\r\n0\r\n\r\n"))
tap.check("C3 in a trailer's name", lambda: clean(response("b", is_chunked=True, trailer=[f"X-{PLAIN}: 1"])))
tap.check("C3 in 103 early hints", lambda: clean(
    f"HTTP/1.1 103 Early Hints\r\nLink: <{PLAIN}>\r\n\r\n".encode() + response("body"), b"body"))
tap.check("C3 in 100 Continue", lambda: clean(f"HTTP/1.1 100 {PLAIN}\r\nX: {PLAIN}\r\n\r\n".encode() + response("body")))
tap.check("C3 TRACE or a request echoed whole", lambda: clean(lambda req: response(req, ["Content-Type: message/http"])))


def head():
    r = lab.talk("api.test", request("HEAD", "api.test", "/", AUTH), method="HEAD",
                 answer=f"HTTP/1.1 200 OK\r\nX-A: {PLAIN}\r\nContent-Length: 5000\r\nContent-Encoding: gzip\r\n\r\n".encode())
    assert not found(r.data) and r.status == 200 and b"\r\n\r\n" in r.data, repr(r)


tap.check("C3 HEAD: fields are scrubbed, no body is awaited", head)
for status in ("204 No Content", "304 Not Modified"):
    tap.check(f"C3 {status}", lambda: clean(f"HTTP/1.1 {status}\r\nX-A: {PLAIN}\r\nETag: \"{PLAIN}\"\r\n\r\n".encode(),
                                            None, int(status[:3])))
tap.check("C3 304 with an encoding and a length", lambda: clean(
    b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\nContent-Length: 400\r\n\r\n", None, 304))


def ranges():
    """The agent takes the echo in slices: what it gets must not add up to the value."""
    text = f"begin {PLAIN} end".encode()

    def answer(req):
        wanted = credlab.field(req, "range")
        if not wanted:
            return response(text)
        a, b = (int(x) for x in wanted[0].split("=")[1].split("-"))
        return response(text[a:b + 1], [f"Content-Range: bytes {a}-{b}/{len(text)}"], "206 Partial Content")
    got = b""
    for a, b in ((0, 14), (15, 99)):
        reply = lab.get("api.test", "/", [*AUTH, f"Range: bytes={a}-{b}"], answer=answer)
        got += reply.body
    assert PLAIN.encode() not in got, got


tap.check("C3 slices by Range don't add up to the value", ranges)


# ---- values that are not of this request ----

def later(fields, host="api.test", keep=True):
    """The server keeps a value of one request and says it in the answer to another."""
    pieces = [request("GET", host, "/store", AUTH), request("GET", host, "/read", fields)]
    answer = lambda req: response("stored" if b"/store" in req else f"begin {PLAIN} {b64('u:' + PLAIN)} end")
    if keep:
        reply = lab.talk(host, pieces, answer=answer, count=2, pause=0.1)
    else:
        lab.talk(host, pieces[0], answer=answer)
        reply = lab.talk(host, pieces[1], answer=answer)
    assert not found(reply.data), repr(reply)


tap.check("C2 stored and read without a credential, same connection", lambda: later([]))
tap.check("C2 stored and read without a credential, another connection", lambda: later([], keep=False))
tap.check("C2 stored and read with another credential", lambda: later(
    [f"Authorization: {lab.inside['OTHER_KEY']}"], keep=False))

# ---- what has to come as it was ----

def same(answer, body, fields=AUTH, host="api.test", **more):
    reply = lab.get(host, "/", fields, answer=answer, **more)
    equal((reply.status, reply.body == body), (200, True), repr(reply))
    return reply


text = b"".join(b"the quick brown fox %d %%41 \\u0041 " % i for i in range(5000))
tap.check("without a value a body comes as it was", lambda: same(response(text), text))
tap.check("without a value a chunked body comes as it was", lambda: same(
    response(text, is_chunked=True, size=999), text))


def blobs():
    """Seeds, so that a failure is one again."""
    bad = {}
    for seed in range(20):
        blob = random.Random(seed).randbytes(200000)
        reply = lab.get("api.test", "/", AUTH, answer=response(blob))
        if reply.body != blob:
            bad[seed] = (len(reply.body), reply.end)
    equal(bad, {})


tap.check("bytes of any kind come as they were", blobs)
near = f"{PLAIN[:-1]} {PLAIN[1:]} {PLAIN[:9]}%41 {PLAIN.encode().hex()[:-2]} ".encode()
tap.check("what only begins like a value comes as it was", lambda: same(response(near * 3), near * 3))
tap.check("scrub: off lets it through", lambda: same(
    response(f"{VALUE} {PLAIN}"), f"{VALUE} {PLAIN}".encode(), host="off.test"))
tap.check("scrub: off lets any encoding through", lambda: same(
    response(b"\x01\x02" + PLAIN.encode(), ["Content-Encoding: x-own"]), b"\x01\x02" + PLAIN.encode(), host="off.test"))
tap.check("an endpoint without credentials is not searched for encodings", lambda: same(
    response(b"\x01\x02abc", ["Content-Encoding: x-own"]), b"\x01\x02abc", host="free.test", fields=[]))
mixed = " ".join(str(random.Random(1).random() * i) for i in range(8000)).encode()
for name, encode in ENCODERS.items():
    for what, page in (("", mixed), (" 155 KB of one sentence", text)):
        tap.check(f"{name} without a value still decodes to what it was{what}", lambda: (lambda r: equal(
            (r.status, r.data != b"", decoded(r).endswith(page)), (200, True, True), repr(r)[:300]))(
                lab.get("api.test", "/", AUTH, answer=response(encode(page), [f"Content-Encoding: {name}"]))))


def streams():
    """The first event is there long before the last is sent."""
    events = [response("", ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"], has_length=False)]
    for i in range(3):
        event = f"data: event {i}\n\n".encode()
        events += [b"%x\r\n%s\r\n" % (len(event), event), 0.4]
    reply = lab.get("api.test", "/", AUTH, answer=[*events, b"0\r\n\r\n"])
    equal(reply.body.count(b"data: event"), 3)
    data, arrived = b"", {}
    at = 0
    for when, size in reply.times:
        at += size
        for i in range(3):
            if b"event %d" % i in reply.data[:at]:
                arrived.setdefault(i, when)
    assert arrived[0] < 0.3 and arrived[1] < 0.75, arrived


tap.check("SSE streams: an event comes when it was sent", streams)


def large():
    """32 MiB pass, the first bytes before the last are sent, and the proxy does not keep them."""
    part = b"%x\r\n" % (1 << 20) + b"abcdefgh" * (1 << 17) + b"\r\n"
    pids = lab.processes()["cove-proxy"]
    answer = [response("", ["Transfer-Encoding: chunked"], has_length=False), part, 0.3, *[part] * 31, b"0\r\n\r\n"]
    lab.origin.answer = answer
    job = lab.start({"do": "sh", "script":
                     "curl -sS -m 30 -H \"X-Key: $MY_KEY\" https://api.test/ -o /dev/null "
                     "-w '%{http_code} %{size_download} %{time_starttransfer} %{time_total}'"})
    said = lab.wait(job)["out"].split()
    peak = max(int(line.split()[1]) for pid in pids for line in open(f"/proc/{pid}/status") if "VmHWM" in line)
    equal(said[:2], ["200", str(32 << 20)])
    assert float(said[2]) < float(said[3]) - 0.25, said
    assert peak < 32 << 10, f"{peak} KiB"


tap.check("a large body streams, in bounded memory", large)

# ---- the agent can't turn it off ----

for fields in (["Accept-Encoding: identity;q=0, x-own"], ["Connection: keep-alive, x-scrub", "X-Scrub: off"],
               ["TE: trailers"], ["Cache-Control: no-transform"], ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
                                                                  "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]):
    def still(fields=fields):
        reply = lab.get("api.test", "/", [*AUTH, *fields], answer=response(f"begin {PLAIN} end"))
        assert not found(reply.data), repr(reply)
    tap.check(f"C2 with {fields[0]}", still)


def upgraded():
    """A 101 that nobody asked for must not open a raw way back."""
    reply = lab.get("api.test", "/", AUTH, answer=[
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + PLAIN.encode(), 0.1, None],
                    timeout=2)
    assert not found(reply.data), repr(reply)


tap.check("C3 an answer 101 that was not asked for", upgraded)
tap.check("C3 bytes behind the answer", lambda: clean(response("ok") + PLAIN.encode() * 2, b"ok", 200))
tap.check("C3 two answers to one request", lambda: clean(response("ok") + response(PLAIN)))
tap.check("C3 HTTP/1.0 answer", lambda: clean([b"HTTP/1.0 200 OK\r\n\r\nbegin " + PLAIN.encode() + b" end", None]))
tap.check("C3 a length that is too long", lambda: clean(
    [b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nbegin " + PLAIN.encode() + b" end", None]))
tap.check("C3 a length that ends within the value", lambda: (lambda r: equal(
    found(r.data), None))(lab.get("api.test", "/", AUTH, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" +
                                  PLAIN.encode())))
tap.check("C10 no value in cove's own words", lambda: equal(
    [v for v in (VALUE, PLAIN, TAIL) if v in lab.stderr() or v in open(lab.world.audit, errors="replace").read()], []))
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
