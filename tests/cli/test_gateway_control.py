#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `cove gateway start`, `stop` and `status`: a person needs one command to have a gateway, and hears in words
what is in the way: a port that is taken, a configuration that is wrong, a gateway that runs already.  Whatever is
done twice is done once.
Method: the program as installed, in a home of its own, with whole gateways; also under the name openshell."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ports  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
home = tempfile.mkdtemp(prefix="cove-control-")
STATE = os.path.join(home, ".local/state/cove/gateway")
LOG = os.path.join(STATE, "gateway.log")
ENV = {"PATH": "/usr/bin:/bin", "HOME": home}
for name in os.environ:  # of a sanitizer
    if name.endswith("SAN_OPTIONS"):
        ENV[name] = os.environ[name]


PORT = ports.free()


def cove(*words, status=0, name="cove", env=ENV, cwd=home):
    done = subprocess.run([name, *words], executable=world.COVE, env=env, cwd=cwd, capture_output=True, text=True,
                          timeout=120)
    assert status is None or done.returncode == status, (words, done)
    return done


def running(*words):
    """What status says of it; None: none runs."""
    done = cove("gateway", "status", "-o", "json", *words, status=None)
    said = json.loads(done.stdout)
    assert done.returncode == {"running": 0, "stopped": 3}[said["status"]], done
    return said if said["status"] == "running" else None


def is_there(pid):
    """And has not ended: who reaps it is not ours to say."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def nothing_runs():
    assert running() is None and not os.path.exists(STATE), "and status made nothing"
    assert cove("gateway", "stop").stdout == f"No gateway is running in {STATE}.\n"


def one_command_is_enough():
    """No certificates, no files of clients, no configuration: what `init` makes is made."""
    begun = time.monotonic()
    done = cove("gateway", "start", "--port", str(PORT))
    assert time.monotonic() - begun < 30
    assert f"Gateway started: https://127.0.0.1:{PORT}\n" in done.stdout and LOG in done.stdout, done.stdout
    assert "certificates made" in done.stdout and done.stderr == "", done
    assert cove("status").stdout.count("Connected") == 1
    said = running()
    assert said["endpoint"] == f"https://127.0.0.1:{PORT}" and is_there(said["process"]) and said["state_dir"] == STATE
    assert "ready" in open(LOG, encoding="utf-8").read() and os.stat(LOG).st_mode & 0o777 == 0o600
    table = cove("gateway", "status").stdout
    assert re.search(r"^Gateway: +running$", table, re.M) and re.search(f"^Log: +{LOG}$", table, re.M), table
    fields = open(f"/proc/{said['process']}/stat", encoding="ascii").read().rpartition(")")[2].split()
    assert int(fields[3]) == said["process"] and fields[4] == "0", "a session of its own, and no terminal"


def twice_is_once():
    before = running()
    done = cove("gateway", "start")
    assert f"A gateway runs already: {before['endpoint']}" in done.stdout and done.stderr == "", done
    done = cove("gateway", "start", "--log-level", "debug")
    assert "not these" in done.stderr and running()["process"] == before["process"], done


def sandboxes_go_on():
    cove("sandbox", "create", "--name", "stays", "--no-tty", "--detach", "--", "/bin/sleep", "1000")
    cove("gateway", "stop")
    assert running() is None
    done = cove("gateway", "start", "--port", str(PORT))
    assert "certificates" not in done.stdout, done.stdout
    assert running()["sandboxes"] == 1
    cove("sandbox", "start", "stays")  # which waits until it is ready again
    assert cove("exec", "-n", "stays", "--", "/bin/echo", "hello").stdout == "hello\n"
    cove("sandbox", "delete", "stays")


def reload_says_what_came_of_it():
    path = os.path.join(home, ".config/cove/gateway.yaml")
    pid = running()["process"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("log: {level: debug}\nhealth_port: 1\n")
    done = cove("gateway", "reload")
    assert done.stdout.endswith("read again. A restart is needed for: health_port\n"), done
    with open(path, "w", encoding="utf-8") as f:
        f.write("log: {level: loud}\n")
    done = cove("gateway", "reload", "--state-dir", STATE, status=125)
    assert done.stderr == "cove-gateway: the configuration file has errors\n", done
    assert path + ":1:14: error: log.level" in open(LOG, encoding="utf-8").read()
    os.unlink(path)
    cove("gateway", "rotate-key")
    done = cove("gateway", "reload")
    assert done.stdout == "Configuration, certificates and keys are read again.\n" and running()["process"] == pid
    done = cove("gateway", "config", "check", "gateway.toml", status=2)
    assert "is YAML" in done.stderr, done


def stop_waits_for_the_end():
    pid = running()["process"]
    done = cove("gateway", "stop")
    assert str(pid) in done.stdout and not is_there(pid), done
    assert cove("gateway", "stop").stdout.startswith("No gateway is running")
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", PORT)) != 0


def a_port_that_is_taken():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        taken = s.getsockname()[1]
        done = cove("gateway", "start", "--port", str(taken), status=125)
    assert f"port {taken} of 127.0.0.1 is taken by another program" in done.stderr and LOG in done.stderr, done.stderr
    assert running() is None


def a_configuration_that_is_wrong():
    path = os.path.join(home, "bad.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("port: 1\nlog: {level: loud}\n")
    for command in (["gateway", "start"], ["gateway", "stop"], ["gateway", "status"]):
        done = cove(*command, "--config", path, status=2)
        assert path + ":2:14: error: log.level" in done.stderr, done
    cove("gateway", "start", "--prot", "1", status=2)
    cove("gateway", "stop", "now", status=2)
    cove("gateway", "stop", "--state-dir", status=2)
    assert running() is None
    cove("gateway", "status", "--config", path, "--state-dir", STATE, status=3)


def certificates_in_part():
    state = os.path.join(home, "part")
    cove("gateway", "init", "--state-dir", state, "--name", "part")
    os.remove(os.path.join(state, "tls/server/tls.crt"))
    done = cove("gateway", "start", "--state-dir", state, status=2)
    assert "partly filled (server/tls.crt is missing)" in done.stderr, done.stderr


def the_file_says_where():
    """As for run: state directory, port and all else, also by a relative path, and as openshell."""
    state = os.path.join(home, "elsewhere")
    with open(os.path.join(home, "own.yaml"), "w", encoding="utf-8") as f:
        f.write(f"state_dir: {state}\nport: {ports.free()}\ntls: {{disabled: true}}\n")
    done = cove("gateway", "start", "--config", "own.yaml", name="openshell")
    url = re.search(r"http://127.0.0.1:\d+", done.stdout)[0]
    assert f"cove gateway add {url}" in done.stdout, done.stdout
    assert "  ends with: cove gateway stop --config own.yaml\n" in done.stdout, done.stdout
    assert running() is None and running("--config", "own.yaml")["endpoint"] == url
    assert running("--state-dir", state)["endpoint"] == url
    cove("gateway", "add", url, "--name", "elsewhere")
    assert cove("-g", "elsewhere", "sandbox", "list").stdout == "No sandboxes found.\n"
    kept = os.path.join(home, "kept")
    cove("gateway", "backup", kept, "--config", "own.yaml")
    assert os.path.getsize(kept), "a backup of that gateway"
    assert "too much" in cove("gateway", "rotate-key", "x", "--config", "own.yaml", status=2).stderr
    cove("gateway", "rotate-credentials-key", "--config", "own.yaml")
    cove("gateway", "init", "--state-dir", state, "--name", "init")
    cove("gateway", "rotate-key", "--config", "own.yaml")
    cove("gateway", "restore", "--config", "own.yaml", kept)
    end = time.monotonic() + 20  # it starts itself again
    while (running("--config", "own.yaml") or {}).get("endpoint") != url:
        assert time.monotonic() < end, "it is not back"
        time.sleep(0.05)
    again = cove("gateway", "start", "--state-dir", state).stdout
    assert f"runs already: {url}" in again and f"  ends with: cove gateway stop --state-dir {state}\n" in again, again
    cove("gw", "stop", "--config", "own.yaml")
    assert running("--state-dir", state) is None


class Lodging:
    """A home of its own, with what clients in it are told."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="cove-lodging-")
        self.env = dict(ENV, HOME=self.home)
        self.states = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for words in [[]] + [["--state-dir", s] for s in self.states]:
            self.cove("gateway", "stop", *words, status=None)
        shutil.rmtree(self.home, ignore_errors=True)

    def cove(self, *words, status=0, name="cove"):
        return cove(*words, status=status, name=name, env=self.env, cwd=self.home)

    def state(self, name):
        self.states.append(os.path.join(self.home, name))
        return self.states[-1]

    def folder(self, name="cove", family="cove"):
        return os.path.join(self.home, ".config", family, "gateways", name)

    def told(self, name="cove", family="cove"):
        """The port; None: nothing."""
        try:
            with open(os.path.join(self.folder(name, family), "metadata.json"), encoding="utf-8") as f:
                m = json.load(f)
        except FileNotFoundError:
            return None
        assert m["gateway_endpoint"] == f"https://127.0.0.1:{m['gateway_port']}", m
        return m["gateway_port"]

    def configure(self, text):
        os.makedirs(os.path.join(self.home, ".config/cove"), exist_ok=True)
        with open(os.path.join(self.home, ".config/cove/gateway.yaml"), "w", encoding="utf-8") as f:
            f.write(text)

    def is_found(self, name="cove"):
        return self.cove("sandbox", "list", name=name).stdout == "No sandboxes found.\n"


def anothers_name_is_never_taken():
    """Not by a start that fails, nor by one that would not, nor by init; who asks hears whose it is and what to do."""
    with Lodging() as l:
        first, second = ports.free(), ports.free()
        l.cove("gateway", "start", "--port", str(first))
        other = l.state("other")
        for command in (["start", "--port", str(first)], ["start", "--port", str(second)], ["init"], ["init", "--compat"]):
            done = l.cove("gateway", *command, "--state-dir", other, status=2)
            assert f"another gateway as 'cove' (https://127.0.0.1:{first}, in " in done.stderr, done
            assert f"'cove gateway init --state-dir {other} --name NAME'" in done.stderr, done
            assert "'cove gateway remove cove'" in done.stderr and not os.path.exists(other), done
            assert l.is_found() and l.told() == first and l.told(family="openshell") is None
        l.cove("gateway", "init", "--state-dir", other, "--name", "second")
        done = l.cove("gateway", "start", "--port", str(first), "--state-dir", other, status=125)
        assert f"port {first} of 127.0.0.1 is taken" in done.stderr, done.stderr
        l.cove("gateway", "start", "--port", str(second), "--state-dir", other)
        assert l.told("second") == second and l.told() == first and l.is_found()
        assert l.cove("-g", "second", "sandbox", "list").stdout == "No sandboxes found.\n"
        with open(os.path.join(l.home, ".config/cove/active_gateway"), encoding="ascii") as f:
            assert f.read() == "cove"
        l.cove("gateway", "remove", "cove")  # as if it were gone
        third = l.state("third")
        l.cove("gateway", "start", "--port", "0", "--state-dir", third)
        assert l.told() not in (None, first, second) and l.is_found()


def clients_are_told_of_another_port():
    with Lodging() as l:
        one, two = ports.free(), ports.free()
        l.cove("gateway", "start", "--port", str(one))
        l.cove("gateway", "init", "--compat")  # beside one that runs
        assert (l.told(), l.told(family="openshell")) == (one, one) and l.is_found("openshell")
        l.cove("gateway", "stop")
        done = l.cove("gateway", "start", "--port", str(two))
        assert f"client files: {l.folder()} (https://127.0.0.1:{two})\n" in done.stdout, done.stdout
        assert (l.told(), l.told(family="openshell")) == (two, two) and l.is_found() and l.is_found("openshell")
        done = l.cove("gateway", "start")
        assert "client files" not in done.stdout and done.stderr == "", "nothing was to be mended"


def init_knows_the_configuration():
    with Lodging() as l:
        port = ports.free()
        l.configure(f"port: {port}\nbind_address: 127.0.0.9\nstate_dir: {l.state('here')}\ntools: {{catalogs: [/later.yaml]}}\n")
        l.cove("gateway", "init", "--compat")
        for family in ("cove", "openshell"):
            with open(os.path.join(l.folder(family=family), "metadata.json"), encoding="utf-8") as f:
                m = json.load(f)
            assert (m["gateway_endpoint"], m["gateway_port"]) == (f"https://127.0.0.9:{port}", port), m
        l.configure(f"port: {port}\nbind_address: 127.0.0.9\nstate_dir: {l.state('here')}\n")
        assert "certificates" not in l.cove("gateway", "start").stdout, "those of init"
        assert l.is_found(), "the certificate is for that address"
        own = os.path.join(l.home, "own.yaml")
        with open(own, "w", encoding="utf-8") as f:
            f.write("port: 4711\n")
        l.cove("gateway", "init", "--config", own, "--name", "own", "--state-dir", l.state("own"))
        assert l.told("own") == 4711
        l.cove("gateway", "init", "--config", own, "--name", "own", "--state-dir", l.state("own"), "--port", "4712")
        assert l.told("own") == 4712
        l.configure("prot: 1\n")
        assert "unknown key 'prot'" in l.cove("gateway", "init", status=2).stderr


def names_are_added_to_a_certificate():
    """Also where there are certificates already; the key and the names before stay."""
    with Lodging() as l:
        l.cove("gateway", "init", "--san", "first.example")
        done = l.cove("gateway", "init", "--san", "gw.example,10.1.2.3")
        assert "certificates kept" in done.stdout, done.stdout
        assert "the server's certificate is now for: gw.example 10.1.2.3 (" in done.stdout, done.stdout
        text = subprocess.run(["openssl", "x509", "-noout", "-text", "-in",
                               os.path.join(l.home, ".local/state/cove/gateway/tls/server/tls.crt")],
                              capture_output=True, text=True, check=True).stdout
        assert all(n in text for n in ("DNS:first.example", "DNS:gw.example", "IP Address:10.1.2.3", "DNS:localhost")), text
        done = l.cove("gateway", "init", "--san", "gw.example")
        assert "was already for: gw.example\n" in done.stdout, done.stdout
        done = l.cove("gateway", "init", "--san", "a b", status=2)
        assert "--san: 'a b' is neither a host name nor an address" in done.stderr, done


def a_start_beside_it_mends_what_clients_are_told():
    with Lodging() as l:
        port = ports.free()
        l.cove("gateway", "start", "--port", str(port))
        path = os.path.join(l.folder(), "metadata.json")
        with open(path, encoding="utf-8") as f:
            good = f.read()

        def mended():
            done = l.cove("gateway", "start")
            assert "runs already" in done.stdout and "client files: " + l.folder() in done.stdout, done
            assert l.told() == port and l.is_found()
        with open(path, "w", encoding="utf-8") as f:
            f.write(good.replace(str(port), "17670"))
        mended()
        shutil.rmtree(l.folder())
        os.unlink(os.path.join(l.home, ".config/cove/active_gateway"))
        mended()
        shutil.rmtree(os.path.join(l.folder(), "mtls"))
        mended()
        os.unlink(path)
        mended()
        for choice in (good.replace('"mtls"', '"oidc"'), good.replace("127.0.0.1", "gw.example")):
            with open(path, "w", encoding="utf-8") as f:
                f.write(choice)
            l.cove("gateway", "start")
            with open(path, encoding="utf-8") as f:
                assert f.read() == choice, "somebody's own choice"
        with open(os.path.join(l.folder(), "mtls/ca.crt"), "a", encoding="ascii") as f:
            f.write("another\n")
        done = l.cove("gateway", "start")
        assert "clients do not find it: clients know another gateway as 'cove'" in done.stderr, done


def one_that_was_started_in_another_way():
    """In the foreground; and one that was killed leaves nothing that is in the way."""
    process = subprocess.Popen(["cove", "gateway", "run", "--port", "0"], executable=world.COVE, env=ENV,
                               stderr=subprocess.PIPE, text=True)
    assert any("ready" in line for line in process.stderr)
    assert running()["process"] == process.pid
    process.kill()
    process.wait()
    process.stderr.close()
    assert running() is None
    process = subprocess.Popen(["cove", "gateway", "run", "--port", "0"], executable=world.COVE, env=ENV,
                               stderr=subprocess.DEVNULL)
    cove("gateway", "start", "--port", str(PORT))
    now = running()
    cove("gateway", "stop")
    if now["process"] != process.pid:  # that one came second
        assert process.wait(20) == 125
    else:
        assert process.wait(20) == 0


def several_starts_at_once():
    """One is the first, and all the others find it; whenever each of them looks."""
    for _ in range(4):
        all_of_them = [subprocess.Popen(["cove", "gateway", "start", "--port", str(PORT)], executable=world.COVE,
                                        env=ENV, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                       for _ in range(5)]
        said = [(*p.communicate(timeout=60), p.returncode) for p in all_of_them]
        assert [status for *_, status in said] == [0] * 5, said
        assert sorted(out.split(":")[0] for out, *_ in said) == ["A gateway runs already"] * 4 + ["Gateway started"], said
        cove("gateway", "stop")


def one_that_hangs_is_said():
    cove("gateway", "start", "--port", str(PORT))
    pid = running()["process"]
    os.kill(pid, signal.SIGSTOP)
    done = cove("gateway", "status", status=125)
    assert "did not answer" in done.stderr, done.stderr
    os.kill(pid, signal.SIGCONT)
    cove("gateway", "stop")


def the_log_has_an_end():
    with open(LOG, "ab") as f:
        f.truncate((16 << 20) + 1)
    cove("gateway", "start", "--port", str(PORT))
    assert os.path.getsize(LOG) < 1 << 20 and os.path.getsize(LOG + ".1") > 16 << 20
    cove("gateway", "stop")


def every_command_is_reached():
    """Each that help names, by `cove` and as openshell; and help tells of each flag that it has."""
    text = cove("gateway", "start", "--help").stdout
    assert text.startswith("serve in the background"), text
    overview = subprocess.run([os.path.join(os.path.dirname(world.COVE), "../gateway/cove-gateway"), "help"], env=ENV,
                              capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^  cove gateway ((?:[a-z-]+ ?)+?)(?: \[|$| [A-Z])", overview, re.M)
    assert {"run", "start", "stop", "status", "reload", "init", "config check", "rotate-key", "rotate-credentials-key", "backup",
            "restore"} == set(names), names
    shown = cove("gateway", "--help").stdout
    for command in names:
        for name in ("cove", "openshell"):
            done = cove("gateway", *command.split(), "--help", name=name)
            assert f"Usage: cove gateway {command}" in done.stdout, done
        assert command in shown, (command, shown)


try:
    for f in (nothing_runs, one_command_is_enough, twice_is_once, sandboxes_go_on, reload_says_what_came_of_it, stop_waits_for_the_end,
              a_port_that_is_taken, a_configuration_that_is_wrong, certificates_in_part, the_file_says_where,
              anothers_name_is_never_taken, clients_are_told_of_another_port, init_knows_the_configuration,
              a_start_beside_it_mends_what_clients_are_told, names_are_added_to_a_certificate,
              one_that_was_started_in_another_way, several_starts_at_once, one_that_hangs_is_said, the_log_has_an_end,
              every_command_is_reached):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    cove("sandbox", "delete", "--all", status=None)
    cove("gateway", "stop", status=None)
    shutil.rmtree(home, ignore_errors=True)
tap.done()
