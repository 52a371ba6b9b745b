//! Permissions of keys: every route of the table, for every scope, for two namespaces.

use std::net::SocketAddr;
use std::time::Duration;

use errand_api::access::KeyScope;
use errand_api::gateway::routes::{Body, Method, Route, all};
use errand_gateway::Config;
use errand_testkit::{ErrandServer, HttpRequest, TestAgent};
use serde_json::json;

use crate::support::{TestGateway, json_request, with_key};

/// Texts that occur only in responses to keys of the namespace.
const MARKS: [&str; 3] = ["walker-of-a", "chat-of-a", "name-of-a"];
/// Silence after which a stream has sent its beginning.
const SILENCE: Duration = Duration::from_millis(500);

/// A gateway with an object of each kind in the namespace `team-a`.
struct World {
    server: TestGateway,
    a: String,
    run_id: String,
}

impl World {
    fn new() -> Self {
        // A dispatcher has all routes.
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = TestGateway::with(Config { dispatches: true, ..Config::new(listen) });
        let a = server.key("key-of-a", KeyScope::ALL, Some("team-a"));
        let folder = server.agent(&TestAgent::shell("true").named("walker-of-a"));
        let push = ErrandServer::push_request(&folder, "");
        drop(server.send(&with_key(push, &a)).expect(201));
        let body = json!({
            "agent": "walker-of-a", "session_id": "chat-of-a", "name": "name-of-a",
        });
        let create = with_key(json_request("POST", "/v1/runs", &body), &a);
        let made = server.send(&create).expect(202).json();
        let run_id = made["run_id"].as_str().unwrap().to_owned();
        Self { server, a, run_id }
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
        let get = |target: &str| {
            self.server.send(&with_key(HttpRequest::new("GET", target), &self.a)).expect(200).body
        };
        targets.into_iter().map(get).collect()
    }
}

#[test]
fn no_route_shows_or_changes_anything_of_another_namespace() {
    let world = World::new();
    let b = world.server.key("key-of-b", KeyScope::ALL, Some("team-b"));
    let before = world.seen();
    for route in all().filter(|route| route.scope.is_some()) {
        if route.id == "follow_runs" {
            let request = HttpRequest::new("GET", route.path).header("Accept", "text/event-stream");
            let stream = world.server.beginning(&with_key(request, &b), SILENCE).expect(200);
            assert!(!stream.body.contains(&world.run_id), "{}", stream.body);
            continue;
        }
        let answer = world.server.send(&with_key(world.request(route), &b));
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
            let others: Vec<_> = KeyScope::ALL.iter().filter(|it| *it != scope).copied().collect();
            (*scope, world.server.key(&format!("no {scope}"), &others, Some("team-a")))
        })
        .collect();
    let before = world.seen()[..2].to_vec();
    for route in all() {
        let Some(scope) = route.scope else { continue };
        let (_, key) = lacking.iter().find(|(it, _)| *it == scope).unwrap();
        let refused = world.server.send(&with_key(world.request(route), key)).expect(403).json();
        assert_eq!(refused["code"], "scope_missing", "{}", route.id);
        assert!(refused["detail"].as_str().unwrap().contains(scope.as_str()), "{refused}");
        let nobody = world.server.send(&world.request(route)).expect(401).json();
        assert_eq!(nobody["code"], "key_missing", "{}", route.id);
    }
    assert_eq!(world.seen()[..2], before);
}
