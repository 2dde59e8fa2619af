#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Owners in images that container builds make, with a range of ids and without.

Goal: where /etc/subuid gives the user ids, USER and chown mean what they say, and what is left of them goes
like everything else; where it does not, the build says so.  Method: the same Containerfile built by a
user who has a range and by one who has none.  Not in the user namespace that tests of an ordinary
user have, since newuidmap can do nothing there.
"""
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import buildlab  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402

CATALOG = f"""\
version: 1
tools:
  build_container:
    description: Builds a container image of files of the sandbox.
    build: {{engine: {buildlab.ENGINE}, image_bytes: 60MiB, context_bytes: 10MiB}}
    limits: {{seconds: 60}}
"""
POLICY = f"""\
version: 1
network_policies:
  plain:
    endpoints: [{{host: plain.test, port: 80, allowed_ips: [{world.PRIVATE}/32]}}]
    binaries: [{{path: /usr/bin/{buildlab.ENGINE}}}]
tools:
  all: {{tools: ["*"]}}
"""
STEPS = """\
FROM scratch
COPY busybox /bin/busybox
COPY --chown=33:44 Containerfile /copied
SHELL ["/bin/busybox", "sh", "-c"]
RUN ["/bin/busybox", "sh", "-c", "cd /; bin/busybox touch a b; bin/busybox chown 1000:1001 a; \
bin/busybox mkdir d; bin/busybox touch d/f; bin/busybox chown -R 7:8 d; bin/busybox chmod 700 d; bin/busybox mkdir w; \
bin/busybox chmod 777 w"]
USER 1000:1001
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox touch /w/mine; echo IAM $(/bin/busybox id -u) $(/bin/busybox id -g)"]
"""
tap = world.Tap()
buildlab.needed(tap)


class Place:
    """Directories of a user, in which a build of theirs runs."""

    def __init__(self, p):
        self.p = p
        self.dir = tempfile.mkdtemp(prefix="cove-test-")
        self.work, self.state = self.dir + "/work", self.dir + "/state"
        for d in (self.work, self.state, self.work + "/ctx"):
            os.mkdir(d, 0o700)
        shutil.copy(shutil.which("busybox"), self.work + "/ctx")
        for name, text in (("tools.yaml", CATALOG), ("policy.yaml", POLICY)):
            with open(f"{self.dir}/{name}", "w", encoding="ascii") as f:
                f.write(text)
        self.write(STEPS)
        for base, dirs, files in os.walk(self.dir):
            for name in (".", *dirs, *files):
                os.chown(os.path.join(base, name), p.pw_uid, p.pw_gid)

    def write(self, text):
        with open(self.work + "/ctx/Containerfile", "w", encoding="ascii") as f:
            f.write(text)

    def start(self, script):
        return subprocess.Popen(
            [*buildlab.words_of(self.p), world.COVE, "run", "-q", "--workdir", self.work, "--policy", self.dir + "/policy.yaml", "--tools",
             self.dir + "/tools.yaml", "--resolve", f"plain.test:80:{world.PRIVATE}", "--resolve",
             f"other.test:80:{world.PUBLIC}", "--", "/bin/sh", "-c", buildlab.HEAD + script], cwd=self.work, text=True,
            env={"PATH": os.environ["PATH"], "TMPDIR": self.state, "HOME": self.dir}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def build(self):
        out, err = self.start("call build_container '{\"tag\":\"a\",\"context_dir\":\"ctx\",\"dest\":\"o.tar\"}'"
                              ).communicate(timeout=100)
        try:
            return json.loads(out)
        except ValueError:
            raise AssertionError((out, err)) from None

    def owners(self):
        found = {}
        with tarfile.open(self.work + "/o.tar") as outer:
            for m in outer.getmembers():
                if m.isfile() and outer.extractfile(m).read(2) == b"\x1f\x8b":
                    with tarfile.open(fileobj=outer.extractfile(m)) as layer:
                        found.update({f.name: (f.uid, f.gid) for f in layer.getmembers()})
        return found

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def left(place):
    end = time.monotonic() + 10
    while os.listdir(place.state) and time.monotonic() < end:
        time.sleep(0.1)
    return subprocess.run(["find", place.state, "-mindepth", "1", "-ls"], capture_output=True, text=True,
                          check=False).stdout


def owners_are_kept():
    answer = many.build()
    assert answer.get("output", {}).get("status") == "success", answer
    assert "\nIAM 1000 1001" in answer["stderr"] and "one owner" not in answer["stderr"], answer["stderr"]
    found = many.owners()
    want = {"copied": (33, 44), "a": (1000, 1001), "b": (0, 0), "d": (7, 8), "d/f": (7, 8), "w/mine": (1000, 1001),
            "bin/busybox": (0, 0)}
    assert {k: found.get(k) for k in want} == want, found
    assert not left(many), left(many)


def b4_their_network():
    """A program of another id than the engine's: it is known whose it is."""
    if os.geteuid() != 0:
        raise look.Unavailable("only root has a network for this in which newuidmap works")
    world.enter_network()
    plain, other = world.Server(world.PRIVATE, 80), world.Server(world.PUBLIC, 80)
    many.write("FROM scratch\nCOPY busybox /bin/busybox\nUSER 1000:1001\n"
               'RUN ["/bin/busybox", "sh", "-c", "for h in plain other; do /bin/busybox wget -q -O - '
               'http://$h.test/x && echo $h REACHED || echo $h REFUSED; done"]\n')
    answer = many.build()
    log = answer["stderr"]
    assert "plain REACHED" in log.split("STEP 4/4")[1] and "\nother REFUSED" in log, answer
    assert len(plain.seen) == 1 and not other.seen, (plain.seen, other.seen)


def what_others_own_counts():
    many.write("FROM scratch\nCOPY busybox /bin/busybox\n"
               'RUN ["/bin/busybox", "sh", "-c", "cd /; /bin/busybox mkdir d; /bin/busybox chmod 700 d; '
               '/bin/busybox dd if=/dev/zero of=d/big bs=1M count=200; /bin/busybox chown -R 7:8 d; '
               '/bin/busybox sleep 30"]\n')
    answer = many.build()
    assert answer["error"] == "image_too_large", answer
    assert not left(many), left(many)


def p16_killed():
    """A broker that dies, with files of others in its directory."""
    many.write("FROM scratch\nCOPY busybox /bin/busybox\n"
               'RUN ["/bin/busybox", "sh", "-c", "cd /; /bin/busybox mkdir d; /bin/busybox touch d/f; '
               '/bin/busybox chown -R 7:8 d; /bin/busybox chmod 700 d"]\n'
               f'RUN ["/bin/busybox", "sleep", "6{os.getpid()}"]\n')
    p = many.start("call build_container '{\"tag\":\"a\",\"context_dir\":\"ctx\"}'")
    end = time.monotonic() + 60
    while subprocess.run(["pgrep", "-f", f"busybox sleep 6{os.getpid()}"], capture_output=True,
                         check=False).returncode:
        assert time.monotonic() < end and p.poll() is None
        time.sleep(0.1)
    kids = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(p.pid)], capture_output=True, text=True,
                          check=False).stdout
    for line in kids.splitlines():
        if "cove-broker" in line:
            os.kill(int(line.split()[0]), signal.SIGKILL)
    p.communicate(timeout=60)
    assert not left(many), left(many)


def one_owner_is_said():
    answer = one.build()
    text = json.dumps(answer)
    assert text.count("one owner") == 1, answer
    assert not left(one), left(one)


def one_owner():
    one.write("FROM scratch\nCOPY busybox /bin/busybox\n")
    answer = one.build()
    assert answer.get("output", {}).get("status") == "success", answer
    assert "/etc/subuid gives no ids" in answer["stderr"], answer
    assert one.owners()["bin/busybox"] == (0, 0), one.owners()
    one.write("FROM scratch\nCOPY --chown=33:44 Containerfile /copied\n")
    answer = one.build()
    assert answer["error"] == "tool_failed" and "gives no ids" in answer["stderr"], answer


USER = buildlab.user_with_ids()
if USER is None:
    tap.skip("owners with a range of ids", "unavailable: nobody has ids in /etc/subuid and /etc/subgid, or no newuidmap")
else:
    many = Place(USER)
    tap.check("USER, chown, COPY --chown keep their ids", owners_are_kept)
    tap.check("B5 what others own, behind directories that are closed, counts too", what_others_own_counts)
    tap.check("P16 a broker that is killed leaves nothing of theirs", p16_killed)
    tap.check("B4 they have the network of the policy too", b4_their_network)
    many.close()
ME = pwd.getpwuid(os.geteuid())
if os.path.exists("/etc/subuid") and {ME.pw_name, str(ME.pw_uid)} & buildlab.ranges("/etc/subuid"):
    tap.skip("one owner", "unavailable: who runs this has a range of ids")
else:
    one = Place(ME)
    tap.check("without a range the log says so, once", one_owner_is_said)
    tap.check("all files have one owner then", one_owner)
    one.close()
tap.done()
