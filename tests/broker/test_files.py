#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Copies between a directory of the host and a sandbox, with all the ways out that files know.

The sandbox is a directory that the broker has the descriptor of.  Beside it and beside the host's
directory lies what no copy may reach or touch.
"""
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import Lab, Sandbox, Tap, eventually  # noqa: E402

DIR = tempfile.mkdtemp(prefix="cove-files-")
HOST, ROOT, OUTSIDE = (os.path.join(DIR, n) for n in ("host", "root", "outside"))
SECRET = "not for anybody"
for path in (HOST, ROOT + "/work", OUTSIDE):
    os.makedirs(path)
with open(OUTSIDE + "/secret", "w", encoding="utf-8") as out:
    out.write(SECRET)


def tool(name, operation, more="", root=HOST, limits=""):
    return f"""
  {name}:
    description: Copies.
    files: {{operation: {operation}, root: {root}{more}}}{limits}"""


SMALL = ", bytes: 64KiB, files: 20"
lab = Lab("version: 1\ntools:" + tool("fetch", "fetch", SMALL) + tool("store", "store", SMALL)
          + tool("replace", "store", SMALL + ", overwrite: true")
          + tool("gone", "fetch", root=DIR + "/gone")
          + tool("brief", "store", ", bytes: 1000GiB", limits="\n    limits: {seconds: 1}"))
box = Sandbox(lab, "one", root=ROOT)

_count = iter(range(10000))


def fresh():
    return f"d{next(_count)}"


def fetch(path, dest=None, name="fetch"):
    """The answer, and where it should be."""
    dest = dest or "/work/" + fresh()
    return box.call(name, {"path": path, "dest": dest}), ROOT + dest


def store(path, dest=None, name="store"):
    dest = dest or fresh()
    return box.call(name, {"path": path, "dest": dest}), os.path.join(HOST, dest)


WAYS = ((fetch, HOST, ""), (store, ROOT + "/work", "/work/"))  # the call, its source, how that is written


def put(path, data="x", mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(data)
    os.chmod(path, mode)


def left():
    """Nothing half done, nothing outside was touched."""
    odd = [n for at in (HOST, ROOT + "/work") for n in os.listdir(at) if n.startswith(".cove")]
    assert not odd, odd
    assert os.listdir(OUTSIDE) == ["secret"] and open(OUTSIDE + "/secret", encoding="utf-8").read() == SECRET
    assert eventually(lambda: not lab.shepherds()), lab.shepherds()


def refused(answer, status, code):
    r, where = answer
    assert r.status == status and r.json["error"] == code, (status, code, r)
    assert SECRET not in str(r) and HOST not in str(r), r
    return where


def a_file_in_both_directions():
    for way, at, before in WAYS:
        put(at + "/one", "some bytes", 0o755)
        r, where = way(before + "one")
        assert r.status == 200, r
        dest = where[len(ROOT):] if way is fetch else os.path.basename(where)
        assert r.json["output"] == {"files": 1, "bytes": 10, "dest": dest}, r
        assert open(where, encoding="utf-8").read() == "some bytes"
        assert stat.S_IMODE(os.stat(where).st_mode) == 0o755
    left()


def a_directory_in_both_directions():
    for way, at, before in WAYS:
        name = fresh()
        put(f"{at}/{name}/a/b", "12")
        put(f"{at}/{name}/c", "345")
        os.symlink("a/b", f"{at}/{name}/l")
        os.symlink("../c", f"{at}/{name}/a/up")
        os.symlink("nowhere", f"{at}/{name}/dangling")
        r, where = way(before + name)
        assert r.status == 200, r
        assert r.json["output"]["files"] == 6 and r.json["output"]["bytes"] == 5, r
        assert open(where + "/a/b", encoding="utf-8").read() == "12"
        assert os.readlink(where + "/a/up") == "../c" and os.readlink(where + "/dangling") == "nowhere"
        os.makedirs(at + "/deep/er", exist_ok=True)
        put(at + "/deep/er/f")
        r, where = way(before + "deep/er/f")
        assert r.status == 200, r
    left()


def arguments_that_are_no_paths():
    inside = ("/etc/passwd", "../outside/secret", "a/../../outside/secret", "a//b", "./a", "a/.", "a/", "..",
              ".", "a\nb", "", "a\0b", "x" * 5000)
    sandbox = ("work/x", "/", "/work/../x", "/work/./x", "/work//x", "/work/x/", "/work/\nx", "//work", "")
    put(HOST + "/one")
    put(ROOT + "/work/one")
    for name, key, good, bad in (("fetch", "path", {"dest": "/work/no"}, inside),
                                 ("fetch", "dest", {"path": "one"}, sandbox),
                                 ("store", "path", {"dest": "no"}, sandbox),
                                 ("store", "dest", {"path": "/work/one"}, inside),
                                 ("replace", "dest", {"path": "/work/one"}, inside)):
        for value in bad:
            r = box.call(name, {**good, key: value})
            assert r.status == 400 and r.json["error"] == "invalid_arguments", (name, key, value, r)
            assert r.json["errors"][0]["pointer"] == "/" + key, (name, key, value, r)
        assert box.call(name, good).status == 400, name
    left()


def t_escape_by_a_symlink_on_the_way():
    for target in (OUTSIDE, "../outside", "../../outside", "/", "..", "."):
        name = fresh()
        os.symlink(target, HOST + "/" + name)
        os.symlink(target, ROOT + "/work/" + name)
        put(ROOT + "/work/plain")
        put(HOST + "/plain")
        for path in (name, name + "/secret", name + "/plain"):
            where = [refused(fetch(path), r, c) for r, c in ((422, "files_rejected"),)]
            where += [refused(store("/work/" + path), 422, "files_rejected")]
            assert not any(os.path.lexists(w) for w in where), where
        refused(fetch("plain", f"/work/{name}/x"), 409, "dest_refused")
        refused(fetch("plain", f"/work/{name}"), 409, "dest_refused")
        for which in ("store", "replace"):
            refused(store("/work/plain", name + "/x", which), 409, "dest_refused")
            refused(store("/work/plain", name, which), 409, "dest_refused")
        assert os.path.islink(HOST + "/" + name) and os.path.islink(ROOT + "/work/" + name)
    for at in ("/proc/self/root/etc/passwd", "/proc/self/environ"):
        refused(store(at), 404, "files_not_found")  # the sandbox has none here
    left()


def t_escape_by_a_symlink_in_the_tree():
    for way, at, before in WAYS:
        for target in ("/etc/passwd", "../x", "../../outside/secret", "sub/../..", "..", "/"):
            name = fresh()
            put(f"{at}/{name}/sub/f")
            os.symlink(target, f"{at}/{name}/bad")
            assert not os.path.lexists(refused(way(before + name), 422, "files_rejected"))
        # by way of a link, whose text alone says nothing
        name = fresh()
        put(f"{at}/{name}/d/e/f")
        os.symlink("d/e", f"{at}/{name}/l")
        os.symlink("l/../../..", f"{at}/{name}/m")
        assert not os.path.lexists(refused(way(before + name), 422, "files_rejected"))
    left()


def fifos_sockets_and_the_like():
    for way, at, before in WAYS:
        name = fresh()
        put(f"{at}/{name}/f")
        os.mkfifo(f"{at}/{name}/pipe")
        began = time.monotonic()
        for path in (name, name + "/pipe"):
            assert not os.path.lexists(refused(way(before + path), 422, "files_rejected"))
        assert time.monotonic() - began < 20
        os.mkfifo(f"{at}/{name}-pipe")
        to = store if way is fetch else fetch
        put(HOST + "/plain")
        put(ROOT + "/work/plain")
        source = "/work/plain" if to is store else "plain"
        refused(to(source, f"{name}-pipe" if to is store else f"/work/{name}-pipe"), 409, "dest_refused")
    left()


def bounds_of_bytes_and_files():
    for way, at, before in WAYS:
        name = fresh()
        os.makedirs(f"{at}/{name}")
        with open(f"{at}/{name}/sparse", "wb") as f:
            f.truncate(1 << 43)
        began = time.monotonic()
        for path in (name, name + "/sparse"):
            assert not os.path.lexists(refused(way(before + path), 413, "files_too_large"))
        assert time.monotonic() - began < 20
        for n, status in ((20, 200), (21, 413)):
            name = fresh()
            for i in range(n):
                put(f"{at}/{name}/f{i}")
            r, where = way(before + name)
            assert r.status == status and os.path.exists(where) == (status == 200), r
        for n, status in ((65536, 200), (65537, 413)):
            name = fresh()
            put(f"{at}/{name}/a", "x" * (n - 1))
            put(f"{at}/{name}/b", "x")
            put(f"{at}/{name}-one", "x" * n)
            for path in (name, name + "-one"):
                r, where = way(before + path)
                assert r.status == status and os.path.exists(where) == (status == 200), r
        name = fresh()
        os.makedirs(f"{at}/{name}" + "/d" * 70)
        refused(way(before + name), 413, "files_too_large")
    left()


def bits_and_names_of_files():
    for way, at, before in WAYS:
        name = fresh()
        put(f"{at}/{name}/suid", "x", 0o6755)
        put(f"{at}/{name}/one", "12345")
        os.link(f"{at}/{name}/one", f"{at}/{name}/two")
        r, where = way(before + name)
        assert r.status == 200 and r.json["output"]["bytes"] == 11, r
        assert stat.S_IMODE(os.stat(where + "/suid").st_mode) == 0o755
        assert os.stat(where + "/one").st_ino != os.stat(where + "/two").st_ino
        r, where = way(before + name + "/suid")
        assert r.status == 200 and stat.S_IMODE(os.stat(where).st_mode) == 0o755
        put(f"{at}/{name}/a\tb")
        refused(way(before + name), 422, "files_rejected")
    left()


def dest_is_exact():
    put(HOST + "/plain", "new")
    put(ROOT + "/work/plain", "new")
    for at in (HOST, ROOT + "/work"):
        put(at + "/tree/f", "tree")
        put(at + "/full/g", "old")
        put(at + "/file", "old")
        os.mkdir(at + "/empty")
    for dest in ("/work/file", "/work/full", "/work/empty", "/work/missing/x", "/work/file/x"):
        refused(fetch("plain", dest), 409, "dest_refused")
    for dest in ("/work/file", "/work/full", "/work/missing/x", "/work/file/x"):
        refused(fetch("tree", dest), 409, "dest_refused")
    r, where = fetch("tree", "/work/empty")
    assert r.status == 200 and os.listdir(where) == ["f"], r
    for name in ("store", "replace"):
        for dest in ("full", "empty", "missing/x", "file/x"):
            refused(store("/work/plain", dest, name), 409, "dest_refused")
        for dest in ("full", "empty", "file", "missing/x"):
            refused(store("/work/tree", dest, name), 409, "dest_refused")
    refused(store("/work/plain", "file"), 409, "dest_refused")
    for at in (HOST, ROOT + "/work"):
        assert open(at + "/file", encoding="utf-8").read() == "old" and os.listdir(at + "/full") == ["g"]
    assert os.listdir(HOST + "/empty") == []
    left()


def overwriting_is_one_file_at_a_stroke():
    put(HOST + "/target", "old")
    os.link(HOST + "/target", HOST + "/other-name")
    put(ROOT + "/work/new", "new")
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            with open(HOST + "/target", encoding="utf-8") as f:
                seen.add(f.read())

    t = threading.Thread(target=look)
    t.start()
    r, where = store("/work/new", "target", "replace")
    stop.set()
    t.join()
    assert r.status == 200 and open(where, encoding="utf-8").read() == "new", r
    assert seen <= {"old", "new"}, seen
    assert open(HOST + "/other-name", encoding="utf-8").read() == "old", "another name of it is another file"
    left()


def what_is_not_there():
    refused(fetch("missing"), 404, "files_not_found")
    refused(store("/work/missing"), 404, "files_not_found")
    refused(store("/work/missing/x"), 404, "files_not_found")
    r, _ = fetch("x", name="gone")
    assert r.status == 502 and DIR not in str(r), r
    for way, at, before in WAYS:  # not by whoever runs cove as root either
        put(at + "/unreadable", "x", 0)
        refused(way(before + "unreadable"), 422, "files_rejected")
    put(HOST + "/plain")
    os.mkdir(HOST + "/closed", 0o555)
    refused(store("/work/plain", "closed/x"), 409, "dest_refused")
    left()


def policy_decides_by_path():
    put(HOST + "/public/a")
    put(HOST + "/private/a")
    other = Sandbox(lab, "strict", root=ROOT, policy="""
version: 1
tools:
  public:
    tools: [fetch]
    arguments: [{path: $.path, glob: "public/**"}]
""")
    assert other.call("fetch", {"path": "public/a", "dest": "/work/" + fresh()}).status == 200
    for path in ("private/a", "public/../private/a"):
        r = other.call("fetch", {"path": path, "dest": "/work/no"})
        assert r.status in (400, 403), r
    assert not os.path.exists(ROOT + "/work/no")
    other.end()
    none = Sandbox(lab, "none")
    r = none.call("fetch", {"path": "public/a", "dest": "/work/no"})
    assert r.status >= 500, r
    none.end()
    left()


def time_and_cancel_leave_nothing():
    os.makedirs(ROOT + "/work/huge")
    for i in range(3):
        with open(f"{ROOT}/work/huge/{i}", "wb") as f:
            f.truncate(200 << 30)
    for path in ("/work/huge", "/work/huge/0"):
        r, where = store(path, name="brief")
        assert r.status == 504 and r.json["error"] == "tool_timeout", r
        assert not os.path.lexists(where)
        left()


def t_a_sandbox_that_swaps_what_is_read():
    """A directory and a link to outside change places all the time; what arrives is never from outside."""
    top = ROOT + "/work/race"
    put(top + "/a/secret", "mine")
    os.symlink("../../../outside", top + "/b")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            for x, y in (("a", "c"), ("b", "a"), ("a", "b"), ("c", "a")):
                os.rename(f"{top}/{x}", f"{top}/{y}")

    t = threading.Thread(target=swap)
    t.start()
    codes = set()
    for _ in range(40):
        for path in ("/work/race/a/secret", "/work/race/a", "/work/race"):
            r, where = store(path)
            codes.add(r.status)
            for at, _, names in os.walk(where):
                for name in names:
                    if os.path.isfile(f"{at}/{name}") and not os.path.islink(f"{at}/{name}"):
                        assert open(f"{at}/{name}", encoding="utf-8").read() == "mine"
            if os.path.isfile(where):
                assert open(where, encoding="utf-8").read() == "mine"
    stop.set()
    t.join()
    print("# statuses:", sorted(codes), flush=True)
    left()


TESTS = [a_file_in_both_directions, a_directory_in_both_directions, arguments_that_are_no_paths,
         t_escape_by_a_symlink_on_the_way, t_escape_by_a_symlink_in_the_tree, fifos_sockets_and_the_like,
         bounds_of_bytes_and_files, bits_and_names_of_files, dest_is_exact,
         overwriting_is_one_file_at_a_stroke, what_is_not_there, policy_decides_by_path,
         t_a_sandbox_that_swaps_what_is_read, time_and_cancel_leave_nothing]
wanted = sys.argv[1:]
failed = Tap().run([t for t in TESTS if not wanted or t.__name__ in wanted])
lab.close()
subprocess.run(["rm", "-rf", DIR, lab.dir], check=False)
sys.exit(failed)
