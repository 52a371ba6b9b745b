//! Requests to hooks, on a real registry.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_api::gateway::hook::{HookAnswer, HookOutcome, HookScheme};
use errand_engine::hooks::{
    self, Dedupe, Events, HookDefinition, HookSecret, ReceivedHookRequest, RequestField, Signature,
};
use errand_engine::{Engine, Error, payload};
use errand_model::RunId;
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::schedules::World;

const NOW: &str = "2026-06-01T12:00:00Z";
const TOKEN: &str = "correct-horse";

fn definition(scheme: HookScheme) -> HookDefinition {
    HookDefinition {
        agent: "nothing".to_owned(),
        signature: Signature { scheme, header: None, prefix: None },
        input: None,
        dedupe: None,
        events: None,
        labels: BTreeMap::new(),
        session_id: None,
        enabled: true,
    }
}

async fn define(engine: &Engine, definition: &HookDefinition) {
    let secret = HookSecret::new(TOKEN.to_owned());
    hooks::define(engine, None, "mine", (definition, Some(&secret))).await.unwrap();
}

async fn send(
    engine: &Engine,
    uri: &'static str,
    pairs: &[(&'static str, &str)],
    body: &str,
) -> Result<HookAnswer, Error> {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    let mut headers: HeaderMap = pairs.iter().map(pair).collect();
    headers.insert("authorization", HeaderValue::from_static("Bearer correct-horse"));
    let uri = Uri::from_static(uri);
    let (body, remote) = (body.as_bytes(), Some("192.0.2.1:5"));
    let received = ReceivedHookRequest { uri: &uri, headers: &headers, body, remote };
    hooks::receive(engine, None, "mine", received).await
}

async fn input(engine: &Engine, run_id: &RunId) -> Value {
    let stored = engine.store().load(run_id).await.unwrap().unwrap();
    payload::to_json(&engine.blobs(), stored.run.spec.input.as_ref().unwrap()).unwrap()
}

fn created(answer: HookAnswer) -> RunId {
    assert_eq!(answer.outcome, HookOutcome::Created);
    answer.run_id.unwrap()
}

async fn outcomes(engine: &Engine) -> Vec<HookOutcome> {
    let all = hooks::deliveries(engine, None, "mine", (None, 100)).await.unwrap();
    all.into_iter().rev().map(|logged| logged.outcome).collect()
}

#[tokio::test]
async fn a_hook_request_fires_a_run_with_the_filled_template() {
    let world = World::new(NOW).await;
    let mut wanted = definition(HookScheme::Token);
    wanted.input = Some(json!({ "text": "PR {{ body.pr.number }} ({{ query.page | 0 }})",
        "pr": "{{ body.pr }}", "agent": "{{ headers.user-agent }}" }));
    wanted.labels = BTreeMap::from([("repo".to_owned(), "{{ body.repo }}".to_owned())]);
    wanted.session_id = Some("pr-{{ body.pr.number }}".to_owned());
    define(&world.engine, &wanted).await;
    let body = r#"{"pr":{"number":7},"repo":"a/b"}"#;
    let headers = [("user-agent", "test"), ("x-api-key", "hidden-key")];
    let outcome = send(&world.engine, "/v1/hooks/mine?token=hidden-q", &headers, body).await;
    let run_id = created(outcome.unwrap());
    let expected = json!({ "text": "PR 7 (0)", "pr": { "number": 7 }, "agent": "test" });
    assert_eq!(input(&world.engine, &run_id).await, expected);
    let stored = world.engine.store().load(&run_id).await.unwrap().unwrap();
    let spec = &stored.run.spec;
    assert_eq!(spec.labels["repo"], "a/b");
    assert_eq!(spec.session_id.as_deref(), Some("pr-7"));
    assert_eq!(spec.trigger.source.as_deref(), Some("mine"));
    let trigger = serde_json::to_string(&spec.trigger).unwrap();
    assert!(trigger.contains("\"type\":\"webhook\"") && trigger.contains("192.0.2.1"), "{trigger}");
    for secret in ["correct-horse", "hidden-key", "hidden-q"] {
        assert!(!trigger.contains(secret), "{trigger}");
    }
    let log = hooks::deliveries(&world.engine, None, "mine", (None, 10)).await.unwrap();
    assert_eq!(log[0].run_id.as_ref(), Some(&run_id));
}

#[tokio::test]
async fn sixteen_equal_requests_at_once_are_one_run() {
    let world = World::new(NOW).await;
    let key = RequestField::Pointer("/id".to_owned());
    let dedupe = Some(Dedupe { key, window_ms: 60_000 });
    define(&world.engine, &HookDefinition { dedupe, ..definition(HookScheme::Token) }).await;
    let engine = &world.engine;
    let all = futures_util::future::join_all(
        (0..16).map(|_| send(engine, "/v1/hooks/mine", &[], r#"{"id":"e1"}"#)),
    )
    .await;
    assert_eq!(world.runs().await.len(), 1);
    let run_id = world.runs().await[0].run.id.clone();
    assert!(all.iter().flatten().all(|answer| answer.run_id.as_ref() == Some(&run_id)));
    let count = |outcome| all.iter().flatten().filter(|it| it.outcome == outcome).count();
    let (created, coalesced) = (count(HookOutcome::Created), count(HookOutcome::Coalesced));
    assert_eq!((created, coalesced), (1, 15));
    assert_eq!(outcomes(engine).await.len(), 16, "each of them is recorded");
    send(engine, "/v1/hooks/mine", &[], r#"{"id":"e2"}"#).await.unwrap();
    assert_eq!(world.runs().await.len(), 2, "another key is another run");
    world.pass(Duration::from_secs(61));
    send(engine, "/v1/hooks/mine", &[], r#"{"id":"e1"}"#).await.unwrap();
    assert_eq!(world.runs().await.len(), 3, "after its window a key is a new one");
}

#[tokio::test]
async fn a_refused_hook_request_is_logged_and_fires_nothing() {
    let world = World::new(NOW).await;
    let mut wanted = definition(HookScheme::Token);
    wanted.input = Some(json!({ "a": "{{ body.a }}" }));
    define(&world.engine, &wanted).await;
    let engine = &world.engine;
    let code = |sent: Result<HookAnswer, Error>| sent.unwrap_err().code().as_str().to_owned();
    assert_eq!(code(send(engine, "/v1/hooks/mine", &[], "{}").await), "hook_rejected");
    assert_eq!(code(send(engine, "/v1/hooks/mine", &[], "no json").await), "hook_rejected");
    let uri = Uri::from_static("/v1/hooks/mine");
    let headers = HeaderMap::new();
    let stranger = ReceivedHookRequest { uri: &uri, headers: &headers, body: b"{}", remote: None };
    let refused = hooks::receive(engine, None, "mine", stranger).await;
    assert_eq!(refused.unwrap_err().code().as_str(), "signature_invalid");
    let other = hooks::receive(engine, Some("other"), "mine", stranger).await;
    assert_eq!(other.unwrap_err().code().as_str(), "hook_not_found");
    define(engine, &HookDefinition { enabled: false, ..wanted }).await;
    assert_eq!(code(send(engine, "/v1/hooks/mine", &[], "{\"a\":1}").await), "hook_disabled");
    assert!(world.runs().await.is_empty());
    assert_eq!(outcomes(engine).await, [HookOutcome::Rejected; 4]);
    let log = hooks::deliveries(engine, None, "mine", (None, 10)).await.unwrap();
    let first = log
        .iter()
        .find(|delivery| delivery.reason.as_ref().is_some_and(|reason| reason.contains("body.a")));
    let missing = first.and_then(|delivery| delivery.reason.clone()).unwrap_or_default();
    assert!(missing.contains("body.a is not in the request"), "{missing}");
}

#[tokio::test]
async fn an_untrimmable_hook_log_does_not_change_the_answer_to_a_request() {
    let world = World::new(NOW).await;
    define(&world.engine, &definition(HookScheme::Token)).await;
    let broken = DocumentWrite {
        kind: DocumentKind::HookDelivery,
        namespace: None,
        key: "mine/x/0".to_owned(),
        expect: Expect::Absent,
        change: DocumentChange::Put { body: json!("of another version"), due_at: None },
    };
    world.engine.store().write_documents(vec![broken]).await.unwrap();
    // One request in sixteen trims the log.
    for _ in 0..160 {
        let refused = send(&world.engine, "/v1/hooks/mine", &[], "no JSON").await.unwrap_err();
        assert!(!matches!(refused, Error::Payload(_) | Error::Store(_)), "{refused}");
    }
}

#[tokio::test]
async fn github_pings_are_answered_and_only_selected_events_fire() {
    let world = World::new(NOW).await;
    let any_of = vec!["push".to_owned(), "pull_request.opened".to_owned()];
    let events = Some(Events { from: None, any_of });
    define(&world.engine, &HookDefinition { events, ..definition(HookScheme::Github) }).await;
    let github = |event: &'static str, delivery: &'static str, body: &'static str| {
        let engine = world.engine.clone();
        async move {
            let mut python = std::process::Command::new("python3");
            let script = "import sys, hmac, hashlib; print('sha256=' + hmac.new(\
                          sys.argv[1].encode(), sys.argv[2].encode(), hashlib.sha256).hexdigest())";
            let signed = python.args(["-c", script, TOKEN, body]).output().unwrap();
            let signature = String::from_utf8(signed.stdout).unwrap();
            let headers = [
                ("x-github-event", event),
                ("x-github-delivery", delivery),
                ("x-hub-signature-256", signature.trim()),
            ];
            send(&engine, "/v1/hooks/mine", &headers, body).await.unwrap()
        }
    };
    assert_eq!(github("ping", "1", "{}").await.outcome, HookOutcome::Skipped);
    assert_eq!(github("issues", "2", "{}").await.outcome, HookOutcome::Skipped);
    let closed = r#"{"action":"closed"}"#;
    assert_eq!(github("pull_request", "3", closed).await.outcome, HookOutcome::Skipped);
    created(github("pull_request", "4", r#"{"action":"opened"}"#).await);
    created(github("push", "5", "{}").await);
    let redelivered = github("push", "5", "{}").await;
    assert_eq!(redelivered.outcome, HookOutcome::Coalesced);
    assert_eq!(world.runs().await.len(), 2);
}

#[tokio::test]
async fn a_definition_is_checked_as_a_whole_and_its_secret_never_comes_back() {
    let world = World::new(NOW).await;
    let engine = &world.engine;
    let (view, is_new) =
        hooks::define(engine, None, "mine", (&definition(HookScheme::Github), None)).await.unwrap();
    let generated = view.signature.secret.unwrap();
    assert!(is_new && generated.starts_with("whsec_"));
    let stored = engine.store().document(DocumentKind::Hook, None, "mine").await.unwrap().unwrap();
    let shown = hooks::get(engine, None, "mine").await.unwrap();
    for text in [stored.body.to_string(), serde_json::to_string(&shown).unwrap()] {
        assert!(!text.contains(&generated[6..]), "{text}");
    }
    let again = hooks::define(engine, None, "mine", (&definition(HookScheme::Github), None)).await;
    let (changed, is_new) = again.unwrap();
    assert!(!is_new && changed.signature.secret.is_none(), "it keeps its secret");
    let place =
        |text: &str| Some(Dedupe { key: RequestField::Pointer(text.to_owned()), window_ms: 1 });
    let good = definition(HookScheme::Token);
    let input = Some(json!({ "a": ["{{ nothing }}"] }));
    let events = Some(Events { from: None, any_of: vec!["x".to_owned()] });
    for (name, bad, pointer) in [
        ("mine", HookDefinition { input, ..good.clone() }, "/input/a/0"),
        ("mine", HookDefinition { dedupe: place("id"), ..good.clone() }, "/dedupe/key"),
        ("mine", HookDefinition { events, ..good.clone() }, "/events/from"),
        (
            "mine",
            HookDefinition { session_id: Some("{{".to_owned()), ..good.clone() },
            "/session_id",
        ),
        ("A", good.clone(), "/name"),
        ("deliveries", good.clone(), "/name"),
    ] {
        let refused = hooks::define(engine, None, name, (&bad, None)).await.unwrap_err();
        let Error::Definition(refused) = refused else { unreachable!("{refused:?}") };
        assert_eq!(refused.pointer(), Some(pointer));
    }
    let short = HookSecret::new("short".to_owned());
    assert!(hooks::define(engine, None, "mine", (&good, Some(&short))).await.is_err());
    let unknown = HookDefinition { agent: "unknown".to_owned(), ..good };
    let refused = hooks::define(engine, None, "mine", (&unknown, None)).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "agent_not_found");
}
