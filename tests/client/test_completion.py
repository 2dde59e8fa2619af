#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the tab key in bash, zsh and fish: commands, flags, choices, and names that the gateway has; a name
is never more than a word to a shell.
Method: the shells themselves, interactive on a pseudo-terminal, with the script that the client prints."""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import look  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from shelllab import with_completion  # noqa: E402
import grpc  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway()
c = clientlab.Client(g)
pb, dm = g.pb, rpclab.module("datamodel_pb2")
bin_dir = os.path.join(g.directory, "bin")
os.makedirs(bin_dir)
os.symlink(clientlab.EXE, os.path.join(bin_dir, "cove"))
ENV = dict(c.env, PATH=bin_dir + ":" + os.environ["PATH"], TERM="dumb", PS1="> ", LC_ALL="C.UTF-8")


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def complete(*words):
    """What the client offers for the last word."""
    return [line.partition("\t")[0] for line in c("complete", "--", *words).stdout.splitlines()]


# ---- what is offered ----

def words_of_the_table():
    assert "sandbox" in complete("") and "gateway" in complete("") and "manual" not in complete("")
    assert "complete" not in complete("c")
    assert complete("sand") == ["sandbox"] and complete("sb", "ex") == ["exec"]
    assert set(complete("sandbox", "provider", "")) == {"list", "attach", "detach"}
    assert "--name" in complete("sandbox", "exec", "-") and "--gateway" in complete("sandbox", "exec", "-")
    assert complete("sandbox", "create", "--kee") == [], "hidden"
    assert complete("sandbox", "list", "-o", "") == ["table", "json", "yaml"]
    assert complete("sandbox", "list", "--output=j") == ["--output=json"]
    assert complete("sandbox", "list", "--output", "=", "y") == ["yaml"], "as bash cuts it"
    assert complete("sandbox", "list", "--output", "=") == ["table", "json", "yaml"]
    assert complete("completions", "") == ["bash", "fish", "powershell", "zsh"]
    assert complete("sandbox", "exec", "--", "") == [":files"] and complete("sandbox", "exec", "ls", "") == [":files"]
    assert complete("sandbox", "upload", "box-one", "") == [":files"]
    assert complete("policy", "set", "--policy", "x") == [":files"]
    assert complete("exec", "") == ["attach", "list", "kill"] and complete("exec", "ki") == ["kill"]
    assert "--signal" in complete("exec", "kill", "-") and complete("exec", "ls", "") == [":files"]
    assert complete("logs", "--source", "") == ["all", "gateway", "sandbox"]
    assert complete("logs", "--level", "w") == ["warn"]
    assert complete("rule", "get", "--status", "") == ["pending", "approved", "rejected"]
    assert "proposal_approval_mode" in complete("settings", "set", "--key", "")
    assert complete("settings", "delete", "--key", "prop") == ["proposal_approval_mode"]
    assert complete("gateway", "add", "--key", "") == [":files"]
    assert complete("nonsense", "x", "") and complete("status", "x", "") == []


def names_of_the_gateway():
    assert complete("sandbox", "get", "") == ["box-one", "box-two"]
    assert complete("sandbox", "get", "box-o") == ["box-one"]
    assert complete("sandbox", "exec", "-n", "box-t") == ["box-two"]
    assert complete("exec", "-n", "box-t") == ["box-two"] and complete("exec", "-n", "box-two", "") != []
    for word in ("attach", "kill", "list"):
        assert complete("exec", word, "box-o") == ["box-one"], word
    for word in ("attach", "kill"):
        assert complete("exec", word, "box-one", "") == [RUNNING], word
    assert complete("exec", "attach", "never-was", "") == [] and complete("exec", "list", "box-one", "") == []
    assert "anthropic" in complete("provider", "create", "--type", "")
    assert complete("provider", "profile", "export", "anthr") == ["anthropic"]
    assert complete("sandbox", "delete", "box-one", "") == ["box-one", "box-two"]
    assert complete("sandbox", "get", "box-one", "") == [], "it takes one"
    assert complete("sandbox", "provider", "attach", "box-one", "") == ["mine"]
    assert complete("provider", "get", "") == ["mine"] and complete("sandbox", "create", "--provider", "") == ["mine"]
    assert complete("-w", "d") == ["default"]
    assert set(complete("gateway", "select", "")) >= {"test"} and "test" in complete("-g", "")
    assert complete("-w", "team", "sandbox", "get", "") == ["team-box"]


def no_gateway_is_silence():
    """And none of it takes long."""
    begun = time.monotonic()
    done = c("complete", "--", "--gateway-endpoint", "http://127.0.0.1:1", "sandbox", "get", "", status=None)
    assert done.stdout == "" and time.monotonic() - begun < 10
    done = c("complete", "--", "--gateway-endpoint", "http://192.0.2.1:1", "sandbox", "get", "", status=None)
    assert done.stdout == "" and time.monotonic() - begun < 18
    c("complete", status=1)


# ---- shells ----

def in_a(shell):
    shell.tab("cove sandb", "cove sandbox ")
    shell.tab("cove sandbox get box-o", "box-one ")
    shell.tab("cove sb exec -n box-t", "box-two ")
    shell.tab("cove sandbox list --output ya", "--output yaml")
    shell.tab("cove sandbox upload box-one some-f", r"some-f\x07*ile")
    shell.close()


def in_bash():
    shell = with_completion("bash", cwd=g.directory, env=ENV)
    shell.tab("cove sandbox list --output=ya", "--output=yaml")
    in_a(shell)


def in_zsh():
    in_a(with_completion("zsh", cwd=g.directory, env=ENV))


def in_fish():
    """By its own command, which answers as the key would."""
    if not shutil.which("fish"):
        raise look.Unavailable("unavailable: no fish")
    def says(line):
        done = subprocess.run(["fish", "--no-config", "-c", "cove completions fish | source; complete -C '%s'" % line],
                              env=ENV, cwd=g.directory, capture_output=True, text=True, check=True, timeout=60)
        return [x.partition("\t")[0] for x in done.stdout.splitlines()]
    assert says("cove sandb") == ["sandbox"]
    assert says("cove sandbox get box-") == ["box-one", "box-two"]
    assert says("cove sb exec -n box-t") == ["box-two"]
    assert says("cove sandbox list --output=ya") == ["--output=yaml"]
    assert says("cove sandbox upload box-one some-f") == ["some-file"]


def in_powershell():
    if not shutil.which("pwsh"):
        raise look.Unavailable("unavailable: no pwsh")
    def says(line):
        done = subprocess.run(["pwsh", "-NoProfile", "-Command", "cove completions powershell | Out-String | "
                               "Invoke-Expression; (TabExpansion2 '%s' %d).CompletionMatches.CompletionText"
                               % (line, len(line))],
                              env=ENV, cwd=g.directory, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.split()
    assert says("cove sandb") == ["sandbox"]
    assert says("cove sandbox get box-") == ["box-one", "box-two"]


def t_a_name_is_a_word():
    """A gateway that wants more than to be listed: none of its names reaches a shell."""
    evil = ["$(touch %s/pwned)" % g.directory, "`touch %s/pwned`" % g.directory, "a b", "-rf", "x;y", "*", "a\nb",
            "\x1b[31mred", "\u202eevil", ""]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))

    class Evil(g.stubs.OpenShellServicer):
        def ListSandboxes(self, request, context):
            return pb.ListSandboxesResponse(sandboxes=[
                pb.Sandbox(metadata=dm.ObjectMeta(name=n)) for n in evil + ["fine-1"]])
    g.stubs.add_OpenShellServicer_to_server(Evil(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    c("gateway", "add", "http://127.0.0.1:%d" % port, "--name", "evil")
    c("gateway", "select", "test")
    assert complete("-g", "evil", "sandbox", "get", "") == ["fine-1"]
    shell = with_completion("bash", cwd=g.directory, env=ENV)
    shell.tab("cove -g evil sandbox get ", "fine-1")
    shell.close()
    assert not os.path.exists(os.path.join(g.directory, "pwned"))
    server.stop(None)


try:
    for name in ("box-one", "box-two"):
        g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "600"])))
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="team"))
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name="team-box", workspace="team",
                                                 spec=pb.SandboxSpec(command=["sleep", "600"])))
    c("provider", "create", "--name", "mine", "--type", "github", "--credential", "GITHUB_TOKEN=x")
    RUNNING = gatewaylab.until(lambda: c("exec", "-n", "box-one", "--detach", "--", "sleep", "600", status=None).stdout.strip())
    with open(os.path.join(g.directory, "some-file"), "w") as some:
        some.write("")
    for f in (words_of_the_table, names_of_the_gateway, no_gateway_is_silence, in_bash, in_zsh, in_fish, in_powershell,
              t_a_name_is_a_word):
        check(f)
finally:
    c("sandbox", "delete", "--all", status=None)
    c("-w", "team", "sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
