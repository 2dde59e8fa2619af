#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: T10, nothing that we let pass as one request is another one to somebody else: what our parser
accepts, Node's (llhttp) takes for the same method, target, fields and framing, or refuses; and the
head that we would write is accepted there and means the same.
Method: every seed of the fuzz corpus, and thousands of heads made from a grammar of the ways in which
parsers were seen to differ: blanks, line ends, repeated and listed and signed lengths, codings, fields
that look like framing.  Seeded, so that a failure comes again; CV_SEED=N tries others."""
import base64
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.join(os.path.dirname(world.COVE), "../../tests/differential/head_read")
THEIRS = os.path.join(HERE, "../differential/head_read.mjs")
CORPUS = os.path.join(HERE, "../fuzz/wire/corpus/h1_request")
COUNT = 20000
OWS_REFUSED = ("HPE_INVALID_CONTENT_LENGTH", "HPE_INVALID_TRANSFER_ENCODING")  # a tab (RFC 9110 5.6.3)

METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "get", "GET ", " GET", "CONNECT",
           "G\x00T", "PURGE", "M-SEARCH"]
TARGETS = ["/", "/a/../b", "/a%2fb?x=1#f", "http://a.test/", "http://a.test:80/x", "*", "a.test:443", "",
           "/a b", "/\x80", "/\x7f", "//a.test/", "http://u@a.test/", "/?q=\"", "/\t"]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/01.1", "HTTP/1,1"]
ENDS = ["\r\n"] * 12 + ["\n", "\r", "\r\r\n", " \r\n", "\t\r\n", "\x0b\r\n", "\r\n ", "\r\n\t"]
COLONS = [": "] * 10 + [":", " : ", "\t:", ":\t", ":  ", ";", ":\x0b", ":\x00"]
LENGTHS = ["0", "5", "+5", "-5", "5, 5", "5,6", "05", "0x5", "5 ", "5\t", "", "5.0", "99999999999999999999",
           "1e1", "٥", "5;a"]
CODINGS = ["chunked", "Chunked", "chunked, identity", "identity, chunked", "identity", "gzip, chunked", "chunked,",
           " chunked", "\x0bchunked", "chunked\x00", "\"chunked\"", "chunked;q=1", "xchunked", "chunked chunked",
           "x, chunked", ""]
FIELDS = [
    ("Host", ["a.test", "a.test:80", "A.TEST", "b.test", "", "a.test, b.test", "a.test/x", "u@a.test"]),
    ("Content-Length", LENGTHS), ("Transfer-Encoding", CODINGS), ("content_length", LENGTHS),
    ("Transfer_Encoding", CODINGS), ("Content-Length ", LENGTHS), ("X-Content-Length", LENGTHS),
    ("Connection", ["close", "keep-alive", "Transfer-Encoding", "Content-Length, close", "Upgrade", "host"]),
    ("Upgrade", ["websocket", "h2c"]), ("Expect", ["100-continue", "100-Continue", "x"]),
    ("X", ["a", "a\x00b", "a\x07b", "\x80\xff", "a\rb", "", "a" * 300]), ("X\x00Y", ["a"]), ("X Y", ["a"]),
    ("", ["a"]), ("TE", ["trailers"]), ("Cookie", ["a=b; c=d"]), ("Trailer", ["Content-Length"]),
]


def heads(rng):
    for name in sorted(os.listdir(CORPUS)):
        with open(os.path.join(CORPUS, name), "rb") as f:
            yield f.read().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for _ in range(COUNT):
        common = rng.random() < 0.8
        text = (rng.choice(METHODS[:6] if common else METHODS) + " " +
                rng.choice(TARGETS[:5] if common else TARGETS) + " " +
                rng.choice(VERSIONS[:2] if common else VERSIONS))
        lines = [text]
        if rng.random() < 0.9:
            lines.append("Host: a.test")
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            name, values = rng.choice(FIELDS)
            name = name if rng.random() < 0.8 else rng.choice((name.lower(), name.upper()))
            lines.append(name + rng.choice(COLONS) + rng.choice(values))
        head = "".join(line + rng.choice(ENDS) for line in lines) + rng.choice(["\r\n"] * 9 + ["\n"])
        yield head.encode("utf-8" if "٥" in head else "latin-1")


def ours(texts):
    done = subprocess.run([OURS], input=b"".join(b"%d\n%s" % (len(t), t) for t in texts),
                          capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def theirs(texts):
    done = subprocess.run(["node", "--no-deprecation", THEIRS], capture_output=True, check=True,
                          input=json.dumps([base64.b64encode(t).decode() for t in texts]).encode())
    return json.loads(done.stdout)


def fields_of(pairs):
    return [(name.lower(), value.strip(" \t")) for name, value in pairs]


def framing(o):
    return (o["body"], o["length"]) if o["body"] != "none" and (o["body"], o["length"]) != ("length", 0) else "none"


def difference(a, b):
    """What the two do not agree about; None."""
    if a["method"] != b["method"]:
        return "method"
    if a["target"] != b["url"]:
        return "target"
    if framing(a) != framing(b) and not (a["body"] == "length" and a["length"] > 4096):
        return "framing"
    return None if fields_of(a["fields"]) == fields_of(b["fields"]) else "fields"


def main(tap):
    if not os.path.exists(OURS):
        tap.ok(False, "the build has tests/differential/head_read", OURS)
        return
    seed = int(os.environ.get("CV_SEED", "1"))
    texts = list(heads(random.Random(seed)))
    mine, other = ours(texts), theirs(texts)
    tap.ok(len(mine) == len(other) == len(texts), "both have an opinion about each head")
    both = [(t, a, b) for t, a, b in zip(texts, mine, other) if a["rc"] == "ok" and b["ok"]]
    found = [(difference(a, b), t) for t, a, b in both]
    bad = [(d, t) for d, t in found if d]
    tap.ok(len(both) > COUNT // 20 and not bad, f"t10 {len(both)} heads mean one thing to both",
           "\n".join(f"{d}: {t!r}" for d, t in bad[:10]))
    lone = [(t, b["why"]) for t, a, b in zip(texts, mine, other)
            if a["rc"] == "ok" and not b["ok"] and b["why"] != "HPE_INVALID_METHOD" and
            not (b["why"] in OWS_REFUSED and b"\t" in t)]
    tap.ok(not lone, "what we accept, it accepts", "\n".join(f"{w}: {t!r}" for t, w in lone[:10]))
    written = [(t, a, bytes.fromhex(a["written"])) for t, a in zip(texts, mine) if a.get("written")]
    again = theirs([w for _, _, w in written])
    bad = [(t, w) for (t, a, w), b in zip(written, again)
           if not (b["ok"] and b["method"] == a["method"] and framing(a) == framing(b) and
                   sum(n.lower() == "host" for n, _ in b["fields"]) == 1) and
           b.get("why") != "HPE_INVALID_METHOD"]
    tap.ok(len(written) > COUNT // 20 and not bad, f"t10 {len(written)} heads as we write them mean the same",
           "\n".join(f"{t!r} -> {w!r}" for t, w in bad[:10]))
    refused = sum(a["rc"] != "ok" and b["ok"] for a, b in zip(mine, other))
    print(f"# seed {seed}: {len(texts)} heads, {refused} that Node accepts are refused here")


the_tap = world.Tap()
main(the_tap)
the_tap.done()
