"""Drives a server with the client that openapi-python-client generated: URL, key."""

import sys

from errand_client import AuthenticatedClient
from errand_client.api.agents import get_agent, list_agents
from errand_client.api.meta import get_healthz
from errand_client.api.runs import (
    cancel_run,
    create_run,
    get_run,
    get_trace,
    list_events,
    list_runs,
    list_steps,
    run_and_wait,
    wait_for_run,
)
from errand_client.models import Problem, Run, RunRequest, RunRequestLabels

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)


def all_is_well(answer):
    """The answer, which is no problem."""
    assert answer is not None and not isinstance(answer, Problem), answer
    return answer


assert all_is_well(get_healthz.sync(client=client)).status == "alive"
assert [agent.name for agent in all_is_well(list_agents.sync(client=client)).agents] == ["counter", "sleeper"]
assert get_agent.sync(client=client, agent="counter").version == "1.0.0"

labels = RunRequestLabels.from_dict({"team": "blue"})
request = RunRequest(agent="counter", input_={"n": 2}, labels=labels)
created = all_is_well(create_run.sync(client=client, body=request, idempotency_key="one"))
assert isinstance(created, Run)
again = all_is_well(create_run.sync(client=client, body=request, idempotency_key="one"))
assert again.run_id == created.run_id

over = all_is_well(wait_for_run.sync(client=client, run_id=created.run_id, timeout="60s"))
assert over.status == "completed", over
assert over.output == {"n": 3}, over.output
assert over.agent.name == "counter" and over.kind == "job" and over.labels["team"] == "blue"
assert over.trigger.type_ == "manual", over.trigger
assert [attempt.status for attempt in over.attempts] == ["exited"]
assert over.attempts[0].reason == "initial" and over.attempts[0].usage.wall_ms >= 0
assert over.usage.input_tokens == 5 and over.usage.output_tokens == 7
assert over.counters.steps == 1 and over.counters.model_calls == 1
assert over.operation.kind == "job" and over.pause is None and over.last_error is None
limits = {limit.limit: (limit.allowed, limit.used) for limit in over.budgets.limits}
assert limits == {"tokens_per_run": (100, 12)}, limits
assert Run.from_dict(over.to_dict()) == over

listed = all_is_well(list_runs.sync(client=client, label=["team=blue"]))
assert [run.run_id for run in listed.runs] == [created.run_id]
page = all_is_well(list_events.sync(client=client, run_id=created.run_id))
assert page.is_over and page.events[0].type_ == "run.created"
assert page.events[0].data["labels"] == {"team": "blue"}
assert [event.seq for event in page.events] == list(range(1, len(page.events) + 1))
assert [step.key for step in all_is_well(list_steps.sync(client=client, run_id=created.run_id)).steps] == ["add"]
trace = all_is_well(get_trace.sync(client=client, run_id=created.run_id))
assert trace.run.kind == "run" and trace.run.children, trace

waited = all_is_well(run_and_wait.sync(client=client, body=RunRequest(agent="counter", input_={"n": 40})))
assert waited.output == {"n": 41}

sleeping = all_is_well(create_run.sync(client=client, body=RunRequest(agent="sleeper")))
ended = all_is_well(cancel_run.sync(client=client, run_id=sleeping.run_id, wait=True))
assert ended.status == "cancelled", ended
assert get_run.sync(client=client, run_id=sleeping.run_id).status == "cancelled"

refused = create_run.sync(client=client, body=RunRequest(agent="nobody"))
assert isinstance(refused, Problem) and refused.code == "agent_not_found", refused
nobody = AuthenticatedClient(base_url=url, token="errand_nonsense")
refused = list_runs.sync(client=nobody)
assert isinstance(refused, Problem) and refused.code == "key_invalid", refused
print("driven")
