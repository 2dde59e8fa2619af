#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: quotas by the command line: what is taken, who waits, and waiting itself.
Method: the client against a real cove-gateway and real sandboxes."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
CONFIG = {"quotas": {"host": {"sandboxes": 1, "memory": "4Gi"}, "workspaces": {"default": {"cpu": "3500m"}}}}
g = gatewaylab.Gateway(tls=False, config=CONFIG)
c = clientlab.Client(g)


def create(name, *words, **kw):
    return c("sandbox", "create", "--name", name, "--detach", *words, "--", "sleep", "1000", **kw)


def a_refusal_says_what_is_short():
    create("a")
    said = create("b", status=1).stderr
    assert said == ("Error: the host is short of sandboxes: 1 of 1 are used, and the sandbox asks for 1; "
                    "delete one, or ask to wait (x-cove-queue, --queue)\n"), said
    assert "invalid duration" in create("b", "--queue", "soon", status=2).stderr
    assert "is at most 3600s here" in create("b", "--queue", "2h", status=1).stderr


def waiting_is_shown_and_ends():
    b = c.start("sandbox", "create", "--name", "b", "--detach", "--queue", "2m", "--", "sleep", "1000",
                env={"OPENSHELL_PROVISION_TIMEOUT": "1"})
    end = time.monotonic() + 20
    while json.loads(c("quota", "-o", "json").stdout)["host"]["queued"] != 1 and time.monotonic() < end:
        time.sleep(0.05)
    text = c("quota").stdout
    assert text.splitlines()[0].split() == ["OF", "RESOURCE", "USED", "QUOTA"], text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    for row in ("host sandboxes 1 1", "host memory 1Gi 4Gi", "host cpu 1 unlimited",
                "workspace default sandboxes 1 unlimited", "workspace default cpu 1 3500m",
                "1 of at most 256 wait for room; at most 256 of one workspace."):
        assert row in rows, (row, text)
    assert rows[-1].startswith("1 default b 20") and "the host is short of sandboxes" in rows[-1], rows[-1]
    v = json.loads(c("quota", "-o", "json", "--all-workspaces").stdout)
    assert list(v) == ["host", "workspaces", "queue", "queue_length", "workspace_queue_length"], v
    assert v["host"]["memory"] == {"used": 1 << 30, "quota": 4 << 30}, v
    assert v["workspaces"][0]["workspace"] == "default"
    assert v["workspaces"][0]["cpu"] == {"used": 1000, "quota": 3500}
    assert v["workspaces"][0]["memory"]["quota"] is None
    assert [(q["name"], q["place"]) for q in v["queue"]] == [("b", 1)]
    assert "quota: 4294967296" in c("quota", "-o", "yaml").stdout
    time.sleep(1.2)  # the patience with a sandbox that is built is not that with one that waits
    assert b.poll() is None
    c("sandbox", "delete", "a")
    out, err = b.communicate(timeout=30)
    assert b.returncode == 0 and out.decode() == "Created sandbox: b\n", (out, err)
    assert "s] Place 1 of 1 in the queue, until 20" in err.decode() and "s] Sandbox ready" in err.decode(), err


def status_and_top_say_what_is_limited():
    text = c("status").stdout
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "Quota, host: 1 of 1 sandboxes, 1Gi of 4Gi memory" in rows, text
    assert "Quota, default: 1 of 3.5 cpu" in rows or "Quota, default: 1 of 3500m cpu" in rows, text
    v = json.loads(c("status", "-o", "json").stdout)
    assert v["quota"]["host"] == "1 of 1 sandboxes, 1Gi of 4Gi memory", v
    said = "host: 1 of 1 sandboxes, 1Gi of 4Gi memory  default: 1 of 3"
    assert ("QUOTA  " + said) in c("top", "--once").stdout
    assert json.loads(c("top", "-o", "json").stdout)["quota"].startswith(said)
    g.write_config({})
    g.hup()
    assert "Quota" not in c("status").stdout and "QUOTA" not in c("top", "--once").stdout
    assert "quota" not in json.loads(c("top", "-o", "json").stdout)
    g.write_config(CONFIG)
    g.hup()


def a_time_that_is_over_is_a_failure():
    said = create("late", "--queue", "1s", status=1).stderr
    assert ("Error: sandbox entered error phase while provisioning: AdmissionTimedOut: There was no room within "
            "1 s: the host is short of sandboxes") in said, said
    c("sandbox", "delete", "late")


def one_that_waits_may_be_stopped_or_deleted():
    for what, said in (("stop", "stopped"), ("delete", "deleted")):
        w = c.start("sandbox", "create", "--name", "w", "--detach", "--queue", "2m", "--", "sleep", "1000")
        gatewaylab.until(lambda: "Place 1 of 1 in the queue" in c("sandbox", "get", "w", status=None).stdout)
        assert "  Admitted: Place 1 of 1 in the queue, until 20" in c("sandbox", "get", "w").stdout
        c("sandbox", what, "w")
        err = w.communicate(timeout=20)[1].decode()
        assert w.returncode == 1 and err.endswith(f"Error: the sandbox was {said} before it was ready\n"), err
        c("sandbox", "delete", "w", status=None)


def starting_waits_too():
    g.write_config({"quotas": {"workspace": {"cpu": 1}}})
    g.hup()
    c("sandbox", "stop", "b")
    create("a")
    assert "is short of cpu" in c("sandbox", "start", "b", status=1).stderr
    b = c.start("sandbox", "start", "b", "--queue", "1m")
    end = time.monotonic() + 20
    while "Place 1 of 1" not in c("quota").stdout and time.monotonic() < end:
        if [q for q in json.loads(c("quota", "-o", "json").stdout)["queue"] if q["name"] == "b"]:
            break
        time.sleep(0.05)
    c("sandbox", "stop", "a")
    out, err = b.communicate(timeout=30)
    assert b.returncode == 0 and b"Started sandbox b" in out, (out, err)
    c("sandbox", "delete", "a", "b")


try:
    for f in (a_refusal_says_what_is_short, waiting_is_shown_and_ends, status_and_top_say_what_is_limited,
              a_time_that_is_over_is_a_failure, one_that_waits_may_be_stopped_or_deleted,
              starting_waits_too):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-20:]))
    g.close()
tap.done()
