#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Goal:   tools/deps asks for what is missing, asks nobody when nothing is, and names the packages
#         and the command where it may not install.
# Method: a copy with tables of its own, and with apt-get and sudo replaced by scripts that write
#         down how they were called; dpkg-query is the real one.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/bin" "$work/tree/tools"
cp "$root/tools/deps" "$work/tree/tools/"

count=0
ok() { # STATUS NAME
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# calls: /' "$work/calls"
		sed 's/^/# stderr: /' "$work/err"
	fi
}
fake() { # NAME BODY
	printf '#!/bin/sh\necho "%s $*" >>"%s/calls"\n%s\n' "$1" "$work" "$2" >"$work/bin/$1"
	chmod 755 "$work/bin/$1"
}
deps() {
	: >"$work/calls"
	chmod 666 "$work/calls"
	PATH=$work/bin:$PATH "$@" "$work/tree/tools/deps" build >"$work/out" 2>"$work/err" </dev/null
	status=$?
}
table() { printf 'build %s = for this test\n' "$@" >"$work/tree/tools/packages"; }

fake apt-get 'exit 0'
fake sudo 'exit 1'
echo 1..6

table dpkg coreutils
deps env
[ $status = 0 ] && [ ! -s "$work/calls" ] && [ ! -s "$work/err" ]
ok $? 'where everything is installed, nobody is asked and nothing is said'

[ -s "$work/tree/build/.deps-build" ] && deps env && [ $status = 0 ] && [ ! -s "$work/calls" ]
ok $? 'the answer is remembered'

table dpkg cove-test-no-such-package
if [ "$(id -u)" = 0 ]; then
	deps env
	grep -q '^apt-get .*update$' "$work/calls" && ! grep -q sudo "$work/calls" &&
		grep -q '^apt-get .*--no-install-recommends.* install cove-test-no-such-package$' "$work/calls"
	ok $? 'root installs only what is missing; a changed table is looked at again'
	[ $status = 125 ] && grep -q 'not installed: cove-test-no-such-package' "$work/err"
	ok $? 'what apt-get did not bring is noticed'
	user='setpriv --reuid 65534 --regid 65534 --clear-groups'
else
	for name in 'root installs only what is missing' 'what apt-get did not bring is noticed'; do
		count=$((count + 1)) && echo "ok $count - $name # SKIP unavailable: not root"
	done
	user=env
fi

deps $user
[ $status = 125 ] && grep -q 'apt-get install --no-install-recommends cove-test-no-such-package' "$work/err" &&
	! grep -q '^apt-get' "$work/calls"
ok $? 'an ordinary user without sudo is told the packages and the command'

fake sudo 'shift; exec "$@"'
deps $user
grep -q '^sudo -n env .*apt-get .* install cove-test-no-such-package$' "$work/calls"
ok $? 'an ordinary user with sudo installs with it'
