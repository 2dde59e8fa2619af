#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Goal:   ./cove builds when it must, never otherwise, never shows a build's words on stdout, and
#         says what is wrong in words.
# Method: a clone of the working tree whose src/ is one small program, so that a build takes a
#         second; the scripts under test are the real ones.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

count=0
ok() { # STATUS NAME: ok if STATUS is 0
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# stdout: /' "$work/out"
		sed 's/^/# stderr: /' "$work/err"
	fi
}
skip() { count=$((count + 1)) && echo "ok $count - $1 # SKIP $2"; }

checkout=$work/checkout
mkdir -p "$checkout"
cp -r "$root/cove" "$root/tools" "$root/meson.build" "$root/meson_options.txt" "$checkout/"
folders=$(sed -n "s/^subdir('\(.*\)')$/\1/p" "$root/meson.build")
for folder in $folders; do
	mkdir "$checkout/$folder"
	: >"$checkout/$folder/meson.build"
done
mkdir "$checkout/src/cli"
echo "subdir('cli')" >"$checkout/src/meson.build"
echo "executable('cove', 'main.c', install: true)" >"$checkout/src/cli/meson.build"
grep '^install_symlink' "$root/src/cli/meson.build" >>"$checkout/src/cli/meson.build"
program() { # WORD: a program that says WORD and its arguments, and exits with 7
	cat >"$checkout/src/cli/main.c" <<-X
		#include <stdio.h>
		#include <string.h>
		int main(int argc, char **argv)
		{
			const char *name = strrchr(argv[0], '/');

			printf("%s$1", name && !strcmp(name, "/openshell") ? "openshell: " : "");
			for (int i = 1; i < argc; i++)
				printf(" [%s]", argv[i]);
			putchar('\n');
			return 7;
		}
	X
}
cove() {
	"$checkout/cove" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}
# Times have a grain; an edit must be younger than the stamp.
later() { sleep 0.02; }

echo 1..17

program one
cove run -- 'a b' ''
[ $status = 7 ] && [ "$(cat "$work/out")" = 'one [run] [--] [a b] []' ]
ok $? 'the first call builds, then hands over arguments, stdout and exit status'

grep -q 'building build' "$work/err" && grep -q 'built build in' "$work/err"
ok $? 'progress is told on stderr'

cove
[ $status = 7 ] && [ ! -s "$work/err" ]
ok $? 'the next call is quiet'

started=$(date +%s%N)
for _ in 1 2 3 4 5 6 7 8 9 10; do cove; done
each=$((($(date +%s%N) - started) / 10000000))
echo "# a call takes $each ms"
[ $each -lt 50 ]
ok $? 'a call that need not build costs milliseconds'

later
program two
cove
[ "$(cat "$work/out")" = two ] && grep -q 'building build' "$work/err"
ok $? 'a changed source is built'

later
echo '#define WORD "three"' >"$checkout/src/cli/word.h"
later
cove
[ $status = 7 ] && grep -q 'building build' "$work/err"
ok $? 'a file that came makes the build stale'

unseen=
for folder in $folders; do
	case $folder in src | tests | bench) continue ;; esac
	later
	: >"$checkout/$folder/one"
	cove
	grep -q 'building build' "$work/err" || unseen="$unseen $folder"
done
echo "# not seen:$unseen"
[ -z "$unseen" ]
ok $? 'so it does in the other folders that programs are built from'

later
mkdir "$checkout/src/helper"
echo 'int main(void) { return 0; }' >"$checkout/src/helper/main.c"
echo "executable('cove-helper', 'main.c')" >"$checkout/src/helper/meson.build"
echo "subdir('helper')" >>"$checkout/src/meson.build"
cove
[ $status = 7 ] && [ -x "$checkout/build/src/helper/cove-helper" ]
ok $? 'a program that came is built too'

(cd / && ln -s "$checkout/cove" "$work/link" && "$work/link" x >"$work/out" 2>"$work/err")
[ "$(cat "$work/out")" = 'two [x]' ] && [ ! -s "$work/err" ]
ok $? 'works from another directory, through a symbolic link'

(cd / && ln -s "$checkout/cove" "$work/openshell" && PATH=$work:$PATH openshell x >"$work/out" 2>"$work/err")
[ $? = 7 ] && [ "$(cat "$work/out")" = 'openshell: two [x]' ] && [ ! -s "$work/err" ]
ok $? 'through a link of the name openshell it is that program, without a build'

rm "$checkout/build/src/cli/openshell"
"$work/openshell" x >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = 'openshell: two [x]' ] && grep -q 'built build in' "$work/err"
ok $? 'a build from before there was that name is completed'

meson install -C "$checkout/build" --no-rebuild --destdir "$work/dest" >"$work/out" 2>"$work/err"
[ "$("$work"/dest/usr/local/bin/openshell x)" = 'openshell: two [x]' ]
ok $? 'an installed one has the link'

later
echo 'this is no C' >>"$checkout/src/cli/main.c"
cove
[ $status = 125 ] && [ ! -s "$work/out" ] && grep -q 'main.c:[0-9]*:.*error' "$work/err" &&
	grep -q "the build failed; all of it is in $checkout/build/build.log" "$work/err"
ok $? 'a build that fails shows the error and the log, and ends with 125'

program four
for i in 1 2 3; do "$checkout/cove" $i >"$work/out.$i" 2>>"$work/err" & done
wait
[ "$(cat "$work"/out.?)" = 'four [1]
four [2]
four [3]' ]
ok $? 'calls at the same time wait for one build'

mv "$checkout" "$work/moved" && checkout=$work/moved
later
program five
cove
[ "$(cat "$work/out")" = five ]
ok $? 'a checkout that was moved is built anew'

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	as_other() {
		setpriv --reuid 65534 --regid 65534 --clear-groups "$checkout/cove" >"$work/out" 2>"$work/err"
		status=$?
	}
	as_other
	[ $status = 7 ] && [ "$(cat "$work/out")" = five ] && [ ! -s "$work/err" ]
	ok $? "another user runs the owner's build"
	later
	program six
	as_other
	[ $status = 125 ] && [ ! -s "$work/out" ] && grep -q 'may not write there' "$work/err"
	ok $? "another user is told when the owner's build is too old"
else
	skip "another user runs the owner's build" 'unavailable: only root can be two users'
	skip "another user is told when the owner's build is too old" 'unavailable: only root can be two users'
fi
