# SPDX-License-Identifier: Apache-2.0
"""Wire scripts: servers, an agent inside a real sandbox, a policy, and what must have happened.

    test "t11 a pipelined request behind a denial is not sent"
    endpoints {
      - {host: api.example.test, port: 443, protocol: rest, enforcement: enforce, access: read-only}
    }
    server s1 -tls -host api.example.test
    agent {
      tunnel api.example.test:443
      tls
      send "DELETE /a HTTP/1.1\\r\\nHost: api.example.test\\r\\n\\r\\n" "GET /b HTTP/1.1\\r\\n..."
      expect status == 403
      expect end == closed
    }
    expect s1.requests == 0
    expect audit.denied == 1

A .wt file is a prelude, which every test of the file begins with, and tests, each up to the next
`test`.  A line is words; quotes make a word of anything, with \\r \\n \\t \\0 \\" \\\\ \\xHH (any other
backslash stays, so that expressions are written as they are), and 9*"ab" repeats; # to the end of the line is a comment.  `policy {` and `endpoints {` take the lines up to
the closing brace as they are.  Outside a block:

    test NAME [for {ROW...}]    a test, or one for each row: its words are $1, $2, ... everywhere
    policy { YAML }             the policy, whole
    endpoints { YAML list }     the same: these endpoints, in one entry "api", for /usr/**
    server NAME [-tls] [-host H]... [-addr A] [-port P] [-cert FAULT] [-alpn A,B] [{ answers }]
                                A: private (default), public, private6, public6, or an address; the
                                port is 443 with -tls, else 80; every host is pinned to it with
                                --resolve; FAULT: expired, wrong, selfsigned, unknown
    resolve HOST:PORT:ADDRESS   one more pin
    names { NAME ADDRESS... }   the machine's name servers: what they answer; the lines of one name are
                                its answers in turn; cname:NAME before addresses
    cove OPTION...              more options of `cove run`
    agent { steps }             runs in the sandbox (agent.py has the steps)
    reload { YAML }             within agent: the policy file is replaced, then the agent goes on;
                                endpoints, or a whole policy
    expect SUBJECT OP VALUE     OP: == != < > <= >= contains lacks matches in absent present
                                (`in` takes A|B|C)

Subjects outside: SERVER.requests .connections .bytes (application bytes) .received (those bytes)
.sni .targets .last.method .last.target .last.body .last.head .last.header.NAME (or .1.method: the
first request); audit.count, audit.denied, audit.allowed, audit.passed (violations that audit mode
let through), audit.text, audit.last.PATH, audit.denied.last.PATH (a path into the JSON of the last
such event, and likewise .1.PATH), names.queries, cove.status, cove.stderr, cove.stdout.
"""
import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time

import world
from agent import compare
from peer import Names, Peer

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESSES = {"private": world.PRIVATE, "public": world.PUBLIC, "private6": world.PRIVATE6,
             "public6": world.PUBLIC6, "loopback": "127.0.0.1", "loopback6": "::1"}
with open("/etc/resolv.conf", encoding="utf-8") as _f:
    NAME_SERVERS = re.findall(r"^nameserver\s+([^\s%]+)", _f.read(), re.M)[:3] or ["127.0.0.1"]
RUN_SECONDS = 60
SETTLE_SECONDS = 10.0  # in which an expectation about servers or audit may still come true
RELOAD_SECONDS = 3.0  # for the audit to tell of a reload, which takes less than 50 ms

ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
WORD = re.compile(r'\s*(?:(#.*)|(?:(\d+)\*)?"((?:[^"\\]|\\.)*)"|([^\s"{]+|\{\S+|\{(?=\s*\S))|(\{))')
PLAIN_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", '"': '"', "\\": "\\"}


class ScriptError(Exception):
    pass


def unescape(text):
    return ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" and len(m[1]) == 3
                      else PLAIN_ESCAPES.get(m[1], m[0]), text)


def words_of(line):
    """The words of a line; the last one is "{" when it opens a block."""
    words, at, line = [], 0, line.rstrip()
    while at < len(line):
        m = WORD.match(line, at)
        if not m:
            raise ScriptError(f"cannot read {line[at:]!r}")
        at = m.end()
        if m[1]:
            break
        if m[3] is not None:
            words.append(unescape(m[3]) * int(m[2] or 1))
        else:
            words.append(m[4] or m[5])
    return words


class Statement:
    """Words of a line, and of its block: statements, or the text of a raw block."""

    def __init__(self, line, words):
        self.line, self.words, self.block, self.raw = line, words, [], None


RAW_BLOCKS = ("policy", "endpoints", "reload")


def parse(lines, number=0, is_nested=False):
    """Statements up to the end or the closing brace: (statements, lines used)."""
    found, at = [], 0
    while at < len(lines):
        at += 1
        text = lines[at - 1].rstrip("\n")
        if text.strip() == "}":
            if not is_nested:
                raise ScriptError(f"line {number + at}: a brace too many")
            return found, at
        try:
            words = words_of(text)
        except ScriptError as e:
            raise ScriptError(f"line {number + at}: {e}") from e
        if not words:
            continue
        st = Statement(number + at, words)
        found.append(st)
        if words[-1] != "{":
            continue
        words.pop()
        if words[0] in RAW_BLOCKS:
            indent = len(text) - len(text.lstrip())
            end = at
            while lines[end].rstrip() != " " * indent + "}":
                end += 1
            st.raw, at = "".join(lines[at:end]), end + 1
        else:
            st.block, used = parse(lines[at:], number + at, True)
            at += used
    if is_nested:
        raise ScriptError("a block is not closed")
    return found, at


class Script:
    """One test: its statements with the row's words put in."""

    def __init__(self, path, name, statements, row=()):
        self.path, self.row = path, row
        self.name = self.fill(name)
        self.statements = statements

    def fill(self, text):
        return re.sub(r"\$(\d)", lambda m: self.row[int(m[1]) - 1] if int(m[1]) <= len(self.row)
                      else "", text) if self.row else text

    def filled(self, st):
        return [self.fill(w) for w in st.words]


def load(path):
    """The tests of a file."""
    with open(path, encoding="latin-1") as f:
        statements, _ = parse(f.readlines())
    prelude, tests, name, rows, body = [], [], None, [], []

    def finish():
        if name is not None:
            tests.extend(Script(path, name, prelude + body, row) for row in rows or [()])

    for st in statements:
        if st.words[0] != "test":
            (prelude if name is None else body).append(st)
            continue
        finish()
        name, body = st.words[1], []
        rows = [r.words for r in st.block]
    finish()
    return tests


class Stage:
    """A world of its own for one worker: addresses, certificates, directories."""

    def __init__(self):
        self.world = world.World(["localhost"])
        self.contexts, self.added = {}, set()
        shutil.copy(os.path.join(HERE, "agent.py"), self.world.work)
        self.stranger = world.Pki(self._sub("stranger"), ["nobody"])

    def _sub(self, name):
        path = os.path.join(self.world.dir, name)
        os.makedirs(path, exist_ok=True)
        return path

    def address(self, text):
        """An address that servers can listen on, put on lo when it is not there."""
        address = ADDRESSES.get(text, text)
        if address not in self.added and text not in ADDRESSES:
            with contextlib.suppress(FileExistsError):
                world.add_address(address)
        self.added.add(address)
        return address

    def certificate(self, fault, hosts):
        pki = self.stranger if fault == "unknown" else self.world.pki
        names = ["wrong.invalid"] if fault == "wrong" else hosts
        days = {"expired": "-1"}.get(fault, "30")
        stem = f"leaf{len(self.contexts)}"
        if fault == "selfsigned":
            return pki.selfsigned(stem, names)
        return pki.leaf(stem, names, days=days)

    def context(self, fault, hosts, alpn):
        key = (fault, tuple(hosts), alpn)
        if key not in self.contexts:
            self.contexts[key] = self.certificate(fault, hosts)
        pair = self.contexts[key]

        def make(peer):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            if alpn:
                context.set_alpn_protocols(alpn.split(","))
            context.sni_callback = lambda _sock, name, _ctx: setattr(peer, "sni", name)
            return context
        return make


def policy_text(st, script):
    text = script.fill(st.raw)
    if st.words[0] == "policy" or "version:" in text or not text.strip():
        return text
    return ("version: 1\nnetwork_policies:\n  api:\n    endpoints:\n" +
            "".join("    " + line for line in text.splitlines(True)) +
            '    binaries: [{path: "/usr/**"}]\n')


class Run:
    """Plays one test on a stage."""

    def __init__(self, script, stage, is_direct=False):
        self.script, self.stage, self.is_direct = script, stage, is_direct
        self.peers, self.pins, self.options, self.reloads = {}, [], [], []
        self.policy, self.result, self.process = None, {}, None

    def play(self):
        """None, or what went wrong."""
        try:
            for st in self.script.statements:
                self.one(st)
                if self.result.get("failure"):
                    break
        except ScriptError as e:
            return f"{os.path.basename(self.script.path)}: {e}\n" + self.story()
        finally:
            for peer in self.peers.values():
                peer.close()
        failure = self.result.get("failure")
        return f"{os.path.basename(self.script.path)}: {failure}\n{self.story()}" if failure else None

    def story(self):
        """What is worth seeing of a failed test."""
        lines = ["agent " + x for x in self.result.get("log", [])]
        for name, peer in self.peers.items():
            if name == "names":
                lines.append(f"names: asked for {peer.queries}")
                continue
            lines.append(f"{name}: {peer.connections} connections, received {peer.bytes[:300]!r} "
                         f"{'; '.join(peer.faults)}")
        lines += ["audit " + e.get("message", "") + " | " + str(e.get("status_detail", ""))
                  for e in self.stage.world.events(True)[-6:]]
        if self.process:
            lines.append(f"cove: status {self.process.returncode}, stderr {self.process.stderr[-600:]!r}")
        return "\n".join(lines)

    def one(self, st):
        word, *args = self.script.filled(st)
        if word in ("policy", "endpoints"):
            self.policy = policy_text(st, self.script)
        elif word == "server":
            self.server(st, args)
        elif word == "names":
            table = {}
            for name, *records in (self.script.filled(s) for s in st.block):
                table.setdefault(name, []).append(records)
            self.peers["names"] = Names([self.stage.address(a) for a in NAME_SERVERS], table)
        elif word == "resolve":
            self.pins += args
        elif word == "cove":
            self.options += args
        elif word == "agent":
            self.agent(st)
        elif word == "expect":
            self.expect(st.line, args)
        else:
            raise ScriptError(f"line {st.line}: no such word: {word}")

    def server(self, st, args):
        name, hosts, given = args.pop(0), [], {}
        while args:
            option = args.pop(0)
            if option == "-tls":
                given["tls"] = True
            elif option == "-host":
                hosts.append(args.pop(0))
            elif option in ("-addr", "-port", "-cert", "-alpn"):
                given[option[1:]] = args.pop(0)
            else:
                raise ScriptError(f"line {st.line}: no such option: {option}")
        address = self.stage.address(given.get("addr", "private"))
        port = int(given.get("port", 443 if "tls" in given else 80))
        context = self.stage.context(given.get("cert"), hosts or [address], given.get("alpn")) \
            if "tls" in given else None
        if name in self.peers:  # a test may replace a server of the prelude
            self.peers.pop(name).close()
            self.pins = [p for p in self.pins if p.split(":")[0] not in hosts]
        self.peers[name] = Peer(address, port, context, [self.script.filled(s) for s in st.block])
        self.pins += [f"{host}:{port}:[{address}]" if ":" in address else f"{host}:{port}:{address}"
                      for host in hosts]

    def agent(self, st):
        work, steps, self.reloads = self.stage.world.work, [], []
        for name in os.listdir(work):
            if name != "agent.py":
                os.unlink(os.path.join(work, name))
        for s in st.block:
            if s.words[0] == "reload":
                self.reloads.append(policy_text(s, self.script))
                steps.append([s.line, "ask"])
            else:
                steps.append([s.line, *self.script.filled(s)])
        plan = {"steps": steps}
        if self.is_direct:
            plan["direct"] = {":".join(p.split(":", 2)[:2]): p.split(":", 2)[2].strip("[]") for p in self.pins}
        with open(os.path.join(work, "steps.json"), "w", encoding="utf-8") as f:
            json.dump(plan, f)
        argv = ["/usr/bin/python3", "agent.py", "steps.json", "result.json"]
        outside = threading.Thread(target=self.serve_reloads, args=(work,), daemon=True)
        outside.start()
        try:
            if self.is_direct:
                env = os.environ | {"SSL_CERT_FILE": self.stage.world.pki.ca}
                self.process = subprocess.run(argv, cwd=work, env=env, capture_output=True, text=True,
                                              timeout=RUN_SECONDS, check=False)
            else:
                policy = self.policy and self.stage.world.policy(self.policy)
                self.process = self.stage.world.cove(argv, policy=policy, pins=self.pins, quiet=False,
                                                     options=self.options, timeout=RUN_SECONDS)
            with open(os.path.join(work, "result.json"), encoding="utf-8") as f:
                self.result = json.load(f)
        except subprocess.TimeoutExpired as e:
            raise ScriptError(f"line {st.line}: the run took longer than {RUN_SECONDS} s") from e
        except (FileNotFoundError, ValueError) as e:
            raise ScriptError(f"line {st.line}: the agent left no result") from e
        finally:
            self.reloads = []

    def serve_reloads(self, work):
        for i, text in enumerate(list(self.reloads), 1):
            while not os.path.exists(os.path.join(work, f"ask.{i}")):
                if not self.reloads:
                    return
                time.sleep(0.005)
            path, told = self.stage.world.policy(text, "policy.new"), self.reloads_told()
            os.rename(path, os.path.join(self.stage.world.dir, "policy.yaml"))
            until = time.monotonic() + RELOAD_SECONDS
            while self.reloads_told() == told and time.monotonic() < until:
                time.sleep(0.01)
            with open(os.path.join(work, f"done.{i}"), "w", encoding="ascii"):
                pass

    def reloads_told(self):
        return sum(str(e.get("message", "")).startswith(("Policy reloaded", "Policy not loaded"))
                   for e in self.stage.world.events(is_lenient=True))

    def expect(self, line, args):
        subject, op, want = args[0], args[1], " ".join(args[2:])
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            value = self.see(line, subject)
            if compare(value, op, want):
                return
            if time.monotonic() > until:
                raise ScriptError(f"line {line}: expect {subject} {op} {want}: it is {str(value)[:600]!r}")
            time.sleep(0.02)

    def see(self, line, subject):
        head, *path = subject.split(".", 1)
        rest = path[0] if path else ""
        if head == "cove":
            return getattr(self.process, {"status": "returncode"}.get(rest, rest))
        if head == "audit":
            return self.see_audit(rest)
        if head not in self.peers:
            raise ScriptError(f"line {line}: nothing is called {head}")
        peer = self.peers[head]
        if head == "names":
            return " ".join(peer.queries)
        if rest in ("requests", "bytes"):
            return len(getattr(peer, rest))
        if rest == "received":
            return peer.bytes.decode("latin-1")
        if rest == "targets":
            return " ".join(r.target for r in peer.requests)
        if rest in ("connections", "sni"):
            return getattr(peer, rest)
        which, _, what = rest.partition(".")
        try:
            request = peer.requests[-1 if which == "last" else int(which) - 1]
        except IndexError:
            return None
        return request.header(what[7:]) if what.startswith("header.") else getattr(request, what)

    def see_audit(self, rest):
        if rest == "text":
            with open(self.stage.world.audit, encoding="latin-1") as f:
                return f.read()
        events = [e for e in self.stage.world.events()  # decisions; the end of a connection is none
                  if e.get("action_id") in (1, 2) and e.get("activity_name") != "Close"]
        kinds = {"denied": lambda e: e["action_id"] == 2,
                 "passed": lambda e: e.get("disposition_id") == 17,
                 "allowed": lambda e: e["action_id"] == 1 and e.get("disposition_id") != 17}
        head, _, path = rest.partition(".")
        if head in kinds:
            events = [e for e in events if kinds[head](e)]
            rest = path
        if rest in ("count", ""):
            return len(events)
        which, _, path = rest.partition(".")
        try:
            value = events[-1 if which == "last" else int(which) - 1]
        except IndexError:
            return None
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value
