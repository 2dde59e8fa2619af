# SPDX-License-Identifier: Apache-2.0
"""What is refused to who is root in a user namespace inside a sandbox, however it came to be."""

# Inside namespaces of its own, as their root: (what, script that must fail, what it must not say).
REFUSED = [
    ("the host's /usr made writable", "mount -o remount,bind,rw /usr && touch /usr/new"),
    ("/usr bound elsewhere, writable", "mount --bind /usr /tmp/m && "
                                       "mount -o remount,bind,rw /tmp/m && touch /tmp/m/new"),
    ("what is protected made writable", "mount -o remount,bind,rw .git/hooks && touch .git/hooks/x"),
    ("what is protected written through another mount",
     "mount --bind . /tmp/m && touch /tmp/m/.git/hooks/x"),
    ("what is protected taken away", "umount -l .git/hooks && touch .git/hooks/x"),
    ("/proc/sys made writable",
     "mount -o remount,bind,rw /proc/sys && echo 1 > /proc/sys/kernel/panic"),
    ("a mask taken away", "umount /proc/keys && cat /proc/keys"),
    ("a fresh /proc without masks", "mount -t proc p /proc"),
    ("a device node that works", "mknod /tmp/m/d b 8 0 && cat /tmp/m/d"),
    ("the first process's namespaces", "nsenter -t 1 -m true"),
    ("the sandbox's network", "ip link set lo down"),
    ("a file system of the host's", "mount -t ext4 /dev/vda /tmp/m"),
    ("kernel modules' file systems", "mount -t debugfs d /tmp/m || mount -t tracefs t /tmp/m"),
]


def sockets_script():
    return ("import socket\n"
            "for a in ((16, 3, 12), (2, 3, 1), (17, 3, 0), (40, 1, 0)):\n"
            "    try: socket.socket(*a); print('open', a)\n"
            "    except OSError as e: print(e.errno)\n")
