#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `config check` says all that is wrong with a configuration in one go, each with its place: words,
values, catalogs, and the files of the watched directories, by the same judgement as a gateway that runs.
Method: the program's own command on files that a person might have written, and then a gateway with them."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False, start=False)
home = g.directory


def write(name, text):
    path = os.path.join(home, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def check(path):
    """(status, lines of stderr)"""
    done = g.run("config", "check", path, check=False)
    assert (done.returncode == 0) == (done.stdout == path + ": ok\n"), done
    return done.returncode, done.stderr.splitlines()


def places(lines, path):
    """What was said of the file: {(line, column): text}"""
    found = [re.match(re.escape(path) + r":(\d+):(\d+): error: (.*)", line) for line in lines]
    return {(int(m[1]), int(m[2])): m[3] for m in found if m}


POLICY = """version: 1
network_policies:
  site:
    endpoints: [{host: site.test, port: 443, protocol: rest, access: full}]
    binaries: [{path: "/**"}]
"""
PROFILE = """id: lab
display_name: Lab
category: other
credentials: [{name: token, env_vars: [LAB_TOKEN]}]
endpoints: [{host: site.test, port: 443, protocol: rest, access: read-only}]
binaries: [{path: "/**"}]
"""


def all_faults_of_a_file_in_one_go():
    path = write("all.yaml", """port: 65536
prt: 1
log:
  level: loud
rate_limit: {requests: 5}
traces: {endpoint: "ftp://x", sample: "2", headers: {te: x}}
tools:
  catalogs: [/nowhere.yaml, nosuch]
quotas: {queue: {max_wait_secs: 0}}
policies_dir: %s/nothing
profiles_dir: %s/all.yaml
""" % (home, home))
    status, lines = check(path)
    assert status == 2 and lines[-1] == "cove-gateway: the configuration file has errors", lines
    said = places(lines, path)
    assert sorted(said) == [(1, 7), (2, 1), (4, 10), (5, 24), (6, 20), (6, 39), (6, 53), (8, 13), (9, 33), (10, 15),
                            (11, 15)], said
    for at, words in (((1, 7), "port: expected a number, 0 to 65535, found 65536"), ((2, 1), "did you mean 'port'"),
                      ((4, 10), "log.level: expected error, warn"), ((5, 24), "need each other"),
                      ((6, 20), "traces.endpoint: it is no http://"), ((6, 39), "traces.sample: expected a part"),
                      ((6, 53), "traces.headers: 'te'"), ((9, 33), "1 to 604800"),
                      ((10, 15), "policies_dir: open"), ((11, 15), "profiles_dir: open")):
        assert words in said[at], (at, said)
    of_tools = [line for line in lines if "tools.catalogs" in line]
    assert len(of_tools) == 2 and "/nowhere.yaml" in of_tools[0] and "no catalog 'nosuch'" in of_tools[1], lines
    assert "Not a directory" in said[(11, 15)] and "No such file" in said[(10, 15)], said


def secrets_are_not_repeated():
    path = write("secret.yaml", "database: 'mysql://u:s3cr3t@h/d'\ntraces: {endpoint: 'http://u:s3cr3t@h/'}\n")
    status, lines = check(path)
    assert status == 2 and len(places(lines, path)) == 2 and "s3cr3t" not in "".join(lines), lines


def a_file_that_is_not_there():
    status, lines = check(os.path.join(home, "nosuch.yaml"))
    assert status == 2 and "nosuch.yaml" in lines[0] and "is not there" in lines[0], lines


def files_of_policies():
    path = write("p.yaml", f"policies_dir: {home}/policies\n")
    good = write("policies/default.yaml", POLICY)
    assert check(path) == (0, [])
    broken = write("policies/team.yaml", "version: 1\nnetwork_polices: {}\nlandlok: {}\n")
    unsafe = write("policies/web.yaml", POLICY.replace("access: full", "access: full, tls: maybe"))
    write("policies/notes.txt", "no policy")
    status, lines = check(path)
    assert status == 2, lines
    assert sorted(places(lines, broken)) == [(2, 1), (3, 1)], lines
    assert places(lines, unsafe), lines
    assert places(lines, path) == {(1, 15): "policies_dir: of 3 files 2 are wrong"}, lines
    os.unlink(broken)
    os.unlink(unsafe)
    write("policies/default.yml", POLICY)
    write("policies/My Team.yaml", POLICY)
    status, lines = check(path)
    assert status == 0 and len(lines) == 2 and all(": warning: " in line for line in lines), lines
    assert "not used" in lines[1] and "My Team.yaml: warning: it is for no workspace" in lines[0], lines
    os.chmod(good, 0)
    if os.geteuid() != 0:
        status, lines = check(path)
        assert status == 2 and "Permission denied" in "".join(lines), lines
    os.unlink(good)
    os.mkdir(good)
    status, lines = check(path)
    assert status == 2 and any(line.startswith(good + ": error: read ") for line in lines), lines
    os.rmdir(good)


def files_of_profiles():
    path = write("q.yaml", f"profiles_dir: {home}/profiles\n")
    write("profiles/a.yaml", PROFILE)
    assert check(path) == (0, [])
    again = write("profiles/b.yaml", PROFILE)
    bad = write("profiles/c.yaml", "id: c\nnosuch: 1\n")
    status, lines = check(path)
    assert status == 2 and again + ": error: another file has the profile lab" in lines, lines
    assert (2, 1) in places(lines, bad) and "of 3 files 2 are wrong" in places(lines, path)[(1, 15)], lines


def images_that_are_not_there():
    """A warning with the entry's line, since it may be mounted later; and a gateway that starts logs it."""
    notes = write("notes", "no directory")
    images = f"images:\n  a: host\n  b: {home}/nosuch\n  c: {home}\n  d: external\n  e: {notes}\n  f: some/where\n"
    path = write("i.yaml", images)
    status, lines = check(path)
    assert status == 0 and len(lines) == 3, lines
    assert lines[0] == (f"{path}:3:3: warning: images: 'b': {home}/nosuch: No such file or directory; sandboxes of that image "
                        "will not start"), lines
    assert lines[1].startswith(f"{path}:6:3: warning: images: 'e': {notes}: Not a directory"), lines
    assert lines[2].startswith(f"{path}:7:3: warning: images: 'f': some/where: neither host, external nor"), lines
    g.write_config({"images": {"b": home + "/nosuch", "c": home}})
    g.start()
    line = g.logged("nosuch")
    assert line and "WARN" in line and "'b'" in line and not any("'c'" in w for w in g.lines), g.lines
    since = len(g.lines)
    g.hup()
    assert g.logged("nosuch", since), g.lines
    g.stop()


def a_gateway_judges_them_alike():
    """What check takes is taken, and what it refuses is said in the log."""
    bad = write("policies/web.yaml", POLICY.replace("access: full", "access: full, tls: maybe"))
    write("policies/fine.yaml", POLICY)
    path = write("r.yaml", f"policies_dir: {home}/policies\nprofiles_dir: {home}/profiles\n")
    status, lines = check(path)
    (place, text), *_ = places(lines, bad).items()
    g.write_config({"policies_dir": home + "/policies", "profiles_dir": home + "/profiles"})
    g.start()
    line = g.logged("file=web.yaml")
    assert line and "the policy is not taken" in line and "%d:%d: " % place in line, (line, place, text)
    assert g.logged("file=b.yaml") and g.logged("file=c.yaml"), g.lines
    assert "holds" in g.logged("file=fine.yaml"), g.lines
    since = len(g.lines)
    g.write_config({"health_port": 65536, "log": {"level": "loud"}})
    g.process.send_signal(signal.SIGHUP)
    assert g.logged("not reloaded", since), g.lines
    assert sum(": error: " in line for line in g.lines[since:]) == 2, g.lines[since:]


try:
    for f in (all_faults_of_a_file_in_one_go, secrets_are_not_repeated, a_file_that_is_not_there, files_of_policies, files_of_profiles,
              images_that_are_not_there, a_gateway_judges_them_alike):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    g.close()
tap.done()
