# SPDX-License-Identifier: Apache-2.0
#
# bare-root.sh - a minimal Debian 12 or Ubuntu 24.04 in a directory; read by clean-root and vm
#
# In it: git, ca-certificates, sudo, and two users: `sudoer` has sudo without a password, `plain` has
# none.  The host's apt sources are used where it is a Debian 12 itself, and the authorities that its
# administrator added (a registry may stand behind one).

# debootstrap's arguments for each release.  Ubuntu's signatures are checked where the host has its
# keys; all of its releases share one script, which an older debootstrap has by another name only.
bare_bootstrap() { # release, directory
	if [ "$1" = bookworm ]; then
		set -- bookworm "$2" http://deb.debian.org/debian
	else
		set -- noble "$2" http://archive.ubuntu.com/ubuntu /usr/share/debootstrap/scripts/jammy
		key=/usr/share/keyrings/ubuntu-archive-keyring.gpg
		if [ -r "$key" ]; then set -- --keyring="$key" "$@"; else set -- --no-check-gpg "$@"; fi
		set -- --components=main,universe "$@"
	fi
	debootstrap --variant=minbase --include=git,ca-certificates,sudo "$@"
}

# Makes it once: a directory that is complete stays as it is.
bare_root() { # release, directory, log
	[ ! -e "$2/.complete" ] || return 0
	say "making a minimal $1 in $2"
	rm -rf "$2"
	bare_bootstrap "$1" "$2" >"$3" 2>&1 || { tail "$3" >&2; die 'debootstrap failed'; }
	if [ "$1" = bookworm ] && grep -q bookworm /etc/os-release; then # else debootstrap's own source has to do
		rm -f "$2/etc/apt/sources.list"
		cp /etc/apt/sources.list "$2/etc/apt/" 2>/dev/null || :
		cp /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
			"$2/etc/apt/sources.list.d/" 2>/dev/null || :
	fi
	[ "$1" = bookworm ] || # what was published since; debootstrap's own line has the first state
		for pocket in noble noble-updates noble-security; do
			echo "deb http://archive.ubuntu.com/ubuntu $pocket main universe"
		done >"$2/etc/apt/sources.list"
	grep -hE '^Acquire::[^{]*;$' /etc/apt/apt.conf.d/* >"$2/etc/apt/apt.conf.d/99host" || :
	cp /etc/resolv.conf /etc/hosts "$2/etc/"
	cp -a /usr/local/share/ca-certificates/. "$2/usr/local/share/ca-certificates/"
	chroot "$2" update-ca-certificates >>"$3" 2>&1
	rm -rf "$2"/var/lib/apt/lists/*
	for user in sudoer plain; do
		chroot "$2" useradd --create-home --shell /bin/bash "$user"
	done
	echo 'sudoer ALL=(ALL) NOPASSWD: ALL' >"$2/etc/sudoers.d/sudoer"
	: >"$2/.complete"
}
