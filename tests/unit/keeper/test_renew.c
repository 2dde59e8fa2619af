/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what is due is asked for, no more at once than the courier takes; answers become values, or
 * reasons; whatever becomes of the courier, nothing is forgotten and nothing is asked in a loop.
 * Method: the module on a real link, whose other end is the test; time is an argument.
 */
#include "unit/test.h"

#include "keeper/renew.c"
#include "keeper/vault.c"

#include <fcntl.h>

#define NOW   1790000000
#define COUNT (KEEPER_ERRANDS_MAX + 1)

static struct cv_vault *vault;
static struct keeper_renewals renewals;
static int courier; /* our end */
static char message[CV_IPC_BODY_BYTES_MAX + 8];
static struct cv_err err;

/* COUNT credentials without a value; the first by a refresh token, the rest by command. */
static void set_fill(struct cv_cred_set *set)
{
	static struct cv_str argv[] = { { "mint", 4 } };
	static struct cv_cred_material materials[] = { { { "client_id", 9 }, { "c", 1 } },
		{ { "refresh_token", 13 }, { "rt-0", 4 } } };
	static char names[COUNT][8];

	cv_cred_set_init(set);
	set->providers = cv_arena_array(&set->arena, 1, sizeof(set->providers[0]));
	set->refreshes = cv_arena_array(&set->arena, COUNT, sizeof(set->refreshes[0]));
	set->creds = cv_arena_array(&set->arena, COUNT, sizeof(set->creds[0]));
	set->providers[0].name = set->providers[0].type = CV_STR("p");
	set->provider_count = 1;
	set->cred_count = set->refresh_count = COUNT;
	for (uint32_t i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "K%u", i);
		set->refreshes[i] = (struct cv_cred_refresh){
			.strategy = CV_STR("command"), .argv = argv, .argc = 1
		};
		set->creds[i] = (struct cv_cred){
			.key = cv_str_of(names[i]), .placeholder = cv_str_of(names[i]), .refresh = i
		};
	}
	set->refreshes[0] = (struct cv_cred_refresh){ .strategy = CV_STR("oauth2_refresh_token"),
		.token_url = CV_STR("https://issuer.test/token"),
		.materials = materials,
		.material_count = 2 };
}

static void link_new(void)
{
	int pair[2];

	if (courier > 0)
		close(courier);
	assert_int_equal(cv_ipc_pair(pair, &err), CV_OK);
	courier = pair[0];
	keeper_renewals_courier(&renewals, pair[1], NOW);
}

static int setup(void **state)
{
	struct cv_cred_set set;
	struct cv_buf b;

	(void)state;
	set_fill(&set);
	cv_buf_init(&b, 1 << 20);
	assert_int_equal(cv_cred_set_write(&set, &b, &err), CV_OK);
	assert_int_equal(cv_vault_new(cv_buf_str(&b), &vault, &err), CV_OK);
	cv_buf_fini(&b);
	cv_arena_fini(&set.arena);
	assert_int_equal(keeper_renewals_init(&renewals, vault, NOW, &err), CV_OK);
	link_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(courier);
	courier = 0;
	close(renewals.courier);
	for (size_t i = 0; i < renewals.n; i++) {
		free(renewals.v[i].plan.materials);
		free(renewals.v[i].rotated);
	}
	free(renewals.v);
	cv_vault_free(vault);
	return 0;
}

/* The tag of the next errand; 0: there is none.  Its body is in message. */
static uint32_t errand(struct cv_str *ret_body)
{
	struct cv_ipc_link link = { cv_courier_req_rule, CV_COURIER_REQ_COUNT, CV_COURIER_READY,
		0 };
	struct cv_ipc_msg m;

	fcntl(courier, F_SETFL, O_NONBLOCK);
	if (cv_ipc_recv(courier, &link, message, &m, &err) != CV_OK)
		return 0;
	struct cv_ipc_reader r = { .rest = m.body };
	*ret_body = m.body;
	return cv_ipc_get_u32(&r);
}

static void carried(uint32_t tag, uint32_t status, const char *text)
{
	static char buf[CV_IPC_BODY_BYTES_MAX + 8];
	struct cv_buf b;
	int fd;

	cv_buf_init(&b, 64);
	cv_ipc_put_u32(&b, tag);
	cv_ipc_put_u32(&b, status);
	cv_ipc_put_u32(&b, 0);
	assert_int_equal(cv_ipc_memfd("test", cv_str_of(text), &fd, &err), CV_OK);
	assert_int_equal(
		cv_ipc_send(courier, CV_COURIER_REPLY_CARRIED, cv_buf_str(&b), &fd, 1, &err),
		CV_OK);
	close(fd);
	cv_buf_fini(&b);
	keeper_renewals_read(&renewals, buf, NOW);
}

static bool is_hopeful(uint32_t cred, const char *why)
{
	char said[128];
	const bool is = keeper_renewals_is_hopeful(&renewals, cred, NOW + 1, said, sizeof(said));

	if (!strstr(said, why))
		fail_msg("said '%s', not '%s'", said, why);
	return is;
}

static void asks_no_more_than_the_courier_takes(void **state)
{
	uint32_t tag[COUNT + 1] = { 0 }, n = 0;
	struct cv_str body;

	(void)state;
	keeper_renewals_step(&renewals, NOW);
	while (n < COUNT && (tag[n] = errand(&body)))
		n++;
	assert_int_equal(n, KEEPER_ERRANDS_MAX);
	/* The one that is due and waits for its turn must not keep the loop awake. */
	assert_true(keeper_renewals_wait_ms(&renewals, NOW) > 1000);
	carried(tag[1], 0, "value");
	assert_string_equal(cv_vault_value(vault, 1).p ? "there" : "", "there");
	keeper_renewals_step(&renewals, NOW);
	assert_int_not_equal(errand(&body), 0);
	assert_int_equal(errand(&body), 0);
}

static void a_rotated_token_counts_whatever_else_is_wrong(void **state)
{
	struct cv_str body;

	(void)state;
	keeper_renewals_step(&renewals, NOW);
	const uint32_t tag = errand(&body);
	assert_true(memmem(body.p, body.n, "refresh_token=rt-0", 18));
	carried(tag, 200,
		"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":100,"
		"\"refresh_token\":\"rt-1\"}");
	const struct cv_str value = cv_vault_value(vault, 0);
	assert_true(cv_str_eq(value, CV_STR("a")));
	assert_true(
		cv_str_eq(cv_vault_set(vault)->refreshes[0].materials[1].value, CV_STR("rt-0")));
	assert_true(cv_str_eq(renewals.v[0].plan.materials[1].value, CV_STR("rt-1")));
	while (errand(&body))
		;
	keeper_renewals_step(&renewals, NOW + 90); /* due, and the next one goes with it */
	assert_int_not_equal(errand(&body), 0);
	assert_true(memmem(body.p, body.n, "refresh_token=rt-1", 18));
}

static void failures_have_reasons(void **state)
{
	struct cv_str body;

	(void)state;
	assert_true(is_hopeful(0, "has not answered yet"));
	keeper_renewals_step(&renewals, NOW);
	const uint32_t first = errand(&body), second = errand(&body);
	carried(first, 400,
		"{\"error\":\"invalid_grant\",\"error_description\":\"rt-0 is s3cret\"}");
	assert_false(is_hopeful(0, "grant_rejected: "));
	carried(first, 200, "{\"access_token\":\"late\",\"token_type\":\"Bearer\"}"); /* answered */
	assert_int_equal(cv_vault_value(vault, 0).n, 0);
	carried(second, 3, "");
	assert_false(is_hopeful(1, "command_failed: ")); /* by then; later it is asked again */
	while (errand(&body))
		;
	keeper_renewals_step(&renewals, NOW + 3);
	assert_int_not_equal(errand(&body), 0);
	assert_false(is_hopeful(0, "grant_rejected: "));
}

static void a_lost_courier_is_no_loop(void **state)
{
	struct cv_str body;
	static char buf[CV_IPC_BODY_BYTES_MAX + 8];

	(void)state;
	keeper_renewals_step(&renewals, NOW);
	close(courier);
	courier = 0;
	keeper_renewals_read(&renewals, buf, NOW);
	assert_int_equal(renewals.courier, -1);
	is_hopeful(0, "courier_gone: ");
	/* Due again, and nobody there: only a new link wakes us. */
	keeper_renewals_step(&renewals, NOW + 10);
	assert_int_equal(renewals.v[0].schedule.state, CV_SCHEDULE_DUE);
	assert_true(keeper_renewals_wait_ms(&renewals, NOW + 10) > 1000);
	link_new();
	keeper_renewals_step(&renewals, NOW + 10);
	assert_int_not_equal(errand(&body), 0);
}

/* What a server refused is renewed, once in a while; an older value's refusal is no news. */
static void c8_refused_by_a_server(void **state)
{
	struct cv_str body;
	uint64_t epoch;
	uint32_t tag;

	(void)state;
	keeper_renewals_step(&renewals, NOW);
	tag = errand(&body);
	carried(tag, 200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	while (errand(&body))
		;
	vault->slots[0].is_released = true;
	epoch = cv_vault_epoch(vault);
	keeper_renewals_rejected(&renewals, 0, epoch - 1, NOW + 40); /* of the value before */
	keeper_renewals_rejected(&renewals, 1, epoch, NOW + 40);     /* never released */
	keeper_renewals_rejected(&renewals, COUNT, epoch, NOW + 40);
	assert_false(vault->slots[0].is_refused);
	assert_int_equal(renewals.v[0].schedule.state, CV_SCHEDULE_FRESH);
	assert_true(renewals.v[0].schedule.due_s > NOW + 100);
	keeper_renewals_rejected(&renewals, 0, epoch, NOW + 40);
	assert_true(vault->slots[0].is_refused);
	keeper_renewals_step(&renewals, NOW + 40);
	assert_int_equal(renewals.v[0].schedule.state, CV_SCHEDULE_ASKED);
	while (errand(&body) != renewals.v[0].tag)
		;
	carried(renewals.v[0].tag, 200,
		"{\"access_token\":\"b\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_false(vault->slots[0].is_refused);
	/* the new one too, at once: it is used until the limit is over */
	keeper_renewals_rejected(&renewals, 0, cv_vault_epoch(vault), NOW + 41);
	keeper_renewals_step(&renewals, NOW + 41);
	assert_false(vault->slots[0].is_refused);
	keeper_renewals_step(&renewals, NOW + 40 + CV_SCHEDULE_REJECTED_S - 1);
	assert_int_equal(renewals.v[0].schedule.state, CV_SCHEDULE_FRESH);
	keeper_renewals_step(&renewals, NOW + 40 + CV_SCHEDULE_REJECTED_S);
	assert_int_equal(renewals.v[0].schedule.state, CV_SCHEDULE_DUE); /* the others are asked */
	assert_true(vault->slots[0].is_refused);
}

static void malformed_ends_the_link(void **state)
{
	static char buf[CV_IPC_BODY_BYTES_MAX + 8];

	(void)state;
	keeper_renewals_step(&renewals, NOW);
	assert_int_equal(
		cv_ipc_send(courier, CV_COURIER_REPLY_FAILED, CV_STR("xx"), NULL, 0, &err), CV_OK);
	keeper_renewals_read(&renewals, buf, NOW);
	assert_int_equal(renewals.courier, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		ROW(asks_no_more_than_the_courier_takes),
		ROW(a_rotated_token_counts_whatever_else_is_wrong),
		ROW(failures_have_reasons),
		ROW(a_lost_courier_is_no_loop),
		ROW(c8_refused_by_a_server),
		ROW(malformed_ends_the_link),
	};

	return cmocka_run_group_tests_name("keeper/renew", tests, NULL, NULL);
}
