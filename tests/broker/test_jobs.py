#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls as jobs: asked for later, followed by events, cancelled, and found again.

Each job has one end, whoever is lost on the way: the client, its proxy, the broker.
"""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import Lab, Sandbox, Tap, eventually  # noqa: E402

ENDS = {"succeeded", "failed", "cancelled", "timed_out", "denied"}
CATALOG = """
version: 1
tools:
  sh:
    description: Runs a script of the test's.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {seconds: 60, bytes: 2000000, concurrency: 100}
  one:
    description: One at a time.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {seconds: 5, concurrency: 1}
"""
LIMITED = """
version: 1
tools:
  few: {tools: [sh], limits: {concurrency: 2, seconds: 2, bytes: 10}}
"""

lab = Lab(CATALOG)
box = Sandbox(lab, "one")
other = Sandbox(lab, "two")


def script(text):
    return {"script": text}


def submit_poll_fetch():
    r = box.call("sh", script("sleep 2; echo done"), prefer="respond-async")
    assert r.status == 202, r
    job = r.json
    assert r.headers["location"] == f"/v1/jobs/{job['id']}" and r.headers["cove-job"] == job["id"]
    assert r.headers["preference-applied"] == "respond-async"
    assert job["state"] == "running" and job["tool"] == "sh" and job["ended"] is None, job
    assert set(job) == {"id", "tool", "state", "created", "started", "ended", "progress",
                        "result_url", "error"}, job
    assert box.request("GET", f"/v1/jobs/{job['id']}").json["state"] == "running"
    r = box.request("GET", f"/v1/jobs/{job['id']}/result")
    assert r.status == 202 and r.json["state"] == "running", r
    start = time.monotonic()
    r = box.request("GET", f"/v1/jobs/{job['id']}?wait=10")
    assert r.json["state"] == "succeeded" and time.monotonic() - start < 9, r
    r = box.request("GET", r.json["result_url"])
    assert (r.status, r.json) == (200, {"output": "done\n"}), r
    assert job["id"] in [j["id"] for j in box.request("GET", "/v1/jobs").json["jobs"]]
    assert lab.events()[-1]["unmapped"]["job"] == job["id"]


def wait_is_bounded():
    job = box.job("sh", script("sleep 30"))
    start = time.monotonic()
    r = box.request("GET", f"/v1/jobs/{job}?wait=1")
    assert r.json["state"] == "running" and 0.9 < time.monotonic() - start < 15, r
    for bad in ("x", "-1", "1.5", "", "1&wait=x"):
        assert box.request("GET", f"/v1/jobs/{job}?wait={bad}").status == 400, bad
    box.request("DELETE", f"/v1/jobs/{job}")


def prefer_wait():
    start = time.monotonic()
    r = box.call("sh", script("sleep 6; echo x"), prefer="wait=1")
    assert r.status == 202 and 0.9 < time.monotonic() - start < 5.5, r
    assert box.wait(r.json["id"])["state"] == "succeeded"
    r = box.call("sh", script("echo x"), prefer="respond-async, wait=5")
    assert (r.status, r.json) == (200, {"output": "x\n"}), r
    assert "cove-job" in r.headers
    r = box.call("sh", script("exit 2"), prefer="respond-async; foo, handling=lenient")
    assert r.status == 202, r
    assert box.wait(r.json["id"])["error"] == "tool_failed"


def a_plain_call_becomes_a_job_after_ten_seconds():
    before = len(box.request("GET", "/v1/jobs").json["jobs"])
    stream = box.open(timeout=30)
    stream.send("POST", "/v1/tools/sh", script("sleep 15; echo late"))
    time.sleep(9)
    assert len(box.request("GET", "/v1/jobs").json["jobs"]) == before
    assert eventually(lambda: len(box.request("GET", "/v1/jobs").json["jobs"]) == before + 1, 4.5)
    r = stream.receive()
    assert (r.status, r.json) == (200, {"output": "late\n"}) and "cove-job" in r.headers, r
    assert box.request("GET", f"/v1/jobs/{r.headers['cove-job']}").json["state"] == "succeeded"


def events_from_the_beginning():
    job = box.job("sh", script("echo one >&2; sleep 0.2; echo two >&2; echo out"))
    stream = box.open()
    stream.send("GET", f"/v1/jobs/{job}/events")
    status, headers = stream.head()
    assert status == 200 and headers["content-type"] == "text/event-stream", headers
    events = list(stream.events())
    assert [e[1] for e in events][-2:] == ["result", "end"], events
    log = "".join(e[2]["text"] for e in events if e[1] == "log")
    assert log == "one\ntwo\n", events
    assert events[-2][2]["result"] == {"output": "out\n", "stderr": "one\ntwo\n"}, events
    assert events[-1][2]["state"] == "succeeded"
    assert stream.request("GET", "/healthz").status == 200, "the connection goes on"


def events_go_on_where_they_were_lost():
    job = box.job("sh", script("for i in $(seq 2000); do echo line $i >&2; done; sleep 0.3; echo more >&2"))
    want = "".join(f"line {i}\n" for i in range(1, 2001)) + "more\n"
    got, last, tries, ends = "", None, 0, []
    while not ends:
        stream = box.open()
        stream.send("GET", f"/v1/jobs/{job}/events", last_event_id=last)
        stream.head()
        for number, (last, kind, data) in enumerate(stream.events()):
            if kind == "log":
                assert data["offset"] == len(got), data
                got += data["text"]
            if kind == "end":
                ends.append(data)
            if number == 1:
                break
        stream.close()
        tries += 1
    assert got == want and tries > 1, (tries, len(got))
    stream = box.open()
    stream.send("GET", f"/v1/jobs/{job}/events?offset={len(want) - 5}")
    stream.head()
    events = list(stream.events())
    assert events[0][2] == {"offset": len(want) - 5, "text": "more\n"}, events
    for bad in ("x", "1-2", "99999999999999999999-0-0", "-".join("9" * 3)):
        stream = box.open()
        stream.send("GET", f"/v1/jobs/{job}/events", last_event_id=bad)
        stream.head()
        assert list(stream.events())[-1][1] == "end", bad


def log_by_offset():
    job = box.job("sh", script("printf 'caf\\303\\251 \\377 end' >&2"))
    box.wait(job)
    assert box.request("GET", f"/v1/jobs/{job}/log").body == b"caf\xc3\xa9 \xff end"
    r = box.request("GET", f"/v1/jobs/{job}/log?offset=6")
    assert r.body == b"\xff end" and r.headers["cove-log-offset"] == "6", r
    assert box.request("GET", f"/v1/jobs/{job}/log?offset=999").body == b""
    assert box.request("GET", f"/v1/jobs/{job}/log?offset=x").status == 400


def b5_a_log_without_end():
    job = box.job("sh", script("head -c 20000000 /dev/zero | tr '\\0' x >&2; echo end >&2"))
    box.wait(job)
    r = box.request("GET", f"/v1/jobs/{job}/log")
    assert len(r.body) == 1 << 20 and r.body.endswith(b"xend\n"), len(r.body)
    assert int(r.headers["cove-log-offset"]) == 20000004 - (1 << 20)
    stream = box.open()
    stream.send("GET", f"/v1/jobs/{job}/events")
    stream.head()
    events = list(stream.events())
    assert events[0][2]["skipped"] == 20000004 - (1 << 20)
    assert sum(len(e[2]["text"]) for e in events if e[1] == "log") == 1 << 20


def slow_readers_make_nothing_pile_up():
    job = box.job("sh", script("for i in $(seq 20); do head -c 500000 /dev/zero | tr '\\0' x >&2; sleep 0.05; done"))
    streams = [box.open() for _ in range(30)]
    for s in streams:
        s.send("GET", f"/v1/jobs/{job}/events")
    box.wait(job)
    with open(f"/proc/{lab.process.pid}/status") as f:
        peak = next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))
    assert peak < 49152, f"{peak} KiB"
    streams[0].head()
    assert list(streams[0].events())[-1][1] == "end"
    for s in streams:
        s.close()
    assert box.call("sh", script("echo x")).status == 200


def cancel_kills_all_of_it():
    before = lab.shepherds()
    job = box.job("sh", script("(setsid sleep 1000 & echo $!); sleep 1000 & echo $!; wait"))
    assert eventually(lambda: len(lab.shepherds() - before) >= 4), "shepherd, shell and two"
    pids = lab.shepherds() - before
    r = box.request("POST", f"/v1/jobs/{job}/cancel")
    assert r.status == 202, r
    assert box.wait(job)["state"] == "cancelled"
    assert eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids)), pids
    for method, to in (("POST", "/cancel"), ("DELETE", "")):
        r = box.request(method, f"/v1/jobs/{job}{to}")
        assert (r.status, r.json["error"], r.json["job"]["state"]) == (409, "job_ended", "cancelled"), r
    r = box.request("GET", f"/v1/jobs/{job}/result")
    assert (r.status, r.json["error"]) == (409, "cancelled"), r


def b5_cancel_while_it_ends():
    for i in range(20):
        job = box.job("sh", script(f"sleep 0.0{i % 5}; echo x"))
        results, threads = [], []
        for _ in range(4):
            t = threading.Thread(target=lambda: results.append(
                box.request("DELETE", f"/v1/jobs/{job}").status))
            t.start()
            threads.append(t)
        for t in threads:
            t.join()
        assert len(results) == 4 and set(results) <= {200, 202, 409}, results
        end = box.wait(job)
        assert end["state"] in ("succeeded", "cancelled"), end
        time.sleep(0.02)
        assert box.request("GET", f"/v1/jobs/{job}").json == end, "one end"
        assert len([e for e in lab.events(0) if e.get("unmapped", {}).get("job") == job]) == 1


def b5_idempotency():
    path = os.path.join(lab.dir, "once")
    call = script(f"echo x >> {path}; sleep 0.3; cat {path}")
    streams = [box.open() for _ in range(3)]
    for s in streams:
        s.send("POST", "/v1/tools/sh", call, idempotency_key="k1")
    answers = [s.receive() for s in streams]
    assert [a.json for a in answers] == [{"output": "x\n"}] * 3, answers
    assert len({a.headers["cove-job"] for a in answers}) == 1
    r = box.request("POST", "/v1/tools/sh", '{  "script": ' + json.dumps(call["script"]) + "}",
                    idempotency_key="k1")
    assert r.json == {"output": "x\n"}, "the same call, though written in another way"
    r = box.call("sh", call, idempotency_key="k1", prefer="respond-async")
    assert r.status == 202 and r.json["state"] == "succeeded", r
    r = box.call("sh", script("echo y"), idempotency_key="k1")
    assert (r.status, r.json["error"]) == (409, "idempotency_conflict"), r
    r = box.call("one", call, idempotency_key="k1")
    assert r.status == 409, r
    r = other.call("sh", call, idempotency_key="k1")
    assert r.json == {"output": "x\nx\n"}, "another sandbox's key is another key"
    assert box.call("sh", call, idempotency_key="k" * 300).status == 400


def lost_client_finds_its_result():
    stream = box.open()
    stream.send("POST", "/v1/tools/sh", script("sleep 0.5; echo found"), idempotency_key="lost")
    time.sleep(0.2)
    stream.close()
    r = box.call("sh", script("sleep 0.5; echo found"), idempotency_key="lost")
    assert (r.status, r.json) == (200, {"output": "found\n"}), r


def a_proxy_started_anew():
    job = box.job("sh", script("sleep 0.5; echo kept"))
    stream = box.open()
    stream.send("GET", f"/v1/jobs/{job}/events")
    box.link.close()
    time.sleep(0.1)
    box.relink()
    assert box.wait(job)["state"] == "succeeded"
    assert box.request("GET", f"/v1/jobs/{job}/result").json == {"output": "kept\n"}
    stream.head()
    assert list(stream.events())[-1][1] == "end", "streams that were handed over go on"


def b3_anothers_job():
    job = box.job("sh", script("sleep 1000"))
    for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/log"), ("GET", "/result"),
                         ("POST", "/cancel"), ("DELETE", "")):
        r = other.request(method, f"/v1/jobs/{job}{path}")
        assert (r.status, r.json["error"]) == (404, "unknown_job"), (method, path, r)
        for guess in (job[:-1], job + "0", "../" + job, "%2e%2e/x", "0" * 32, ""):
            assert other.request(method, f"/v1/jobs/{guess}{path}").status in (400, 404, 405, 200)
    assert job not in [j["id"] for j in other.request("GET", "/v1/jobs").json["jobs"]]
    assert box.request("GET", f"/v1/jobs/{job}").json["state"] == "running"
    box.request("DELETE", f"/v1/jobs/{job}")


def methods_and_paths():
    job = box.job("sh", script("echo x"))
    for method, path, allow in (("POST", "", "GET, DELETE"), ("POST", "/events", "GET"),
                                ("DELETE", "/log", "GET"), ("GET", "/cancel", "POST")):
        r = box.request(method, f"/v1/jobs/{job}{path}")
        assert (r.status, r.headers["allow"]) == (405, allow), r
    assert box.request("POST", "/v1/jobs").status == 405
    assert box.request("GET", f"/v1/jobs/{job}/nothing").status == 404
    for path in ("", "/events", "/log", "/result"):
        r = box.request("HEAD", f"/v1/jobs/{job}{path}")
        assert r.status in (200, 202) and not r.body, (path, r)


def a_busy_tool_queues_jobs_and_refuses_calls():
    path = os.path.join(lab.dir, "order")
    jobs = [box.job("one", script(f"echo {i} >> {path}; sleep 0.1")) for i in range(6)]
    states = [box.request("GET", f"/v1/jobs/{j}").json["state"] for j in jobs]
    assert states.count("running") <= 1 and states[-1] == "queued", states
    r = box.call("one", script("echo x"))
    assert (r.status, r.json["error"], r.json["limit"]) == (429, "too_many_at_once", 1), r
    assert r.headers["retry-after"] == "1"
    r = box.request("DELETE", f"/v1/jobs/{jobs[4]}")
    assert r.status == 200 and r.json["state"] == "cancelled", r
    assert [box.wait(j)["state"] for j in jobs] == ["succeeded"] * 4 + ["cancelled", "succeeded"]
    assert open(path).read().split() == ["0", "1", "2", "3", "5"], "in their order"


def limits_of_the_policy():
    limited = Sandbox(lab, "limited", LIMITED)
    r = limited.call("sh", script("echo 0123456789abc"))
    assert r.json == {"output": "0123456789", "truncated": True, "bytes": 14}, r
    start = time.monotonic()
    r = limited.call("sh", script("sleep 1000"))
    assert (r.status, r.json["seconds"]) == (504, 2) and time.monotonic() - start < 6.5, r
    streams = [limited.open() for _ in range(2)]
    for s in streams:
        s.send("POST", "/v1/tools/sh", script("sleep 1.7"))
    time.sleep(0.5)
    r = limited.call("sh", script("echo x"))
    assert (r.status, r.json["limit"]) == (429, 2), r
    assert [s.receive().status for s in streams] == [200, 200]
    job = limited.job("sh", script("sleep 1000"))
    end = limited.wait(job)
    assert (end["state"], end["error"]) == ("timed_out", "tool_timeout"), end
    limited.end()


def a_sandbox_that_ends():
    ending = Sandbox(lab, "ending")
    before = lab.shepherds()
    ending.job("sh", script("exec sleep 1000"))
    stream = ending.open()
    stream.send("POST", "/v1/tools/sh", script("sleep 1000"))
    assert eventually(lambda: len(lab.shepherds() - before) == 4)
    pids = lab.shepherds() - before
    ending.end()
    lab.wait_ended("ending")
    assert eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids))
    again = Sandbox(lab, "ending")
    assert again.request("GET", "/v1/jobs").json == {"jobs": []}, "nothing of it is left"
    again.end()


def many_jobs():
    crowd = Sandbox(lab, "crowd")
    start = time.monotonic()
    jobs = [crowd.job("sh", script("sleep 1000")) for _ in range(150)]
    states = [j["state"] for j in crowd.request("GET", "/v1/jobs").json["jobs"]]
    assert states.count("running") == 100 and states.count("queued") == 50, states
    print(f"# 150 jobs in {time.monotonic() - start:.1f} s", flush=True)
    with open(f"/proc/{lab.process.pid}/status") as f:
        now = next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))
    print(f"# broker {now} KiB", flush=True)
    crowd.end()
    lab.wait_ended("crowd")
    assert eventually(lambda: not lab.shepherds(), 10)
    assert jobs


def a_broker_started_anew():
    own = Lab(CATALOG)
    one = Sandbox(own, "one")
    done = one.job("sh", script("echo note >&2; echo kept"), idempotency_key="k")
    one.wait(done)
    lost = one.job("sh", script("sleep 1000"))
    own.kill()
    again = Lab(CATALOG, state=own.state)
    two = Sandbox(again, "two")
    assert two.request("GET", "/v1/jobs").json == {"jobs": []}
    one = Sandbox(again, "one")
    jobs = {j["id"]: j for j in one.request("GET", "/v1/jobs").json["jobs"]}
    assert set(jobs) == {done, lost}, jobs
    assert jobs[done]["state"] == "succeeded"
    assert (jobs[lost]["state"], jobs[lost]["error"]) == ("failed", "backend_failed"), jobs
    assert one.request("GET", f"/v1/jobs/{done}/result").json == {"output": "kept\n", "stderr": "note\n"}
    assert one.request("GET", f"/v1/jobs/{done}/log").body == b"note\n"
    assert one.request("GET", f"/v1/jobs/{lost}/result").status == 502
    r = one.call("sh", script("echo note >&2; echo kept"), idempotency_key="k")
    assert r.headers["cove-job"] == done, "and its keys"
    again.close()


TESTS = [submit_poll_fetch, wait_is_bounded, prefer_wait, a_plain_call_becomes_a_job_after_ten_seconds,
         events_from_the_beginning, events_go_on_where_they_were_lost, log_by_offset,
         b5_a_log_without_end, slow_readers_make_nothing_pile_up, cancel_kills_all_of_it,
         b5_cancel_while_it_ends, b5_idempotency, lost_client_finds_its_result, a_proxy_started_anew,
         b3_anothers_job, methods_and_paths, a_busy_tool_queues_jobs_and_refuses_calls,
         limits_of_the_policy, a_sandbox_that_ends, many_jobs, a_broker_started_anew]
assert ENDS
sys.exit(Tap().run(TESTS))
