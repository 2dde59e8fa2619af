#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Messages as JSON and back, beside Python's google.protobuf.json_format.

Goal: what we write says to Python what Python's own says, for random messages of every type that a call
has; what Python writes we read as the same message; and what could mean two things is refused by
its place.
"""
import base64
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import rpclab  # noqa: E402
import world  # noqa: E402
rpclab.openshell()
rpclab.module("inference_pb2")
from google.protobuf import json_format, message_factory, struct_pb2, symbol_database  # noqa: E402

LAB = os.path.join(rpclab.BUILD, "tests/rpc/json_lab")
ROUNDS = 12
tap = world.Tap()
lab = subprocess.Popen([LAB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
random.seed(os.environ.get("CV_SEED", "cove"))


def ask(line):
    lab.stdin.write(line + "\n")
    lab.stdin.flush()
    answer = lab.stdout.readline()
    if not answer:
        raise AssertionError(f"the program died at {line[:200]}")
    return answer.rstrip("\n")


def message_class(name):
    pool = symbol_database.Default().pool
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name))


TEXTS = ["", "x", "a b", "\u00fc\u20ac\U0001f600", 'q"\\/\n\t\x01\x7f', "\u2028\u202e", "-1", "true", "x" * 300]


def any_value(depth):
    kind = random.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return {random.choice(TEXTS): any_value(depth + 1) for _ in range(random.randrange(3))}
    if kind == 5:
        return [any_value(depth + 1) for _ in range(random.randrange(3))]
    return random.choice([None, True, False, 0, 1.5, -1e300, 1e-7, 12345678901234567, 0.1, *TEXTS])


def scalar(field):
    kind = field.cpp_type
    if kind == field.CPPTYPE_INT32:
        return random.choice([0, 1, -1, 2**31 - 1, -2**31])
    if kind == field.CPPTYPE_INT64:
        return random.choice([0, 1, -1, 2**63 - 1, -2**63, 2**53 + 1])
    if kind == field.CPPTYPE_UINT32:
        return random.choice([0, 1, 2**32 - 1])
    if kind == field.CPPTYPE_UINT64:
        return random.choice([0, 1, 2**64 - 1])
    if kind == field.CPPTYPE_BOOL:
        return random.choice([True, False])
    if kind == field.CPPTYPE_ENUM:
        return random.choice([v.number for v in field.enum_type.values] + [77])
    if kind == field.CPPTYPE_FLOAT:
        return random.choice([0.0, 1.5, -0.25, 1e20, 0.1])
    if kind == field.CPPTYPE_DOUBLE:
        return random.choice([0.0, 1.5, 0.1, 1e300, -1e-300, float("inf"), float("-inf")])
    if field.type == field.TYPE_BYTES:
        return random.choice([b"", b"\0", b"\xff\xfe\xfd", os.urandom(10), b"ab"])
    return random.choice(TEXTS)


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def fill(message, depth=0):
    if isinstance(message, struct_pb2.Struct):
        message.update({random.choice(TEXTS): any_value(0) for _ in range(random.randrange(4))})
        return
    for field in message.DESCRIPTOR.fields:
        if random.random() < 0.35 or depth > 6:
            continue
        if field.containing_oneof and random.random() < 0.5:
            continue
        if is_map(field):
            key, value = (field.message_type.fields_by_name[n] for n in ("key", "value"))
            for _ in range(random.randrange(3)):
                if value.message_type:
                    fill(getattr(message, field.name)[scalar(key)], depth + 2)
                else:
                    getattr(message, field.name)[scalar(key)] = scalar(value)
        elif field.label == field.LABEL_REPEATED:
            for _ in range(random.randrange(3)):
                if field.message_type:
                    fill(getattr(message, field.name).add(), depth + 2)
                else:
                    getattr(message, field.name).append(scalar(field))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, scalar(field))


TYPES = sorted(set(ask("types").split()))


def there_and_back():
    for name in TYPES:
        cls = message_class(name)
        for _ in range(ROUNDS):
            m = cls()
            fill(m)
            ours = ask(f"write {name} {base64.b64encode(m.SerializeToString()).decode()}")
            theirs = json_format.MessageToDict(m)
            if json.loads(ours) != theirs:
                raise AssertionError(f"{name}:\n{ours}\n{json.dumps(theirs)}")
            for text in (ours, json.dumps(theirs), json.dumps(theirs, ensure_ascii=False),
                         json_format.MessageToJson(m, preserving_proto_field_name=True, indent=None)):
                back = ask(f"read {name} {text}")
                if not back.startswith("ok "):
                    raise AssertionError(f"{name}: {back}\n{text}")
                m2, want = cls.FromString(base64.b64decode(back[3:])), json_format.Parse(text, cls())
                if m2 != want:
                    raise AssertionError(f"{name}: read as another\n{text}\n{m2}\n---\n{want}")


tap.check(f"{len(TYPES)} types of messages, {ROUNDS} random ones of each", there_and_back)

EXEC, CREATE = "openshell.v1.ExecSandboxRequest", "openshell.v1.CreateSandboxRequest"


def reads(name, text, **wanted):
    def check():
        got = ask(f"read {name} {text}")
        assert got.startswith("ok "), got
        m, want = message_class(name).FromString(base64.b64decode(got[3:])), message_class(name)(**wanted)
        assert m == want, m
    tap.check(f"reads {text}", check)


def refuses(name, text, place, verb="read"):
    def check():
        got = ask(f"{verb} {name} {text}")
        assert got.startswith(("INVALID ", "NOT_FOUND ")) and place in got, got
    tap.check(f"refuses {text[:60]}", check)


reads(EXEC, "{}")
reads(EXEC, '{"timeoutSeconds": "7", "cols": 8.0, "rows": 1e1}', timeout_seconds=7, cols=8, rows=10)
reads(EXEC, '{"timeout_seconds": null, "command": [], "environment": null}')
for text in ("_-8=", "/+8=", "_-8", "/+8"):
    reads(EXEC, '{"stdin": "%s"}' % text, stdin=b"\xff\xef")
reads(EXEC, '{"environment": {"A": "1", "": ""}}', environment={"A": "1", "": ""})

refuses(EXEC, '{"comand": ["x"]}', "/comand: ExecSandboxRequest has no such field")
refuses(EXEC, '{"command": "ls"}', "/command: wants an array, not string")
refuses(EXEC, '{"command": [1]}', "/command/0: wants a string, not number")
refuses(EXEC, '{"command": ["a", null]}', "/command/1: is null")
refuses(EXEC, '{"environment": {"A": 1}}', "/environment/A: wants a string")
refuses(EXEC, '{"environment": {"A": "1", "A": "2"}}', "has a key twice")
refuses(EXEC, '{"sandboxId": "a", "sandbox_id": "b"}', "/sandbox_id: is there under both of its names")
refuses(EXEC, '{"sandboxId": "a\\u0000b"}', "/sandboxId: has a NUL in it")
refuses(EXEC, '{"cols": -1}', "/cols: is no integer that fits")
refuses(EXEC, '{"cols": 4294967296}', "/cols: is no integer that fits")
refuses(EXEC, '{"cols": 1.5}', "/cols: is no integer that fits")
refuses(EXEC, '{"cols": " 1"}', "/cols: is no integer that fits")
refuses(EXEC, '{"cols": true}', "/cols: wants an integer, not boolean")
refuses(EXEC, '{"tty": "true"}', "/tty: wants true or false, not string")
refuses(EXEC, '{"tty": 1}', "/tty: wants true or false")
for text in ("*", "a", "ab=c", "a b=", "ab=="[:3]):
    refuses(EXEC, '{"stdin": "%s"}' % text, "/stdin: is no base64")
refuses(EXEC, "[]", "/: wants an object, not array")
refuses(EXEC, "{", "the JSON ends in the middle")
refuses(EXEC, "{} x", "the JSON has more behind its value")
refuses("openshell.v1.ExecSandboxInput", '{"stdin": "", "resize": {}}', "/resize: excludes another field")
refuses("openshell.v1.ExecSandboxInput", '{"start": {"cols": "x"}}', "/start/cols: is no integer")
refuses("openshell.v1.AddWorkspaceMemberRequest", '{"role": "WORKSPACE_ROLE_KING"}', "/role: is no WorkspaceRole")
deep = "[" * 60 + "]" * 60
refuses(CREATE, '{"spec":{"template":{"resources":{"x":%s}}}}' % ("[" * 110 + "]" * 110), "nested too deep")


def sets(name, words, **wanted):
    def check():
        got = ask(f"set {name} {words}")
        assert got.startswith("ok "), got
        m = message_class(name).FromString(base64.b64decode(got[3:]))
        assert m == message_class(name)(**wanted), m
    tap.check(f"sets {words}", check)


sets("openshell.v1.ListSandboxesRequest", "limit=5 all_workspaces=true labelSelector=a=b", limit=5,
     all_workspaces=True, label_selector="a=b")
sets(EXEC, "command=a command=b tty=false", command=["a", "b"])
refuses(EXEC, "environment=x", 'no parameter "environment"', "set")
refuses(EXEC, "nothing=x", 'no parameter "nothing"', "set")
refuses(EXEC, "cols=abc", "/cols: is no integer", "set")
refuses(EXEC, "tty=1", "/tty: wants true or false", "set")
lab.stdin.close()
tap.ok(lab.wait(20) == 0, "the program ends well")
tap.done()
