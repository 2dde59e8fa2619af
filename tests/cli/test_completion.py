#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the tab key knows the commands that need no gateway: words, options, their values and files, from the
tables that --help prints; and those of a gateway beside them, each once.
Method: `cove complete` for each row of each command's --help, and a real bash on a pseudo-terminal with
the script that `cove completions bash` prints."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
from shelllab import with_completion  # noqa: E402
from world import COVE  # noqa: E402

tap = world.Tap()
home = tempfile.mkdtemp(prefix="cove-complete-")
bin_dir = os.path.join(home, "bin")
os.makedirs(os.path.join(home, "some-dir"))
os.makedirs(bin_dir)
for name in ("some-policy.yaml", "other.yaml"):
    with open(os.path.join(home, name), "w", encoding="ascii") as f:
        f.write("version: 1\n")
with open(os.path.join(bin_dir, "cove"), "w", encoding="ascii") as f:
    f.write(f'#!/bin/sh\nexec {COVE} "$@"\n')  # it looks for the others beside itself
os.chmod(os.path.join(bin_dir, "cove"), 0o755)
ENV = {"PATH": bin_dir + ":" + os.environ["PATH"], "TERM": "dumb", "PS1": "> ", "LC_ALL": "C.UTF-8", "HOME": home,
       "XDG_CONFIG_HOME": home}
LOCAL = ("run", "approve", "policy check", "policy explain", "provider show", "provider lint", "tools show",
         "tools lint", "audit secrets", "doctor")


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def complete(*words, whole=False):
    done = subprocess.run([COVE, "complete", "--", *words], env=ENV, capture_output=True, text=True, timeout=30,
                          check=True)
    lines = done.stdout.splitlines()
    assert len(set(lines)) == len(lines), lines
    return lines if whole else [line.partition("\t")[0] for line in lines]


def help_of(command):
    return subprocess.run([COVE, *command.split(), "--help"], env=ENV, capture_output=True, text=True, check=True).stdout


def words_of_both_halves_once():
    first = complete("")
    assert len(set(first)) == len(first), first
    assert {"run", "policy", "provider", "tools", "audit", "doctor", "approve", "sandbox", "status"} <= set(first), first
    assert complete("po") == ["policy"] and complete("ru") == ["run", "rule"], complete("ru")
    assert {"check", "explain", "set", "get"} <= set(complete("policy", ""))
    assert complete("policy", "e") == ["explain"] and complete("tools", "") == ["show", "lint"]
    assert complete("audit", "") == ["secrets"] and complete("provider", "sh") == ["show"]
    assert complete("nothing", "") == [] and complete("sandbox", "li") == ["list"]
    assert "anthropic" in complete("provider", "show", "") and ":files" in complete("provider", "show", "")
    assert complete("provider", "show", "anthr") == ["anthropic", ":files"]
    assert complete("doctor", "--require", "") == ["vm", "gvisor", "namespaces", "landlock", "none"]
    assert complete("doc", whole=True) == ["doctor\t" + help_of("doctor").splitlines()[0]]


def every_option_of_every_help():
    for command in LOCAL:
        rows = re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: (\S+))?  +(.*)$", help_of(command), re.M)
        offered = complete(*command.split(), "-", whole=True)
        for letter, name, value, what in rows:
            assert f"--{name}\t{what}" in offered, (command, name, offered)
            assert complete(*command.split(), f"--{name}"[:-1]).count(f"--{name}") == 1
            got = complete(*command.split(), f"--{name}", "")
            if re.search("FILE|DIR|PATH", value) and not re.search("@|file:", value):
                assert ":files" in got, (command, name, value, got)
            if value and letter:
                assert complete(*command.split(), f"-{letter}", "") == got, (command, letter)
            for word in re.findall(r"(?<![\w:/])([a-z]+)(?=\||$)", value) if "|" in value else ():
                assert word in got, (command, name, value, got)
        assert "--help" in [line.partition("\t")[0] for line in offered]


def every_flag_of_the_gateways_own_commands():
    overview = subprocess.run([os.path.join(os.path.dirname(COVE), "../gateway/cove-gateway"), "--help"], env=ENV,
                              capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  cove gateway ((?:[a-z-]+ ?)+?)(?: \[|$| [A-Z])", overview, re.M)
    assert {"run", "start", "stop", "status", "init", "config check", "backup"} <= set(commands), commands
    assert {x.split()[0] for x in commands} | {"add", "list", "select", "info"} <= set(complete("gateway", ""))
    seen = 0
    for command in commands:
        rows = re.findall(r"^  --([\w-]+)(?: (\S+))? +(.*)$", help_of("gateway " + command), re.M)
        offered = complete("gateway", *command.split(), "-")
        assert set(offered) == {"--" + name for name, *_ in rows} | {"--help"}, (command, offered)
        for name, value, what in rows:
            seen += 1
            line, = complete("gateway", *command.split(), "--" + name, whole=True)[:1]
            assert what.startswith(line.partition("\t")[2]), (line, what)
            got = complete("gateway", *command.split(), "--" + name, "") if value else None
            if value in ("FILE", "DIR"):
                assert got == [":files"], (command, name, got)
            elif value and "|" in value:
                assert got == value.split("|"), (command, name, got)
                assert complete("gateway", *command.split(), f"--{name}=") == [f"--{name}={x}" for x in got]
    assert seen > 100, "run and start have all that can be configured"
    assert "--log-level" in complete("gateway", "start", "--lo") and complete("gw", "sta") == ["start", "status"]
    assert complete("gateway", "run", "--log-level", "=", "w") == ["warn"], "as bash cuts it"
    assert complete("gateway", "config", "") == ["check"] and complete("gateway", "config", "check", "") == [":files"]
    assert complete("gateway", "run", "--port", "1", "--tls-ce") == ["--tls-cert"]
    assert complete("gateway", "run", "--disable-tls", "--tls-ce") == ["--tls-cert"], "a switch takes no word"
    os.symlink(COVE, os.path.join(bin_dir, "openshell"))
    done = subprocess.run(["openshell", "complete", "--", "gateway", "start", "--log-f"], executable=COVE, env=ENV,
                          capture_output=True, text=True, check=True)
    assert done.stdout.startswith("--log-format\t"), done


def every_flag_of_every_command_of_a_gateway():
    """Help and completion of the client, group by group."""
    def words_of(path):
        text = help_of(path)
        return re.findall(r"^  ([a-z][a-z-]*)  ", text.partition("\nCommands:\n")[2].partition("\n\n")[0], re.M), text

    def walk(path):
        words, text = words_of(path)
        if not words:
            flags = set(re.findall(r"^  (?:-\w, |    )--([\w-]+)", text, re.M)) - {"help", "version"}
            offered = {x.lstrip("-") for x in complete(*path.split(), "--")}
            assert flags, path
            assert flags - {"help"} == offered - {"help", "version"}, (path, flags ^ offered)
            return 1
        assert set(words) <= set(complete(*path.split(), "")), path
        return sum(walk(path + " " + word) for word in words)
    groups = ["sandbox", "forward", "service", "policy", "settings", "rule", "provider", "workspace", "gateway",
              "inference", "exec", "logs", "status", "whoami", "invoke", "quota", "top", "completions"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(walk, groups)) > 70


def values_operands_and_what_is_not_ours():
    assert complete("run", "--output", "j") == ["json"] and complete("run", "--output=j") == ["--output=json"]
    assert complete("run", "--output", "=", "t") == ["text"], "as bash cuts it"
    assert complete("run", "--output", "=") == ["text", "json"]
    assert complete("run", "--policy", "p", "--out") == ["--output"]
    assert complete("run", "--memory", "") == []
    assert complete("run", "--", "ls", "-") == [":files"] and complete("run", "ls", "--po") == [":files"]
    assert complete("policy", "check", "x") == [":files"] and complete("policy", "check", "a", "") == [":files"]
    assert complete("doctor", "") == []
    assert "--gateway" in complete("approve", "--"), "both halves have it"
    assert "--list" in complete("approve", "--")


def keys_in_a(shell):
    shell.tab("cove doc", "cove doctor ")
    shell.tab("cove policy expl", "policy explain ")
    shell.tab("cove run --polic", "--policy ")
    shell.tab("cove run --policy some-p", r"some-p\x07*olicy.yaml")
    shell.tab("cove run -o js", "-o json")
    shell.tab("cove policy check oth", r"oth\x07*er.yaml")
    shell.tab("cove tools sh", "tools show ")
    shell.tab("cove audit s", "audit secrets ")
    shell.tab("cove sandb", "cove sandbox ")
    shell.tab("cove gateway star", "gateway start ")
    shell.tab("cove gateway start --policies", "--policies-dir ")
    shell.tab("cove gateway run --log-level war", "--log-level warn")
    shell.close()


def in_bash():
    shell = with_completion("bash", cwd=home, env=ENV)
    shell.tab("cove run --output=js", "--output=json")
    shell.tab("cove run -- some-p", r"some-p\x07*olicy.yaml")
    keys_in_a(shell)


def in_zsh():
    keys_in_a(with_completion("zsh", cwd=home, env=ENV))


def in_fish():
    if not shutil.which("fish"):
        raise look.Unavailable("unavailable: no fish")

    def says(line):
        done = subprocess.run(["fish", "--no-config", "-c", "cove completions fish | source; complete -C '%s'" % line],
                              env=ENV, cwd=home, capture_output=True, text=True, check=True, timeout=60)
        return [x.partition("\t")[0] for x in done.stdout.splitlines()]
    assert says("cove doc") == ["doctor"]
    assert says("cove run --polic") == ["--policy"]
    assert says("cove run --policy some-p") == ["some-policy.yaml"]
    assert says("cove run -o js") == ["json"]
    assert says("cove gateway start --policies") == ["--policies-dir"]


try:
    for f in (words_of_both_halves_once, every_option_of_every_help, every_flag_of_the_gateways_own_commands,
              every_flag_of_every_command_of_a_gateway, values_operands_and_what_is_not_ours, in_bash,
              in_zsh, in_fish):
        check(f)
finally:
    shutil.rmtree(home, ignore_errors=True)
tap.done()
