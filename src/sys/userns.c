/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userns.c - see userns.h
 *
 * Debian, Ubuntu and every kernel have a knob of their own.  AppArmor's does not forbid the
 * namespace but gives it no capability, so the first thing that fails is an id map; the host's
 * other programs stay under it when cove gets a profile, so that and not the knob is what is offered.
 */
#include "sys/userns.h"

#include "base/str.h"
#include "sys/fd.h"

#include <fcntl.h>

static const struct cv_userns_knob knob[] = {
	{ "/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", "0",
		"sysctl -w user.max_user_namespaces=15000" },
	{ "/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", "0",
		"sysctl -w kernel.unprivileged_userns_clone=1" },
	{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
		"kernel.apparmor_restrict_unprivileged_userns", "1",
		"cove doctor --apparmor | sudo tee /etc/apparmor.d/cove >/dev/null && "
		"sudo apparmor_parser -r /etc/apparmor.d/cove" },
};

static bool knob_is(const char *path, const char *value)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct cv_str rest = { text, n > 0 ? (size_t)n : 0 };

	return n > 0 && cv_str_eq(cv_str_cut(&rest, '\n'), cv_str_of(value));
}

const struct cv_userns_knob *cv_userns_knob_find(void)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(knob); i++)
		if (knob_is(knob[i].path, knob[i].forbids))
			return &knob[i];
	return NULL;
}

cv_code cv_userns_explain(struct cv_err *err)
{
	const struct cv_userns_knob *k = cv_userns_knob_find();
	struct cv_err was = *err;

	const cv_code code =
		k ? cv_fail(err, was.code, "%.200s (%s is %s); to enable: %s", was.msg, k->name,
			    k->forbids, k->enable)
		  : cv_fail(err, was.code, "%.400s; cove doctor tells what is missing", was.msg);
	err->sys = was.sys;
	return code;
}

cv_code cv_userns_write(const char *path, const char *text, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return cv_fail_errno(err, "write %s", path);
	return CV_OK;
}
