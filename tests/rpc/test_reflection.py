#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the server tells about itself: a client without stubs learns the API and calls it.

Goal: reflection (v1 and v1alpha) answers each kind of question, so that a pool of descriptors made of
nothing else is enough for a call; health answers probes.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import rpclab  # noqa: E402
import world  # noqa: E402

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: E402

rp = rpclab.module("reflection_pb2")
hp, hs = rpclab.module("health_pb2"), rpclab.module("health_pb2_grpc")
tap = world.Tap()
lab = subprocess.Popen([os.path.join(rpclab.BUILD, "tests/rpc/rest_lab")], stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, text=True)
channel = grpc.insecure_channel("127.0.0.1:" + lab.stdout.readline().split()[1])
Q, R = rp.ServerReflectionRequest, rp.ServerReflectionResponse


def asks(*questions, version="v1"):
    call = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                 request_serializer=Q.SerializeToString, response_deserializer=R.FromString)
    answers = list(call(iter(questions), timeout=20))
    assert len(answers) == len(questions), answers
    for a, q in zip(answers, questions):
        assert a.original_request == q and a.valid_host == q.host, a
    return answers


def file_of(answer):
    assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
    return descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])


def services():
    for version in ("v1", "v1alpha"):
        got = [s.name for s in asks(Q(list_services="*"), version=version)[0].list_services_response.service]
        assert sorted(got) == sorted([
            "openshell.v1.OpenShell", "openshell.inference.v1.Inference", "grpc.health.v1.Health", "cove.v1.Cove",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]), got


def symbols():
    for symbol, name in [
            ("openshell.v1.OpenShell", "openshell.proto"), ("openshell.v1.OpenShell.Health", "openshell.proto"),
            ("openshell.v1.ExecSandboxRequest", "openshell.proto"),
            ("openshell.v1.ExecSandboxRequest.EnvironmentEntry", "openshell.proto"),
            ("openshell.v1.ExecSandboxRequest.command", "openshell.proto"),
            ("openshell.v1.SandboxPhase", "openshell.proto"),
            ("openshell.inference.v1.Inference", "inference.proto"),
            ("cove.v1.Cove.DecideApproval", "cove.proto"),
            ("openshell.sandbox.v1.SandboxPolicy", "sandbox.proto"),
            ("openshell.options.v1.authorization", "options.proto"),
            ("google.protobuf.Struct", "google/protobuf/struct.proto"),
            ("grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto")]:
        got = file_of(asks(Q(file_containing_symbol=symbol, host="h"))[0]).name
        assert got == name, (symbol, got)
    for symbol in ("", "openshell", "openshell.v1", "openshell.v1.", "openshell.v1.OpenShell.Heal",
                   "openshell.v1.Nothing", "x" * 10000):
        a = asks(Q(file_containing_symbol=symbol))[0]
        assert a.error_response.error_code == 5, (symbol, a)


def extensions():
    a, b, c, d = asks(
        Q(file_containing_extension={"containing_type": "google.protobuf.MethodOptions", "extension_number": 50000}),
        Q(all_extension_numbers_of_type="google.protobuf.FieldOptions"),
        Q(all_extension_numbers_of_type="no.such.Type"), Q())
    assert file_of(a).name == "options.proto"
    assert list(b.all_extension_numbers_response.extension_number) == [50001], b
    assert c.error_response.error_code == 5 and d.error_response.error_code == 12, (c, d)


def enough_for_a_call():
    pool = descriptor_pool.DescriptorPool()

    def add(name):
        f = file_of(asks(Q(file_by_filename=name))[0])
        for other in f.dependency:
            add(other)
        pool.Add(f)
    add(file_of(asks(Q(file_containing_symbol="openshell.v1.OpenShell"))[0]).name)
    method = pool.FindServiceByName("openshell.v1.OpenShell").FindMethodByName("GetSandbox")
    factory = message_factory.MessageFactory(pool)
    ask, answer = (factory.GetPrototype(t) for t in (method.input_type, method.output_type))
    call = channel.unary_unary("/openshell.v1.OpenShell/GetSandbox", request_serializer=ask.SerializeToString,
                               response_deserializer=answer.FromString)
    got = call(ask(name="box"), timeout=5, metadata=[("authorization", "Bearer user")])
    assert got.sandbox.metadata.name == "box", got


tap.check("services are listed", services)
tap.check("symbols are found in their files, and nothing else is", symbols)
tap.check("extensions are found", extensions)
tap.check("what is told is enough for a call", enough_for_a_call)
tap.check("many questions on one stream", lambda: asks(*[Q(file_by_filename="openshell.proto")] * 200))

health = hs.HealthStub(channel)


def healthy():
    for service in ("", "openshell.v1.OpenShell", "grpc.health.v1.Health"):
        assert health.Check(hp.HealthCheckRequest(service=service), timeout=20).status == 1
    try:
        health.Check(hp.HealthCheckRequest(service="nothing"), timeout=20)
        raise AssertionError("a service that is not there is healthy")
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.NOT_FOUND, e
    for service, status in (("", 1), ("nothing", 3)):
        stream = health.Watch(hp.HealthCheckRequest(service=service), timeout=20)
        assert next(stream).status == status
        stream.cancel()


tap.check("health", healthy)
channel.close()
lab.stdin.close()
tap.ok(lab.wait(20) == 0, "every call was closed")
tap.done()
