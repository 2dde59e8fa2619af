#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Container builds for a sandbox, with real buildah (or podman: CV_ENGINE) and a real registry.

Goal: an agent gets images of its own files; what they build on is what the catalog allows, what RUN
reaches is what the sandbox's policy allows, nothing of the host gets in and nothing of another
sandbox, and a build that is cancelled is over.  Method: `cove run --tools` with scripts that call the
tool with curl; Debian's docker-registry behind the proxy.
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import buildlab  # noqa: E402
import world  # noqa: E402
from buildlab import BUSYBOX, ENGINE, HEAD  # noqa: E402

REGISTRY = "registry.test:5443"
CATALOG = f"""\
version: 1
tools:
  build_container:
    description: Builds a container image of files of the sandbox.
    build:
      base_images: ["{REGISTRY}/base/*"]
      push: ["{REGISTRY}/base/*", "{REGISTRY}/out/**"]
      allowed_ips: [{world.PRIVATE}/32]
      context_bytes: 20MiB
      context_files: 100
    limits: {{seconds: 100}}
    route: POST /build
  build_pinned:
    description: The same, of base images by digest.
    build: {{base_images: ["{REGISTRY}/base/*"], needs_digest: true, allowed_ips: [{world.PRIVATE}/32]}}
  build_small:
    description: The same, in little room and time.
    build: {{image_bytes: 30MiB, context_bytes: 20MiB, seconds: 10}}
  push_container:
    description: Pushes an image of this run.
    build: {{operation: push, push: ["{REGISTRY}/out/**"], allowed_ips: [{world.PRIVATE}/32]}}
  list_images:
    description: Images of this run.
    build: {{operation: list}}
"""
CATALOG = CATALOG.replace("build: {", f"build: {{engine: {ENGINE}, ").replace(
    "build:\n", f"build:\n      engine: {ENGINE}\n")
POLICY = f"""\
version: 1
network_policies:
  plain:
    endpoints: [{{host: plain.test, port: 80, allowed_ips: [{world.PRIVATE}/32]}}]
    binaries: [{{path: /usr/bin/{ENGINE}}}]
tools:
  all: {{tools: ["*"]}}
"""
tap = world.Tap()
buildlab.needed(tap, "docker-registry")
w = world.World(["registry.test"])
plain = world.Server(world.PRIVATE, 80)
other = world.Server(world.PUBLIC, 80)
lab = buildlab.Builds(w, CATALOG, POLICY, [f"registry.test:5443:{world.PRIVATE}", f"plain.test:80:{world.PRIVATE}",
                                           f"other.test:80:{world.PUBLIC}"])
policy, tools, state, ENV = lab.policy, lab.tools, lab.state, lab.env
context, cove, build, built = lab.context, lab.cove, lab.build, lab.built
SECRET = os.path.join(w.dir, "secret")
with open(SECRET, "w", encoding="ascii") as f:
    f.write("host-secret")


def refused(code, arguments=None, words="", **kw):
    answer = lab.refused(code, arguments, words, **kw)
    assert "host-secret" not in json.dumps(answer), answer


def files_of(archive):
    """The names in the layers of an OCI archive, and the digest of its manifest."""
    names, index = [], None
    with tarfile.open(archive) as outer:
        for m in outer.getmembers():
            data = outer.extractfile(m).read() if m.isfile() else b""
            if m.name == "index.json":
                index = json.loads(data)
            if data[:2] == b"\x1f\x8b":
                with tarfile.open(fileobj=outer.extractfile(m)) as layer:
                    names += layer.getnames()
    return names, index["manifests"][0]["digest"]


def config_of(archive):
    """What an image says of how it is run."""
    with tarfile.open(archive) as outer:
        small = [outer.extractfile(m).read() for m in outer.getmembers() if m.isfile() and m.size < 20000]
    configs = [json.loads(b) for b in small if b.startswith(b"{") and b'"rootfs"' in b]
    assert len(configs) == 1, configs
    return configs[0].get("config", {})


def from_scratch():
    context(BUSYBOX + 'RUN ["/bin/busybox", "touch", "/made"]\n')
    answer = built({"dest": "out.tar"})
    out = answer["output"]
    archive = os.path.join(w.work, "out.tar")
    names, digest = files_of(archive)
    assert "made" in names and "bin/busybox" in names, names
    assert out["digest"] == digest and out["size"] == os.path.getsize(archive), out
    assert os.stat(archive).st_uid == os.geteuid() and os.stat(archive).st_mode & 0o777 == 0o644
    assert out["tag"].startswith("localhost/cove-") and out["tag"].endswith("/app:latest"), out
    assert "STEP" in answer["stderr"], answer


def dockerfile_and_arguments():
    path = context(BUSYBOX + "FROM scratch AS early\n")
    os.mkdir(os.path.join(path, "sub"))
    with open(os.path.join(path, "sub/My.file"), "w", encoding="ascii") as f:
        f.write("ARG WHICH=none\nFROM scratch AS one\nCOPY busybox /one\nFROM scratch AS two\nARG TEXT\n"
                "COPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo said $TEXT\"]\n")
    answer = built({"dockerfile": "sub/My.file", "build_args": {"TEXT": "a b"}})
    assert "said a b" in answer["stderr"], answer
    built({"dockerfile": "sub/My.file", "tag": "a__b/c---d:E.f-1"})
    built({"dockerfile": "sub/My.file", "target": "one", "dest": f"{w.work}/one.tar"})
    assert "one" in files_of(os.path.join(w.work, "one.tar"))[0]
    refused("bad_containerfile", {"dockerfile": "sub/My.file", "target": "three"}, words="there are one, two")


def labels_and_platform():
    platform = "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    context(f"FROM --platform=$BUILDPLATFORM scratch AS a\nCOPY busybox /bin/busybox\nFROM --platform={platform} a\n"
            "LABEL kept=1\n")
    built({"labels": {"org.opencontainers.image.title": "its = \"one\"", "a/b-c": ""}, "platform": platform,
           "dest": "out.tar"})
    labels = config_of(os.path.join(w.work, "out.tar"))["Labels"]
    assert labels["org.opencontainers.image.title"] == "its = \"one\"" and labels["a/b-c"] == "", labels
    assert labels["kept"] == "1", labels
    refused("invalid_arguments", {"platform": "linux/mips"}, words=platform)
    for key in ("-x", "a=b", "a b", "=", "1a"):
        refused("invalid_arguments", {"labels": {key: "x"}}, words="names are letters")
    context("FROM --platform=linux/mips scratch\n")
    refused("bad_containerfile", words=f"--platform={platform}")


def ignored():
    context("FROM scratch\nCOPY . /all/\n", **{".dockerignore": "no*\n", "no": "x", "yes": "x"})
    built({"dest": "out.tar"})
    names = files_of(os.path.join(w.work, "out.tar"))[0]
    assert "all/yes" in names and "all/no" not in names, names


def run_network(url):
    return ('RUN ["/bin/busybox", "sh", "-c", "/bin/busybox wget -q -O /got ' + url +
            ' && echo REACHED || echo REFUSED; /bin/busybox sleep 1"]\n')


def b4_run_is_refused():
    before = len(plain.seen) + len(other.seen)
    context(BUSYBOX + run_network("http://other.test/x") +
            'RUN ["/bin/busybox", "sh", "-c", "http_proxy= /bin/busybox wget -q -T 5 -O /got '
            f'http://{world.PUBLIC}/x && echo REACHED || echo REFUSED; /bin/busybox sleep 1"]\n')
    answer = built()
    assert answer["stderr"].count("\nREFUSED") == 2 and "\nREACHED" not in answer["stderr"], answer
    assert "other.test" in answer["stderr"], answer
    told = [e["message"] for e in w.events() if e.get("message", "").startswith("build ")]
    assert any("other.test" in m and "DENIED" in m for m in told), w.events()
    assert len(plain.seen) + len(other.seen) == before


def b4_run_is_allowed():
    before = len(plain.seen)
    context(BUSYBOX + run_network("http://plain.test/here"))
    answer = built()
    assert "\nREACHED" in answer["stderr"], answer
    assert len(plain.seen) == before + 1 and plain.seen[-1]["path"] == "/here", plain.seen


def roots():
    """The proxy's certificate: for RUN that asks, and not in the image."""
    context(BUSYBOX + 'ARG SSL_CERT_FILE\nRUN ["/bin/busybox", "sh", "-c", "/bin/busybox head -n 1 $SSL_CERT_FILE; '
            '/bin/busybox env > /env"]\nRUN ["/bin/busybox", "sh", "-c", "echo env; /bin/busybox cat /env"]\n')
    answer = built({"dest": "out.tar"})
    assert "\n-----BEGIN CERTIFICATE-----" in answer["stderr"], answer
    assert "SSL_CERT_FILE=" in answer["stderr"] and "PIP_CERT=" not in answer["stderr"].split("\nenv\n")[1], answer
    archive = os.path.join(w.work, "out.tar")
    names = files_of(archive)[0]
    assert not any(n.endswith(".pem") for n in names), names
    assert "CERT" not in json.dumps(config_of(archive)), config_of(archive)


def b4_add_is_refused():
    before = len(other.seen)
    context("FROM scratch\nADD http://other.test/x /x\nADD http://169.254.169.254/latest /y\n")
    answer = build()
    assert answer["error"] == "tool_failed" and len(other.seen) == before, answer


def b4_without_network():
    bare = w.policy("version: 1\ntools:\n  all: {tools: [\"*\"]}\n", "bare.yaml")
    context(BUSYBOX + run_network("http://plain.test/here"))
    before = len(plain.seen)
    r = cove("call build_container '{\"tag\":\"a\",\"context_dir\":\"ctx\"}'", policy=bare)
    assert "REFUSED" in r.stdout and len(plain.seen) == before, (r.stdout, r.stderr)


def b4_nothing_of_the_host():
    """What RUN sees when it leaves its chroot is no more than a sandbox sees."""
    context(BUSYBOX + 'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox cat ' + SECRET + ' /proc/1/root' + SECRET +
            "; /bin/busybox find / -xdev -name secret; /bin/busybox env; /bin/busybox id\"]\n")
    answer = built()
    assert "host-secret" not in json.dumps(answer) and "cvt_" not in json.dumps(answer), answer


def push_and_pull():
    context(BUSYBOX + 'RUN ["/bin/busybox", "touch", "/base"]\n')
    out = built({"push": f"{REGISTRY}/base/busybox:1"})["output"]
    assert out["pushed"].startswith(f"{REGISTRY}/base/busybox@sha256:"), out
    context(f"FROM {REGISTRY}/base/busybox:1\n" 'RUN ["/bin/busybox", "touch", "/made"]\n')
    built({"dest": "out.tar"})
    names = files_of(os.path.join(w.work, "out.tar"))[0]
    assert "base" in names and "made" in names, names
    context(f"FROM {out['pushed']}\n" 'RUN ["/bin/busybox", "touch", "/made"]\n')
    built(tool="build_pinned")
    return out


def b4_bases_refused():
    context("FROM docker.io/library/debian\n")
    refused("base_image_denied", words="debian")
    context(f"FROM {REGISTRY}/other/busybox:1\n")
    refused("base_image_denied", words="line 1")
    context(f"FROM scratch\nCOPY --from={REGISTRY}/other/x:1 /x /x\n")
    refused("base_image_denied", words="line 2")
    context(f"FROM {REGISTRY}/base/busybox:1\n")
    refused("base_image_denied", tool="build_pinned", words="digest")
    context("FROM localhost/cove-1/app\n")
    refused("base_image_denied", words="not an image of this run")
    context("FROM dir:/etc\n")
    refused("bad_containerfile", words="no image's name")
    context("ARG X\nFROM $X\n")
    refused("bad_containerfile", words="line 2")
    context("# syntax=evil.test/frontend\nFROM scratch\n")
    refused("bad_containerfile", words="frontend")
    context("FROM scratch\nRUN --network=host true\n")
    refused("bad_containerfile", words="line 2")
    context("FROM scratch\nRUN --mount=type=secret,id=a true\n")
    refused("bad_containerfile", words="secrets")
    context(f"FROM {REGISTRY}/base/none:1\n")
    refused("base_image_failed", words="base/none:1")


def s1_paths_refused():
    context("FROM scratch\n")
    for value in ("/etc/passwd", "../x", "a/../../x", "-f", "a//b", "", "Containerfile.in"):
        refused("invalid_arguments", {"dockerfile": value})
    refused("bad_containerfile", {"dockerfile": "none"})
    refused("invalid_arguments", {"context_dir": "../.."})
    refused("bad_context", {"context_dir": "/proc/1"})
    refused("bad_context", {"context_dir": "/none"})


def s3_tags_refused():
    context("FROM scratch\nCOPY busybox /b\n")
    for tag in ("-t", "--privileged", "A", "docker.io/library/debian", f"{REGISTRY}/base/busybox:1", "a b", "a\nb",
                "app@sha256:" + "0" * 64, "dir:/etc", "../x"):
        refused("invalid_arguments", {"tag": tag})
    refused("foreign_tag", {"tag": "localhost/cove-1/app"})
    refused("foreign_tag", {"tag": "localhost/app"})
    refused("invalid_arguments", {"push": "app"})
    refused("push_denied", {"push": f"{REGISTRY}/elsewhere/x:1"})
    refused("invalid_arguments", {"build_args": {"-x": "a"}})
    refused("invalid_arguments", {"target": "--x"})


def p6_dests():
    context("FROM scratch\nCOPY busybox /b\n")
    for dest in ("/usr/bin/new", "/etc/new", "/none/new", "/proc/self/cwd/new"):
        refused("bad_dest", {"dest": dest})
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(w.work, "link"))
    os.symlink(SECRET, os.path.join(w.work, "link"))
    refused("bad_dest", {"dest": "link"})
    os.symlink(w.dir, os.path.join(w.work, "updir"))
    refused("bad_dest", {"dest": "updir/new.tar"})
    refused("invalid_arguments", {"dest": "../new.tar"})
    with open(SECRET, encoding="ascii") as f:
        assert f.read() == "host-secret"
    assert not os.path.exists(os.path.join(w.dir, "new.tar"))
    built({"dest": "/tmp/inside.tar"}, more="; ls -l /tmp/inside.tar")
    assert not os.path.exists("/tmp/inside.tar")


def b4_contexts_refused():
    for make in (lambda p: os.symlink(SECRET, p + "/s"),
                 lambda p: os.symlink("../../secret", p + "/s"),
                 lambda p: os.mkfifo(p + "/fifo"),
                 lambda p: os.truncate(open(p + "/sparse", "w"), 1 << 40) or None,
                 lambda p: [open(f"{p}/{i}", "w") for i in range(101)] and None):
        path = context("FROM scratch\nCOPY . /\n")
        with contextlib.suppress(TypeError):
            make(path)
        if os.path.exists(path + "/sparse"):
            os.truncate(path + "/sparse", 1 << 40)
        refused("bad_context")
    context("FROM scratch\nCOPY . /\n")
    os.symlink(w.dir, os.path.join(w.work, "linked"))
    refused("bad_context", {"context_dir": "linked"}, words="symlink")


def two_sandboxes():
    context("FROM scratch\nCOPY busybox /b\n")
    script = ("call build_container '{\"tag\":\"mine\",\"context_dir\":\"ctx\"}'; call list_images '{}' > list.json; "
              "echo up; sleep 60")
    p = subprocess.Popen([world.COVE, "run", "-q", "--workdir", w.work, "--policy", policy, "--tools", tools, "--",
                          "/bin/sh", "-c", HEAD + script], env=ENV, text=True, stdout=subprocess.PIPE)
    try:
        name = json.loads(p.stdout.readline())["output"]["tag"]
        while p.stdout.readline() != "up\n":
            assert p.poll() is None
        with open(os.path.join(w.work, "list.json"), encoding="utf-8") as f:
            assert name in f.read()
        assert name not in cove("call list_images '{}'").stdout
        refused("foreign_tag", {"tag": name})
        context(f"FROM {name}\n")
        refused("base_image_denied", words="not an image of this run")
        r = cove(f"call push_container '{{\"tag\":\"{name}\",\"destination\":\"{REGISTRY}/out/x:1\"}}'")
        assert "foreign_tag" in r.stdout, r.stdout
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait()


def own_images_build_on():
    context("FROM scratch\nCOPY busybox /bin/busybox\n")
    with open(os.path.join(w.work, "ctx/Second"), "w", encoding="ascii") as f:
        f.write("ARG BASE\nFROM $BASE\nRUN [\"/bin/busybox\", \"touch\", \"/second\"]\n")
    r = cove("T=$(call build_container '{\"tag\":\"first\",\"context_dir\":\"ctx\"}' | "
             "sed 's/.*\"tag\":\"\\([^\"]*\\).*/\\1/'); call build_container \"{\\\"tag\\\":\\\"b\\\","
             "\\\"context_dir\\\":\\\"ctx\\\",\\\"dockerfile\\\":\\\"Second\\\",\\\"build_args\\\":"
             "{\\\"BASE\\\":\\\"$T\\\"},\\\"dest\\\":\\\"b.tar\\\"}\"; "
             f"call push_container '{{\"tag\":\"b\",\"destination\":\"{REGISTRY}/out/b:1\"}}'")
    assert "second" in files_of(os.path.join(w.work, "b.tar"))[0], (r.stdout, r.stderr)
    assert f"{REGISTRY}/out/b@sha256:" in r.stdout, r.stdout


def running(mark):
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False).returncode == 0


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def b5_cancel():
    mark = f"sleep 7{os.getpid()}"
    context(BUSYBOX + f'RUN ["/bin/busybox", "sh", "-c", "(/bin/busybox {mark} &); /bin/busybox {mark}"]\n')
    script = ("L=$(curl -sS -H \"$A\" -H \"$J\" -H 'Prefer: respond-async' $U/build -d "
              "'{\"tag\":\"a\",\"context_dir\":\"ctx\"}' -o /dev/null -D - | tr -d '\\r' | "
              "sed -n 's/^[Ll]ocation: //p'); echo $L; read x; curl -sS -H \"$A\" -X DELETE $U$L; echo; "
              "curl -sS -H \"$A\" \"$U$L?wait=20\"; echo; read x")
    p = subprocess.Popen([world.COVE, "run", "-q", "--workdir", w.work, "--policy", policy, "--tools", tools, "--",
                          "/bin/sh", "-c", HEAD + script], env=ENV, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    try:
        assert p.stdout.readline().startswith("/v1/jobs/")
        wait_until(lambda: running(mark))
        p.stdin.write("\n")
        p.stdin.flush()
        while not (line := p.stdout.readline()).startswith('{"id"') or '"ended":null' in line:
            assert line, p.poll()
        job = json.loads(line)
        assert job["state"] == "cancelled", job
        assert not running(mark)
    finally:
        p.stdin.close()
        p.wait()


def b5_broker_dies():
    mark = f"sleep 8{os.getpid()}"
    context(BUSYBOX + f'RUN ["/bin/busybox", "sleep", "8{os.getpid()}"]\n')
    p = subprocess.Popen([world.COVE, "run", "-q", "--workdir", w.work, "--policy", policy, "--tools", tools, "--",
                          "/bin/sh", "-c", HEAD + "call build_container '{\"tag\":\"a\",\"context_dir\":\"ctx\"}'"],
                         env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: running(mark))
    for line in subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(p.pid)], capture_output=True, text=True,
                               check=False).stdout.splitlines():
        if "cove-broker" in line:
            os.kill(int(line.split()[0]), signal.SIGKILL)
    assert "broker_unavailable" in p.communicate(timeout=60)[0]
    wait_until(lambda: not running(mark))


def limits_of_time_and_disk():
    context(BUSYBOX + 'RUN ["/bin/busybox", "sleep", "60"]\n')
    refused("tool_timeout", tool="build_small", words="10 seconds")
    context(BUSYBOX + 'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox dd if=/dev/zero of=/big bs=1M count=200; '
            '/bin/busybox sleep 60"]\n')
    refused("image_too_large", tool="build_small")


def other_engines():
    bad = w.policy(CATALOG.replace(f"engine: {ENGINE}", "engine: docker", 1), "docker.yaml")
    r = w.cove(["/bin/echo", "ran"], policy=policy, options=["--tools", bad], env=ENV)
    assert "docker builds in a daemon" in r.stderr and "buildah or podman" in r.stderr and "ran" not in r.stdout and r.returncode != 0, r


def nothing_is_left():
    assert not os.listdir(state), os.listdir(state)


registry = buildlab.Registry(w, 5443, pki=w.pki)
try:
    tap.check("from scratch: archive, digest, size, owner", from_scratch)
    tap.check("another file, a stage, arguments", dockerfile_and_arguments)
    tap.check("labels; the machine's platform, and no other", labels_and_platform)
    tap.check(".dockerignore", ignored)
    tap.check("B4 a RUN step is refused what the policy does not allow, by proxy and past it", b4_run_is_refused)
    tap.check("B4 a RUN step reaches what the policy allows the engine", b4_run_is_allowed)
    tap.check("the proxy's certificate is there for RUN, and not in the image", roots)
    tap.check("B4 ADD of a URL is decided too, a metadata service's included", b4_add_is_refused)
    tap.check("B4 a policy without network: none in a build", b4_without_network)
    tap.check("B4 nothing of the host is in a build", b4_nothing_of_the_host)
    tap.check("to a registry, and from it: by tag and by digest", push_and_pull)
    tap.check("B4 base images that are not allowed, and what can't be told", b4_bases_refused)
    tap.check("S1 paths", s1_paths_refused)
    tap.check("S3 tags, destinations, options", s3_tags_refused)
    tap.check("P6 places that an archive may not go to", p6_dests)
    tap.check("B4 P6 P12 contexts that lead out or are too much", b4_contexts_refused)
    tap.check("two sandboxes and each other's images", two_sandboxes)
    tap.check("a build on one's own image; a push by itself", own_images_build_on)
    tap.check("B5 a cancelled build is over, with all that it started", b5_cancel)
    tap.check("B5 a broker that dies takes the build along", b5_broker_dies)
    tap.check("limits of time and disk", limits_of_time_and_disk)
    tap.check("engines that build in a daemon are refused by name", other_engines)
    tap.check("nothing is left behind", nothing_is_left)
finally:
    registry.close()
    w.close()
tap.done()
