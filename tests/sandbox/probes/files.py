#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Tries to reach files that the sandbox was not given.  argv: a directory of the host that must not
# exist inside; its file "secret".
import ctypes
import errno
import glob
import os
import signal
import socket
import stat
import sys

OUT = sys.argv[1]
SECRET = OUT + "/secret"


def attempt(name, function):
    try:
        got = function()
        print(name, "OK", repr(got)[:80] if got else "", flush=True)
    except OSError as e:
        print(name, errno.errorcode.get(e.errno, "?"), flush=True)


def read(path, n=64):
    with open(path, "rb", buffering=0) as f:
        return f.read(n)


def write(path, data=b"x", flags=os.O_WRONLY):
    fd = os.open(path, flags | os.O_NONBLOCK, 0o666)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def create(path):
    return write(path, flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def symlink_then(path, function, name):
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(path, name)
    try:
        return function(name)
    finally:
        os.unlink(name)


# what is not there
attempt("read-secret", lambda: read(SECRET))
attempt("list-outside", lambda: os.listdir(OUT))
attempt("read-by-dotdot", lambda: read("../outside/secret"))
attempt("list-dotdot", lambda: [n for n in os.listdir("..") if n != "work"] or 1 / 0
        if set(os.listdir("..")) - {"work"} else (_ for _ in ()).throw(OSError(errno.ENOENT, "")))
attempt("read-by-many-dotdot", lambda: read("../" * 40 + SECRET))
attempt("read-by-symlink", lambda: symlink_then(SECRET, read, "l0"))
attempt("read-by-relative-symlink", lambda: symlink_then("../outside/secret", read, "l1"))
attempt("write-by-symlink", lambda: symlink_then(OUT + "/new", create, "l2"))
attempt("read-by-planted-symlink", lambda: read("planted"))
attempt("write-by-planted-symlink", lambda: write("planted"))
attempt("list-by-planted-symlink", lambda: os.listdir("planted-dir"))
attempt("hard-link-outside", lambda: os.link(SECRET, "h0"))
attempt("hard-link-usr", lambda: os.link("/usr/bin/env", "h1"))
attempt("rename-out", lambda: os.rename("mine", OUT + "/mine"))
attempt("create-beside-workdir", lambda: create("../beside"))
attempt("rename-workdir", lambda: os.rename(os.getcwd(), os.getcwd() + "2"))
attempt("home-root", lambda: os.listdir("/root"))
attempt("home", lambda: os.listdir("/home"))
attempt("shadow", lambda: read("/etc/shadow"))
attempt("gshadow", lambda: read("/etc/gshadow"))
attempt("ssh-host-keys", lambda: os.listdir("/etc/ssh"))
attempt("host-passwd", lambda: (b"daemon" in read("/etc/passwd", 4096)) or
        (_ for _ in ()).throw(OSError(errno.ENOENT, "")))
attempt("machine-id", lambda: read("/etc/machine-id"))
attempt("boot", lambda: os.listdir("/boot"))
attempt("opt", lambda: os.listdir("/opt"))
attempt("mnt", lambda: os.listdir("/mnt"))
attempt("sys", lambda: os.listdir("/sys/kernel"))
attempt("old-root", lambda: os.listdir("/old_root") + os.listdir("/oldroot"))
attempt("docker-socket", lambda: os.stat("/run/docker.sock"))
attempt("dbus-socket", lambda: os.stat("/run/dbus/system_bus_socket"))
attempt("run-user", lambda: os.listdir("/run/user"))
attempt("tmp-of-host", lambda: read("/tmp/" + sys.argv[2]))
attempt("dev-shm-of-host", lambda: read("/dev/shm/" + sys.argv[2]))

# another process's view
for i, path in enumerate(("/proc/1/root", "/proc/1/cwd", "/proc/1/exe", "/proc/self/../1/root")):
    attempt(f"proc1-{i}-{path.rsplit('/', 1)[1]}", lambda p=path: os.readlink(p))
attempt("proc1-root-secret", lambda: read("/proc/1/root" + SECRET))
attempt("proc1-cwd-list", lambda: os.listdir("/proc/1/cwd/"))
attempt("proc1-environ", lambda: read("/proc/1/environ"))
attempt("proc1-mem-read", lambda: read("/proc/1/mem"))
attempt("proc1-mem-write", lambda: write("/proc/1/mem"))
attempt("proc1-exe-write", lambda: write("/proc/1/exe", flags=os.O_WRONLY))
attempt("proc1-exe-read", lambda: read("/proc/1/exe"))
attempt("proc1-maps", lambda: read("/proc/1/maps"))
# numbers alone say nothing; the root user of a host may list them, for it owns the directory
for what, function in (("readlink", os.readlink), ("open", read), ("list", os.listdir)):
    attempt("proc1-fd-" + what, lambda f=function: [f("/proc/1/fd/" + n) for n in ("0", "3", "4")])
attempt("proc1-fdinfo", lambda: [read("/proc/1/fdinfo/" + n) for n in ("0", "3")])
attempt("proc1-ns", lambda: os.readlink("/proc/1/ns/net"))
attempt("proc1-stack", lambda: read("/proc/1/stack"))
attempt("proc1-syscall", lambda: read("/proc/1/syscall"))
attempt("proc1-map_files", lambda: os.listdir("/proc/1/map_files"))
attempt("proc1-oom", lambda: write("/proc/1/oom_score_adj", b"1000"))
attempt("proc1-uid-map", lambda: write("/proc/1/uid_map", b"0 0 1"))
attempt("self-uid-map", lambda: write("/proc/self/uid_map", b"0 0 1"))
attempt("self-setgroups", lambda: write("/proc/self/setgroups", b"allow"))
attempt("self-root-secret", lambda: read("/proc/self/root" + SECRET))
attempt("self-exe-write", lambda: write("/proc/self/exe"))

# the kernel's knobs
attempt("core_pattern", lambda: write("/proc/sys/kernel/core_pattern", b"|/tmp/x"))
attempt("modprobe-helper", lambda: write("/proc/sys/kernel/modprobe", b"/tmp/x"))
attempt("sysctl-hostname", lambda: write("/proc/sys/kernel/hostname", b"x"))
attempt("sysctl-ip_forward", lambda: write("/proc/sys/net/ipv4/ip_forward", b"1"))
attempt("sysctl-ping", lambda: write("/proc/sys/net/ipv4/ping_group_range", b"0 2147483647"))
attempt("sysctl-userns", lambda: write("/proc/sys/user/max_user_namespaces", b"1"))
attempt("sysctl-drop", lambda: write("/proc/sys/vm/drop_caches", b"1"))
attempt("sysctl-ns_last_pid", lambda: write("/proc/sys/kernel/ns_last_pid", b"1"))
attempt("binfmt", lambda: write("/proc/sys/fs/binfmt_misc/register", b"x"))
attempt("sysrq", lambda: write("/proc/sysrq-trigger", b"h"))
attempt("kcore", lambda: read("/proc/kcore") or (_ for _ in ()).throw(OSError(errno.ENOENT, "")))
attempt("dev-core", lambda: read("/dev/core") or (_ for _ in ()).throw(OSError(errno.ENOENT, "")))
attempt("kmsg", lambda: os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK)))
attempt("kallsyms", lambda: int(read("/proc/kallsyms", 16), 16) or
        (_ for _ in ()).throw(OSError(errno.EACCES, "")))
attempt("proc-keys", lambda: read("/proc/keys") or (_ for _ in ()).throw(OSError(errno.ENOENT, "")))
attempt("uevent_helper", lambda: write("/sys/kernel/uevent_helper"))
attempt("debugfs", lambda: os.listdir("/sys/kernel/debug"))
attempt("tracefs", lambda: os.listdir("/sys/kernel/tracing"))
attempt("cgroup", lambda: os.listdir("/sys/fs/cgroup"))
attempt("efivars", lambda: os.listdir("/sys/firmware"))
attempt("proc-fs", lambda: write("/proc/fs/nfsd/x"))
attempt("proc-irq", lambda: write("/proc/irq/default_smp_affinity", b"1"))
attempt("proc-mtrr", lambda: write("/proc/mtrr"))

# devices
for device in ("mem", "kmem", "port", "kmsg", "vda", "sda", "loop0", "loop-control", "kvm", "fuse",
               "net/tun", "vsock", "vhost-net", "vhost-vsock", "userfaultfd", "snapshot", "uinput",
               "input/event0", "dri/card0", "tty0", "tty1", "ttyS0", "console", "hpet", "rtc0",
               "mapper/control", "ashmem", "binder", "udmabuf", "nvram", "cpu/0/msr", "ptp0", "vcs",
               "autofs", "btrfs-control", "ppp", "hwrng", "sgx_enclave", "dma_heap/system"):
    attempt("dev-" + device.replace("/", "-"),
            lambda d=device: os.close(os.open("/dev/" + d, os.O_RDWR | os.O_NONBLOCK)))
attempt("dev-create", lambda: create("/dev/new"))
attempt("dev-null-replace", lambda: os.unlink("/dev/null"))
attempt("mknod-null", lambda: os.mknod("/tmp/null", stat.S_IFCHR | 0o666, os.makedev(1, 3)))
attempt("mknod-disk", lambda: os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(254, 0)))
attempt("mknod-kmsg-here", lambda: os.mknod("kmsg", stat.S_IFCHR | 0o666, os.makedev(1, 11)))

# the system's files
for path in ("/usr/bin/env", "/usr/lib/os-release", "/etc/passwd", "/etc/hosts", "/etc/resolv.conf",
             "/etc/ld.so.cache", "/etc/ssl/openssl.cnf"):
    attempt("write-" + path[1:].replace("/", "-"), lambda p=path: write(os.path.realpath(p)))
for path in ("/usr/new", "/usr/bin/new", "/usr/local/bin/new", "/etc/new", "/etc/ld.so.preload", "/new",
             "/var/new", "/var/log/new", "/proc/new", "/usr/lib/python3/dist-packages/new"):
    attempt("create-" + path[1:].replace("/", "-"), lambda p=path: create(p))
attempt("unlink-usr", lambda: os.unlink("/usr/bin/env"))
attempt("rename-etc", lambda: os.rename("/etc", "/tmp/etc"))
attempt("rename-usr-file", lambda: os.rename("/usr/bin/env", "/usr/bin/env2"))
attempt("replace-bin-link", lambda: os.unlink("/bin"))
attempt("chmod-usr", lambda: os.chmod("/usr/bin/env", 0o4755))
attempt("chown-usr", lambda: os.chown("/usr/bin/env", 1000, 1000))
attempt("utime-usr", lambda: os.utime("/usr/bin/env"))
attempt("xattr-usr", lambda: os.setxattr("/usr/bin/env", "user.x", b"x"))
attempt("truncate-usr", lambda: os.truncate("/usr/bin/env", 0))
attempt("xattr-capability", lambda: os.setxattr("mine", "security.capability",
                                               b"\x01\0\0\2\xff\xff\xff\xff" + b"\0" * 12))
attempt("chown-root", lambda: os.chown("mine", 0, 0))


# privileges
def setuid_here():
    with open("suid", "wb") as f, open("/usr/bin/id", "rb") as g:
        f.write(g.read())
    os.chmod("suid", 0o6755)
    got = os.popen("./suid -u; ./suid -ru").read().split()
    os.unlink("suid")
    if got[:1] == got[1:2] and got[0] != "0":
        raise OSError(errno.EPERM, "")
    return got


attempt("setuid-own-file", setuid_here)


def setuid_of_system():
    gained = []
    for path in glob.glob("/usr/bin/*") + glob.glob("/usr/lib/*/*"):
        try:
            if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID) and os.path.isfile(path):
                pid = os.fork()
                if pid == 0:
                    null = os.open("/dev/null", os.O_RDWR)
                    for fd in range(3):
                        os.dup2(null, fd)
                    os.execv(path, [path, "--help"])
                uids = b""
                try:
                    uids = read(f"/proc/{pid}/status", 4096)
                except OSError:
                    pass
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                for line in uids.splitlines():
                    if line.startswith((b"CapEff", b"CapPrm")) and int(line.split()[1], 16):
                        gained.append((path, line))
                    if line.startswith(b"Uid:") and len(set(line.split()[1:])) != 1:
                        gained.append((path, line))
        except OSError:
            pass
    return gained or (_ for _ in ()).throw(OSError(errno.EPERM, ""))


attempt("setuid-of-system", setuid_of_system)


# sockets of the host
def connect(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(address)
        return "connected"


attempt("abstract-socket", lambda: connect("\0" + sys.argv[2]))
attempt("path-socket-outside", lambda: connect(OUT + "/socket"))
attempt("path-socket-in-workdir", lambda: connect("socket"))

# what must work
attempt("work-create", lambda: create("made"))
attempt("work-write", lambda: write("mine", b"changed"))
attempt("work-mkdir", lambda: os.makedirs("d/e/f"))
attempt("work-rename", lambda: os.rename("made", "d/made"))
attempt("work-link", lambda: os.link("d/made", "d/e/link"))
attempt("work-symlink", lambda: os.symlink("made", "d/sym"))
attempt("work-truncate", lambda: os.truncate("mine", 3))
attempt("work-chmod", lambda: os.chmod("mine", 0o755))
attempt("work-unlink", lambda: os.unlink("d/e/link"))
attempt("work-fifo", lambda: os.mkfifo("fifo"))
attempt("work-exchange", lambda: ctypes.CDLL(None, use_errno=True).renameat2(
    -100, b"mine", -100, b"d/made", 2) and 1 / 0)
attempt("tmp-write", lambda: create("/tmp/x"))
attempt("home-write", lambda: create(os.environ["HOME"] + "/x"))
attempt("shm-write", lambda: create("/dev/shm/x"))
attempt("null-write", lambda: write("/dev/null"))
attempt("urandom-read", lambda: read("/dev/urandom"))
attempt("usr-read", lambda: read("/usr/bin/env"))
attempt("etc-read", lambda: read("/etc/passwd"))
attempt("self-read", lambda: read("/proc/self/status"))
attempt("self-fd", lambda: os.listdir("/proc/self/fd"))
