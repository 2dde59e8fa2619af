#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the tab key knows the commands that need no gateway: words, options, their values and files, from the
tables that --help prints; and those of a gateway beside them, each once.
Method: `cove complete` for each row of each command's --help, and a real bash on a pseudo-terminal with
the script that `cove completions bash` prints."""
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


try:
    for f in (words_of_both_halves_once, every_option_of_every_help, values_operands_and_what_is_not_ours, in_bash,
              in_zsh, in_fish):
        check(f)
finally:
    shutil.rmtree(home, ignore_errors=True)
tap.done()
