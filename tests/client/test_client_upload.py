#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what git ignores stays here, and .git too; when git cannot say what that is, everything does.
Method: the client against a real gateway and a real sandbox; a repository that git refuses, one that is
damaged, and a PATH without git."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway()
c = clientlab.Client(g)
work = os.path.join(g.directory, "work")
GIT_ENV = {"GIT_CONFIG_GLOBAL": "/dev/null"}
# git's own switch for what it does with a repository of another user
THEIRS = dict(GIT_ENV, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def path(*parts):
    return os.path.join(work, *parts)


def write(name, data):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(data)


def repository(name):
    for file in ("a.c", "a.o", "build/out", "sub/b.c"):
        write(f"{name}/{file}", b"x")
    write(f"{name}/.gitignore", b"*.o\nbuild/\n")
    subprocess.run(["git", "init", "-q", path(name)], check=True, env=dict(os.environ, **GIT_ENV))


def sh(script):
    return c("sandbox", "exec", "--name", "box", "--no-tty", "--", "sh", "-c", script).stdout


def files(there):
    return sh(f"cd {there} && find . -type f | sort").split()


def upload(*words, **kw):
    return c("sandbox", "upload", "box", *words, **kw)


def refused(source, reason, **env):
    said = upload(path(source), "/sandbox/shut", env=env, status=1).stderr
    assert reason in said and "--no-git-ignore" in said, said
    assert sh("ls -d /sandbox/shut 2>/dev/null || true") == ""
    made = c("sandbox", "create", "--name", "none", "--upload", path(source), env=env, status=1)
    assert reason in made.stderr and made.stdout == "", made


def s_a_repository_of_somebody_else():
    repository("shut")
    refused("shut", "dubious ownership", **THEIRS)
    refused("shut/sub", "dubious ownership", **THEIRS)


def s_a_machine_without_git():
    none = {"PATH": tempfile.mkdtemp(dir=work)}
    refused("shut", "git could not be started: No such file", **none)
    write("plain/a.o", b"o")
    upload(path("plain"), "/sandbox", env=none)
    assert files("/sandbox/plain") == ["./a.o"], "where no repository is, git is not missed"
    upload(path("shut"), "/sandbox/all", "--no-git-ignore", env=none)
    assert "./.git/HEAD" in files("/sandbox/all/shut")


def s_a_damaged_repository():
    os.unlink(path("shut/.git/HEAD"))
    refused("shut", "not a git repository")
    write("above/note", b"n")
    shutil.copytree(path("shut"), path("above/shut"))
    refused("above", "not a git repository")


def s_git_itself_stays_here():
    """In a directory of repositories, and where git leaves nothing over."""
    repository("several/one")
    write("several/note", b"n")
    said = upload(path("several"), "/sandbox")
    assert files("/sandbox/several") == ["./note", "./one/.gitignore", "./one/a.c", "./one/sub/b.c"]
    assert "2 ignored by git" in said.stderr, said.stderr
    repository("ignored")
    write("ignored/.git/info/exclude", b"*\n")
    said = upload(path("ignored"), "/sandbox")
    assert "uploading unfiltered" in said.stderr, said.stderr
    assert files("/sandbox/ignored") == ["./.gitignore", "./a.c", "./a.o", "./build/out", "./sub/b.c"]


def submodules_come_along():
    """Those that are there by their own list, and one that nobody fetched as an empty directory."""
    repository("outer")
    repository("inner")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always", "-C"]
    env = dict(os.environ, **GIT_ENV)
    for words in (["inner", "add", "-A"], ["inner", "commit", "-qm", "m"], ["outer", "submodule", "--quiet", "add", path("inner"), "in"],
                  ["outer", "submodule", "--quiet", "add", path("inner"), "gone"],
                  ["outer", "submodule", "--quiet", "deinit", "-f", "gone"]):
        subprocess.run([*git, path(words[0]), *words[1:]], check=True, env=env)
    write("outer/in/b.o", b"o")
    upload(path("outer"), "/sandbox")
    assert sh("cd /sandbox/outer && find . ! -type d ! -name .gitmodules | sort").split() == [
        "./.gitignore", "./a.c", "./in/.gitignore", "./in/a.c", "./in/sub/b.c", "./sub/b.c"]
    assert sh("ls -A /sandbox/outer/gone") == ""


try:
    os.makedirs(work)
    c("sandbox", "create", "--name", "box")
    for f in (s_a_repository_of_somebody_else, s_a_machine_without_git, s_a_damaged_repository, s_git_itself_stays_here,
              submodules_come_along):
        check(f)
finally:
    c("sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
