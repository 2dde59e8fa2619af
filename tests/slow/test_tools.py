#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Host tools, from curl in a sandbox to a program of the host and back.

Goal: a run with --tools has a route that finds tools, calls them and says what may be called instead
of what may not; its token is worth nothing elsewhere, and nobody else's is worth anything here; what
is killed is started again, and nothing stays behind.  Method: the real `cove run`, real curl, real
commands.
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

CATALOG = """\
version: 1
tools:
  echo:
    description: Says what it is told.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
  issues.close:
    description: Closes an issue.
    input: {properties: {repo: {type: string}, number: {type: integer}}, required: [repo, number]}
    command: {argv: [/bin/echo, closed, "{repo}", "{number}"]}
    route: POST /issues/{number}/close
  slow:
    description: Sleeps.
    input: {properties: {seconds: {type: integer}}, required: [seconds]}
    command: {argv: [/bin/sleep, "{seconds}"]}
    limits: {seconds: 300, concurrency: 8}
  environment:
    description: Shows what tools are given.
    command: {argv: [/usr/bin/env]}
"""
DAEMONS = CATALOG + """\
  daemons:
    description: Leaves daemons behind, which no cell ends.
    input: {properties: {mark: {type: string}}, required: [mark]}
    command:
      argv: [/bin/sh, -c, "trap '' TERM; (setsid sh -c '(setsid sleep $0 &); exec sleep $0' $0 &); sleep $0", "{mark}"]
      private: false
"""
POLICY = """\
version: 1
network_policies:
  plain: {endpoints: [{host: plain.test, port: 80}], binaries: [{path: "/usr/**"}]}
  api:
    endpoints: [{host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}]
    binaries: [{path: "/usr/**"}]
tools:
  free: {tools: [echo, slow, environment]}
  issues: {tools: [issues.close], arguments: [{path: $.repo, equals: acme/app}]}
"""
tap = world.Tap()
w = world.World(["api.test"])
api = world.Server(world.PRIVATE, 443, w.pki)
plain = world.Server(world.PRIVATE, 80)
policy, tools = w.policy(POLICY), w.policy(CATALOG, "tools.yaml")
daemons = (w.policy(POLICY + "  more: {tools: [daemons]}\n", "daemons-policy.yaml"), w.policy(DAEMONS, "daemons.yaml"))
pins = [f"api.test:443:{world.PRIVATE}", f"plain.test:80:{world.PRIVATE}"]
runtime = os.path.join(w.dir, "runtime")
os.mkdir(runtime, 0o700)
ENV = {**os.environ, "XDG_RUNTIME_DIR": runtime}
HEAD = ("A=\"Authorization: Bearer $COVE_TOOLS_TOKEN\"; J='Content-Type: application/json'; "
        "U=$COVE_TOOLS_URL; call() { curl -sS -m 100 -H \"$A\" -H \"$J\" \"$U/v1/tools/$1\" -d \"$2\" "
        "-w ' %{http_code}\\n'; }\n")


def cove(script, with_tools=True, with_policy=True, **kw):
    options = ["--tools", tools] if with_tools else []
    return w.cove(["/bin/sh", "-c", HEAD + script], policy=policy if with_policy else None, pins=pins,
                  options=options, env=ENV, **kw)


def said(script, *want, **kw):
    """The script's output has each of these texts; returns it."""
    r = cove(script, **kw)
    for text in want:
        assert text in r.stdout, (text, r.stdout, r.stderr)
    return r.stdout


def denials():
    return [e for e in w.events() if e.get("action_id") == 2]


def calls():
    """Events of the broker: one for each call that reached it."""
    return [e for e in w.events() if e["class_name"] == "API Activity"]


def left_behind():
    return os.listdir(runtime)


def children(pid, name):
    found = []
    for p in subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True,
                            text=True, check=False).stdout.splitlines():
        if name in p:
            found.append(int(p.split()[0]))
    return found


class Running:
    """A run that stays, with its supervisor's pid."""

    def __init__(self, script, with_tools=True, files=(policy, tools)):
        cmd = [world.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--policy", files[0]]
        cmd += ["--tools", files[1]] if with_tools else []
        self.process = subprocess.Popen([*cmd, "--", "/bin/sh", "-c", HEAD + script], env=ENV, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid

    def line(self):
        return self.process.stdout.readline().strip()

    def end(self, timeout=60):
        return self.process.communicate(timeout=timeout)


def wait_until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def discovery():
    said("curl -sS $U/healthz; curl -sS $U/tools.json; curl -sS $U/", '{"status":"ok"}', '"name":"echo"',
         '"endpoint":')


def a_call():
    out = said("call echo '{\"text\":\"hello there\"}'", "hello there", " 200")
    assert json.loads(out.rsplit(" ", 1)[0])["output"] == "hello there\n", out
    assert len(calls()) == 1, calls()
    assert calls()[0]["action"] == "Allowed"
    posts = [e for e in w.events() if e["class_name"] != "API Activity" and "POST" in json.dumps(e)]
    assert not posts, posts


def own_route_and_without_proxy_variables():
    said("unset http_proxy HTTP_PROXY ALL_PROXY all_proxy; curl -sS -H \"$A\" -H \"$J\" "
         "http://host.cove.internal/issues/7/close -d '{\"repo\":\"acme/app\"}'", "closed acme/app 7")


def denied():
    out = said("call issues.close '{\"repo\":\"acme/other\",\"number\":1}'", " 403", "policy_denied")
    body = json.loads(out.rsplit(" ", 1)[0])
    allowed = {row["name"]: row["conditions"] for row in body["allowed"]}
    assert sorted(allowed) == ["echo", "environment", "issues.close", "slow"], allowed
    assert "acme/app" in allowed["issues.close"][0], allowed
    assert len(denials()) == 1 and not calls(), w.events()


def mcp_denied():
    out = said("curl -sS -H \"$A\" -H \"$J\" -H 'Accept: application/json, text/event-stream' $U/mcp -d "
               "'{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":"
               "\"issues.close\",\"arguments\":{\"repo\":\"x\",\"number\":1}}}'", '"id":9')
    assert json.loads(out)["error"]["data"]["error"] == "policy_denied", out
    assert not calls() and len(denials()) == 1, w.events()


def b1_tokens():
    said("curl -sS -H \"$J\" $U/v1/tools/echo -d '{\"text\":\"a\"}' -w ' %{http_code}'", "token_missing", "401")
    for token in ("x", "cvt_" + "0" * 64, "$COVE_TOOLS_TOKEN$COVE_TOOLS_TOKEN"):
        out = cove(f"curl -sS -H \"$J\" -H \"Authorization: Bearer {token}\" $U/v1/tools/echo "
                   "-d '{\"text\":\"a\"}' -w ' %{http_code}'").stdout
        assert out.endswith(("401", "403")) and "output" not in out, (token, out)
        assert len(denials()) == 1, w.events()


def b1_token_of_another_sandbox():
    one = Running("echo $COVE_TOOLS_TOKEN; sleep 20")
    try:
        other = one.line()
        assert other.startswith("cvt_"), other
        said(f"curl -sS -H \"$J\" -H 'Authorization: Bearer {other}' $U/v1/tools/echo -d "
             "'{\"text\":\"a\"}' -w ' %{http_code}'", "token_invalid", "401")
    finally:
        one.process.send_signal(signal.SIGTERM)
        one.end()


def c1_token_elsewhere():
    before = len(api.seen) + len(plain.seen)
    for url in ("https://api.test/", "http://plain.test/"):
        said(f"curl -sS -o /dev/null -w '%{{http_code}}' -H \"$A\" {url}", "403")
        said(f"curl -sS -o /dev/null -w '%{{http_code}}' {url} -d t=$COVE_TOOLS_TOKEN", "403")
    said("curl -sS \"$U/healthz?token=$COVE_TOOLS_TOKEN\"", "credential_endpoint_mismatch")
    said("call echo \"{\\\"text\\\":\\\"$COVE_TOOLS_TOKEN\\\"}\"", "403")
    assert len(api.seen) + len(plain.seen) == before
    said("curl -sS -o /dev/null -w '%{http_code}' https://api.test/", "200")


def the_token_is_nowhere():
    out = said("call echo '{\"text\":\"a\"}'; env; cat /proc/self/environ | tr '\\0' '\\n'; "
               "call environment '{}'", "COVE_TOOLS_TOKEN=cvt_")
    shown = [line for line in out.splitlines() if "cvt_" in line]
    assert len({line.split("cvt_")[1][:64] for line in shown}) == 1, shown


def places_refused():
    said("curl -sSk https://tools.local/ -w '%{http_connect}' || true", "400")
    said("curl -sS http://tools.local:8080/", "invalid_tools_address")
    said("curl -sS --noproxy '*' http://tools.local:8080/", "invalid_tools_address")


def body_limits():
    said("head -c 1100000 /dev/zero | tr '\\0' x > /tmp/b; curl -sS -H \"$A\" -H \"$J\" "
         "$U/v1/tools/echo --data-binary @/tmp/b -w ' %{http_code}'", "body_too_large", "1048576", "413")
    said("call nothing '{}'", "unknown_tool", '"known":["echo"', "404")
    said("call echo '{\"text\":1}'", "invalid_arguments", '"pointer":"/text"', "400")


def keep_alive():
    out = said("curl -sS -H \"$A\" -H \"$J\" -d '{\"text\":\"a\"}' $U/v1/tools/echo $U/v1/tools/echo "
               "$U/v1/tools/echo -w '%{num_connects}\\n'")
    assert out.split() and sum(int(line[-1]) for line in out.splitlines() if line[-1:].isdigit()) == 1, out
    assert len(calls()) == 3


def without_tools():
    said("curl -sS http://tools.local/", "no_tools", with_tools=False)
    said("curl -sS http://tools.local/", "no_tools", with_tools=False, with_policy=False)
    r = Running("echo up; sleep 5", with_tools=False)
    assert r.line() == "up"
    assert children(r.pid, "cove-proxy") and not children(r.pid, "cove-broker")
    r.process.kill()
    r.end()


def without_policy():
    r = w.cove(["/bin/sh", "-c", HEAD + "call echo '{\"text\":\"a\"}'"], options=["--tools", tools], env=ENV,
               quiet=False)
    assert "policy_denied" in r.stdout and '"allowed":[]' in r.stdout, (r.stdout, r.stderr)
    assert "tools: [echo, environment, issues.close, slow]" in r.stderr, r.stderr


def the_summary():
    r = cove("call echo '{\"text\":\"a\"}'; call echo '{\"text\":\"b\"}'; call nothing '{}'", quiet=False)
    assert "host tools: 2 calls\n" in r.stderr, r.stderr


def the_skill_file():
    out = said("cat $COVE_TOOLS_SKILL; ls -l $COVE_TOOLS_SKILL; echo x >> $COVE_TOOLS_SKILL || echo sealed",
               "echo", "issues.close", "sealed")
    assert "/bin/echo" not in out, out


def a_bad_catalog():
    bad = w.policy(CATALOG.replace("argv: [/bin/sleep", "argvs: [/bin/sleep"), "bad.yaml")
    r = w.cove(["/bin/echo", "ran"], policy=policy, options=["--tools", bad], env=ENV)
    assert r.returncode == 2 and "ran" not in r.stdout, r
    assert "bad.yaml:15:" in r.stderr and "argv" in r.stderr, r.stderr
    r = w.cove(["/bin/echo", "ran"], policy=policy, options=["--tools", tools, "--tools", tools], env=ENV)
    assert r.returncode == 2 and "echo" in r.stderr, r.stderr
    r = w.cove(["/bin/echo", "ran"], policy=policy, options=["--tools", w.dir + "/none.yaml"], env=ENV)
    assert r.returncode != 0 and "none.yaml" in r.stderr and "ran" not in r.stdout, r.stderr


def a_dry_run():
    r = w.cove(["/bin/true"], policy=policy, options=["--tools", tools, "--dry-run"], env=ENV)
    assert "tool issues.close allowed where $.repo" in r.stdout and "cvt_" in r.stdout, r.stdout
    r = w.cove(["/bin/true"], policy=policy, options=["--tools", tools, "--dry-run", "-o", "json"], env=ENV)
    plan = json.loads(r.stdout)
    assert plan["tools_files"] == [tools], plan
    assert {"name": "slow", "asks": "allowed"} in plan["tools"], plan["tools"]
    assert not left_behind()


def reload():
    path, audit = w.policy(POLICY, "changing.yaml"), w.policy("", "reload.jsonl")
    cmd = [world.COVE, "run", "-q", "--workdir", w.work, "--policy", path, "--audit", audit, "--tools", tools, "--",
           "/bin/sh", "-c", HEAD + "call echo '{\"text\":\"a\"}'; echo go; read x; call echo '{\"text\":\"a\"}'; "
                        "curl -sS $U/tools.json"]
    p = subprocess.Popen(cmd, env=ENV, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    while (line := p.stdout.readline().strip()) != "go":
        assert line, p.communicate()
    w.policy(POLICY.replace("[echo, slow, environment]", "[slow]"), "changing.yaml")
    wait_until(lambda: "Policy reloaded" in open(audit, encoding="utf-8").read())
    time.sleep(0.8)  # the broker has it, too
    out, err = p.communicate("\n", timeout=30)
    assert "policy_denied" in out and '"name":"slow"' in out and '"name":"echo"' not in out, (out, err)


def a_quiet_call():
    out = said("call slow '{\"seconds\":40}'", " 200", timeout=90)
    assert "output" in out, out


def sleeps(mark):
    return subprocess.run(["pgrep", "-f", f"^(/bin/)?sleep {mark}$"], capture_output=True, check=False).returncode == 0


def kill_the_broker():
    mark = str(1000000 + os.getpid())  # of seconds that nobody else sleeps
    r = Running(f"echo up; call slow '{{\"seconds\":{mark}}}'; sleep 1; call echo '{{\"text\":\"again\"}}'")
    assert r.line() == "up"
    wait_until(lambda: sleeps(mark))
    os.kill(children(r.pid, "cove-broker")[0], signal.SIGKILL)
    out, err = r.end()
    assert "broker_unavailable" in out and " 503" in out and "again" in out, (out, err)
    wait_until(lambda: not sleeps(mark))
    assert "the broker of host tools died" in err, err


def kill_the_broker_and_its_shepherds():
    """In one instant, and no cell that ends with them: who their tools' daemons go to is the supervisor."""
    for i in range(8):
        mark = str(3000000 + 10 * os.getpid() + i)
        r = Running(f"echo up; call daemons '{{\"mark\":\"{mark}\"}}'; call echo '{{\"text\":\"again\"}}'",
                    files=daemons)
        assert r.line() == "up"
        wait_until(lambda: count_of(mark) >= (3 if i % 2 else 1))
        broker = children(r.pid, "cove-broker")[0]
        os.kill(broker, signal.SIGSTOP)  # first: a child that ends is not reaped any more, and keeps its number
        doomed = children(broker, "")
        for pid in doomed:
            os.kill(pid, signal.SIGSTOP)
        os.kill(broker, signal.SIGKILL)
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):  # one that its broker's death has ended
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not sleeps(mark))
        out, err = r.end()
        assert "again" in out and "the broker of host tools died" in err, (out, err)


def count_of(mark):
    return len(subprocess.run(["pgrep", "-f", f"^s(h|leep) .*{mark}|^/bin/sleep {mark}$|^sleep {mark}$"],
                              capture_output=True, check=False).stdout.split())


def kill_the_proxy():
    r = Running("echo up; sleep 1.5; call echo '{\"text\":\"again\"}'")
    assert r.line() == "up"
    os.kill(children(r.pid, "cove-proxy")[0], signal.SIGKILL)
    out, err = r.end()
    assert "again" in out, (out, err)


def kill_the_supervisor():
    mark = str(2000000 + os.getpid())
    r = Running(f"echo up; call slow '{{\"seconds\":{mark}}}'")
    assert r.line() == "up"
    wait_until(lambda: sleeps(mark))
    broker = children(r.pid, "cove-broker")[0]
    assert len(left_behind()) == 1
    os.kill(r.pid, signal.SIGKILL)
    wait_until(lambda: not left_behind())
    wait_until(lambda: is_gone(broker))
    assert not sleeps(mark)
    r.process.wait()


def is_gone(pid):
    """Also one that nobody has waited for yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def nothing_is_left():
    assert not left_behind(), left_behind()


tap.check("discovery needs no token", discovery)
tap.check("a call: its output, one event", a_call)
tap.check("a tool's own route, the other name, no proxy variables", own_route_and_without_proxy_variables)
tap.check("a denial names what is allowed; one event, and the broker hears nothing", denied)
tap.check("T16 MCP: a denied tools/call never reaches the broker", mcp_denied)
tap.check("B1 no token, a wrong one, two: refused with one event", b1_tokens)
tap.check("B1 another sandbox's token is nobody's here", b1_token_of_another_sandbox)
tap.check("C1 the token goes to the route and nowhere else", c1_token_elsewhere)
tap.check("the token's value is in no environment", the_token_is_nowhere)
tap.check("https and other ports are refused in words", places_refused)
tap.check("bodies, names and arguments that are wrong", body_limits)
tap.check("keep-alive", keep_alive)
tap.check("without --tools: reserved, disabled, and no broker", without_tools)
tap.check("without a policy nothing may be called, and cove says what would allow it", without_policy)
tap.check("the skill file", the_skill_file)
tap.check("a catalog that is wrong starts nothing", a_bad_catalog)
tap.check("a dry run shows the tools", a_dry_run)
tap.check("a policy that changes decides the next call and the lists", reload)
tap.check("the run's summary counts calls", the_summary)
tap.check("a broker that is killed during a call", kill_the_broker)
tap.check("a broker that is killed with its shepherds, and tools that are in no cell", kill_the_broker_and_its_shepherds)
tap.check("a proxy that is killed", kill_the_proxy)
tap.check("a supervisor that is killed leaves nothing", kill_the_supervisor)
tap.check("40 seconds without a byte", a_quiet_call)
tap.check("nothing is left behind", nothing_is_left)
w.close()
tap.done()
