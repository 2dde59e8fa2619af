#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: psql and psycopg2 reach a real PostgreSQL server through cove as far as rules allow: by
every way to authenticate, over verified TLS; and of a denied statement the server hears nothing.
Method: the real programs in a real sandbox against a real server that logs each statement.  Every
statement of the table carries a mark of its own, which is searched for in the server's log."""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import pgserver  # noqa: E402
import world  # noqa: E402

NAMES = ["db.example.test", "ro.example.test", "rules.example.test", "full.example.test",
         "audit.example.test", "bound.example.test"]
tap = world.Tap()
if not pgserver.binaries():
    tap.skip("postgres", "no server is installed")
    tap.done()


def endpoint(host, text, port=5432):
    return (f"      - {{host: {host}, port: {port}, protocol: postgres, "
            f"enforcement: enforce, {text}}}\n")


POLICY = """\
version: 1
network_policies:
  db:
    endpoints:
""" + endpoint("db.example.test", "access: read-write") + \
    endpoint("ro.example.test", "access: read-only, path: /app") + \
    endpoint("rules.example.test", "rules: [{allow: {command: SELECT}}, {allow: {command: INSERT}}], "
                                   "deny_rules: [{command: SELECT, path: /secret}]") + \
    endpoint("full.example.test", "access: full") + \
    endpoint("wrong.example.test", "access: full") + \
    endpoint("db.example.test", "access: full", 5433) + """\
      - {host: audit.example.test, port: 5432, protocol: postgres, enforcement: audit, access: read-only}
    binaries: [{path: "/usr/**"}]
"""

w = world.World(NAMES)
server = pgserver.PgServer(world.PRIVATE, 5432, w.pki.cert, w.pki.key)
naked = pgserver.PgServer(world.PRIVATE, 5433, w.pki.cert, w.pki.key, ssl=False)
SETUP = """
CREATE ROLE scram LOGIN PASSWORD 'open sesame';
CREATE ROLE clear LOGIN PASSWORD 'in the clear';
CREATE ROLE trusted LOGIN;
CREATE ROLE owner LOGIN SUPERUSER PASSWORD 'mine';
SET password_encryption = md5;
CREATE ROLE md5user LOGIN PASSWORD 'old ways';
CREATE DATABASE app;
CREATE DATABASE secret;
"""
for statement in SETUP.strip().split(";\n"):
    server.sql("SET password_encryption = md5;" + statement if "md5user" in statement else statement)
server.sql("""CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 100) i;
CREATE TABLE sink (v text);
CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS $$ INSERT INTO t VALUES (9999, 'sneaked'); SELECT 1 $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC;""", "app")
naked.sql("CREATE ROLE scram LOGIN PASSWORD 'open sesame'")
policy = w.policy(POLICY)
pins = [f"{n}:{p}:{world.PRIVATE}" for n in NAMES + ["wrong.example.test"] for p in (5432, 5433)]


def cove(script, **kw):
    return w.cove(["/bin/sh", "-c", script], policy=policy, pins=pins, **kw)


def psql(host, sql, user="scram", password="open sesame", database="app", extra="", port=5432):
    with open(os.path.join(w.work, "in.sql"), "w", encoding="utf-8") as f:
        f.write(sql)
    return (f"PGPASSWORD='{password}' PGCONNECT_TIMEOUT=20 {extra} /usr/bin/psql -X -At -q "
            f"-h {host} -p {port} -U {user} -d {database} -f in.sql")


def works(name, script, want, **kw):
    r = cove(script, **kw)
    tap.ok(r.returncode == 0 and want in r.stdout, name,
           f"status {r.returncode}, stdout {r.stdout!r}, stderr {r.stderr!r}")
    return r


def fails(name, script, text, **kw):
    r = cove(script, **kw)
    tap.ok(text in r.stderr + r.stdout, name,
           f"status {r.returncode}, stdout {r.stdout!r}, stderr {r.stderr!r}")
    return r


# ---- authentication, TLS ----
works("SCRAM", psql("db.example.test", "SELECT 6 * 7"), "42")
works("MD5", psql("db.example.test", "SELECT current_user", "md5user", "old ways"), "md5user")
works("a password in the clear, inside TLS",
      psql("db.example.test", "SELECT current_user", "clear", "in the clear"), "clear")
works("no password", psql("db.example.test", "SELECT current_user", "trusted", ""), "trusted")
works("verify-full with cove's certificate",
      psql("db.example.test", "SELECT 1", extra="PGSSLMODE=verify-full PGSSLROOTCERT=$SSL_CERT_FILE"), "1")
works("sslmode=disable inside; TLS outside all the same",
      psql("db.example.test", "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
           extra="PGSSLMODE=disable"), "true")
tap.ok("SSL enabled (protocol=TLSv1" in server.log() and "SSL enabled" in server.log(),
       "the server saw TLS")
fails("a wrong password is the server's to refuse", psql("db.example.test", "SELECT 1", password="no"),
      "password authentication failed")
fails("t6_a certificate for another name", psql("wrong.example.test", "SELECT 1"), "TLS with wrong.example.test")
before = naked.log()
fails("t6_a server without TLS gets no password", psql("db.example.test", "SELECT 1", port=5433),
      "does not offer TLS")
tap.ok("scram" not in naked.log()[len(before):], "and hears of no user", naked.log()[len(before):])
fails("a name that no policy has", psql("other.example.test", "SELECT 1"), "could not translate host name")
fails("a database that the path does not select", psql("ro.example.test", "SELECT 1", database="secret"),
      "policy allows nothing on the database secret")
fails("replication", f"PGPASSWORD=mine /usr/bin/psql -X -c IDENTIFY_SYSTEM 'host=full.example.test "
                     "user=owner dbname=app replication=database'", "replication is not supported")
fails("options at start", psql("ro.example.test", "SELECT 1",
                               extra="PGOPTIONS='-c default_transaction_read_only=off'"), "options")
fails("an encoding that hides quotes", psql("ro.example.test", "SELECT 1", extra="PGCLIENTENCODING=SJIS"),
      "encoding")

# ---- statements: allowed or denied, and of what is denied nothing in the log ----
ROWS = [  # host, statement with @ for its mark, is it allowed
    ("ro", "SELECT '@'", True),
    ("ro", "SELECT count(*), '@' FROM t", True),
    ("ro", "WITH a AS (SELECT '@' x) SELECT * FROM a", True),
    ("ro", "VALUES ('@')", True),
    ("ro", "EXPLAIN SELECT '@'", True),
    ("ro", "EXPLAIN ANALYZE SELECT '@'", True),
    ("ro", "EXPLAIN DELETE FROM t WHERE v = '@'", True),
    ("ro", "SHOW server_version /* @ */", True),
    ("ro", "BEGIN /* @ */; SELECT 1; COMMIT", True),
    ("ro", "SET search_path = public /* @ */", True),
    ("ro", "SELECT $x$ ; DELETE FROM t; @ $x$", True),
    ("ro", "SELECT '; DELETE FROM t; @'", True),
    ("ro", "PREPARE p AS SELECT '@'; EXECUTE p", True),
    ("ro", "BEGIN; DECLARE c CURSOR FOR SELECT '@'; FETCH ALL FROM c; COMMIT", True),
    ("ro", "COPY (SELECT '@') TO STDOUT", True),
    ("ro", "LISTEN a /* @ */", True),
    ("ro", "INSERT INTO t VALUES (1001, '@')", False),
    ("ro", "UPDATE t SET v = '@'", False),
    ("ro", "DELETE FROM t WHERE v = '@'", False),
    ("ro", "/* SELECT */ DELETE FROM t WHERE v <> '@'", False),
    ("ro", "WITH a AS (DELETE FROM t RETURNING *) SELECT '@' FROM a", False),
    ("ro", "SELECT '@' \\; DROP TABLE t", False),
    ("ro", "EXPLAIN ANALYZE DELETE FROM t WHERE v <> '@'", False),
    ("ro", "EXPLAIN (\"analyze\") DELETE FROM t WHERE v <> '@'", False),
    ("ro", "SELECT E'\\\\' \\; DELETE FROM t WHERE v <> '@'", False),
    ("ro", "SELECT 'x\\' \\; DELETE FROM t WHERE v <> '@' --'", False),
    ("ro", "SELECT '@' AS v INTO stolen", False),
    ("ro", "SELECT *, '@' FROM t FOR UPDATE", False),
    ("ro", "TRUNCATE t /* @ */", False),
    ("ro", "CREATE TABLE x (a text DEFAULT '@')", False),
    ("ro", "DROP TABLE t /* @ */", False),
    ("ro", "ALTER TABLE t ADD COLUMN c text DEFAULT '@'", False),
    ("ro", "GRANT ALL ON t TO clear /* @ */", False),
    ("ro", "DO $$ BEGIN DELETE FROM t WHERE v <> '@'; END $$", False),
    ("ro", "CALL p('@')", False),
    ("ro", "COPY t TO PROGRAM 'echo @'", False),
    ("ro", "COPY t TO '/tmp/@'", False),
    ("ro", "PREPARE p AS DELETE FROM t WHERE v <> '@'", False),
    ("ro", "SET default_transaction_read_only = off /* @ */", False),
    ("ro", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE /* @ */", False),
    ("ro", "BEGIN READ WRITE /* @ */", False),
    ("ro", "RESET ALL /* @ */", False),
    ("ro", "DISCARD ALL /* @ */", False),
    ("ro", "SELECT set_config('default_transaction_read_only', 'off', false), '@'", False),
    ("ro", "SELECT query_to_xml('SELECT 1', true, true, '@')", False),
    ("ro", "SET NAMES 'SJIS' /* @ */", False),
    ("ro", "NOTIFY a, '@'", False),
    ("ro", "VACUUM t /* @ */", False),
    ("ro", "LOCK TABLE t /* @ */", False),
    ("ro", "frobnicate '@'", False),
    ("rules", "SELECT '@'", True),
    ("rules", "INSERT INTO sink VALUES ('@')", True),
    ("rules", "WITH a AS (INSERT INTO sink VALUES ('@') RETURNING v) SELECT * FROM a", True),
    ("rules", "BEGIN; SELECT '@'; ROLLBACK", True),
    ("rules", "UPDATE sink SET v = '@'", False),
    ("rules", "INSERT INTO t VALUES (1, '@') ON CONFLICT (id) DO UPDATE SET v = '@'", False),
    ("rules", "SHOW all /* @ */", False),
    ("db", "INSERT INTO sink VALUES ('@')", True),
    ("db", "DELETE FROM sink WHERE v = '@'", True),
    ("db", "BEGIN READ WRITE; INSERT INTO sink VALUES ('@'); COMMIT", True),
    ("db", "CREATE TABLE y (a text DEFAULT '@')", False),
    ("db", "TRUNCATE t /* @ */", False),
    ("full", "CREATE TABLE z (a text DEFAULT '@')", True),
    ("full", "DROP TABLE z /* @ */", True),
    ("audit", "INSERT INTO sink VALUES ('@')", True),
]
marked = [(f"mark{i:03}x", *row) for i, row in enumerate(ROWS)]
for host in sorted({row[1] for row in marked}):
    files = []
    for mark, _, sql, _ in [m for m in marked if m[1] == host]:
        files.append(sql.replace("@", mark) + ";\n\\echo done " + mark + " :ERROR :SQLSTATE\n")
    out = cove(psql(f"{host}.example.test", "".join(files)))
    log = server.log()
    for mark, _, sql, is_allowed in [m for m in marked if m[1] == host]:
        result = [line for line in out.stdout.splitlines() if line.startswith(f"done {mark}")]
        verdict = result[0].split(mark)[1].strip() if result else "nothing"
        tap.ok(verdict == ("false 00000" if is_allowed else "true 42501") and (mark in log) == is_allowed,
               f"{host}: {'allowed' if is_allowed else 'denied'}: {sql[:60]}",
               f"psql said {verdict}, in the log: {mark in log}\n{out.stderr[:2000]}")
# A script of its own: from 15.20 on psql ends when it could not begin to copy what stands in a script.
out = cove(psql("ro.example.test", "COPY t FROM STDIN /* markcopy */;\n"))
tap.ok("COPY_FROM is not permitted" in out.stderr and "markcopy" not in server.log(),
       "ro: denied: COPY FROM STDIN", out.stderr[:2000])
tap.ok(server.sql("SELECT count(*) FROM t", "app") == "100", "nothing was deleted")

# ---- what no text shows ----
fails("a function that writes meets the server's own read-only",
      psql("ro.example.test", "SELECT writes()"), "read-only transaction")
r = fails("a denial says what denied and what is allowed", psql("ro.example.test", "DELETE FROM t"),
          "Allowed here: SELECT, SHOW, EXPLAIN")
tap.ok('policy "db" (line' in r.stderr and "DELETE is not permitted on ro.example.test:5432/app" in r.stderr,
       "and where the rule is", r.stderr)
denials = [e for e in w.events() if e.get("action_id") == 2]
text = str(denials)
tap.ok(len(denials) == 1 and "DELETE" in text and "pg_statement_sha256" in text and "FROM t" not in text,
       "one event, with command and hash and without the text", text)

# ---- transactions, COPY, size ----
r = cove(psql("db.example.test", "BEGIN; INSERT INTO sink VALUES ('half');\nDROP TABLE t;\n"
                                 "INSERT INTO sink VALUES ('other half');\nCOMMIT;"))
tap.ok(server.sql("SELECT count(*) FROM sink WHERE v LIKE '%half'", "app") == "0" and
       "DROP is not permitted" in r.stderr, "a denial fails its transaction", r.stderr)
tap.ok("DROP TABLE t" not in server.log()[len(log):].replace("DROP TABLE t /*", ""),
       "and the server did not hear what it was")
with open(os.path.join(w.work, "rows"), "w", encoding="ascii") as f:
    f.writelines(f"copied {i} {'x' * 100}\n" for i in range(20000))
works("COPY FROM STDIN, 2 MB", psql("db.example.test", "\\copy sink from rows\nSELECT count(*) FROM sink "
                                    "WHERE v LIKE 'copied%'"), "20000")
works("COPY TO STDOUT, 2 MB", psql("ro.example.test", "\\copy (SELECT v FROM sink WHERE v LIKE 'copied%') "
                                   "to out") + " && wc -l < out", "20000")
works("a large result", psql("ro.example.test", "SELECT repeat('y', 1000) FROM generate_series(1, 50000)") +
      " | wc -c", "50050000")
works("a statement of 600 KB", psql("db.example.test", "SELECT length('" + "z" * 600000 + "')"), "600000")
fails("a statement of 2 MB can't be decided", psql("db.example.test", "SELECT length('" + "z" * 2000000 + "')"),
      "too long")
works("and the session goes on", psql("db.example.test", "SELECT length('" + "z" * 2000000 + "');\nSELECT 'on'"), "on")
works("cancelling", psql("db.example.test", "SELECT pg_sleep(50)") + " & sleep 3; kill -INT $!; wait $!; echo ended",
      "ended", timeout=40)
tap.ok("canceling statement due to user request" in server.log(), "the server was told to cancel")
r = works("through CONNECT as well", "python3 - <<'E'\n" + """
import os, socket, struct, urllib.parse
u = urllib.parse.urlparse(os.environ["https_proxy"])
s = socket.create_connection((u.hostname, u.port))
s.sendall(b"CONNECT ro.example.test:5432 HTTP/1.1\\r\\nHost: ro.example.test:5432\\r\\n\\r\\n")
print(s.recv(1000).split(b"\\r\\n")[0])
b = struct.pack(">I", 196608) + b"user\\0trusted\\0database\\0app\\0\\0"
s.sendall(struct.pack(">I", len(b) + 4) + b)
data = b""
while not data.endswith(b"Z\\0\\0\\0\\5I"):
    data += s.recv(1000)
s.sendall(b"F\\0\\0\\0\\x0e\\0\\0\\0\\x01\\0\\0\\0\\0\\0\\0")
data = b""
while not data.endswith(b"Z\\0\\0\\0\\5I"):
    data += s.recv(1000)
print(b"function-call" in data and "function call refused")
c = socket.create_connection((u.hostname, u.port))
c.sendall(b"CONNECT ro.example.test:5432 HTTP/1.1\\r\\nHost: ro.example.test:5432\\r\\n\\r\\n")
c.recv(1000)
c.sendall(struct.pack(">IIII", 16, 80877102, 1, 2))
print("unknown key closes", c.recv(10))
h = socket.create_connection((u.hostname, u.port))
h.sendall(b"GET http://ro.example.test:5432/app HTTP/1.1\\r\\nHost: ro.example.test:5432\\r\\n\\r\\n")
print("http", h.recv(20))
""" + "E", "function call refused")
tap.ok("200" in r.stdout and "unknown key closes b''" in r.stdout and "http b'HTTP/1.1 403" in r.stdout,
       "FunctionCall, a stranger's cancellation and HTTP are refused", r.stdout + r.stderr)

# ---- a new policy ends what it does not allow; protocol tcp is there as soon as it is written ----
def events_of(reason):
    return [e for e in w.events() if reason in str(e)]


tcp_server = pgserver.socket_echo(world.PRIVATE, 6543)
with open(os.path.join(w.work, "reload.sh"), "w", encoding="ascii") as f:
    f.write("""(PGPASSWORD='open sesame' /usr/bin/psql -X -At -h full.example.test -U scram -d app -c \
"SELECT 'began'" -c "SELECT pg_sleep(20)" -c "SELECT 'still there'") 2>&1 &
sleep 2; echo ready > ready; for i in $(seq 100); do [ -e changed ] && break; sleep 0.1; done; sleep 2
wait; /usr/bin/python3 - <<'E'
import socket
s = socket.create_connection(("tcp.example.test", 6543), 5)
s.sendall(b"over tcp"); print(s.recv(100))
E
""")


def change():
    for _ in range(200):
        if os.path.exists(os.path.join(w.work, "ready")):
            break
        time.sleep(0.1)
    less = POLICY.replace("full.example.test, port: 5432, protocol: postgres, enforcement: enforce, access: full",
                          "full.example.test, port: 5432, protocol: postgres, enforcement: enforce, "
                          "access: read-only")
    w.policy(less.replace("    binaries:", "      - {host: tcp.example.test, port: 6543, protocol: tcp}\n"
                          "    binaries:"))
    open(os.path.join(w.work, "changed"), "w", encoding="ascii").close()


threading.Thread(target=change, daemon=True).start()
pins.append(f"tcp.example.test:6543:{world.PRIVATE}")
r = works("protocol tcp, added while it runs", ". ./reload.sh", "over tcp", timeout=90)
tap.ok("began" in r.stdout and "still there" not in r.stdout and events_of("policy_changed"),
       "a session that the new policy would not allow is closed", r.stdout + r.stderr)
w.policy(POLICY)

# ---- psycopg2, and the extended protocol ----
if subprocess.run(["/usr/bin/python3", "-c", "import psycopg2"], check=False,
                  stderr=subprocess.DEVNULL).returncode == 0:
    with open(os.path.join(w.work, "client.py"), "w", encoding="utf-8") as f:
        f.write("""
import psycopg2, select
c = psycopg2.connect(host="rules.example.test", user="scram", password="open sesame", dbname="app")
k = c.cursor()
k.execute("SELECT %s::int + 1", (41,))
print("select", k.fetchone()[0])
k.execute("INSERT INTO sink VALUES (%s)", ("psycopg",))
c.commit()
try:
    k.execute("DELETE FROM sink")
except psycopg2.errors.InsufficientPrivilege as e:
    print("denied", e.pgcode)
c.rollback()
k = c.cursor(name="server_side")
k.execute("SELECT generate_series(1, 5000)")
print("cursor", sum(r[0] for r in k))
c.commit()
c.close()
c = psycopg2.connect(host="db.example.test", user="scram", password="open sesame", dbname="app")
c.autocommit = True
k = c.cursor()
k.execute("LISTEN ch")
k.execute("NOTIFY ch, 'hello'")
c.poll()
print("notified", c.notifies[0].payload)
""")
    r = works("psycopg2", "/usr/bin/python3 client.py", "denied 42501")
    tap.ok("select 42" in r.stdout and "cursor 12502500" in r.stdout and "notified hello" in r.stdout,
           "queries, cursors, notifications", r.stdout + r.stderr)
else:
    tap.skip("psycopg2", "not installed")
if os.path.exists("/usr/lib/postgresql/15/bin/pgbench"):
    with open(os.path.join(w.work, "ext.sql"), "w", encoding="ascii") as f:
        f.write("\\set i random(1, 100)\nSELECT v FROM t WHERE id = :i;\n")
    with open(os.path.join(w.work, "pipe.sql"), "w", encoding="ascii") as f:
        f.write("\\startpipeline\nSELECT 1;\nSELECT 2;\nSELECT 3;\n\\endpipeline\n")
    with open(os.path.join(w.work, "deny.sql"), "w", encoding="ascii") as f:
        f.write("\\startpipeline\nSELECT 'first';\nDELETE FROM t;\nSELECT 'third';\n\\endpipeline\n")
    bench = ("PGPASSWORD='open sesame' /usr/lib/postgresql/15/bin/pgbench -h ro.example.test -U scram app -n "
             "-c 4 -t 50 ")
    works("extended protocol", bench + "-M extended -f ext.sql", "number of failed transactions: 0")
    works("prepared statements", bench + "-M prepared -f ext.sql", "number of failed transactions: 0")
    works("a pipeline", bench + "-M extended -f pipe.sql", "actually processed: 200/200")
    before = len(server.log())
    fails("a pipeline with a denied statement", bench + "-M extended -f deny.sql", "DELETE is not permitted")
    tap.ok("DELETE" not in server.log()[before:], "which the server did not hear of", server.log()[before:])
# ---- a provider's credential in place of its placeholder ----
PROFILE = """\
id: my-db
credentials: [{name: password, env_vars: [DB_PASSWORD], required: true}]
endpoints:
  - {host: bound.example.test, port: 5432, protocol: postgres, enforcement: enforce, access: read-only}
binaries: [{path: "/usr/**"}]
"""
profile = w.policy(PROFILE, "my-db.yaml")
BOUND = {"options": ["--provider", profile], "env": {**os.environ, "DB_PASSWORD": "open sesame"}}
PSQL = "PGPASSWORD=\"$DB_PASSWORD\" /usr/bin/psql -X -At -U scram -d app -h "
r = works("a provider's placeholder as the password", PSQL + "bound.example.test -c 'SELECT 6 * 7'; env", "42",
          **BOUND)
tap.ok("open sesame" not in r.stdout + r.stderr and "DB_PASSWORD=" in r.stdout, "the value is not inside",
       r.stdout + r.stderr)
before = len(server.log())
fails("t18 a placeholder for another server", PSQL + "db.example.test -c 'SELECT 1'",
      "credential is not released", **BOUND)
tap.ok(any("credential_endpoint_mismatch" in str(e) for e in w.events()), "which is recorded", w.events())
tap.ok(server.sql("SELECT count(*) FROM t", "app") == "100", "all rows are still there")
server.close()
naked.close()
w.close()
tap.done()
