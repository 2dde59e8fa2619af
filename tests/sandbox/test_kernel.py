#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p1, p2, n3, p9: nothing of the kernel that an agent's programs do not need can be reached,
and what they need works.
Method: a C program inside tries each system call, flag, family and ioctl once, with arguments that
the kernel itself would mostly accept; the errno is compared with a table."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

REFUSED = ("EPERM", "EACCES")
NO_SUCH = ("EPERM", "ENOSYS")

TABLES = [
    # io_uring would make requests that no filter sees
    (NO_SUCH, "io_uring_setup io_uring_enter io_uring_register"),
    # namespaces give capabilities in them, and with these most of the kernel
    (REFUSED, "unshare-user unshare-mount unshare-net unshare-pid unshare-ipc unshare-uts "
              "unshare-cgroup unshare-time clone-user clone-mount clone-net clone-pid clone-ipc "
              "clone-uts clone-cgroup clone-high-bits setns-net setns-own setns-bad"),
    # its flags are in memory, where a filter cannot look; ENOSYS makes libc fall back to clone
    ("ENOSYS", "clone3 clone3-user clone3-into-cgroup"),
    (NO_SUCH, "mount mount-bind mount-remount umount2 pivot_root chroot open_tree move_mount fsopen "
              "fsconfig fsmount fspick mount_setattr open_tree_attr listmount statmount"),
    (NO_SUCH, "bpf perf_event_open userfaultfd add_key request_key keyctl kexec_load "
              "kexec_file_load init_module finit_module delete_module name_to_handle_at "
              "open_by_handle_at fanotify_init quotactl acct swapon swapoff reboot syslog "
              "sethostname setdomainname settimeofday clock_settime clock_adjtime lookup_dcookie "
              "migrate_pages move_pages lsm_set_self_attr iopl ioperm modify_ldt uselib"),
    (NO_SUCH, "ptrace-traceme ptrace-me ptrace-parent process_vm_readv process_vm_writev "
              "process_madvise kcmp pidfd_getfd seccomp-own-filter seccomp-own-listener "
              "seccomp-strict"),
    (("EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT"),
     "af_packet af_packet-dgram raw-icmp raw-raw raw6-icmp ping ping6 mptcp mptcp6 sctp "
     "sctp-seqpacket udplite dccp smc-by-protocol type-high-bits socket-high-word af_vsock af_alg "
     "af_smc af_xdp af_bluetooth af_can af_rds af_tipc af_key af_kcm af_nfc af_qipcrtr af_mctp "
     "af_rxrpc af_pppox af_ax25 af_x25 af_appletalk af_llc af_ieee802154 af_phonet "
     "netlink-sock_diag netlink-xfrm netlink-audit netlink-netfilter netlink-uevent "
     "netlink-generic netlink-connector netlink-crypto socketpair-vsock socketpair-tipc"),
    # data in the SYN leaves before connect() is seen by anything
    (("EPERM", "EOPNOTSUPP"), "fastopen-sendto fastopen-sendto6 fastopen-sendmsg fastopen-sendmmsg "
                              "fastopen-connect"),
    (("EPERM", "ENOPROTOOPT", "ENOENT"), "tcp-ulp"),
    (("EPERM", "EACCES"), "tiocsti tiocsti-high-word tioclinux fs-ioc-setflags siocsifaddr "
                          "mmap-null setgroups capset prctl-ambient prctl-mm sched-fifo nice-up "
                          "rlimit-core-up mknod-device mknod-block personality-readimplies"),
    (("EPERM", "EINVAL"), "setuid-0 setresuid-0 no_new_privs-off"),
    (("KILLED", "ENOSYS"), "int80-getpid int80-execve int80-socketcall x32-getpid x32-execve "
                           "x32-ptrace"),
    # the kernel takes the low word of a number: a filter that compares the whole must agree
    (NO_SUCH, "nr-minus-one nr-high-word nr-unknown"),
    ("OK", "fork tcp tcp6 udp unix socketpair-unix memfd statx epoll inotify getrandom "
           "rseq-membarrier landlock-version close_range openat2 faccessat2 pidfd_open-self futex "
           "pty netlink-route"),
]

# Sent to a machine that is not there, refused by the kernel's own answer: nothing can be listening.
UDP = r"""
import errno, socket
for name, family, to in (("udp-443", socket.AF_INET, ("93.184.216.34", 443)),
                         ("udp-853", socket.AF_INET, ("8.8.8.8", 853)),
                         ("udp-123", socket.AF_INET, ("10.200.0.1", 123)),
                         ("udp-broadcast", socket.AF_INET, ("255.255.255.255", 9)),
                         ("udp-multicast", socket.AF_INET, ("224.0.0.251", 5353)),
                         ("udp6-443", socket.AF_INET6, ("2606:2800:220:1::34", 443)),
                         ("udp6-multicast", socket.AF_INET6, ("ff02::fb", 5353, 0, 1)),
                         ("dns-public", socket.AF_INET, ("8.8.8.8", 53)),
                         ("dns-over-tcp", None, ("8.8.8.8", 53)),
                         ("tcp-443", None, ("93.184.216.34", 443)),
                         ("tcp-metadata", None, ("169.254.169.254", 80)),
                         ("tcp-853", None, ("8.8.8.8", 853))):
    try:
        s = socket.socket(family or socket.AF_INET, socket.SOCK_DGRAM if family else socket.SOCK_STREAM)
        s.settimeout(0.7)
        s.connect(to)
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
        s.send(query if family else b"GET / HTTP/1.0\r\n\r\n")
        answer = s.recv(512)
        if to[1] == 53 and family:
            answer = b"" if answer[3] & 15 and answer[6:8] == b"\0\0" else answer
        if b"403 Forbidden" in answer:
            answer = b""  # the proxy's own refusal: captured and judged, nothing left
        print(name, "ANSWERED " + repr(answer[:60]) if answer else "REFUSED", flush=True)
    except TimeoutError:
        print(name, "SILENCE", flush=True)
    except OSError as e:
        print(name, errno.errorcode.get(e.errno, "?"), flush=True)
"""
NO_WAY = ("ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "EPERM", "EACCES", "ECONNRESET", "SILENCE",
          "REFUSED")


def main(tap, b):
    b.probe("syscalls.c")
    r = b.run(["./syscalls"])
    tap.ok(r.returncode == 0, "the probe ran to its end", f"status {r.returncode} {r.stderr}")
    tap.attempts(r.stdout, {name: want for want, names in TABLES for name in names.split()})
    # Also as a grandchild after exec: a filter that is not inherited would be none.
    r = b.sh("setsid sh -c 'exec ./syscalls' | grep -cE '^(unshare-user|bpf|mptcp|ptrace-me) EPERM$'")
    tap.ok(r.stdout.strip() == "4", "the filter is inherited over fork, setsid and exec", r.stdout)

    r = b.run(["python3", "-c", UDP])
    want = dict.fromkeys(re.findall(r'\("((?:udp|tcp|dns)[a-z0-9-]*)"', UDP), NO_WAY)
    tap.attempts(r.stdout, want)


if __name__ == "__main__":
    box.each_user(main)
