/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_compose.c - from stored providers to what a sandbox is told
 *
 * Goal: the keeper's set has the values, nobody else has; envelopes that were exchanged in the store
 * are refused; the key file is made once and kept.  Method: objects in a store in memory, a real
 * vault (argument 1: cove-keeper) with a state directory of its own.
 */
#include "gateway/compose.c"
#include "gateway/config.h"
#include "gateway/pb.h"
#include "ipc/frame.h"
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Neither refreshes nor routes nor tools are there. */
bool cv_gw_refresh_owns(
	const struct cv_gateway *g, const struct cv_object *provider, const char *key)
{
	(void)g, (void)provider, (void)key;
	return false;
}

struct cv_object *cv_gw_inference_provider(
	const struct cv_gateway *g, const struct cv_object *sandbox)
{
	(void)g, (void)sandbox;
	return NULL;
}

void cv_gw_box_log(
	struct cv_gw_box *b, const char *level, const char *target, const char *fmt, ...)
{
	(void)b, (void)level, (void)target, (void)fmt;
}

bool cv_gw_tools_are_there(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	(void)g, (void)sandbox;
	return false;
}

cv_code cv_gw_tools_compose(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_cred_set *set, struct cv_arena *arena, struct cv_str *ret_env, struct cv_err *err)
{
	(void)g, (void)sandbox, (void)set, (void)arena, (void)ret_env;
	return cv_fail(err, CV_INVALID, "there are no tools");
}

static const char *exe;

struct fixture {
	struct cv_gateway g;
	char dir[64];
	struct cv_arena arena;
	struct cv_object *box;
};

static const struct cv_gw_config config; /* no command prints its keys */

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/cove-compose-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->g.config = &config;
	f->g.state_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(cv_store_open_memory(&f->g.store, NULL), CV_OK);
	assert_int_equal(cv_objects_open(f->g.store, &f->g.objects, NULL), CV_OK);
	assert_int_equal(cv_gw_profiles_start(&f->g, NULL), CV_OK);
	assert_int_equal(cv_gw_vault_new(exe, &f->g, &f->g.vault, NULL), CV_OK);
	cv_arena_init(&f->arena, 4 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cv_gw_vault_free(f->g.vault);
	cv_gw_profiles_stop(&f->g);
	cv_objects_close(f->g.objects);
	cv_store_close(f->g.store);
	cv_arena_fini(&f->arena);
	unlinkat(f->g.state_fd, "key", 0);
	close(f->g.state_fd);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static Openshell__Datamodel__V1__ObjectMeta *meta_new(const char *name)
{
	Openshell__Datamodel__V1__ObjectMeta *m =
		cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);

	cv_pb_str_set(&m->name, cv_str_of(name));
	cv_pb_str_set(&m->workspace, CV_STR("default"));
	return m;
}

/* A stored provider with one value, sealed as the rpc does. */
static struct cv_object *provider_make(
	struct fixture *f, const char *name, const char *type, const char *key, const char *value)
{
	cv_gw_provider_pb *p = cv_pb_new(&openshell__datamodel__v1__provider__descriptor);
	DM(Provider__CredentialHandlesEntry) *e = cv_pb_new(
		&openshell__datamodel__v1__provider__credential_handles_entry__descriptor);
	struct cv_buf context, envelope, text;
	char id[CV_OBJECT_ID_BYTES + 1];
	struct cv_object *o;

	cv_object_id_make(id);
	p->metadata = meta_new(name);
	cv_pb_str_set(&p->metadata->id, cv_str_of(id));
	cv_pb_str_set(&p->type, cv_str_of(type));
	cv_pb_map_set(&p->config, &p->n_config,
		&openshell__datamodel__v1__provider__config_entry__descriptor, CV_STR("URL"),
		CV_STR("https://x.test"));
	cv_buf_init(&context, 1000);
	cv_buf_init(&envelope, 100000);
	cv_buf_init(&text, 100000);
	assert_true(
		cv_gw_vault_context(&context, CV_STR("default"), cv_str_of(id), cv_str_of(key)));
	assert_int_equal(cv_gw_vault_seal(f->g.vault, cv_buf_str(&context), cv_str_of(value),
				 &envelope, NULL),
		CV_OK);
	cv_buf_put_base64(&text, cv_buf_str(&envelope), CV_BASE64_STD);
	cv_pb_str_set(&e->key, cv_str_of(key));
	e->value = cv_pb_new(&openshell__datamodel__v1__credential_handle__descriptor);
	cv_pb_str_set(&e->value->handle, cv_buf_str(&text));
	cv_pb_append(&p->credential_handles, &p->n_credential_handles, e);
	assert_int_equal(cv_object_create(f->g.objects, CV_OBJECT_PROVIDER, &p->base, 1, &o, NULL),
		CV_RPC_OK);
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_fini(&text);
	return o;
}

static void box_make(struct fixture *f, const char *const *providers)
{
	Openshell__V1__Sandbox *m = cv_pb_new(&openshell__v1__sandbox__descriptor);

	m->metadata = meta_new("box");
	m->spec = cv_pb_new(&openshell__v1__sandbox_spec__descriptor);
	for (; *providers; providers++)
		cv_pb_append_str(&m->spec->providers, &m->spec->n_providers, cv_str_of(*providers));
	assert_int_equal(
		cv_object_create(f->g.objects, CV_OBJECT_SANDBOX, &m->base, 1, &f->box, NULL),
		CV_RPC_OK);
}

static cv_code compose(struct fixture *f, struct cv_gw_attached *a, struct cv_err *err)
{
	return cv_gw_providers_compose(&f->g, f->box, CV_STR_NONE, &f->arena, a, err);
}

static void test_values_reach_the_keeper_only(void **state)
{
	struct fixture *f = *state;
	struct cv_gw_attached a, again;
	struct cv_cred_set set;
	struct cv_err err;
	struct stat st;
	char *text;
	size_t n;

	provider_make(f, "gh", "github", "GITHUB_TOKEN", "ghp_SECRETvalue");
	box_make(f, (const char *const[]){ "gh", NULL });
	assert_int_equal(compose(f, &a, &err), CV_OK);
	assert_int_equal(a.env_count, 2);
	assert_str(a.env[0], "URL=https://x.test");
	assert_true(cv_str_has_prefix(a.env[1], CV_STR("GITHUB_TOKEN=")));
	assert_null(memmem(a.env[1].p, a.env[1].n, "SECRET", 6));
	assert_non_null(memmem(a.layer.p, a.layer.n, "_provider_gh", 12));
	assert_int_equal(a.provider_count, 1);
	assert_str(a.providers[0].type, "github");
	assert_int_equal(cv_ipc_fd_read_all(a.fd, 1 << 20, &text, &n, NULL), CV_OK);
	assert_int_equal(cv_cred_set_read((struct cv_str){ text, n }, &set, NULL), CV_OK);
	assert_str(set.creds[0].value, "ghp_SECRETvalue");
	assert_true(cv_str_eq(set.creds[0].placeholder, cv_str_slice(a.env[1], 13, a.env[1].n)));
	assert_true(set.providers[0].binding_count > 0);
	cv_cred_set_fini(&set);
	free(text);
	assert_int_equal(write(a.fd, "x", 1), -1); /* sealed */
	close(a.fd);
	assert_int_equal(fstatat(f->g.state_fd, "key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	/* The same placeholders the next time, and with another vault. */
	cv_gw_vault_free(f->g.vault);
	assert_int_equal(cv_gw_vault_new(exe, &f->g, &f->g.vault, NULL), CV_OK);
	assert_int_equal(compose(f, &again, &err), CV_OK);
	assert_true(cv_str_eq(a.env[1], again.env[1]));
	close(again.fd);
}

static void test_exchanged_envelopes_are_refused(void **state)
{
	struct fixture *f = *state;
	struct cv_object *a = provider_make(f, "a", "generic", "KEY_A", "one");
	struct cv_object *b = provider_make(f, "b", "generic", "KEY_B", "two");
	cv_gw_provider_pb *p = (cv_gw_provider_pb *)(void *)cv_object_copy(a);
	struct cv_gw_attached got = { .fd = -1 };
	struct cv_err err;

	box_make(f, (const char *const[]){ "a", NULL });
	cv_pb_str_set(&p->credential_handles[0]->value->handle,
		cv_str_of(cv_gw_provider_of(b)->credential_handles[0]->value->handle));
	assert_int_equal(
		cv_object_write(f->g.objects, a, CV_OBJECT_ANY_VERSION, &p->base, NULL), CV_RPC_OK);
	assert_int_equal(compose(f, &got, &err), CV_DENIED);
	assert_non_null(strstr(err.msg, "KEY_A"));
	assert_int_equal(got.fd, -1);
}

static void test_what_can_not_be_together(void **state)
{
	struct fixture *f = *state;
	struct cv_gw_attached a;
	struct cv_err err;

	provider_make(f, "a", "generic", "KEY", "one");
	provider_make(f, "b", "generic", "KEY", "two");
	box_make(f, (const char *const[]){ "a", "b", NULL });
	assert_int_equal(compose(f, &a, &err), CV_INVALID);
	assert_non_null(strstr(err.msg, "both set KEY"));
}

static void test_missing_and_none(void **state)
{
	struct fixture *f = *state;
	struct cv_gw_attached a;
	struct cv_err err;

	box_make(f, (const char *const[]){ NULL });
	assert_int_equal(compose(f, &a, &err), CV_OK);
	assert_int_equal(a.fd, -1);
	assert_int_equal(cv_object_delete(f->g.objects, f->box, 0, NULL), CV_RPC_OK);
	box_make(f, (const char *const[]){ "nosuch", NULL });
	assert_int_equal(compose(f, &a, &err), CV_NOT_FOUND);
	assert_string_equal(err.msg, "provider 'nosuch' not found");
}

static void test_key_files(void **state)
{
	static const char *const bad[] = { "", "short\n", "not base64 at all, whatever one says\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=x\n" };
	struct fixture *f = *state;
	struct cv_buf out;
	struct cv_err err;

	cv_buf_init(&out, 1000);
	for (size_t i = 0; i <= CV_ARRAY_LEN(bad); i++) {
		const bool is_open = i == CV_ARRAY_LEN(bad);
		const char *text =
			is_open ? "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" : bad[i];
		const int fd = openat(f->g.state_fd, "key", O_WRONLY | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		fchmod(fd, is_open ? 0640 : 0600);
		close(fd);
		assert_int_equal(cv_gw_vault_seal(f->g.vault, CV_STR("c"), CV_STR("v"), &out, &err),
			is_open ? CV_DENIED : CV_INVALID);
		assert_non_null(strstr(err.msg, "the key file"));
	}
	cv_buf_fini(&out);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_values_reach_the_keeper_only),
		TEST(test_exchanged_envelopes_are_refused),
		TEST(test_what_can_not_be_together),
		TEST(test_missing_and_none),
		TEST(test_key_files),
	};

	/* From the tree the one without sanitizers, which confines itself as it should. */
	exe = argc > 1 ? argv[1] : "build/src/keeper/cove-keeper";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
