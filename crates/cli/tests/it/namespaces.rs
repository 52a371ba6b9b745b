//! Permissions of keys: every route of the table, for every scope, for two namespaces.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use errand_api::access::KeyScope;
use errand_api::gateway::routes::{Body, Method, Route, all};
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Response, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::access::{ALL, key};
use crate::support::sandbox;

/// Texts that occur only in responses to keys of the namespace.
const MARKS: [&str; 3] = ["walker-of-a", "chat-of-a", "name-of-a"];

/// A server with an object of each kind in the namespace `team-a`.
struct World {
    sandbox: Sandbox,
    server: ErrandServer,
    a: String,
    run_id: String,
}

impl World {
    fn new() -> Self {
        let sandbox = sandbox();
        let a = key(&sandbox, "key-of-a", ALL, &["--namespace", "team-a"]);
        let server = ErrandServer::start(&sandbox, &["--slots", "0"]);
        let folder = sandbox.agent(&TestAgent::shell("true").named("walker-of-a"));
        let pack = sandbox.tool("tar", ["-cf", "agent.tar", "-C"]);
        drop(pack.arg(folder).arg(".").run().ok());
        let archive = std::fs::read(sandbox.path("agent.tar")).expect("an archive");
        let push = HttpRequest::post("/v1/agents", archive);
        drop(with(&server, push.header("Content-Type", "application/x-tar"), &a).expect(201));
        let body = json!({
            "agent": "walker-of-a", "session_id": "chat-of-a", "name": "name-of-a",
        });
        let made = with(&server, json_request("POST", "/v1/runs", &body), &a).expect(202).json();
        let run_id = made["run_id"].as_str().expect("a run").to_owned();
        Self { sandbox, server, a, run_id }
    }

    /// Returns a request for a route, about an object in `team-a`.
    fn request(&self, route: &Route) -> HttpRequest {
        let mut target = route.path.to_owned();
        for (name, value) in [
            ("{run_id}", self.run_id.as_str()),
            ("{agent}", "walker-of-a"),
            ("{session_id}", "chat-of-a"),
            ("{key}", "key-of-a"),
        ] {
            target = target.replace(name, value);
        }
        while let Some((before, rest)) = target.split_once('{') {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            target = format!("{before}1{after}");
        }
        match route.body {
            Body::None | Body::Bytes(_) => HttpRequest::new(route.method.as_str(), &target),
            Body::Json(_) | Body::MaybeJson(_) => {
                json_request(route.method.as_str(), &target, &json!({}))
            }
        }
    }

    /// Returns everything of `team-a` that its owner sees.
    fn seen(&self) -> Vec<String> {
        let run = format!("/v1/runs/{}", self.run_id);
        let events = format!("{run}/events");
        let targets =
            [run.as_str(), &events, "/v1/agents", "/v1/sessions", "/v1/keys", "/v1/audit"];
        let get =
            |target| with(&self.server, HttpRequest::new("GET", target), &self.a).expect(200).body;
        targets.into_iter().map(get).collect()
    }
}

fn json_request(method: &str, target: &str, body: &Value) -> HttpRequest {
    let request = HttpRequest::new(method, target).body(body.to_string());
    request.header("Content-Type", "application/json")
}

fn with(server: &ErrandServer, request: HttpRequest, key: &str) -> Response {
    server.send(&request.header("Authorization", &format!("Bearer {key}")))
}

/// Returns the head and the first moments of a stream that never ends.
fn beginning(server: &ErrandServer, target: &str, key: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it is sent");
    let mut bytes = Vec::new();
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the head");
        bytes.extend(byte);
    }
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
    // Ends with the time limit, which is no error here.
    drop(stream.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn no_route_shows_or_changes_anything_of_another_namespace() {
    let world = World::new();
    let b = key(&world.sandbox, "key-of-b", ALL, &["--namespace", "team-b"]);
    let before = world.seen();
    for route in all().filter(|route| route.scope.is_some()) {
        if route.id == "follow_runs" {
            let text = beginning(&world.server, route.path, &b);
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            assert!(!text.contains(&world.run_id), "{text}");
            continue;
        }
        let answer = with(&world.server, world.request(route), &b);
        let what =
            format!("{} {}: {} {}", route.method.as_str(), route.path, answer.status, answer.body);
        // A response may repeat the requested id if it says that it does not exist.
        let is_refused = answer.status >= 400;
        assert!(is_refused || !answer.body.contains(&world.run_id), "{what}");
        assert!(is_refused || MARKS.iter().all(|mark| !answer.body.contains(mark)), "{what}");
        let names_a_run = route.path.contains("{run_id}");
        if names_a_run && matches!(route.body, Body::None) {
            assert_eq!(answer.status, 404, "{what}");
        }
        let changes = route.method != Method::Get && route.path.contains('{');
        // A session may begin under any name: it is a different one.
        assert!(is_refused || !changes || route.path.contains("{session_id}"), "{what}");
    }
    // After all requests of the other namespace this one is unchanged.
    assert_eq!(world.seen(), before);
}

#[test]
fn every_route_refuses_requests_without_a_key_or_without_its_scope() {
    let world = World::new();
    let lacking: Vec<(KeyScope, String)> = KeyScope::ALL
        .iter()
        .map(|scope| {
            let others: Vec<_> =
                KeyScope::ALL.iter().filter(|it| *it != scope).map(|it| it.as_str()).collect();
            let more = ["--namespace", "team-a"];
            (*scope, key(&world.sandbox, &format!("no {scope}"), &others.join(","), &more))
        })
        .collect();
    let before = world.seen()[..2].to_vec();
    for route in all() {
        let Some(scope) = route.scope else { continue };
        let (_, key) = lacking.iter().find(|(it, _)| *it == scope).expect("a key");
        let refused = with(&world.server, world.request(route), key).expect(403).json();
        assert_eq!(refused["code"], "scope_missing", "{}", route.id);
        assert!(refused["detail"].as_str().expect("text").contains(scope.as_str()), "{refused}");
        let nobody = world.server.send(&world.request(route)).expect(401).json();
        assert_eq!(nobody["code"], "key_missing", "{}", route.id);
    }
    assert_eq!(world.seen()[..2], before);
}

#[test]
fn agents_of_one_name_in_two_namespaces_share_no_state_daily_budget_or_inventory() {
    crate::budgets::let_the_day_last();
    let sandbox = sandbox();
    let keys =
        ["team-a", "team-b"].map(|team| (team, key(&sandbox, team, ALL, &["--namespace", team])));
    let server = ErrandServer::start(&sandbox, &["--slots", "1"]);
    let script = "ls \"$ERRAND_STATE_DIR\"; touch \"$ERRAND_STATE_DIR/seen-$1\"\n\
                  errand agent reserve tool --tool mail > /dev/null && echo granted\n\
                  errand agent emit tool.called '{\"name\": \"mail\"}'\n";
    let agent = TestAgent::shell(script).named("twin").spec("budgets: { tool_calls_per_day: 1 }");
    let folder = sandbox.agent(&agent);
    drop(sandbox.tool("tar", ["-cf", "agent.tar", "-C"]).arg(folder).arg(".").run().ok());
    let archive = std::fs::read(sandbox.path("agent.tar")).expect("an archive");
    for (team, key) in &keys {
        let push = HttpRequest::post("/v1/agents", archive.clone());
        drop(with(&server, push.header("Content-Type", "application/x-tar"), key).expect(201));
        let body = json!({ "agent": "twin" });
        let ended = with(&server, json_request("POST", "/v1/runs/wait", &body), key).expect(200);
        assert_eq!(ended.json()["output"], "granted\n", "{team}: {}", ended.body);
        assert!(sandbox.registry().join(format!("state/@{team}/twin")).is_dir());
        let boms = with(&server, HttpRequest::new("GET", "/v1/boms/twin"), key).expect(200).json();
        assert_eq!(boms["boms"].as_array().map(Vec::len), Some(1), "{boms:#}");
    }
}
