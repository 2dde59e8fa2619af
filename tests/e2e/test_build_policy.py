#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The policy of a container build is the sandbox's: as it is now, and without its credentials.

Goal: what a new policy refuses is refused to a build that runs, and its log says so.  Method: RUN steps
that fetch in a loop from a server that sees them, and a policy file that changes meanwhile.
"""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import buildlab  # noqa: E402
import world  # noqa: E402

CATALOG = f"""\
version: 1
tools:
  build_container:
    description: Builds a container image of files of the sandbox.
    build: {{engine: {buildlab.ENGINE}}}
    limits: {{seconds: 60}}
"""
TOOLS = "tools:\n  all: {tools: [\"*\"]}\n"


def policy_of(*hosts):
    """Allows the engine these, on port 80."""
    rules = "".join(f"""\
  {host.partition(".")[0]}:
    endpoints: [{{host: {host}, port: 80, allowed_ips: [{world.PRIVATE}/32]}}]
    binaries: [{{path: /usr/bin/{buildlab.ENGINE}}}]
""" for host in hosts)
    return "version: 1\n" + ("network_policies:\n" + rules if rules else "") + TOOLS


tap = world.Tap()
buildlab.needed(tap)
w = world.World(["bound.test"])
server = world.Server(world.PRIVATE, 80)
lab = buildlab.Builds(w, CATALOG, policy_of("one.test", "two.test"),
                      [f"{h}.test:80:{world.PRIVATE}" for h in ("one", "two", "bound")])
LOOP = buildlab.BUSYBOX + ('RUN ["/bin/busybox", "sh", "-c", "n=0; while [ $n -lt COUNT ]; do n=$((n+1)); '
                           '/bin/busybox wget -q -O /got http://one.test/loop || { echo REFUSED after $n; break; }; '
                           '/bin/busybox sleep 0.2; done; /bin/busybox sleep 1; '
                           '/bin/busybox wget -q -O /got http://two.test/last && echo SECOND || echo NOT SECOND"]\n')


def policy_set(text):
    with open(lab.policy + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(lab.policy + ".new", lab.policy)


def seen(path):
    return sum(r["path"] == path for r in server.seen)


def changed_while_it_loops(text, count=200):
    """Builds; the policy is another when the server was asked a few times."""
    policy_set(policy_of("one.test", "two.test"))
    server.seen.clear()
    lab.context(LOOP.replace("COUNT", str(count)))
    answers = []
    t = threading.Thread(target=lambda: answers.append(lab.build()))
    t.start()
    end = time.monotonic() + 60
    while seen("/loop") < 3 and t.is_alive():
        assert time.monotonic() < end, "it never began"
        time.sleep(0.05)
    policy_set(text)
    t.join()
    assert answers, "the build gave no answer"
    return answers[0]


def b4_refused_from_then_on():
    answer = changed_while_it_loops(policy_of("two.test"))
    log = answer["stderr"]
    assert "REFUSED after" in log and answer["output"]["status"] == "success", answer
    assert "Policy reloaded" in log and "DENIED" in log.partition("Policy reloaded")[2], log
    assert "\nSECOND" in log and seen("/last") == 1 and 3 <= seen("/loop") < 200, (log, len(server.seen))
    told = [e["message"] for e in w.events() if e.get("message", "").startswith("build ")]
    assert any("one.test" in m and "DENIED" in m for m in told), told


def b4_all_refused_from_then_on():
    answer = changed_while_it_loops(policy_of())
    log = answer["stderr"]
    assert "REFUSED after" in log and "\nNOT SECOND" in log and not seen("/last"), (log, answer)


def an_invalid_policy_changes_nothing():
    answer = changed_while_it_loops("version: 1\nnetwork_policies: 7\n", count=15)
    log = answer["stderr"]
    assert "\nSECOND" in log and "\nREFUSED" not in log and seen("/loop") == 15, answer


def c1_bound_credentials_are_not_in_a_build():
    """Endpoints that credentials are bound to are reached without them."""
    os.environ["CV_BOUND"] = lab.env["CV_BOUND"] = "bound-value-8812"
    provider = w.policy("name: mine\nprofile: generic\ncredentials: {BOUND: {env: CV_BOUND}}\n", "provider.yaml")
    os.chmod(provider, 0o600)
    policy = w.policy(policy_of("one.test").replace("network_policies:\n", f"""\
network_policies:
  bound:
    endpoints:
      - {{host: bound.test, port: 80, protocol: rest, enforcement: enforce, access: full,
         allowed_ips: [{world.PRIVATE}/32], request_body_credential_rewrite: true,
         credential_binding: {{provider: mine}}}}
    binaries: [{{path: "/**"}}]
"""), "bound.yaml")
    server.seen.clear()
    lab.context(buildlab.BUSYBOX + 'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox env; '
                '/bin/busybox wget -q -O /got http://bound.test/x && echo REACHED"]\n')
    r = lab.w.cove(["/bin/sh", "-c", buildlab.HEAD + "call build_container '{\"tag\":\"a\",\"context_dir\":\"ctx\"}'"],
                   policy=policy, pins=lab.pins, options=["--tools", lab.tools, "--provider", provider], env=lab.env)
    answer = json.loads(r.stdout)
    assert "\nREACHED" in answer["stderr"] and "BOUND" not in answer["stderr"], (r.stdout, r.stderr)
    assert seen("/x") == 1 and "bound-value" not in json.dumps(answer), answer


def nothing_is_left():
    assert not os.listdir(lab.state), os.listdir(lab.state)


try:
    tap.check("B4 what a new policy refuses is refused to a build that runs, and its log names it",
              b4_refused_from_then_on)
    tap.check("B4 a new policy without network", b4_all_refused_from_then_on)
    tap.check("a policy that is none changes nothing", an_invalid_policy_changes_nothing)
    tap.check("C1 a policy that binds credentials: builds have its hosts, and not these",
              c1_bound_credentials_are_not_in_a_build)
    tap.check("nothing is left behind", nothing_is_left)
finally:
    w.close()
tap.done()
