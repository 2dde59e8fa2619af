/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns_rules.c - see netns_rules.h
 *
 *     tproxy     prerouting: TCP goes to our socket on CV_NETNS_LISTEN_PORT, the packet as it is;
 *                UDP port 53 to our socket there
 *     redirect   output, the first packet of a connection: its port becomes CV_NETNS_LISTEN_PORT, its
 *                address stays; conntrack does it to the others, and remembers the port
 *
 * Both leave 127/8 and ::1 alone.  The redirect changes the port only (nft: "dnat to :15001"), not
 * the address to 127.0.0.1 as "redirect" of nft does: then all connections would have one
 * destination, and of two from the same port of the sandbox (the kernel gives one port to many
 * connections, if their destinations differ) conntrack would change the second's.  Who connects is
 * found by that port, so it would be a stranger.  UDP needs no rule there: the socket has the
 * wildcard address on the port that queries go to.
 */
#include "sys/netns_rules.h"

#include "sys/fd.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>

#define DNS_PORT 53
#define TABLE    "cove"

/* A chain of rules for one of the two. */
struct chain {
	const char *name, *type;
	uint32_t hook;
	int32_t priority;
};

static const struct chain tproxy_chain = { "prerouting", "filter", NF_INET_PRE_ROUTING,
	-150 }; /* mangle: before anything that could look at the packet */
static const struct chain redirect_chain = { "output", "nat", NF_INET_LOCAL_OUT,
	-100 }; /* dstnat, where this type of chain belongs */

static void nft_message(struct cv_nl_batch *b, uint16_t type, uint16_t flags, unsigned char family)
{
	const struct nfgenmsg head = { .nfgen_family = family, .version = NFNETLINK_V0 };

	cv_nl_message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
		flags | NLM_F_CREATE | NLM_F_ACK, &head, sizeof(head));
}

static void nft_batch_edge(struct cv_nl_batch *b, uint16_t type)
{
	const struct nfgenmsg head = { .nfgen_family = AF_UNSPEC,
		.version = NFNETLINK_V0,
		.res_id = htons(NFNL_SUBSYS_NFTABLES) };

	cv_nl_message(b, type, 0, &head, sizeof(head));
}

/* An expression: EXPR opens its two nests, the caller adds attributes, expr_end closes both. */
struct expr {
	size_t elem, data;
};

static struct expr expr_begin(struct cv_nl_batch *b, const char *name)
{
	struct expr e = { .elem = cv_nl_nest(b, NFTA_LIST_ELEM) };

	cv_nl_attr_str(b, NFTA_EXPR_NAME, name);
	e.data = cv_nl_nest(b, NFTA_EXPR_DATA);
	return e;
}

static void expr_end(struct cv_nl_batch *b, struct expr e)
{
	cv_nl_nest_end(b, e.data);
	cv_nl_nest_end(b, e.elem);
}

static void nft_data(struct cv_nl_batch *b, uint16_t type, const void *value, size_t bytes)
{
	const size_t nest = cv_nl_nest(b, type);

	cv_nl_attr(b, NFTA_DATA_VALUE, value, bytes);
	cv_nl_nest_end(b, nest);
}

/* Goes on with the rule only if register 1 compares so with value. */
static void expr_cmp(struct cv_nl_batch *b, uint32_t op, const void *value, size_t bytes)
{
	const struct expr e = expr_begin(b, "cmp");

	cv_nl_attr_be32(b, NFTA_CMP_SREG, NFT_REG_1);
	cv_nl_attr_be32(b, NFTA_CMP_OP, op);
	nft_data(b, NFTA_CMP_DATA, value, bytes);
	expr_end(b, e);
}

static void expr_payload(struct cv_nl_batch *b, uint32_t base, uint32_t offset, uint32_t len)
{
	const struct expr e = expr_begin(b, "payload");

	cv_nl_attr_be32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	cv_nl_attr_be32(b, NFTA_PAYLOAD_BASE, base);
	cv_nl_attr_be32(b, NFTA_PAYLOAD_OFFSET, offset);
	cv_nl_attr_be32(b, NFTA_PAYLOAD_LEN, len);
	expr_end(b, e);
}

static void expr_is_protocol(struct cv_nl_batch *b, unsigned char protocol)
{
	const struct expr e = expr_begin(b, "meta");

	cv_nl_attr_be32(b, NFTA_META_DREG, NFT_REG_1);
	cv_nl_attr_be32(b, NFTA_META_KEY, NFT_META_L4PROTO);
	expr_end(b, e);
	expr_cmp(b, NFT_CMP_EQ, &protocol, 1);
}

/* First byte of an IPv4 destination (header offset 16), or all of an IPv6 one (offset 24). */
static void expr_is_not_loopback(struct cv_nl_batch *b, unsigned char family)
{
	static const unsigned char net4 = 127;

	if (family == NFPROTO_IPV4) {
		expr_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 16, 1);
		expr_cmp(b, NFT_CMP_NEQ, &net4, 1);
	} else {
		expr_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 24, 16);
		expr_cmp(b, NFT_CMP_NEQ, &in6addr_loopback, 16);
	}
}

static void expr_port(struct cv_nl_batch *b, uint16_t port)
{
	const uint16_t port_be = htons(port);
	const struct expr e = expr_begin(b, "immediate");

	cv_nl_attr_be32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	nft_data(b, NFTA_IMMEDIATE_DATA, &port_be, sizeof(port_be));
	expr_end(b, e);
}

static void expr_tproxy(struct cv_nl_batch *b, unsigned char family)
{
	const struct expr e = expr_begin(b, "tproxy");

	cv_nl_attr_be32(b, NFTA_TPROXY_FAMILY, family);
	cv_nl_attr_be32(b, NFTA_TPROXY_REG_PORT, NFT_REG_1);
	expr_end(b, e);
}

static void expr_dnat(struct cv_nl_batch *b, unsigned char family)
{
	const struct expr e = expr_begin(b, "nat");

	cv_nl_attr_be32(b, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	cv_nl_attr_be32(b, NFTA_NAT_FAMILY, family);
	cv_nl_attr_be32(b, NFTA_NAT_REG_PROTO_MIN, NFT_REG_1);
	expr_end(b, e);
}

/* A rule's beginning: protocol, destination not loopback.  The mark is for nft_rule_end(). */
static size_t nft_rule(struct cv_nl_batch *b, const struct chain *chain, unsigned char family,
	unsigned char protocol)
{
	nft_message(b, NFT_MSG_NEWRULE, NLM_F_APPEND, family);
	cv_nl_attr_str(b, NFTA_RULE_TABLE, TABLE);
	cv_nl_attr_str(b, NFTA_RULE_CHAIN, chain->name);
	const size_t list = cv_nl_nest(b, NFTA_RULE_EXPRESSIONS);
	expr_is_protocol(b, protocol);
	expr_is_not_loopback(b, family);
	return list;
}

static void tproxy_rules(struct cv_nl_batch *b, unsigned char family)
{
	const uint16_t dns_be = htons(DNS_PORT);
	size_t list = nft_rule(b, &tproxy_chain, family, IPPROTO_TCP);

	expr_port(b, CV_NETNS_LISTEN_PORT);
	expr_tproxy(b, family);
	cv_nl_nest_end(b, list);
	list = nft_rule(b, &tproxy_chain, family, IPPROTO_UDP);
	expr_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
	expr_cmp(b, NFT_CMP_EQ, &dns_be, sizeof(dns_be));
	expr_port(b, DNS_PORT);
	expr_tproxy(b, family);
	cv_nl_nest_end(b, list);
}

static void redirect_rules(struct cv_nl_batch *b, unsigned char family)
{
	const size_t list = nft_rule(b, &redirect_chain, family, IPPROTO_TCP);

	expr_port(b, CV_NETNS_LISTEN_PORT);
	expr_dnat(b, family);
	cv_nl_nest_end(b, list);
}

/* The chain's policy stays accept: replies cross it too, on their way to the client's socket. */
static void nft_chain(struct cv_nl_batch *b, const struct chain *chain, unsigned char family)
{
	nft_message(b, NFT_MSG_NEWTABLE, 0, family);
	cv_nl_attr_str(b, NFTA_TABLE_NAME, TABLE);
	nft_message(b, NFT_MSG_NEWCHAIN, 0, family);
	cv_nl_attr_str(b, NFTA_CHAIN_TABLE, TABLE);
	cv_nl_attr_str(b, NFTA_CHAIN_NAME, chain->name);
	const size_t hook = cv_nl_nest(b, NFTA_CHAIN_HOOK);
	cv_nl_attr_be32(b, NFTA_HOOK_HOOKNUM, chain->hook);
	cv_nl_attr_be32(b, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
	cv_nl_nest_end(b, hook);
	cv_nl_attr_str(b, NFTA_CHAIN_TYPE, chain->type);
}

/* What there is for each family, by variant; ANYIP has no rules. */
static const struct {
	const struct chain *chain;
	void (*rules)(struct cv_nl_batch *b, unsigned char family);
	const char *what;
} row[CV_INTERCEPTION_COUNT] = {
	[CV_INTERCEPTION_TPROXY] = { &tproxy_chain, tproxy_rules, "nf_tables rules with tproxy" },
	[CV_INTERCEPTION_REDIRECT] = { &redirect_chain, redirect_rules,
		"nf_tables rules with nat" },
};

void cv_netns_rules_put(struct cv_nl_batch *b, enum cv_interception how)
{
	static const unsigned char family[] = { NFPROTO_IPV4, NFPROTO_IPV6 };

	if (!row[how].chain)
		return;
	nft_batch_edge(b, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; i < CV_ARRAY_LEN(family); i++) {
		nft_chain(b, row[how].chain, family[i]);
		row[how].rules(b, family[i]);
	}
	nft_batch_edge(b, NFNL_MSG_BATCH_END);
}

cv_code cv_netns_rules_load(enum cv_interception how, struct cv_err *err)
{
	CV_AUTO_FD int sock = -1;
	struct cv_nl_batch b;

	if (!row[how].chain)
		return CV_OK;
	if (cv_nl_open(NETLINK_NETFILTER, &sock, err) != CV_OK)
		return err->code;
	cv_nl_init(&b);
	cv_netns_rules_put(&b, how);
	return cv_nl_send(sock, &b, row[how].what, err);
}
