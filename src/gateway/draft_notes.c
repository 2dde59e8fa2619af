/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft_notes.c - see draft_notes.h
 */
#include "gateway/draft_notes.h"

#include "base/ip.h"
#include "policy/policy.h"

#include <stdarg.h>
#include <stdio.h>

typedef Openshell__Sandbox__V1__NetworkPolicyRule rule_t;
typedef Openshell__Sandbox__V1__NetworkEndpoint endpoint_t;

/* Names under which hosts and clouds answer with what no agent may have. */
static const char *const never[] = {
	"localhost",
	"**.localhost",
	"localhost.localdomain",
	"ip6-localhost",
	"metadata",
	"metadata.google.internal",
	"metadata.goog",
	"instance-data",
	"instance-data.ec2.internal",
	"metadata.azure.com",
	"metadata.azure.internal",
	"metadata.tencentyun.com",
	"metadata.platformequinix.com",
	"host.docker.internal",
	"host.containers.internal",
	"host.openshell.internal",
	"kubernetes.default.svc",
};

static const struct {
	uint16_t port;
	const char *what;
} services[] = {
	{ 22, "SSH" },
	{ 23, "Telnet" },
	{ 25, "SMTP" },
	{ 445, "SMB" },
	{ 1433, "SQL Server" },
	{ 1521, "Oracle" },
	{ 2049, "NFS" },
	{ 2375, "Docker" },
	{ 2376, "Docker" },
	{ 2379, "etcd" },
	{ 3306, "MySQL" },
	{ 3389, "RDP" },
	{ 5432, "PostgreSQL" },
	{ 5672, "AMQP" },
	{ 5900, "VNC" },
	{ 6379, "Redis" },
	{ 6443, "Kubernetes" },
	{ 8500, "Consul" },
	{ 9042, "Cassandra" },
	{ 9092, "Kafka" },
	{ 9200, "Elasticsearch" },
	{ 10250, "kubelet" },
	{ 11211, "memcached" },
	{ 27017, "MongoDB" },
};

#define EPHEMERAL_PORT 49152 /* RFC 6335 section 6: never assigned */

static bool is_pattern(const char *host)
{
	return strchr(host, '*') != NULL;
}

static struct cv_str without_dot(const char *host)
{
	const struct cv_str s = cv_str_of(host);

	return cv_str_has_suffix(s, CV_STR(".")) ? cv_str_slice(s, 0, s.n - 1) : s;
}

/* "[::1]" and "::1" are one. */
static bool address_of(const char *host, struct cv_ip *ret)
{
	struct cv_str s = without_dot(host);

	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = cv_str_slice(s, 1, s.n - 1);
	return cv_ip_parse(s, ret);
}

static cv_code endpoint_refuse(const endpoint_t *e, struct cv_err *err)
{
	struct cv_ip ip;

	if (!e->host[0] && !e->n_allowed_ips)
		return cv_fail(err, CV_DENIED, "an endpoint without a host");
	if (!e->n_ports)
		return cv_fail(err, CV_DENIED, "endpoint '%.200s' has no port", e->host);
	if (address_of(e->host, &ip) && cv_ip_is_never_allowed(&ip))
		return cv_fail(err, CV_DENIED, "host '%.200s' is always blocked: %s", e->host,
			cv_ip_classify(&ip)->reason);
	for (size_t i = 0; e->host[0] && i < CV_ARRAY_LEN(never); i++)
		if (cv_policy_hosts_overlap(without_dot(e->host), cv_str_of(never[i])))
			return cv_fail(err, CV_DENIED, "host '%.200s' is always blocked (%s)",
				e->host, never[i]);
	return CV_OK;
}

cv_code cv_draft_refuse(const rule_t *rule, struct cv_err *err)
{
	if (!rule->n_endpoints)
		return cv_fail(err, CV_DENIED, "the rule has no endpoint");
	for (size_t i = 0; i < rule->n_endpoints; i++)
		if (endpoint_refuse(rule->endpoints[i], err) != CV_OK)
			return CV_DENIED;
	return CV_OK;
}

/* ---- notes ---- */

CV_PRINTF(2, 3) static void note(struct cv_buf *out, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cv_buf_printf(out, "%s%s", cv_buf_len(out) ? "; " : "", text);
}

static void note_ports(struct cv_buf *out, const endpoint_t *e)
{
	for (size_t i = 0; i < e->n_ports; i++) {
		if (e->ports[i] >= EPHEMERAL_PORT)
			note(out, "port %u is ephemeral: whoever runs there may change",
				e->ports[i]);
		for (size_t k = 0; k < CV_ARRAY_LEN(services); k++)
			if (services[k].port == e->ports[i])
				note(out, "port %u is that of %s", e->ports[i], services[k].what);
	}
}

static void note_endpoint(struct cv_buf *out, const endpoint_t *e)
{
	struct cv_ip ip;

	if (address_of(e->host, &ip) && cv_ip_classify(&ip)->class != CV_IP_PUBLIC)
		note(out, "%.100s is a private or special address: %s", e->host,
			cv_ip_classify(&ip)->reason);
	if (e->n_allowed_ips && !e->host[0])
		note(out, "allowed_ips without a host opens internal addresses to any name");
	else if (e->n_allowed_ips)
		note(out, "allowed_ips lets %.100s be an internal address", e->host);
	if (is_pattern(e->host))
		note(out, "'%.100s' is many hosts", e->host);
	if (strcmp(e->tls, "skip") == 0)
		note(out, "tls: skip: nothing that is sent to %.100s can be inspected", e->host);
	if (e->allow_uninspected_credentials)
		note(out, "credentials may go to %.100s uninspected", e->host);
	if (e->credential_binding || e->credential_signing[0])
		note(out, "credentials would be released to %.100s", e->host);
	note_ports(out, e);
}

void cv_draft_notes(const rule_t *rule, struct cv_buf *out)
{
	for (size_t i = 0; i < rule->n_endpoints; i++)
		note_endpoint(out, rule->endpoints[i]);
	if (!rule->n_binaries)
		note(out, "the rule names no binary");
	for (size_t i = 0; i < rule->n_binaries; i++)
		if (strchr(rule->binaries[i]->path, '*'))
			note(out, "'%.100s' is many binaries", rule->binaries[i]->path);
}
