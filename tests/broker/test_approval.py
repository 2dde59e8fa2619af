#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls that wait for a person: held, asked about, answered by somebody outside, or given up."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import ALLOW, DENY, FLOOD, TIMEOUT, Lab, Sandbox, Tap, eventually, is_readable  # noqa: E402

CATALOG = """
version: 1
tools:
  a:
    description: Says something.
    input: {properties: {text: {type: string}, pad: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
    limits: {concurrency: 256}
  b:
    description: Says something else.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
"""
POLICY = """
version: 1
tools:
  always: {tools: [a], approval: always}
  once: {tools: [b], approval: once}
"""
lab = Lab(CATALOG)
box = Sandbox(lab, "one", POLICY)


def start(tool="a", text="x", sandbox=None, **headers):
    stream = (sandbox or box).open()
    stream.send("POST", f"/v1/tools/{tool}", {"text": text, **headers})
    return stream


def no_ask(seconds=0.3):
    try:
        ask = lab.ask(seconds)
    except AssertionError:
        return True
    raise AssertionError(f"asked: {ask}")


def allowed():
    stream = start(text="hi")
    ask = lab.ask()
    assert ask["sandbox"] == "one" and ask["tool"] == "a" and ask["who"] == "/usr/bin/curl", ask
    assert ask["text"] == '{"text":"hi"}' and 290 <= ask["seconds"] <= 300, ask
    assert ask["rule"] == "always" and ask["flags"] == 1 | 8 and ask["text_bytes"] == 13, ask
    jobs = [j for j in box.request("GET", "/v1/jobs").json["jobs"] if j["state"] == "held"]
    assert len(jobs) == 1, jobs
    lab.answer(ask["id"], ALLOW)
    r = stream.receive()
    assert (r.status, r.json, r.headers["cove-job"]) == (200, {"output": "hi\n"}, jobs[0]["id"]), r
    stream = start(text="hi")
    again = lab.ask()
    assert again["id"] != ask["id"], "always is each time"
    lab.answer(again["id"], DENY)
    assert stream.receive().status == 403


def denied():
    stream = start(text="no")
    lab.answer(lab.ask()["id"], DENY)
    r = stream.receive()
    assert (r.status, r.json["error"]) == (403, "approval_denied"), r
    assert box.request("GET", f"/v1/jobs/{r.headers['cove-job']}").json["state"] == "denied"
    assert lab.events()[-1]["action"] == "Denied"


def not_answered():
    stream = start(text="late")
    lab.answer(lab.ask()["id"], TIMEOUT)
    r = stream.receive()
    assert (r.status, r.json["error"], r.json["seconds"]) == (504, "approval_timeout", 300), r


def denied_unseen():
    stream = start(text="flood")
    lab.answer(lab.ask()["id"], FLOOD)
    r = stream.receive()
    assert (r.status, r.json["error"]) == (429, "too_many_held"), r


def once_is_for_all_that_wait_and_come():
    streams = [start("b", f"t{i}") for i in range(12)]
    asks = [lab.ask() for _ in range(8)]
    assert no_ask(), "a person is not shown more at a time"
    lab.answer(asks[3]["id"], ALLOW)
    assert [s.receive().json["output"] for s in streams] == [f"t{i}\n" for i in range(12)]
    ended = {lab.wait("ASK_END") for _ in range(8)}
    assert len(ended) == 8
    assert box.call("b", {"text": "later"}).status == 200
    assert no_ask()
    other = Sandbox(lab, "two", POLICY)
    stream = start("b", "x", other)
    lab.answer(lab.ask()["id"], DENY)
    assert stream.receive().status == 403, "another sandbox is another question"
    other.end()


def cancelled_while_held():
    job = box.job("a", {"text": "x"})
    ask = lab.ask()
    assert box.request("GET", f"/v1/jobs/{job}").json["state"] == "held"
    r = box.request("DELETE", f"/v1/jobs/{job}")
    assert (r.status, r.json["state"]) == (200, "cancelled"), r
    assert lab.wait("ASK_END")
    lab.answer(ask["id"], ALLOW)
    time.sleep(0.2)
    assert box.request("GET", f"/v1/jobs/{job}").json["state"] == "cancelled", "too late"


def policy_decides_once_more():
    stream = start(text="x")
    ask = lab.ask()
    box.policy("version: 1\n")
    lab.answer(ask["id"], ALLOW)
    r = stream.receive()
    assert (r.status, r.json["error"]) == (403, "policy_denied"), r
    box.policy(POLICY)


def b6_large_arguments_are_cut_and_shown_escaped():
    stream = start(text="\u202egnp.exe\x1b[2J\n", pad="p" * 200000)
    ask = lab.ask()
    assert len(ask["text"]) < 30000 and ask["text_bytes"] > 200000
    assert all(c.isprintable() for c in ask["text"].split("pppp")[-1])
    lab.answer(ask["id"], DENY)
    assert stream.receive().status == 403
    stream = start(text="\u202egnp.exe\x1b[2J\n")
    ask = lab.ask()
    text = ask["text"]
    lab.answer(ask["id"], DENY)
    assert text.isprintable() and "\\u202e" in text and "\\u001b" in text.lower(), text
    stream.close()


def b6_flooding():
    flood = Sandbox(lab, "flood", POLICY)
    streams = [start(text=str(i), sandbox=flood) for i in range(520)]
    assert eventually(lambda: flood.request("GET", "/v1/jobs").body.count(b'"held"') == 512, 20)
    answers = []
    assert eventually(lambda: len([s for s in streams[505:] if is_readable(s.sock, 0)]) == 8)
    for s in streams[505:]:
        s.sock.settimeout(0.3)
        try:
            answers.append(s.receive())
        except TimeoutError:
            pass
    assert len(answers) == 8 and all(a.status == 429 for a in answers), answers
    assert answers[0].json["error"] == "too_many_held" and "retry-after" in answers[0].headers
    with open(f"/proc/{lab.process.pid}/status") as f:
        now = next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))
    print(f"# 512 held calls: broker {now} KiB", flush=True)
    assert now < 32768, now
    flood.end()
    lab.wait_ended("flood")
    assert box.request("GET", "/healthz").status == 200


def a_strange_answer():
    lab.answer(12345, ALLOW)
    assert box.request("GET", "/healthz").status == 200


TESTS = [allowed, not_answered, denied, denied_unseen, once_is_for_all_that_wait_and_come, cancelled_while_held,
         policy_decides_once_more, b6_large_arguments_are_cut_and_shown_escaped, b6_flooding,
         a_strange_answer]
sys.exit(Tap().run(TESTS))
