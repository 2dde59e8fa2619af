/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics.c - numbers as Prometheus reads them; strangers can't make their series grow
 */
#include "unit/test.h"

#include "gateway/metrics.c"

static char *text(void)
{
	static struct cv_buf b;

	cv_buf_fini(&b);
	cv_buf_init(&b, 8u << 20);
	cv_metrics_write(&b);
	cv_buf_put_byte(&b, 0);
	assert_false(b.is_overflown);
	return b.data + b.start;
}

static void test_kinds(void **state)
{
	(void)state;
	cv_metric_add(CV_METRIC_GRPC_REQUESTS, 1, "Health", "OK");
	cv_metric_add(CV_METRIC_GRPC_REQUESTS, 2, "Health", "OK");
	cv_metric_add(CV_METRIC_GRPC_REQUESTS, 1, "Health\"\\", "NOT_FOUND");
	cv_metric_set(CV_METRIC_DATABASE_HEALTHY, 1);
	cv_metric_observe(CV_METRIC_GRPC_SECONDS, 0.002, "Health");
	cv_metric_observe(CV_METRIC_GRPC_SECONDS, 100, "Health");

	const char *got = text();

	assert_non_null(strstr(got, "# TYPE openshell_server_grpc_requests_total counter\n"));
	assert_non_null(strstr(
		got, "openshell_server_grpc_requests_total{method=\"Health\",code=\"OK\"} 3\n"));
	assert_non_null(strstr(got, "{method=\"Health\\\"\\\\\",code=\"NOT_FOUND\"} 1\n"));
	assert_non_null(strstr(got, "\nopenshell_server_readiness_database_healthy 1\n"));
	assert_non_null(strstr(got, "_bucket{method=\"Health\",le=\"0.001\"} 0\n"));
	assert_non_null(strstr(got, "_bucket{method=\"Health\",le=\"0.0025\"} 1\n"));
	assert_non_null(strstr(got, "_bucket{method=\"Health\",le=\"60\"} 1\n"));
	assert_non_null(strstr(got, "_bucket{method=\"Health\",le=\"+Inf\"} 2\n"));
	assert_non_null(strstr(got, "_sum{method=\"Health\"} 100.002\n"));
	assert_non_null(strstr(got, "_count{method=\"Health\"} 2\n"));
}

static void test_series_are_bounded(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "/path-%d", i);
		cv_metric_add(CV_METRIC_HTTP_REQUESTS, 1, name, "404");
	}
	assert_int_equal(all[CV_METRIC_HTTP_REQUESTS].n, CV_METRIC_SERIES_MAX);
	snprintf(name, sizeof(name), "} %d\n", 5000 - CV_METRIC_SERIES_MAX + 1);
	assert_non_null(strstr(strstr(text(), "{path=\"other\",status=\"other\""), name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_series_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
