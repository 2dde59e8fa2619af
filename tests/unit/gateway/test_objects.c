/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_objects.c - objects: made, found, listed, written, deleted, and there again after a restart
 *
 * The last tests hold ten thousand, and bound what a read of them may cost.
 */
#include "unit/test.h"

#include "gateway/labels.c"
#include "gateway/objects.c"
#include "gateway/objects_write.c"
#include "gateway/pb.c"

#include <time.h>

#define MANY 10000

struct fixture {
	struct cv_store *store;
	struct cv_objects *objects;
	struct cv_arena arena;
	struct cv_err err;
};

static int setup(void **state)
{
	static struct fixture f;

	assert_int_equal(cv_store_open_memory(&f.store, &f.err), CV_OK);
	assert_int_equal(cv_objects_open(f.store, &f.objects, &f.err), CV_OK);
	cv_arena_init(&f.arena, 1u << 20);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cv_objects_close(f->objects);
	cv_store_close(f->store);
	cv_arena_fini(&f->arena);
	return 0;
}

static void reopen(struct fixture *f)
{
	cv_objects_close(f->objects);
	assert_int_equal(cv_objects_open(f->store, &f->objects, &f->err), CV_OK);
}

static ProtobufCMessage *sandbox(const char *workspace, const char *name, const char *app)
{
	Openshell__V1__Sandbox *m = cv_pb_new(&openshell__v1__sandbox__descriptor);

	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&m->metadata->workspace, cv_str_of(workspace));
	cv_pb_str_set(&m->metadata->name, cv_str_of(name));
	if (app)
		cv_pb_map_set(&m->metadata->labels, &m->metadata->n_labels,
			&openshell__datamodel__v1__object_meta__labels_entry__descriptor,
			CV_STR("app"), cv_str_of(app));
	return &m->base;
}

static struct cv_object *make(struct fixture *f, const char *workspace, const char *name)
{
	struct cv_object *o = NULL;

	assert_int_equal(cv_object_create(f->objects, CV_OBJECT_SANDBOX,
				 sandbox(workspace, name, name), 1234, &o, &f->err),
		CV_RPC_OK);
	return o;
}

static void test_create(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o = make(f, "default", "one"), *got;
	char id[CV_OBJECT_ID_BYTES + 1];

	assert_int_equal(strlen(o->id), CV_OBJECT_ID_BYTES);
	assert_int_equal(o->id[14], '4');
	assert_int_equal(o->version, 1);
	assert_int_equal(cv_object_meta(o)->resource_version, 1);
	assert_int_equal(cv_object_meta(o)->created_at_ms, 1234);
	assert_string_equal(cv_object_meta(o)->id, o->id);
	memcpy(id, o->id, sizeof(id));
	assert_ptr_equal(
		cv_object_find(f->objects, CV_OBJECT_SANDBOX, CV_STR("default"), CV_STR("one")), o);
	assert_ptr_equal(cv_object_find_id(f->objects, CV_OBJECT_SANDBOX, cv_str_of(id)), o);
	assert_null(cv_object_find_id(f->objects, CV_OBJECT_PROVIDER, cv_str_of(id)));
	assert_null(cv_object_find(f->objects, CV_OBJECT_SANDBOX, CV_STR("other"), CV_STR("one")));

	assert_int_equal(cv_object_create(f->objects, CV_OBJECT_SANDBOX,
				 sandbox("default", "one", NULL), 1, NULL, &f->err),
		CV_RPC_ALREADY_EXISTS);
	assert_string_equal(f->err.msg, "sandbox 'one' already exists");
	make(f, "other", "one");
	assert_int_equal(cv_object_get(f->objects, CV_OBJECT_SANDBOX, CV_STR("default"),
				 CV_STR("two"), &got, &f->err),
		CV_RPC_NOT_FOUND);
	assert_string_equal(f->err.msg, "sandbox not found");
}

/* An id that is there already is not given to a second object. */
static void test_ids_are_unique(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o = make(f, "default", "one");
	Openshell__V1__Sandbox *m = (void *)sandbox("default", "two", NULL);

	cv_pb_str_set(&m->metadata->id, cv_str_of(o->id));
	assert_int_equal(
		cv_object_create(f->objects, CV_OBJECT_SANDBOX, &m->base, 1, NULL, &f->err),
		CV_RPC_ALREADY_EXISTS);
}

static void test_write(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o = make(f, "default", "one");
	Openshell__V1__Sandbox *m = (void *)cv_object_copy(o);
	char id[CV_OBJECT_ID_BYTES + 1];

	memcpy(id, o->id, sizeof(id));
	cv_pb_str_set(&m->metadata->id, CV_STR("mine"));
	cv_pb_str_set(&m->metadata->name, CV_STR("another"));
	m->metadata->resource_version = 77;
	m->metadata->created_at_ms = 1;
	assert_int_equal(cv_object_write(f->objects, o, 1, &m->base, &f->err), CV_RPC_OK);
	assert_int_equal(o->version, 2);
	assert_int_equal(cv_object_meta(o)->resource_version, 2);
	assert_int_equal(cv_object_meta(o)->created_at_ms, 1234);
	assert_string_equal(cv_object_meta(o)->id, id);
	assert_string_equal(cv_object_meta(o)->name, "one");

	assert_int_equal(
		cv_object_write(f->objects, o, 1, cv_object_copy(o), &f->err), CV_RPC_ABORTED);
	assert_string_equal(f->err.msg, "sandbox update failed due to concurrent modification "
					"(current resource_version: 2)");
	assert_int_equal(
		cv_object_write(f->objects, o, CV_OBJECT_ANY_VERSION, cv_object_copy(o), &f->err),
		CV_RPC_OK);
	assert_int_equal(o->version, 3);
}

static void test_delete(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o = make(f, "default", "one");
	char id[CV_OBJECT_ID_BYTES + 1];

	memcpy(id, o->id, sizeof(id));
	assert_int_equal(cv_object_delete(f->objects, o, 9, &f->err), CV_RPC_ABORTED);
	assert_int_equal(cv_object_delete(f->objects, o, 1, &f->err), CV_RPC_OK);
	assert_null(
		cv_object_find(f->objects, CV_OBJECT_SANDBOX, CV_STR("default"), CV_STR("one")));
	assert_null(cv_object_find_id(f->objects, CV_OBJECT_SANDBOX, cv_str_of(id)));
	o = make(f, "default", "one");
	assert_int_equal(o->version, 1);
	assert_string_not_equal(o->id, id);
	assert_int_equal(
		cv_object_delete(f->objects, o, CV_OBJECT_ANY_VERSION, &f->err), CV_RPC_OK);
	reopen(f);
	assert_int_equal(cv_object_all(f->objects, CV_OBJECT_SANDBOX).end, 0);
}

/* What the store refuses has not happened. */
static void test_the_store_decides(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o = make(f, "default", "one");
	Openshell__V1__Sandbox *m = (void *)cv_object_copy(o);
	uint64_t version;

	assert_int_equal(cv_store_put(f->store, CV_STR("sandbox"), CV_STR("default/one"),
				 CV_STR("x"), CV_STORE_ANY, &version, &f->err),
		CV_OK);
	m->metadata->deletion_timestamp_ms = 5;
	assert_int_equal(cv_object_write(f->objects, o, CV_OBJECT_ANY_VERSION, &m->base, &f->err),
		CV_RPC_INTERNAL);
	assert_int_equal(o->version, 1);
	assert_int_equal(cv_object_meta(o)->deletion_timestamp_ms, 0);
	assert_int_equal(cv_object_delete(f->objects, o, 0, &f->err), CV_RPC_INTERNAL);
	assert_ptr_equal(cv_object_find_id(f->objects, CV_OBJECT_SANDBOX, cv_str_of(o->id)), o);
}

static struct cv_object_page list(
	struct fixture *f, const char *scope, uint32_t limit, uint32_t offset, const char *selector)
{
	const struct cv_object_query q = { .scope = cv_str_of(scope),
		.is_every_scope = !scope,
		.limit = limit,
		.offset = offset,
		.selector = cv_str_of(selector) };
	struct cv_object_page page;

	assert_int_equal(
		cv_object_list(f->objects, CV_OBJECT_SANDBOX, &q, &f->arena, &page, &f->err),
		CV_RPC_OK);
	return page;
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct cv_object_page p;

	make(f, "b", "two");
	make(f, "b", "one");
	make(f, "a", "three");
	make(f, "bb", "four");
	make(f, "b", "three");
	p = list(f, "b", 0, 0, "");
	assert_int_equal(p.n, 3);
	assert_str(p.v[0]->name, "one");
	assert_str(p.v[1]->name, "three");
	assert_str(p.v[2]->name, "two");
	assert_int_equal(list(f, NULL, 0, 0, "").n, 5);
	assert_str(list(f, NULL, 1, 4, "").v[0]->name, "four");
	assert_int_equal(list(f, "c", 0, 0, "").n, 0);
	assert_int_equal(list(f, "b", 2, 2, "").n, 1);
	assert_int_equal(list(f, "b", 2, 3, "").n, 0);
	assert_int_equal(list(f, NULL, 0, 0, "app=three").n, 2);
	assert_int_equal(list(f, NULL, 0, 1, "app=three").n, 1);
	assert_int_equal(list(f, "b", 0, 0, "app=three,app=two").n, 0);
}

static void test_records(void **state)
{
	struct fixture *f = *state;
	Openshell__V1__StoredPolicyRevision *m =
		cv_pb_new(&openshell__v1__stored_policy_revision__descriptor);
	struct cv_object *o;

	m->version = 7;
	assert_int_equal(cv_object_create_record(f->objects, CV_OBJECT_POLICY_REVISION,
				 CV_STR("box"), CV_STR("0007"), &m->base, &o, &f->err),
		CV_RPC_OK);
	m = (void *)cv_object_copy(o);
	m->version = 8;
	assert_int_equal(cv_object_write(f->objects, o, 1, &m->base, &f->err), CV_RPC_OK);
	reopen(f);
	o = cv_object_find(f->objects, CV_OBJECT_POLICY_REVISION, CV_STR("box"), CV_STR("0007"));
	assert_non_null(o);
	assert_int_equal(o->version, 2);
	assert_int_equal(
		((const Openshell__V1__StoredPolicyRevision *)(const void *)o->message)->version,
		8);
	m = cv_pb_new(&openshell__v1__stored_policy_revision__descriptor);
	assert_int_equal(cv_object_create_record(f->objects, CV_OBJECT_POLICY_REVISION,
				 CV_STR("a/b"), CV_STR("0007"), &m->base, &o, &f->err),
		CV_RPC_RESOURCE_EXHAUSTED);
}

static void test_it_lasts(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o = make(f, "default", "one");
	char id[CV_OBJECT_ID_BYTES + 1];

	memcpy(id, o->id, sizeof(id));
	assert_int_equal(cv_object_write(f->objects, o, 1, cv_object_copy(o), &f->err), CV_RPC_OK);
	reopen(f);
	o = cv_object_find_id(f->objects, CV_OBJECT_SANDBOX, cv_str_of(id));
	assert_non_null(o);
	assert_str(o->name, "one");
	assert_str(o->scope, "default");
	assert_int_equal(o->version, 2);
}

static void test_a_record_that_is_none(void **state)
{
	struct fixture *f = *state;
	uint64_t version;

	assert_int_equal(cv_store_put(f->store, CV_STR("sandbox"), CV_STR("default/one"),
				 CV_STR("\xff\xff"), CV_STORE_NEW, &version, &f->err),
		CV_OK);
	cv_objects_close(f->objects);
	f->objects = NULL;
	assert_int_equal(cv_objects_open(f->store, &f->objects, &f->err), CV_INVALID);
	assert_null(f->objects);
}

static int told[3];

static void listener(
	void *arg, enum cv_object_change change, struct cv_object *o, const ProtobufCMessage *was)
{
	(void)arg;
	told[change]++;
	assert_str(o->name, "one");
	assert_int_equal(change == CV_OBJECT_CREATED, was == NULL);
}

static void test_listeners(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o;

	memset(told, 0, sizeof(told));
	cv_objects_listen(f->objects, listener, NULL);
	o = make(f, "default", "one");
	assert_int_equal(cv_object_write(f->objects, o, 0, cv_object_copy(o), &f->err), CV_RPC_OK);
	assert_int_equal(
		cv_object_write(f->objects, o, 1, cv_object_copy(o), &f->err), CV_RPC_ABORTED);
	assert_int_equal(cv_object_delete(f->objects, o, 0, &f->err), CV_RPC_OK);
	assert_int_equal(told[CV_OBJECT_CREATED], 1);
	assert_int_equal(told[CV_OBJECT_WRITTEN], 1);
	assert_int_equal(told[CV_OBJECT_DELETED], 1);
}

/* The table of ids under many comings and goings, against a plain list. */
static void test_ids_random(void **state)
{
	static char id[512][CV_OBJECT_ID_BYTES + 1];
	struct fixture *f = *state;
	unsigned seed = 12345;
	char name[16];

	memset(id, 0, sizeof(id));
	for (int round = 0; round < 20000; round++) {
		const unsigned at = (seed = seed * 1103515245u + 12345u) / 65536 % 512;

		snprintf(name, sizeof(name), "n%u", at);
		if (!id[at][0]) {
			memcpy(id[at], make(f, "w", name)->id, sizeof(id[at]));
		} else {
			struct cv_object *o =
				cv_object_find_id(f->objects, CV_OBJECT_SANDBOX, cv_str_of(id[at]));

			assert_non_null(o);
			assert_str(o->name, name);
			assert_int_equal(cv_object_delete(f->objects, o, 0, &f->err), CV_RPC_OK);
			id[at][0] = 0;
		}
	}
	for (size_t i = 0; i < 512; i++)
		assert_int_equal(id[i][0] != 0,
			cv_object_find_id(f->objects, CV_OBJECT_SANDBOX, cv_str_of(id[i])) != NULL);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_many(void **state)
{
	struct fixture *f = *state;
	struct cv_object *o;
	char name[32];
	double begun;

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "box-%d", i * 7919 % MANY);
		make(f, "default", name);
	}
	begun = seconds();
	assert_int_equal(cv_object_get(f->objects, CV_OBJECT_SANDBOX, CV_STR("default"),
				 CV_STR("box-5000"), &o, &f->err),
		CV_RPC_OK);
	assert_true(seconds() - begun < 0.002);
	begun = seconds();
	assert_int_equal(list(f, "default", 100, 9000, "").n, 100);
	assert_int_equal(list(f, "default", 100, 0, "app=box-9999").n, 1);
	assert_true(seconds() - begun < 0.020);
	assert_int_equal(list(f, "default", 5000, 0, "").n, CV_OBJECT_PAGE_MAX);
	assert_int_equal(list(f, "default", 0, 0, "").n, CV_OBJECT_PAGE_DEFAULT);
}

static size_t count(const struct fixture *f)
{
	return cv_object_all(f->objects, CV_OBJECT_SANDBOX).end;
}

static void test_groups(void **state)
{
	struct fixture *f = *state;
	struct cv_object *old, *made[3];
	struct cv_object_group *g = cv_object_group_begin(f->objects);

	make(f, "default", "old");
	old = cv_object_find(f->objects, CV_OBJECT_SANDBOX, CV_STR("default"), CV_STR("old"));
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "a", "x"), 7);
	cv_object_group_write(g, old, sandbox("default", "other", "new"));
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "b", "x"), 7);
	assert_int_equal(count(f), 1);
	assert_int_equal(cv_object_group_commit(g, made, &f->err), CV_RPC_OK);
	assert_int_equal(count(f), 3);
	assert_ptr_equal(made[1], old);
	assert_int_equal(old->version, 2);
	assert_true(cv_str_eq(made[2]->name, CV_STR("b")));
	reopen(f);
	assert_int_equal(count(f), 3);
}

/* One that can't be, and the others have not happened either. */
static void test_groups_are_whole(void **state)
{
	struct fixture *f = *state;
	struct cv_object_group *g = cv_object_group_begin(f->objects);

	make(f, "default", "old");
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "a", "x"), 7);
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "old", "x"), 7);
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "b", "x"), 7);
	assert_int_equal(cv_object_group_commit(g, NULL, &f->err), CV_RPC_ALREADY_EXISTS);
	assert_int_equal(count(f), 1);
	/* Two of one name: the store sees it. */
	g = cv_object_group_begin(f->objects);
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "a", "x"), 7);
	cv_object_group_create(g, CV_OBJECT_SANDBOX, sandbox("default", "a", "x"), 7);
	assert_int_not_equal(cv_object_group_commit(g, NULL, &f->err), CV_RPC_OK);
	assert_int_equal(count(f), 1);
	reopen(f);
	assert_int_equal(count(f), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_ids_are_unique),
		TEST(test_write),
		TEST(test_delete),
		TEST(test_the_store_decides),
		TEST(test_list),
		TEST(test_records),
		TEST(test_it_lasts),
		TEST(test_a_record_that_is_none),
		TEST(test_listeners),
		TEST(test_ids_random),
		TEST(test_many),
		TEST(test_groups),
		TEST(test_groups_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
