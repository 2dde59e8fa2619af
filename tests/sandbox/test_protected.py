#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p11, p12: a command cannot leave behind, in its working directory, what a program on the
host would execute later; ordinary work with git goes on.
Method: repositories made on the host; inside, every way to write, replace, move or uncover each
protected path; then the host looks at the files, and runs the git commands that a person runs next
with every hook writing a mark."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

FILES = [".git/config", ".git/config.worktree", ".git/info/attributes", ".pre-commit-config.yaml",
         ".envrc", ".mise.toml", ".mcp.json", ".gitlab-ci.yml", "Jenkinsfile", "azure-pipelines.yml",
         ".profile", ".bash_profile", ".bashrc", ".zshenv", ".zshrc", ".gitconfig"]
FOLDERS = [".git/hooks", ".husky", ".vscode", ".idea", ".zed", ".devcontainer", ".claude", ".cursor",
           ".codex", ".gemini", ".github/workflows", ".github/actions", ".gitlab", ".circleci",
           ".buildkite", ".ssh", ".config/git", ".config/fish", ".config/systemd", ".config/cove", ".local/bin"]

GIT_ENV = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "t",
           "GIT_AUTHOR_EMAIL": "t@example.test", "GIT_COMMITTER_NAME": "t",
           "GIT_COMMITTER_EMAIL": "t@example.test", "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
           "HOME": "/nonexistent"}
INSIDE = [word for k, v in GIT_ENV.items() if k.startswith("GIT_") for word in ("--env", f"{k}={v}")]


def git(directory, *argv, check=True):
    return subprocess.run(["git", *argv], cwd=directory, env=GIT_ENV, check=check, text=True,
                          capture_output=True, timeout=30)


def repository(b, name):
    top = os.path.join(b.dir, name)
    shutil.rmtree(top, ignore_errors=True)
    os.mkdir(top)
    git(top, "init", "-q", "-b", "main")
    b.write("a.txt", "one\n", where=top)
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    return top


def full(b, name):
    top = repository(b, name)
    for path in FILES:
        if not os.path.exists(os.path.join(top, path)):
            b.write(path, "# there\n", where=top)
    for path in FOLDERS:
        b.write(path + "/there", "there\n", where=top)
    return top


def snapshot(top, paths):
    found = {}
    for path in paths:
        for folder, _, names in os.walk(os.path.join(top, path)):
            for name in names:
                full_name = os.path.join(folder, name)
                with open(full_name, "rb") as f:
                    found[os.path.relpath(full_name, top)] = (f.read(), os.lstat(full_name).st_mode)
        if os.path.isfile(os.path.join(top, path)):
            with open(os.path.join(top, path), "rb") as f:
                found[path] = (f.read(), os.lstat(os.path.join(top, path)).st_mode)
    return found


def every_way(tap, b):
    top = full(b, "full")
    before = snapshot(top, FILES + FOLDERS)
    listing = set(os.listdir(top))
    shutil.copy(os.path.join(box.PROBES, "protected.py"), top)
    r = b.run(["python3", "protected.py", *FILES, *FOLDERS], workdir=top, timeout=60)
    tap.result(r.returncode == 0, "the probe ran to its end", r)
    said = [line.rsplit(" ", 1) for line in r.stdout.splitlines()]
    for path in FILES + FOLDERS:
        won = [f"{what} {got}" for what, got in said if what.endswith(":" + path) and got == "OK"]
        tried = sum(what.endswith(":" + path) for what, _ in said)
        tap.ok(not won and tried >= 12, f"p11 {path}: not written, replaced, moved or uncovered",
               f"{tried} tried; succeeded: {won}")
    tap.ok(["rename-workdir:.", "OK"] not in said, "p11 the working directory cannot be moved")
    after = snapshot(top, FILES + FOLDERS)
    tap.ok(before == after, "p11 on the host nothing of it has changed",
           sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k)))
    left = set(os.listdir(top)) - listing - {"protected.py"}
    tap.ok(all(n.startswith("evil-") for n in left), "p11 nothing but its own files is left", left)

    r = b.run(["python3", "protected.py", *FILES, *FOLDERS], options=["--no-protect"], workdir=top,
              timeout=60)
    won = {line.split(":", 1)[1].split(" ")[0] for line in r.stdout.splitlines()
           if line.startswith("write:") and line.endswith(" OK")}
    tap.ok(won == set(FILES + FOLDERS), "--no-protect lifts it", sorted(set(FILES + FOLDERS) - won))


def work_goes_on(tap, b):
    top = full(b, "goes-on")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "all of it")
    git(top, "branch", "side")
    script = ("git status --short && echo two >b.txt && git add b.txt && git commit -q -m second && "
              "git checkout -q side && git checkout -q main && git merge -q side && git stash list && "
              "git worktree add -q ../goes-on-wt side 2>/dev/null; git tag v1 && git gc -q && "
              "git checkout -q -b new && git rebase -q main && git reset -q --hard && git log --oneline")
    r = b.run(["/bin/sh", "-c", script], options=INSIDE, workdir=top, timeout=60)
    tap.result(r.returncode == 0 and len(r.stdout.splitlines()) == 3,
               "p11 status, commit, checkout, merge, tag, gc, rebase and reset work", r)
    tap.ok(git(top, "log", "--oneline", "main").stdout.count("\n") == 3, "the host sees the commit")
    r = git(top, "fsck", check=False)
    tap.result(r.returncode == 0, "the repository is whole", r)
    empty = os.path.join(b.dir, "empty")
    os.mkdir(empty)
    r = b.run(["/bin/sh", "-c", "ls -A"], workdir=empty)
    tap.ok(r.stdout == "" and os.listdir(empty) == [], "in an empty directory nothing appears or stays",
           (r.stdout, os.listdir(empty)))
    top = repository(b, "sparse")
    shutil.rmtree(os.path.join(top, ".git/hooks"))
    before = sorted(os.listdir(top)), sorted(os.listdir(os.path.join(top, ".git")))
    r = b.run(["true"], workdir=top)
    after = sorted(os.listdir(top)), sorted(os.listdir(os.path.join(top, ".git")))
    tap.ok(r.returncode == 0 and before == after, "what did not exist is not left behind", after)


def executed_later(tap, b, name, script, prepare=None, top=None, subdirectory=""):
    """Runs a script inside a repository, then what a person does next; did the host execute
    anything that came from inside?  A change that was said aloud on stderr counts as reported."""
    top = top or repository(b, "later")
    if prepare:
        prepare(top)
    mark = os.path.join(b.dir, "mark")
    if os.path.exists(mark):
        os.unlink(mark)
    # the payload works on the host only: the mark's directory does not exist inside
    payload = f"""hook() {{ mkdir -p "$(dirname "$1")" && printf '#!/bin/sh\\necho RAN >>{mark}\\nexit 0\\n' >"$1" &&
chmod 755 "$1"; }}\n"""
    argv = [box.COVE, "run", "--no-tty", "--workdir", top, *INSIDE, "--", "/bin/sh", "-c",
            payload + script]
    r = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                       check=False)
    for argv in (("status",), ("diff",), ("checkout", "-q", "-b", f"next-{os.getpid()}"),
                 ("commit", "-q", "--allow-empty", "-m", "next"), ("log", "-1")):
        git(os.path.join(top, subdirectory), *argv, check=False)
    is_said = "look before you use it" in r.stderr or "protect" in r.stderr
    tap.ok(not os.path.exists(mark) or is_said,
           f"p12 {name}: the host's git executes nothing from inside, or the run said so",
           f"inside: status {r.returncode}, {r.stderr[:300]}; executed on the host: "
           f"{os.path.exists(mark)}")
    shutil.rmtree(top, ignore_errors=True)


def without(path):
    return lambda top: shutil.rmtree(os.path.join(top, path))


def linked_git(top):
    os.rename(os.path.join(top, ".git"), os.path.join(top, "real"))
    os.symlink("real", os.path.join(top, ".git"))


def git_file(top):
    os.rename(os.path.join(top, ".git"), os.path.join(top, "real"))
    with open(os.path.join(top, ".git"), "w", encoding="ascii") as f:
        f.write("gitdir: real\n")


def linked_hooks(top):
    os.rename(os.path.join(top, ".git/hooks"), os.path.join(top, "hooks"))
    os.symlink("../hooks", os.path.join(top, ".git/hooks"))


def hooks_path(top):
    os.mkdir(os.path.join(top, "my-hooks"))
    git(top, "config", "core.hooksPath", "my-hooks")


def included(top):
    with open(os.path.join(top, ".gitconfig-project"), "w", encoding="ascii") as f:
        f.write("[alias]\n\tx = status\n")
    git(top, "config", "include.path", "../.gitconfig-project")


def host_git(tap, b):
    fsmonitor = 'git config -f {} core.fsmonitor "$PWD/.evil"; hook "$PWD/.evil"'
    executed_later(tap, b, "hooks that are there", "hook .git/hooks/post-checkout")
    executed_later(tap, b, "configuration", fsmonitor.format(".git/config"))
    executed_later(tap, b, "hooks that were not there", "hook .git/hooks/post-checkout",
                   without(".git/hooks"))
    executed_later(tap, b, ".git replaced whole",
                   "cp -r .git g && rm -rf .git; mv .git old; mv g .git; hook .git/hooks/post-checkout")
    executed_later(tap, b, ".git/commondir, which moves configuration and hooks",
                   "cp -r .git .common && hook .common/hooks/post-checkout && echo ../.common >.git/commondir")
    executed_later(tap, b, "a bare repository in place of .git",
                   "rm .git/HEAD; cp -r .git/objects .git/refs . && echo ref: refs/heads/main >HEAD && "
                   "printf '[core]\\nrepositoryformatversion=0\\nbare=false\\nworktree=.\\n' >config && "
                   + fsmonitor.format("config"))
    executed_later(tap, b, ".git that is a link", "hook real/hooks/post-checkout", linked_git)
    executed_later(tap, b, ".git that is a file, its directory in the tree",
                   "hook real/hooks/post-checkout", git_file)
    executed_later(tap, b, ".git that is a file, rewritten",
                   "cp -r real evil && hook evil/hooks/post-checkout; echo gitdir: evil >.git || "
                   "{ echo gitdir: evil >g && mv g .git; }", git_file)
    executed_later(tap, b, "hooks that are a link", "hook hooks/post-checkout", linked_hooks)
    executed_later(tap, b, "core.hooksPath into the tree", "hook my-hooks/post-checkout", hooks_path)
    executed_later(tap, b, "include.path into the tree", fsmonitor.format(".gitconfig-project"), included)

    top = repository(b, "main-tree")
    git(top, "worktree", "add", "-q", "../linked-tree")
    executed_later(tap, b, "a linked worktree, its .git file rewritten",
                   f"git init -q evil; hook evil/.git/hooks/post-checkout; echo gitdir: evil/.git >.git || "
                   "{ echo gitdir: evil/.git >g && mv -f g .git; }",
                   top=os.path.join(b.dir, "linked-tree"))

    # a link planted by an earlier run must not make cove mount over or reveal something else
    for name, target in ((".vscode", b.outside), (".github", "/etc"), (".git", "/usr"), (".claude", ".."),
                         (".idea", "loop")):
        top = os.path.join(b.dir, "planted")
        shutil.rmtree(top, ignore_errors=True)
        os.mkdir(top)
        os.symlink(target, os.path.join(top, name))
        if target == "loop":
            os.symlink(name, os.path.join(top, "loop"))
        b.write("secret", "SECRET", where=b.outside)
        r = b.run(["/bin/sh", "-c", f"cat {name}/secret {name}/shadow; echo run"], workdir=top)
        tap.result("SECRET" not in r.stdout and "root:" not in r.stdout and
                   (r.stdout == "run\n" or r.returncode == 125),
                   f"p7 {name} that links to {'outside' if target == b.outside else target} reveals nothing", r)


def replaced_meanwhile(tap, b):
    """What the host's own git puts in place of a protected file can be written, and the run says so."""
    for name, change, is_said in (
            ("configuration that git on the host rewrites", lambda top: git(top, "config", "user.name", "x"), True),
            ("twice", lambda top: [git(top, "config", "user.name", n) for n in "xyz"], True),
            ("configuration that is written in place",
             lambda top: b.write(".git/config", "[core]\n\tbare = false\n", where=top), False),
            ("nothing", lambda top: None, False)):
        top = repository(b, "replaced")
        p = subprocess.Popen([box.COVE, "run", "-q", "--no-tty", "--workdir", top, "--", "/bin/sh", "-c",
                              "echo ready; read x; echo '# mine' >>.git/config && echo WROTE"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        p.stdout.readline()
        change(top)
        out, err = p.communicate("go\n", timeout=20)
        tap.ok((f"{top}/.git/config was replaced on the host" in err) == is_said and ("WROTE" in out) == is_said,
               f"p11 {name}: {'writable from then on, and said' if is_said else 'protected, and nothing said'}",
               out + err)


def main(tap, b):
    replaced_meanwhile(tap, b)
    every_way(tap, b)
    work_goes_on(tap, b)
    host_git(tap, b)


if __name__ == "__main__":
    box.each_user(main)
