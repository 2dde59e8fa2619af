/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker.h - what the files of cove-broker share
 *
 *     link.c      what whoever started it says: configure.c until GO, and sandbox.c, with the
 *                 streams that proxies hand over
 *     stream.c    bytes of one connection: heads, bodies, answers
 *     request.c   a whole request: token, where it goes; discovery.c what there is
 *     call.c      a call: limits, and its start; call_check.c arguments, policy, schema;
 *                 call_end.c what comes of it
 *     jobs.c      every call as a job: its states, and who waits for it
 *     host_slots.c  limits that hold for other sandboxes' calls too
 *     records.c   what the store has of them
 *     jobs_http.c what a sandbox may ask about its jobs
 *     mcp*.c      the same calls as the Model Context Protocol has them (mcp_int.h)
 *     hold.c      calls that wait for a person
 *     keys.c      credentials of calls and servers, from the keeper
 *     call_keys.c calls that wait for theirs; what comes back is scrubbed of them
 *     fetch.c     requests to servers; http.c the backends `http` and `server`
 *     mcp_client.h  MCP servers, whose client the broker is; the backend `mcp`
 *     tool_slot.c the tools that there are, those of MCP servers too
 *     relay.c     connections of a sandbox to one of them
 *     server.c    processes of the catalog that are there for the whole run
 *     command.c   the backend `command`; spawn.c and shepherd.c its process
 *     build.c     the backend `build`
 *     repo.c      the backend `repo`
 *     files.c     the backend `files`
 *     worker.h    work of our own in a process of its own, for these two
 *     audit.c     one event for each call
 *
 * One thread, one loop, nothing waits.  Events name streams, sandboxes and jobs by reference, so
 * what comes late finds nothing in place of something else.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/sha256.h"
#include "broker/keys.h"
#include "broker/limits.h"
#include "broker/pool.h"
#include "ipc/broker_link.h"
#include "policy/policy.h"
#include "policy/tools.h"
#include "store/store.h"
#include "sys/loop.h"
#include "sys/sink.h"
#include "tools/catalog.h"
#include "wire/h1.h"
#include "wire/path.h"

#include <limits.h>

enum watch { /* kinds of the loop's watches */
	WATCH_CONTROL,
	WATCH_CHILDREN,
	WATCH_LINK, /* a sandbox's */
	WATCH_STREAM,
	WATCH_RUN, /* a job: its backend is told with which of its descriptors */
	WATCH_RUN_OUT,
	WATCH_RUN_ERR,
	WATCH_RUN_IN,
	WATCH_KEEPER,
	WATCH_CURL,   /* index: the descriptor */
	WATCH_SERVER, /* its shepherd */
	WATCH_SERVER_OUT,
	WATCH_SERVER_ERR,
	WATCH_RELAY,
	WATCH_MCP, /* its shepherd */
	WATCH_MCP_OUT,
	WATCH_MCP_ERR,
	WATCH_MCP_IN,
};

/* Who is at the other end of a stream; a job keeps it longer than the stream does. */
struct caller {
	uint32_t refs;
	struct cv_arena arena;
	struct cv_facts_who who;
	uint32_t pid; /* inside the sandbox */
};

struct rule_use { /* of a rule of a sandbox's policy, by its name: it outlives the snapshot */
	char *name;
	uint64_t calls;
	uint32_t running;
};

struct sandbox {
	struct cv_ref ref;
	char name[CV_BROKER_NAME_MAX + 1];
	unsigned char token_sha256[32];
	int link; /* its proxy's; -1: none now */
	struct cv_ipc_link link_in;
	int root;                 /* O_PATH of / in it; -1 */
	struct cv_policy *policy; /* NULL: none came, nothing is allowed */
	bool is_ending;
	struct about { /* how it runs, for builds */
		enum cv_broker_about key;
		char *value;
	} about[BROKER_ABOUT_MAX];
	size_t about_count;

	struct rule_use rule[BROKER_RULES_MAX];
	size_t rule_count;
	unsigned char approved[BROKER_APPROVED_MAX][32]; /* digests of rule and tool */
	size_t approved_count;

	uint32_t streams, jobs, running, queued, held, asked;
	uint64_t kept_bytes;
	uint64_t waiting_bytes; /* arguments of jobs that have not ended */
	int64_t bad_tokens_since_ms;
	uint32_t bad_tokens;
};

/* ---- streams ---- */

enum stream_state {
	STREAM_HEAD, /* a request's head is read, or awaited */
	STREAM_BODY,
	STREAM_CALL,   /* the answer is a job's result */
	STREAM_POLL,   /* the answer is a job, when it has ended or the time is over */
	STREAM_EVENTS, /* the answer goes on as a job does */
	STREAM_READ,   /* the answer is what a channel of MCP has (mcp_events.c) */
	STREAM_CLOSING /* what is left is sent, then it ends */
};

struct request { /* strings are in the stream's arena */
	struct cv_str method, query;
	struct cv_path path;
	struct cv_str authorization, content_type, content_encoding, prefer, idempotency_key,
		last_event_id, origin, host, accept, mcp_session, mcp_version;
	bool is_head, is_keep_alive,
		is_repeated; /* a field that may be there once is there twice */
	enum cv_h1_body body;
	uint64_t length;
};

struct stream {
	struct cv_ref ref;
	enum stream_state state;
	int fd; /* -1: messages of MCP whose answer is a channel */
	struct cv_ref sandbox;
	struct caller *caller;
	struct cv_buf in, out;
	struct cv_buf body;
	struct cv_arena arena; /* of the present request */
	size_t scanned;
	struct cv_chunk *chunk; /* of a chunked body, while it is read */
	struct request request;
	int64_t due_ms;    /* of the loop's clock; 0: none.  What is due depends on the state */
	int64_t sent_ms;   /* when the reader last took something */
	bool has_ended;    /* nothing more will come from the other side */
	bool is_full;      /* more has come than there is room for */
	bool is_lingering; /* CLOSING: all is sent, and what comes is dropped */

	struct mcp *mcp;       /* a body of its messages, until it is answered; else NULL */
	struct cv_ref channel; /* READ */
	uint64_t event_next;   /* READ: the number of the event to be sent next */
	struct cv_ref job;     /* CALL, POLL, EVENTS */
	uint64_t log_at;       /* EVENTS: how far it is */
	uint32_t progress_at;
	uint32_t results_sent; /* 1: the result, 2: the end too */
	bool is_asynchronous;  /* CALL: when the time is over the answer is 202 */
	int64_t beat_ms;       /* EVENTS: when something was last said */
};

/* ---- jobs ---- */

/* clang-format off */
/*        state       word         may go to (a bit for each); the last five are ends */
#define JOB_STATES(X)                                                                              \
	X(NEW,        "new",       JOB_BIT(HELD) | JOB_BIT(QUEUED) | JOB_BIT(RUNNING))             \
	X(HELD,       "held",      JOB_BIT(QUEUED) | JOB_BIT(RUNNING) | JOB_BIT(DENIED) |          \
	                           JOB_BIT(CANCELLED) | JOB_BIT(FAILED))                           \
	X(QUEUED,     "queued",    JOB_BIT(RUNNING) | JOB_BIT(CANCELLED) | JOB_BIT(FAILED) |       \
	                           JOB_BIT(DENIED))                                                \
	X(RUNNING,    "running",   JOB_BIT(SUCCEEDED) | JOB_BIT(FAILED) | JOB_BIT(CANCELLED) |     \
	                           JOB_BIT(TIMED_OUT))                                             \
	X(SUCCEEDED,  "succeeded", 0)                                                              \
	X(FAILED,     "failed",    0)                                                              \
	X(CANCELLED,  "cancelled", 0)                                                              \
	X(TIMED_OUT,  "timed_out", 0)                                                              \
	X(DENIED,     "denied",    0)
/* clang-format on */

#define JOB_BIT(s)               (1u << JOB_##s)
#define JOB_ENUM(name, word, to) JOB_##name,
enum job_state { JOB_STATES(JOB_ENUM) JOB_STATE_COUNT };
#undef JOB_ENUM

const char *job_state_word(enum job_state s);
enum job_state job_state_of(const char *word); /* FAILED: no state's */
static inline bool job_state_is_end(enum job_state s)
{
	return s >= JOB_SUCCEEDED;
}

#define JOB_ID_CHARS 32 /* 128 random bits: nobody guesses another's */

struct job {
	struct cv_ref ref, sandbox;
	char id[JOB_ID_CHARS + 1];
	uint64_t seq; /* the order in which they came */
	enum job_state state;
	const struct cv_tool *tool; /* NULL: of an earlier broker, whose catalog is not ours */
	char tool_name[128];
	struct caller *caller;
	struct cv_arena arena; /* the arguments; given back when it ends */
	const struct cv_value *arguments;
	struct cv_buf canonical; /* the same as text; given back too */
	char digest[65];
	char *key;                 /* Idempotency-Key, or NULL */
	bool is_published;         /* known by its id: in lists, and kept when it has ended */
	bool is_stopping;          /* its backend was told to end it */
	bool is_asked;             /* HELD: a person is being shown it */
	enum job_state stop_state; /* what it will be then */

	int64_t created_ms, started_ms, ended_ms; /* since 1970; 0: not yet */
	int64_t due_ms, publish_ms, start_us;     /* of the loop's clock */
	uint64_t ask_id;
	char *rule; /* that allowed it */
	uint32_t rule_line;
	enum cv_tool_approval approval;
	uint32_t concurrency; /* of the rule; 0: none */
	int host_slot;        /* held among other sandboxes' calls; -1: none */
	uint32_t seconds;
	uint64_t bytes_max;

	struct cv_buf log; /* its last bytes */
	uint64_t log_base; /* offset of the first of them */
	uint64_t log_end;  /* of what is behind the last, also when it is in the store */
	uint32_t progress_seq;
	struct cv_buf progress; /* JSON; empty: none */

	int status;           /* of the answer, once it has ended */
	struct cv_buf result; /* its body, until it is in the store */
	uint64_t result_bytes;
	char error[32]; /* code, when it is one */
	bool has_exit;
	int exit;
	uint64_t bytes_out;
	uint64_t kept_bytes;    /* counted in the sandbox's */
	uint64_t waiting_bytes; /* the same */
	uint64_t version;       /* of its record */

	const struct backend *backend;
	void *run; /* the backend's own */

	struct keys *keys; /* while it runs; NULL: it needs none */
	struct keys_scrub log_scrub, out_scrub;
};

/* What a tool is done by.  start() gives false when it could not be, with the reason in err; from
 * then on the backend ends the job with job_end() or call_finish(). */
struct broker;
struct backend {
	const char *name;
	/* Are these arguments that it can take?  May be NULL.  Not CV_OK: why, and which. */
	cv_code (*check)(struct broker *b, const struct cv_tool *t,
		const struct cv_value *arguments, struct cv_arena *arena,
		struct cv_str *ret_pointer, struct cv_err *err);
	bool (*start)(struct broker *b, struct job *j, struct cv_err *err);
	void (*event)(struct broker *b, struct job *j, enum watch what, uint32_t events);
	void (*stop)(struct broker *b, struct job *j); /* ask it to end, then make it */
	void (*due)(struct broker *b, struct job *j);  /* its time, or its grace, is over */
	void (*drop)(struct broker *b, struct job *j); /* at once, before the job is freed */
};
extern const struct backend command_backend, build_backend, mcp_backend, repo_backend,
	files_backend;
extern const struct backend http_backend;                  /* and of servers of the catalog */
const struct backend *backend_of(const struct cv_tool *t); /* NULL: this build has none */

/* ---- tools ---- */

struct tool_slot {
	struct cv_tool tool; /* first: a job's tool is its slot's */
	uint32_t running;
	int64_t host_look_ms; /* when those that wait ask for one of the host's again; 0: now */
	bool is_found;        /* in the list of an MCP server, and not in the catalog's text */
	bool is_listed;       /* and it is still there */
	const struct cv_value *input; /* what the catalog's text has */
	struct cv_schema *schema;
};

/* Of a job's tool, which is a slot's. */
static inline struct tool_slot *tool_slot_of(const struct cv_tool *t)
{
	return (struct tool_slot *)(uintptr_t)t;
}

/* ---- the broker ---- */

struct broker {
	struct cv_loop loop;
	struct cv_ipc_link control;
	char *message; /* one, as it is received */
	struct cv_catalog *catalog;
	char state_path[PATH_MAX]; /* the directory that is ours */
	int state_dir;
	char host_slots_path[PATH_MAX]; /* the file of sys/slots.h; "": no tool counts there */
	bool is_host_slots_failure_said;
	struct cv_store *store; /* NULL: nothing was recorded yet */
	struct cv_audit_sinks sinks;
	char *env[BROKER_ENV_MAX]; /* NAME=value that tools may inherit */
	size_t env_count;
	struct cv_sha256
		hash; /* begun, to be copied: to begin one asks the processor what it can */
	int keeper;   /* -1: none now */
	struct cv_ipc_link keeper_in;
	struct keys *keys; /* that wait for it */
	uint32_t key_tag;
	void *curl; /* fetch.c */
	int64_t curl_due_ms;
	char *roots;
	size_t root_bytes;
	struct curl_slist *pins;
	struct server *servers; /* as many, and in the order, as the catalog has */
	uint32_t server_count;
	bool is_ready_said;
	struct pool sandboxes, streams, jobs, relays;
	struct pool mcp_sessions, mcp_channels;
	int64_t due_ms;           /* nothing is due before */
	int64_t orphans_until_ms; /* how long to look for what a dead shepherd left */
	uint64_t ask_id;
	int64_t ask_again_ms;     /* 0: nobody was not asked that could be */
	uint64_t out_bytes;       /* of all streams */
	struct tool_slot **slots; /* tool_slot.c */
	size_t slot_count;
	struct cv_tool *table;   /* the catalog's */
	struct mcp_server *mcps; /* as the catalog has them */
	uint32_t mcp_count;
	uint32_t queued;       /* jobs that wait for their tool */
	bool is_queue_due;     /* one of them may find it free */
	uint32_t hold_seconds; /* until a held call is denied */
};

/* Something is to be done at that time of the loop's clock. */
static inline void due_at(struct broker *b, int64_t ms)
{
	if (ms && ms < b->due_ms)
		b->due_ms = ms;
}

/* ---- main.c ---- */
CV_NORETURN CV_PRINTF(2, 3) void broker_die(cv_code code, const char *fmt, ...);

/* ---- tool_slot.c ---- */
void tool_slots_init(struct broker *b);    /* once the catalog is whole */
void tool_slots_publish(struct broker *b); /* the catalog's table, from what the slots say */
struct tool_slot *tool_slot_find(struct broker *b, struct cv_str name); /* NULL: none */

/* ---- link.c ---- */
void link_start(struct broker *b); /* until GO */
void link_control_read(struct broker *b);
void link_ready_check(struct broker *b); /* READY, once all that the catalog names is there */

/* ---- sandbox.c ---- */
void sandbox_read(struct broker *b, struct sandbox *s);
struct sandbox *sandbox_find(struct broker *b, struct cv_str name);
void sandbox_end(struct broker *b, struct sandbox *s);
void sandbox_settle(struct broker *b, struct sandbox *s); /* frees it when nothing of it is left */

/* ---- stream.c ---- */
void caller_unref(struct caller *c);
void stream_open(struct broker *b, struct sandbox *s, int fd, const struct cv_proxy_identity *id);
void stream_event(struct broker *b, struct stream *s, uint32_t events);
void stream_due(struct broker *b, struct stream *s);
bool stream_flush(struct broker *b, struct stream *s); /* false: it was freed */
void stream_free(struct broker *b, struct stream *s);

/* The answer is whole in out: the next request may be read. */
void stream_next(struct broker *b, struct stream *s);

/* ---- answer.c ---- */
struct answer {
	int status;
	const char *type; /* of the body; NULL: application/json */
	struct cv_str body;
	const char *job;          /* id, for Cove-Job */
	const char *location_job; /* id, for Location */
	const char *allow, *session;
	uint32_t retry_after;       /* seconds; 0: none */
	bool is_preference_applied; /* respond-async */
	bool is_challenge;          /* WWW-Authenticate */
	bool has_offset;            /* of a log: where its first byte stands */
	uint64_t offset;
};
void answer(struct broker *b, struct stream *s, const struct answer *a);
/* The head of an answer that goes on in chunks. */
void answer_events(struct broker *b, struct stream *s);

/* An error's body: {"error":code,"detail":...  Members may be added before error_end(). */
CV_PRINTF(3, 4) void error_begin(struct cv_buf *b, const char *code, const char *fmt, ...);
void error_end(struct cv_buf *b);
CV_PRINTF(5, 6)
void answer_error(
	struct broker *b, struct stream *s, int status, const char *code, const char *fmt, ...);
void put_member_str(
	struct cv_buf *b, const char *key, struct cv_str value); /* with a comma before */

/* ---- request.c ---- */
void request_handle(struct broker *b, struct stream *s);
bool request_is_json(const struct request *q);
/* The same, or what curl -d says of whatever it sends; the body decides. */
bool request_may_be_json(const struct request *q);
void request_refuse_tool(struct broker *b, struct stream *s, struct cv_str name); /* unknown */
void request_refuse_method(struct broker *b, struct stream *s, const char *allow);

/* ---- call.c ---- */
void call_handle(struct broker *b, struct stream *s, const struct cv_tool *t,
	const struct cv_tool_route_args *places);
/* Starts what was let through, by a person or when its tool became free. */
void call_start(struct broker *b, struct job *j);
void call_queue_run(struct broker *b);
/* What became of a call: status, and the body that the caller gets. */
enum call_outcome {
	CALL_OK,
	CALL_FAILED, /* the tool said so */
	CALL_BROKEN, /* it could not be asked, or its answer could not be read */
	CALL_TIMEOUT,
	CALL_CANCELLED,
	CALL_FULL, /* of a command: its own directory is */
};

/* ---- call_keys.c ---- */
extern const struct backend keys_backend; /* until the tool's own takes over */
void call_keys_come(struct broker *b, struct cv_ref job, const struct cv_err *failed);
/* What a backend has for the log, and for the result: without the call's credentials.  other:
 * those of a server that it came from, or NULL. */
CV_MUST bool call_scrub_start(struct job *j, const struct keys *other, struct cv_err *err);
void call_log(struct broker *b, struct job *j, struct cv_str bytes);
void call_log_end(struct broker *b, struct job *j);
/* Into out, which takes what fits. */
void call_out(struct job *j, struct cv_str bytes, struct cv_buf *out);
void call_out_end(struct job *j, struct cv_buf *out);
/* A job has ended, or is no more. */
void call_keys_drop(struct job *j);

/* ---- jobs.c ---- */
struct job *job_new(struct broker *b, struct sandbox *s, const struct cv_tool *t);
void job_state_set(struct broker *b, struct job *j, enum job_state to);
void job_publish(struct broker *b, struct job *j);
/* The only way to an end.  body: the answer that the call gets, which is taken; code: NULL on
 * success. */
void job_end(struct broker *b, struct job *j, enum job_state to, int status, const char *code,
	struct cv_buf *body);
void job_log(struct broker *b, struct job *j, struct cv_str bytes);
struct cv_str job_log_tail(const struct job *j); /* what of it goes into an answer */
/* Asks for its end.  False: it has ended already. */
bool job_cancel(struct broker *b, struct job *j);
void job_due(struct broker *b, struct job *j);
void job_drop(struct broker *b, struct job *j); /* forgets it, ended or not */
void job_free(struct broker *b, struct job *j); /* the same, but not what the store has of it */
void job_count(struct broker *b, struct job *j, enum job_state s, bool is_in);
void job_progress(struct broker *b, struct job *j, struct cv_str json);
struct job *job_find(struct broker *b, const struct sandbox *s, struct cv_str id);
struct job *job_find_key(struct broker *b, const struct sandbox *s, struct cv_str key);
void job_put(const struct job *j, struct cv_buf *out); /* as JSON */
/* Tells every stream that waits for it. */
void job_waiters_tell(struct broker *b, struct job *j);

struct sandbox *job_box(const struct broker *b, const struct job *j);

/* ---- records.c ---- */
/* Opens what an earlier broker left, if it left anything. */
CV_MUST cv_code records_find(struct broker *b, struct cv_err *err);
void record_save(struct broker *b, struct job *j);
/* False: it stays in memory. */
CV_MUST bool record_result_save(struct broker *b, const struct job *j);
CV_MUST bool record_log_save(struct broker *b, const struct job *j);
void record_forget(struct broker *b, const struct job *j);
void job_result_get(struct broker *b, struct job *j, struct cv_buf *ret);
/* Bytes of the log from offset on, at most n; none outside of what is kept. */
void job_log_get(struct broker *b, struct job *j, uint64_t offset, size_t n, struct cv_buf *ret);
void jobs_restore(struct broker *b, struct sandbox *s);

/* ---- host_slots.c ---- */
/* Where its tool has a limit on this host: a slot, which is j's until it runs no more.  False: none is
 * free now; the queue is run again when one may be. */
CV_MUST bool host_slot_take(struct broker *b, struct job *j);
/* The same for one of many that wait, which do not ask all the time. */
CV_MUST bool host_slot_take_queued(struct broker *b, struct job *j);
void host_slot_give(struct job *j);
void host_slots_due(struct broker *b);

/* ---- jobs_http.c ---- */
void jobs_handle(struct broker *b, struct stream *s, struct cv_str rest);
void jobs_answer_call(struct broker *b, struct stream *s, struct job *j); /* with its result */
void jobs_answer_accepted(struct broker *b, struct stream *s, struct job *j);
void jobs_answer_job(struct broker *b, struct stream *s, struct job *j, int status);
void jobs_events_more(struct broker *b, struct stream *s);

/* ---- hold.c ---- */
void hold_start(struct broker *b, struct job *j);
void hold_due(struct broker *b, struct job *j);
void hold_forget(struct broker *b, struct job *j);   /* it is held no more */
void hold_asks(struct broker *b, struct sandbox *s); /* shows as many as may be shown */
void hold_asks_due(struct broker *b);
bool hold_answer(struct broker *b, struct cv_str body);
bool hold_is_approved(const struct sandbox *s, struct cv_str rule, struct cv_str tool);

/* ---- build.c ---- */
void build_policy_changed(struct broker *b, const struct sandbox *s);
void build_sandbox_end(const struct broker *b, const struct sandbox *s); /* its images go */

/* ---- audit.c ---- */
struct refusal { /* a call that did not become a job */
	struct cv_str tool;
	const char *digest; /* NULL: no arguments were read */
	struct cv_str rule;
	uint32_t line;
	int status;
	const char *code;
	struct cv_str reason;
	uint64_t bytes_in;
};
void audit_refusal(struct broker *b, const struct stream *s, const struct refusal *r);
void audit_job(struct broker *b, const struct job *j);
void audit_approval(
	struct broker *b, const struct job *j, enum cv_approval_answer a, struct cv_str who);
CV_PRINTF(3, 4) void audit_note(struct broker *b, bool is_failure, const char *fmt, ...);

/* ---- command.c ---- */
