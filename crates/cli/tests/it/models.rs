//! Model calls through errand: an unmodified program, and a scripted provider behind the real wire.

use std::path::PathBuf;

use errand_testkit::podman::{IMAGE, Podman};
use errand_testkit::{Reaction, Receiver, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support;

/// Key that the provider asks for, and that the agent must never see.
pub(crate) const KEY: &str = "sk-provider-key-0123456789";

/// Sends requests to the provider of the environment: each argument is a body for chat completions,
/// or an object with `path`, `body` and `headers`. Prints status and body of each answer.
pub(crate) const CLIENT: &str = r#"
import json, os, sys, urllib.error, urllib.request
for given in sys.argv[1:]:
    call = json.loads(given)
    if "path" not in call:
        call = {"body": given}
    headers = {
        "authorization": "Bearer " + os.environ.get("KEY", os.environ["OPENAI_API_KEY"]),
        "content-type": "application/json",
        **call.get("headers", {}),
    }
    base = os.environ["OPENAI_BASE_URL"]
    if call.get("of_root"):
        base = base[: base.index("/", 8)]
    url = base + call.get("path", "/chat/completions")
    body = call.get("body")
    request = urllib.request.Request(url, data=body and body.encode(), headers=headers)
    try:
        answer = urllib.request.urlopen(request)
        print(answer.status, answer.read().decode(), flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, error.headers.get("x-should-retry"), error.read().decode(), flush=True)
    except Exception as error:
        print("broken", type(error).__name__, flush=True)
if os.environ.get("FAIL") == os.environ["ERRAND_ATTEMPT"]:
    sys.exit(1)
"#;

pub(crate) fn chat(text: &str) -> String {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).to_string()
}

pub(crate) fn completion() -> String {
    json!({
        "id": "c1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 200},
        },
    })
    .to_string()
}

pub(crate) fn answer(body: String) -> Reaction {
    Reaction::Answer(200, vec![("content-type".to_owned(), "application/json".to_owned())], body)
}

pub(crate) fn sandbox() -> Sandbox {
    let sandbox = support::sandbox();
    sandbox.write("client.py", CLIENT);
    sandbox
}

/// Stream of a completion, with or without its usage.
pub(crate) fn stream(with_usage: bool) -> String {
    let chunk = |choices: Value| json!({"id": "c1", "model": "gpt-4o", "choices": choices});
    let mut events = vec![
        chunk(json!([{"index": 0, "delta": {"role": "assistant", "content": "He"}}])),
        chunk(json!([{"index": 0, "delta": {"content": "llo"}}])),
        chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
    ];
    if with_usage {
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11});
        events.push(json!({"id": "c1", "model": "gpt-4o", "choices": [], "usage": usage}));
    }
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    events + "data: [DONE]\n\n"
}

pub(crate) fn streamed(body: String) -> Reaction {
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    Reaction::Answer(200, headers, body)
}

/// Writes an agent that sends these requests, and returns its folder.
pub(crate) fn agent(
    sandbox: &Sandbox,
    provider: &Receiver,
    more: &str,
    bodies: &[&str],
) -> PathBuf {
    sandbox.write("agent/client.py", CLIENT);
    let command = json!(["python3", "client.py"].iter().chain(bodies).collect::<Vec<_>>());
    let url = provider.url("/v1");
    sandbox.write(
        "agent/agent.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: caller }}\nspec:\n  \
             command: {command}\n  providers: {{ openai: {{ key: OPENAI_API_KEY, base_url: \
             \"{url}\" }} }}\n{more}"
        ),
    );
    sandbox.path("agent")
}

pub(crate) fn events(sandbox: &Sandbox, id: &str) -> Vec<Value> {
    sandbox.errand(["events", id, "--json"]).run().ok().json_lines()
}

fn provider_option(provider: &Receiver) -> String {
    format!("openai=OPENAI_API_KEY,base_url={}", provider.url("/v1"))
}

/// Runs the client with these requests, and returns the id of its run and its printed output.
fn run(
    sandbox: &Sandbox,
    provider: &Receiver,
    options: &[&str],
    bodies: &[&str],
) -> (String, String) {
    let provider = provider_option(provider);
    let mut words = vec!["run", "--provider", &provider];
    words.extend(options);
    words.extend(["--", "python3", "client.py"]);
    words.extend(bodies);
    let ran = sandbox.errand(words).env("OPENAI_API_KEY", KEY).run().ok();
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    (id, ran.stdout())
}

pub(crate) fn of_type<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect()
}

#[test]
fn a_model_call_of_any_program_is_a_step_with_its_usage_and_cost() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion())]);
    let (id, printed) = run(&sandbox, &provider, &[], &[&chat("hi")]);
    assert_eq!(printed, format!("200 {}\n", completion()));
    let received = provider.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(received[0].header("authorization"), format!("Bearer {KEY}"));
    assert_eq!(received[0].body, chat("hi").as_bytes());
    let events = events(&sandbox, &id);
    let started = of_type(&events, "step.started");
    let called = of_type(&events, "model.called");
    assert_eq!((started.len(), called.len()), (1, 1));
    assert_eq!(started[0]["kind"], "model");
    assert_eq!(called[0]["step"], started[0]["key"]);
    for (name, expect) in [
        ("provider", json!("openai")),
        ("model", json!("gpt-4o")),
        ("answered_by", json!("gpt-4o-2024-08-06")),
        ("input_tokens", json!(1000)),
        ("output_tokens", json!(50)),
        ("cached_tokens", json!(200)),
        ("cost_micro_usd", json!(2750)),
        ("stop_reason", json!("complete")),
        ("success", json!(true)),
    ] {
        assert_eq!(called[0][name], expect, "{name}: {}", called[0]);
    }
    let journal = serde_json::to_string(&events).unwrap();
    assert!(!journal.contains(KEY), "the key is in the journal");
    let record = support::record(&sandbox, &id);
    assert_eq!(record["usage"]["input_tokens"], 1000);
    assert_eq!(record["usage"]["cost_usd"], 0.00275);
}

#[test]
fn a_foreign_key_is_refused_and_no_provider_is_called() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let (id, printed) = run(&sandbox, &provider, &["--env", "KEY=other"], &[&chat("hi")]);
    assert!(printed.starts_with("401 false "), "{printed}");
    let log = sandbox.errand(["logs", "--system", &id]).run().ok();
    let log = log.stdout() + &log.stderr();
    assert!(log.contains("1 requests were refused, since their key was not that of"), "{log}");
    assert!(printed.contains("authentication_error"), "{printed}");
    assert!(provider.received().is_empty());
}

#[test]
fn a_run_that_made_no_call_says_so() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let option = provider_option(&provider);
    let ran = sandbox.errand(["run", "--provider", &option, "--", "true"]);
    let ran = ran.env("OPENAI_API_KEY", KEY).run().ok();
    assert!(ran.stderr().contains("no model call came through errand"), "{}", ran.stderr());
}

#[test]
fn a_missing_key_is_said_before_there_is_a_run() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let option = provider_option(&provider);
    let ran = sandbox.errand(["run", "--provider", &option, "--", "true"]).run();
    assert!(ran.stderr().contains("secret_missing"), "{}", ran.stderr());
    assert_eq!(sandbox.errand(["ps", "-aq"]).run().ok().stdout(), "");
}

#[test]
fn a_provider_that_cannot_be_meant_is_refused_and_a_typed_key_is_not_repeated() {
    let sandbox = sandbox();
    let refused = |given: &str, told: &str| {
        let ran = sandbox.errand(["run", "--provider", given, "--", "true"]).run();
        let stderr = ran.refuses(2, "error[usage]").stderr();
        assert!(stderr.contains(told), "{stderr}");
        assert!(!stderr.contains("sk-proj"), "{stderr}");
    };
    refused("openai=sk-proj-0123456789", "never the key itself: --provider openai=OPENAI_API_KEY");
    refused("openai=sk-proj-0123456789,base_uri=http://x", "never the key itself");
    refused("openai", "the name of the key is missing");
    refused("opnai=KEY", "\"opnai\" is no provider: openai, anthropic, google");
    refused("openai=KEY,base_url=localhost:8000", "an address begins with https:// or http://");
    refused("openai=KEY,base_uri=http://x", "\"base_uri\" is not known: base_url");
    assert_eq!(sandbox.errand(["ps", "-aq"]).run().ok().stdout(), "");
}

#[test]
fn the_usage_of_a_stream_is_asked_for_and_the_unasked_chunk_is_dropped() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([streamed(stream(true)), streamed(stream(true))]);
    let plain = json!({"model": "gpt-4o", "stream": true, "messages": []}).to_string();
    let asking = json!({
        "model": "gpt-4o",
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [],
    })
    .to_string();
    let (id, printed) = run(&sandbox, &provider, &[], &[&plain, &asking]);
    assert_eq!(printed, format!("200 {}\n200 {}\n", stream(false), stream(true)));
    let received = provider.received();
    let changed: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(changed["stream_options"]["include_usage"], true);
    assert_eq!(received[1].body, asking.as_bytes(), "byte for byte");
    let events = events(&sandbox, &id);
    for called in of_type(&events, "model.called") {
        assert_eq!((&called["input_tokens"], &called["output_tokens"]), (&json!(9), &json!(2)));
        assert_eq!(called["usage"], Value::Null);
    }
}

#[test]
fn a_spent_budget_refuses_a_call_before_the_provider_is_asked() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion())]);
    let long = json!({"model": "gpt-4o", "max_tokens": 500, "messages": []}).to_string();
    let budget = ["--budget", "tokens_per_run=1200"];
    let (id, printed) = run(&sandbox, &provider, &budget, &[&long, &long]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("200 "), "{printed}");
    assert!(lines[1].starts_with("403 false "), "{printed}");
    assert!(lines[1].contains("insufficient_quota"), "{printed}");
    assert_eq!(provider.received().len(), 1);
    let events = events(&sandbox, &id);
    assert_eq!(of_type(&events, "budget.exceeded").len(), 1);
    assert_eq!(of_type(&events, "model.called").len(), 1);
}

#[test]
fn a_call_without_reported_usage_is_charged_as_reserved() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let mut silent: Value = serde_json::from_str(&completion()).unwrap();
    silent.as_object_mut().unwrap().remove("usage");
    provider.react([answer(silent.to_string())]);
    let bounded = json!({"model": "gpt-4o", "max_tokens": 64, "messages": []}).to_string();
    let (id, _) = run(&sandbox, &provider, &[], &[&bounded]);
    let events = events(&sandbox, &id);
    let called = of_type(&events, "model.called");
    assert_eq!(called[0]["usage"], "reserved");
    assert_eq!(called[0]["output_tokens"], 64);
    assert!(called[0]["cost_micro_usd"].as_u64().unwrap() > 0);
}

#[test]
fn a_failed_call_is_made_again_as_the_same_step_and_charged_once() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([
        Reaction::Answer(500, Vec::new(), "{\"error\": {\"message\": \"overloaded\"}}".to_owned()),
        Reaction::HangUp,
        answer(completion()),
        answer(completion()),
    ]);
    let body = chat("hi");
    let (id, printed) = run(&sandbox, &provider, &[], &[&body, &body, &body, &body]);
    let statuses: Vec<&str> = printed.lines().map(|line| &line[..3]).collect();
    assert_eq!(statuses, ["500", "502", "200", "200"], "{printed}");
    let events = events(&sandbox, &id);
    let begun = of_type(&events, "step.started");
    let keys: Vec<&Value> = begun.iter().map(|step| &step["key"]).collect();
    assert_eq!((keys[0], keys[0]), (keys[1], keys[2]), "one step");
    assert_ne!(keys[2], keys[3], "a later equal call is another step");
    assert_eq!(of_type(&events, "model.called").len(), 2);
    let failed = of_type(&events, "step.failed");
    assert_eq!(failed[0]["error"]["code"], "provider_refused");
    assert_eq!(failed[1]["error"]["code"], "provider_unreachable");
}

#[test]
fn the_next_attempt_is_served_the_recorded_answers() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), streamed(stream(true))]);
    let streaming = json!({"model": "gpt-4o", "stream": true, "messages": []}).to_string();
    let retry = "  env: { FAIL: \"1\" }\n  retry_policy: { max_retries: 1, initial_delay: 0s }\n";
    let agent = agent(&sandbox, &provider, retry, &[&chat("hi"), &streaming]);
    let ran = sandbox.errand(["run"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok();
    let once = format!("200 {}\n200 {}\n", completion(), stream(false));
    assert!(ran.stdout().starts_with(&once), "{}", ran.stdout());
    assert!(ran.stdout().matches("\"id\":\"c1\"").count() >= 8, "{}", ran.stdout());
    assert_eq!(provider.received().len(), 2, "the provider is called once for each request");
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    assert_eq!(support::record(&sandbox, &id)["usage"]["input_tokens"], 1009);
}

#[test]
fn bad_requests_and_answers_are_refused_or_passed_on_in_a_known_shape() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let html = "<html>captive portal</html>";
    provider.react([
        Reaction::Answer(
            200,
            vec![("content-type".to_owned(), "text/html".to_owned())],
            html.to_owned(),
        ),
        streamed(
            "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"}}]}\n\n"
                .to_owned(),
        ),
        Reaction::Answer(401, Vec::new(), "{\"error\": \"bad key\"}".to_owned()),
    ]);
    let call = |value: Value| value.to_string();
    let streaming = json!({"model": "gpt-4o", "stream": true, "messages": []}).to_string();
    let requests = [
        call(json!({"path": "/chat/completions", "body": "{\"model\":"})),
        call(json!({"of_root": true, "path": "/mistral/v1/chat/completions", "body": "{}"})),
        call(json!({"path": "/responses", "headers": {"upgrade": "websocket"}})),
        chat("portal"),
        streaming,
        chat("key"),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let (id, printed) = run(&sandbox, &provider, &[], &requests);
    let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
    let begins = ["400 false ", "404 false ", "426 false ", "200 <html>", "200 data: ", "401 "];
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line:?} instead of {begin:?} in {printed}");
    }
    assert_eq!(lines.len(), begins.len(), "{printed}");
    let events = events(&sandbox, &id);
    let failed = of_type(&events, "step.failed");
    let codes: Vec<&Value> = failed.iter().map(|step| &step["error"]["code"]).collect();
    assert_eq!(codes, ["model_answer_incomplete", "model_answer_incomplete", "provider_refused"]);
    let called = of_type(&events, "model.called");
    assert_eq!(called.len(), 2, "a refusal is not charged");
    assert!(called.iter().all(|call| call["usage"] == "reserved"), "{called:?}");
}

#[test]
fn a_strict_replay_of_a_command_is_served_its_answers_without_a_provider() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion())]);
    let (id, printed) = run(&sandbox, &provider, &[], &[&chat("one"), &chat("two")]);
    // It needs no key: no call goes out.
    drop(sandbox.errand(["replay", &id, "--policy", "strict"]).run().ok());
    assert_eq!(provider.received().len(), 2, "a replay calls no provider");
    let runs = sandbox.errand(["ps", "-aq"]).run().ok().stdout();
    let replay = runs.lines().find(|run| *run != id).unwrap();
    let record = support::record(&sandbox, replay);
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["output"], support::record(&sandbox, &id)["output"], "{printed}");
}

#[test]
fn calls_are_shown_with_what_was_said() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion())]);
    let turn = |texts: &[(&str, &str)]| {
        let messages: Vec<Value> =
            texts.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
        json!({"model": "gpt-4o", "messages": messages}).to_string()
    };
    let question = "Is this fine? ".repeat(100);
    let first = turn(&[("user", &question)]);
    let second = turn(&[("user", &question), ("assistant", "Hi"), ("user", "And this?")]);
    let (id, _) = run(&sandbox, &provider, &[], &[&first, &second]);
    let events = events(&sandbox, &id);
    let requested = of_type(&events, "model.requested");
    assert_eq!(requested[0]["body"], first.as_str());
    assert_eq!(requested[1]["body"], Value::Null, "the second is recorded as a difference");
    let shown = sandbox.errand(["calls", &id, "--full"]).run().ok().stdout();
    for text in [
        "openai/gpt-4o",
        "in=1000",
        "user: Is this fine?",
        "(1 message as before)",
        "user: And this?",
        "assistant: Hi",
    ] {
        assert!(shown.contains(text), "{text:?} is missing in {shown}");
    }
    let json = sandbox.errand(["calls", &id, "--json"]).run().ok().json();
    assert_eq!(json["calls"][1]["request"], second.as_str());
}

#[test]
fn an_agent_in_a_container_without_a_network_calls_its_model() {
    let Some(podman) = Podman::shared() else { return };
    let (mut sandbox, provider) = (sandbox(), Receiver::start());
    sandbox.set_env("DOCKER_HOST", podman.address());
    provider.react([answer(completion()), streamed(stream(true))]);
    let call = |more: &str| {
        format!(
            "wget -q -O - --header \"authorization: Bearer $OPENAI_API_KEY\" --post-data \
             '{{\"model\":\"gpt-4o\",\"messages\":[]{more}}}' \"$OPENAI_BASE_URL/chat/completions\"\n"
        )
    };
    let script = format!("{}echo\n{}", call(""), call(",\"stream\":true"));
    let target = format!("target: {{ type: container, image: '{IMAGE}', network: none }}");
    let url = provider.url("/v1");
    let providers =
        format!("providers: {{ openai: {{ key: OPENAI_API_KEY, base_url: '{url}' }} }}");
    let agent = TestAgent::shell(&script).spec(&target).spec(&providers);
    let agent = agent.write_below(&sandbox.repo());
    let ran = sandbox.errand(["run"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok();
    assert_eq!(ran.stdout(), format!("{}\n{}", completion(), stream(false)));
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    assert_eq!(support::record(&sandbox, &id)["usage"]["input_tokens"], 1009);
    assert_eq!(provider.received()[0].header("authorization"), format!("Bearer {KEY}"));
}

#[test]
fn a_policy_denies_a_model_before_the_provider_is_asked() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let rules =
        "  policy: { models: { deny: [{ name: 'openai/gpt-4*', reason: not this one }] } }\n";
    let agent = agent(&sandbox, &provider, rules, &[&chat("hi")]);
    let ran = sandbox.errand(["run"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok();
    assert!(ran.stdout().starts_with("403 false "), "{}", ran.stdout());
    assert!(ran.stdout().contains("policy_denied"), "{}", ran.stdout());
    assert!(ran.stdout().contains("not this one"), "{}", ran.stdout());
    assert!(provider.received().is_empty());
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    let events = events(&sandbox, &id);
    let decided = of_type(&events, "policy.decided");
    assert_eq!(decided.last().unwrap()["subject"], "gpt-4o");
    assert_eq!(decided.last().unwrap()["verdict"], "deny");
}
