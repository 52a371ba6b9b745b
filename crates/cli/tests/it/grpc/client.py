"""A gRPC client generated from the definition: says as JSON lines what the server answered.

usage: client.py <address> <generated folder> <what to do> [arguments]
"""
import json
import os
import sys

import grpc

address, generated, what, *words = sys.argv[1:]
sys.path.insert(0, generated)
from errand.v1 import runs_pb2 as pb  # noqa: E402
from errand.v1 import runs_pb2_grpc  # noqa: E402

channel = grpc.insecure_channel(address)
runs = runs_pb2_grpc.RunsStub(channel)
if "KEY" in os.environ:
    class WithKey(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
        def with_key(self, proceed, details, request):
            metadata = [*(details.metadata or []), ("authorization", "Bearer " + os.environ["KEY"])]
            return proceed(details._replace(metadata=metadata), request)

        intercept_unary_unary = intercept_unary_stream = with_key

    # The details that grpcio hands over are a named tuple of its own.
    runs = runs_pb2_grpc.RunsStub(grpc.intercept_channel(channel, WithKey()))
LIMIT = 60


def say(**what):
    print(json.dumps(what), flush=True)


def refused(call):
    """What a call is refused with."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            next(answer)
        return {"status": "OK"}
    except grpc.RpcError as error:
        metadata = dict(error.trailing_metadata() or ())
        return {
            "status": error.code().name,
            "code": metadata.get("errand-code"),
            "pointer": metadata.get("errand-pointer"),
            "message": error.details(),
        }


def item(told):
    kind = told.WhichOneof("told")
    if kind == "event":
        return {"event": told.event.type, "seq": told.event.seq, "data": json.loads(told.event.data_json)}
    if kind == "output":
        return {"output": told.output.text, "offset": told.output.offset}
    if kind == "log":
        return {"log": told.log.text, "stream": told.log.stream}
    if kind == "end":
        return {"end": told.end.reason, "seq": told.end.last_seq, "status": told.end.run.status,
                "record": json.loads(told.end.run.record_json or "null")}
    return {"lagged": told.lagged.missed}


if what == "create":
    agent, text = words
    request = pb.CreateRunRequest(agent=agent, input_json=text, labels={"by": "grpc"}, idempotency_key="k1")
    run = runs.CreateRun(request, timeout=LIMIT)
    again = runs.CreateRun(request, timeout=LIMIT)
    say(run_id=run.run_id, again=again.run_id, status=run.status, labels=dict(run.labels),
        agent=run.agent.name, namespace=run.namespace, record=json.loads(run.record_json))
elif what == "create-asker":
    run = runs.CreateRun(pb.CreateRunRequest(agent="asker"), timeout=LIMIT)
    say(run_id=run.run_id)
elif what == "stream":
    run_id, after, most = words
    request = pb.StreamEventsRequest(run_id=run_id, after_seq=int(after), log=True)
    stream = runs.StreamEvents(request, timeout=LIMIT)
    for number, told in enumerate(stream, 1):
        say(**item(told))
        if number == int(most):
            stream.cancel()
            break
elif what == "create-and-stream":
    agent, text, most, cancel = words
    run = pb.CreateRunRequest(agent=agent, input_json=text)
    request = pb.CreateAndStreamRequest(run=run, log=True, cancel_on_disconnect=cancel == "cancel")
    stream = runs.CreateAndStream(request, timeout=LIMIT)
    for number, told in enumerate(stream, 1):
        say(**item(told))
        if number == int(most):
            stream.cancel()
            break
elif what == "get":
    run = runs.GetRun(pb.GetRunRequest(run_id=words[0]), timeout=LIMIT)
    say(status=run.status, record=json.loads(run.record_json), output=run.output_json)
elif what == "wait":
    run = runs.WaitRun(pb.WaitRunRequest(run_id=words[0], timeout=words[1]), timeout=LIMIT)
    say(status=run.status, output=run.output_json)
elif what == "cancel":
    run = runs.CancelRun(pb.CancelRunRequest(run_id=words[0], wait=True, grace_period="1s"), timeout=LIMIT)
    say(status=run.status)
elif what == "pause":
    run = runs.PauseRun(pb.PauseRunRequest(run_id=words[0]), timeout=LIMIT)
    say(status=run.status)
elif what == "resume":
    run = runs.ResumeRun(pb.ResumeRunRequest(run_id=words[0]), timeout=LIMIT)
    say(status=run.status)
elif what == "decide":
    decided = runs.DecideApproval(
        pb.DecideApprovalRequest(run_id=words[0], approve=words[1] == "yes", comment="seen"), timeout=LIMIT)
    say(run_id=decided.run_id, approved=decided.approved, by=decided.decided_by)
elif what == "provide":
    given = runs.ProvideInput(pb.ProvideInputRequest(run_id=words[0], answer_json=words[1]), timeout=LIMIT)
    say(run_id=given.run_id, by=given.answered_by)
elif what == "list":
    request = pb.ListRunsRequest(labels={"by": "grpc"}, limit=2)
    pages = []
    while True:
        page = runs.ListRuns(request, timeout=LIMIT)
        pages.append([run.run_id for run in page.runs])
        if not page.next_cursor:
            break
        request.cursor = page.next_cursor
    say(pages=pages)
elif what == "refusals":
    run_id, agent = words
    none = "01234567890123456789"
    create = lambda **given: lambda: runs.CreateRun(pb.CreateRunRequest(**given), timeout=LIMIT)  # noqa: E731
    say(**{
        "unknown run": refused(lambda: runs.GetRun(pb.GetRunRequest(run_id=none), timeout=LIMIT)),
        "no id": refused(lambda: runs.GetRun(pb.GetRunRequest(), timeout=LIMIT)),
        "bad id": refused(lambda: runs.GetRun(pb.GetRunRequest(run_id="../x"), timeout=LIMIT)),
        "unknown agent": refused(create(agent="nobody")),
        "no agent": refused(create()),
        "bad json": refused(create(agent=agent, input_json="{")),
        "bad kind": refused(create(agent=agent, kind="service")),
        "bad timeout": refused(create(agent=agent, run_timeout="soon")),
        "conflict": refused(create(agent=agent, input_json='"other"', idempotency_key="k1")),
        "stream of unknown": refused(
            lambda: runs.StreamEvents(pb.StreamEventsRequest(run_id=none), timeout=LIMIT)),
        "stream after the end": refused(
            lambda: runs.StreamEvents(pb.StreamEventsRequest(run_id=run_id, after_seq=999), timeout=LIMIT)),
        "not paused": refused(lambda: runs.ResumeRun(pb.ResumeRunRequest(run_id=run_id), timeout=LIMIT)),
    })
elif what == "allowed":
    run_id = words[0]
    say(**{
        "get": refused(lambda: runs.GetRun(pb.GetRunRequest(run_id=run_id), timeout=LIMIT)),
        "list": refused(lambda: runs.ListRuns(pb.ListRunsRequest(), timeout=LIMIT)),
        "stream": refused(lambda: runs.StreamEvents(pb.StreamEventsRequest(run_id=run_id), timeout=LIMIT)),
        "cancel": refused(lambda: runs.CancelRun(pb.CancelRunRequest(run_id=run_id), timeout=LIMIT)),
        "create": refused(lambda: runs.CreateRun(pb.CreateRunRequest(agent="quick"), timeout=LIMIT)),
        "create and stream": refused(lambda: runs.CreateAndStream(
            pb.CreateAndStreamRequest(run=pb.CreateRunRequest(agent="quick")), timeout=LIMIT)),
    })
elif what == "reflection":
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    database = ProtoReflectionDescriptorDatabase(channel)
    service = DescriptorPool(database).FindServiceByName("errand.v1.Runs")
    say(services=sorted(database.get_services()), methods=sorted(method.name for method in service.methods))
elif what == "health":
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    health = health_pb2_grpc.HealthStub(channel)
    status = lambda name: health.Check(  # noqa: E731
        health_pb2.HealthCheckRequest(service=name), timeout=LIMIT).status
    names = health_pb2.HealthCheckResponse.ServingStatus.Name
    say(server=names(status("")), runs=names(status("errand.v1.Runs")), none=refused(lambda: status("x")))
    for told in health.Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT):
        say(watched=names(told.status))
        if names(told.status) == "NOT_SERVING":
            break
else:
    raise SystemExit(f"{what}?")
