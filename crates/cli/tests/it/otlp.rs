//! Traces of runs, as a collector receives them.

use std::collections::BTreeMap;

use errand_testkit::{ErrandServer, LIMIT, Reaction, Receiver, Sandbox, TestAgent, wait_until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;

use crate::support::{GATE, finish, open_gate, sandbox, start};

/// Returns an agent with a step in which it calls a model and a tool.
fn busy() -> TestAgent {
    let call = r#"{"provider":"openai","model":"gpt-4o","input_tokens":120,"output_tokens":30,"cached_input_tokens":20,"duration_ms":7,"step":"think"}"#;
    let tool = r#"{"name":"search","step":"think","success":false,"error":{"code":"rate_limited","message":"hunter2"},"duration_ms":3}"#;
    let script = format!(
        "errand agent step think -- sh -c 'errand agent emit model.called '\"'\"'{call}'\"'\"' && \
         errand agent emit tool.called '\"'\"'{tool}'\"'\"''\n"
    );
    TestAgent::shell(&script).named("busy")
}

fn server(sandbox: &Sandbox, collector: &Receiver, more: &[&str]) -> ErrandServer {
    let endpoint = collector.url("");
    let words = ["--otlp-endpoint", &endpoint, "--otlp-header", "x-token=secret-value"];
    ErrandServer::start(sandbox, &[&words, more].concat())
}

/// Returns all received spans by id: a span received twice counts once.
fn spans(collector: &Receiver) -> BTreeMap<Vec<u8>, Span> {
    let mut spans = BTreeMap::new();
    for received in collector.received() {
        assert!(received.line.starts_with("POST /v1/traces "), "{}", received.line);
        assert_eq!(received.header("content-type"), "application/x-protobuf");
        assert_eq!(received.header("x-token"), "secret-value");
        let request = ExportTraceServiceRequest::decode(received.body.as_slice()).expect("spans");
        for of_resource in request.resource_spans {
            let name = attributes(&of_resource.resource.expect("a resource").attributes);
            assert_eq!(name.get("service.name").map(String::as_str), Some("errand"));
            for of_scope in of_resource.scope_spans {
                assert_eq!(of_scope.schema_url, "https://opentelemetry.io/schemas/1.41.0");
                spans.extend(of_scope.spans.into_iter().map(|span| (span.span_id.clone(), span)));
            }
        }
    }
    spans
}

fn attributes(
    all: &[opentelemetry_proto::tonic::common::v1::KeyValue],
) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        if let Value::StringValue(text) = value {
            return text.clone();
        }
        assert!(matches!(value, Value::IntValue(_)), "{value:?}");
        if let Value::IntValue(number) = value { number.to_string() } else { String::new() }
    };
    let pair = |it: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        let value = it.value.as_ref().and_then(|value| value.value.as_ref());
        (it.key.clone(), value.map(text).unwrap_or_default())
    };
    all.iter().map(pair).collect()
}

fn traces(collector: &Receiver) -> usize {
    spans(collector).values().filter(|span| span.name.starts_with("invoke_agent")).count()
}

#[test]
fn a_run_is_one_trace_with_attempts_steps_and_calls_named_by_the_otel_conventions() {
    let sandbox = sandbox();
    let collector = Receiver::start();
    let _server = server(&sandbox, &collector, &[]);
    let run_id = start(&sandbox, &sandbox.agent(&busy()), &["--session", "chat"]);
    let record = finish(&sandbox, &run_id);
    wait_until("the trace arrives", LIMIT, || traces(&collector) == 1);
    let spans = spans(&collector);
    let named = |name: &str| {
        let mut found = spans.values().filter(|span| span.name == name);
        let span = found.next().expect(name);
        assert!(found.next().is_none(), "two spans {name}");
        span
    };
    let (run, attempt, step) =
        (named("invoke_agent busy"), named("attempt 1"), named("step think"));
    let (model, tool) = (named("chat gpt-4o"), named("execute_tool search"));
    assert!(run.parent_span_id.is_empty());
    assert_eq!(attempt.parent_span_id, run.span_id);
    assert_eq!(step.parent_span_id, attempt.span_id);
    assert_eq!(model.parent_span_id, step.span_id);
    assert_eq!(tool.parent_span_id, step.span_id);
    for span in spans.values() {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert_eq!(span.trace_id, run.trace_id, "one trace");
        assert!(span.start_time_unix_nano >= run.start_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano <= run.end_time_unix_nano, "{}", span.name);
    }
    let millis = |nanos: u64| serde_json::json!(nanos / 1_000_000);
    assert_eq!(millis(run.start_time_unix_nano), record["created_at_ms"]);
    assert_eq!(model.end_time_unix_nano - model.start_time_unix_nano, 7_000_000);
    let of = |span: &Span, name: &str| attributes(&span.attributes).remove(name);
    let is = |span: &Span, name: &str, value: &str| {
        assert_eq!(of(span, name).as_deref(), Some(value), "{name} of {}", span.name);
    };
    is(run, "gen_ai.operation.name", "invoke_agent");
    is(run, "gen_ai.agent.name", "busy");
    is(run, "gen_ai.conversation.id", "chat");
    is(run, "gen_ai.usage.input_tokens", "120");
    is(run, "errand.run.id", &run_id);
    is(run, "errand.run.status", record["status"].as_str().expect("a status"));
    is(model, "gen_ai.operation.name", "chat");
    is(model, "gen_ai.provider.name", "openai");
    is(model, "gen_ai.request.model", "gpt-4o");
    is(model, "gen_ai.usage.output_tokens", "30");
    is(tool, "gen_ai.operation.name", "execute_tool");
    is(tool, "gen_ai.tool.name", "search");
    is(tool, "error.type", "rate_limited");
    let status = tool.status.as_ref().expect("a status");
    assert_eq!(status.code, i32::from(StatusCode::Error));
    assert!(!format!("{spans:?}").contains("hunter2"), "what went wrong stays in the journal");
}

/// Returns how often each span was received, by name.
fn counts(collector: &Receiver) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for received in collector.received() {
        let request = ExportTraceServiceRequest::decode(received.body.as_slice()).expect("spans");
        let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            *counts.entry(span.name).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn parts_of_a_live_run_are_sent_once_they_are_over_and_agents_know_their_spans() {
    let sandbox = sandbox();
    let collector = Receiver::start();
    let first = server(&sandbox, &collector, &[]);
    let script = format!(
        "echo \"$TRACEPARENT $PYTHONUNBUFFERED\"\n\
         errand agent step one -- sh -c 'echo \"$TRACEPARENT\"'\n{GATE}"
    );
    let agent = sandbox.agent(&TestAgent::shell(&script).named("long"));
    let run_id = start(&sandbox, &agent, &[]);
    wait_until("the step's span arrives", LIMIT, || counts(&collector).contains_key("step one"));
    assert_eq!(counts(&collector).len(), 1, "nothing else is over");
    wait_until("the answer of the collector is heard", LIMIT, || {
        first.get("/metrics").expect(200).body.contains("\nerrand_otlp_spans_sent_total 1\n")
    });
    let running = first.into_process();
    running.terminate();
    drop(running.wait().ok());
    let _second = server(&sandbox, &collector, &[]);
    open_gate(&sandbox);
    let record = finish(&sandbox, &run_id);
    wait_until("the run's own span arrives", LIMIT, || traces(&collector) == 1);
    let expected = ["attempt 1", "invoke_agent long", "step one"];
    assert_eq!(counts(&collector), expected.map(|name| (name.to_owned(), 1)).into());
    let spans = spans(&collector);
    let context = |name: &str| {
        let span = spans.values().find(|span| span.name == name).expect(name);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
    };
    let printed = format!("{} 1\n{}\n", context("attempt 1"), context("step one"));
    assert_eq!(record["output"], printed);
}

#[test]
fn spans_have_the_configured_service_name_and_attributes() {
    let sandbox = sandbox();
    let collector = Receiver::start();
    let endpoint = collector.url("");
    let words = ["--otlp-endpoint", &endpoint, "--otlp-service-name", "night-shift"];
    let more = ["--otlp-resource", "deployment.environment=pre%20prod", "--otlp-resource"];
    let words = [&words[..], &more[..], &["service.name=other"]].concat();
    let _server = ErrandServer::start(&sandbox, &words);
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell("true").named("quick")), &[]);
    drop(finish(&sandbox, &run_id));
    let received = collector.wait_for(1);
    let body = received[0].body.as_slice();
    let request = ExportTraceServiceRequest::decode(body).expect("spans");
    let resource = request.resource_spans[0].resource.as_ref().expect("a resource");
    let attributes = attributes(&resource.attributes);
    let of = |name: &str| attributes.get(name).map(String::as_str);
    assert_eq!(of("service.name"), Some("night-shift"));
    assert_eq!(of("deployment.environment"), Some("pre prod"));
    assert!(of("service.version").is_some() && of("service.instance.id").is_some());
}

#[test]
fn an_unreachable_collector_gets_every_trace_once_it_is_back() {
    let sandbox = sandbox();
    let collector = Receiver::start();
    collector.react([Reaction::status(503), Reaction::HangUp, Reaction::status(429)]);
    let server = server(&sandbox, &collector, &[]);
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell("true").named("quick")), &[]);
    drop(finish(&sandbox, &run_id));
    drop(collector.wait_for(4));
    assert_eq!(traces(&collector), 1);
    assert!(!server.process().stderr().contains("secret-value"));
}

#[test]
fn a_restart_of_the_server_neither_loses_traces_nor_sends_them_again() {
    let sandbox = sandbox();
    let collector = Receiver::start();
    let agent = sandbox.agent(&TestAgent::shell("true").named("quick"));
    // Runs that ended before the collector was configured are not sent.
    drop(finish(&sandbox, &start(&sandbox, &agent, &[])));
    let first = server(&sandbox, &collector, &[]);
    drop(finish(&sandbox, &start(&sandbox, &agent, &[])));
    wait_until("the first trace arrives", LIMIT, || traces(&collector) == 1);
    let running = first.into_process();
    running.terminate();
    drop(running.wait().ok());
    drop(finish(&sandbox, &start(&sandbox, &agent, &[])));
    let _second = server(&sandbox, &collector, &[]);
    wait_until("the trace of the run meanwhile arrives", LIMIT, || traces(&collector) == 2);
    drop(finish(&sandbox, &start(&sandbox, &agent, &[])));
    wait_until("the last trace arrives", LIMIT, || traces(&collector) == 3);
    let sent: usize = collector.received().iter().filter(|it| !it.body.is_empty()).count();
    assert_eq!(sent, 3, "each in a request of its own, none twice");
}
