//! Access to a server: keys, scopes, rate limits, and headers of every response.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use errand_api::access::KeyScope;
use errand_gateway::Config;
use errand_testkit::{HttpRequest, LIMIT, Response, wait_until};
use serde_json::{Value, json};

use crate::support::{HOST, TestGateway, json_request, with_key};

fn get(server: &TestGateway, target: &str, key: &str) -> Response {
    server.send(&with_key(HttpRequest::new("GET", target), key))
}

fn code(response: &Response) -> Value {
    response.json()["code"].clone()
}

#[test]
fn missing_wrong_and_expired_keys_are_refused_with_codes_of_their_own() {
    let server = TestGateway::new();
    let good = server.key("good", &[KeyScope::RunsRead], None);
    let short = server.short_lived_key("short", Duration::from_millis(1));
    let missing = server.get("/v1/runs").expect(401);
    assert_eq!(code(&missing), "key_missing");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"errand\""));
    let wrong = format!("{}{}", &good[..good.len() - 4], "0000");
    for bad in [wrong.as_str(), "nonsense", "errand_00000000_00000000000000000000000000000000"] {
        let refused = get(&server, "/v1/runs", bad).expect(401);
        assert_eq!(code(&refused), "key_invalid", "{bad}");
        assert!(!refused.body.contains(bad), "{}", refused.body);
    }
    wait_until("the key expires", LIMIT, || {
        let refused = get(&server, "/v1/runs", &short);
        refused.status == 401 && code(&refused) == "key_expired"
    });
    drop(get(&server, "/v1/runs", &good).expect(200));
    let refused = get(&server, "/v1/keys", &good).expect(403);
    assert_eq!(code(&refused), "scope_missing");
    assert!(refused.body.contains("admin"), "{}", refused.body);
}

#[test]
fn a_created_key_locks_an_open_server_and_a_revoked_key_is_refused_soon() {
    let server = TestGateway::new();
    drop(server.get("/v1/runs").expect(200));
    let made = server.key("me", KeyScope::ALL, None);
    wait_until("the door is locked", LIMIT, || server.get("/v1/runs").status == 401);
    drop(get(&server, "/v1/runs", &made).expect(200));
    server.revoke("me");
    wait_until("the key is refused", LIMIT, || get(&server, "/v1/runs", &made).status == 401);
    assert_eq!(server.get("/v1/runs").status, 401, "nothing unlocks the door again");
}

#[test]
fn administrators_manage_keys_of_their_own_namespace_only() {
    let server = TestGateway::new();
    let a = server.key("a", KeyScope::ALL, Some("team-a"));
    let b = server.key("b", &[KeyScope::Admin, KeyScope::RunsRead], Some("team-b"));
    let post = |key: &str, body: &Value| {
        server.send(&with_key(json_request("POST", "/v1/keys", body), key))
    };
    let made = post(&a, &json!({ "name": "ci", "scopes": ["runs:read"] })).expect(201).json();
    assert_eq!(made["record"]["namespace"], "team-a");
    let text = made["key"].as_str().unwrap();
    drop(get(&server, "/v1/runs", text).expect(200));
    let twice = post(&a, &json!({ "name": "ci", "scopes": ["runs:read"] })).expect(409);
    assert_eq!(code(&twice), "key_conflict");
    let more = post(&b, &json!({ "name": "x", "scopes": ["runs:write"] })).expect(403);
    assert_eq!(code(&more), "scope_missing", "nobody gives away what they do not have");
    let unknown = post(&a, &json!({ "name": "x", "scopes": ["all"] })).expect(400);
    assert_eq!(code(&unknown), "request_invalid");
    let names = |key: &str| {
        let listed = get(&server, "/v1/keys", key).expect(200).json();
        let names = listed["keys"].as_array().unwrap().iter();
        names.map(|key| key["name"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names(&a), names(&b)), (vec!["a".into(), "ci".into()], vec!["b".into()]));
    let delete = |key: &str, which: &str| {
        let request = HttpRequest::new("DELETE", &format!("/v1/keys/{which}"));
        server.send(&with_key(request, key))
    };
    let public = made["record"]["public"].as_str().unwrap();
    assert_eq!(code(&delete(&b, public).expect(404)), "key_not_found");
    assert_eq!(delete(&a, public).expect(200).json()["name"], "ci");
    let audited = get(&server, "/v1/audit?limit=2", &a).expect(200).json();
    let actions: Vec<_> = audited["entries"].as_array().unwrap().iter().collect();
    assert_eq!(actions[0]["action"], "key.revoked");
    assert_eq!(actions[0]["by"]["name"], "a");
    assert_eq!(actions[0]["by"]["from"], "127.0.0.1");
    assert_eq!(actions[1]["action"], "key.created");
    let next = audited["next_cursor"].as_str().unwrap();
    let rest = get(&server, &format!("/v1/audit?cursor={next}"), &a).expect(200).json();
    assert_eq!(rest["entries"].as_array().map(Vec::len), Some(1), "how its own key was made");
    let of_b = get(&server, "/v1/audit", &b).expect(200).body;
    assert!(!of_b.contains(public), "{of_b}");
}

#[test]
fn every_response_has_security_headers_and_a_request_id() {
    let server = TestGateway::new();
    for target in ["/healthz", "/nothing", "/v1/runs", "/openapi.json"] {
        let answer = server.send(&HttpRequest::new("GET", target).header("X-Request-Id", "abc-1"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{target}: {policy}");
        assert_eq!(answer.header("x-request-id"), Some("abc-1"), "{target}");
        assert_eq!(answer.header("strict-transport-security"), None, "{target}");
    }
    let odd = server.send(&HttpRequest::new("GET", "/healthz").header("X-Request-Id", "a b"));
    assert_eq!(odd.header("x-request-id").map(str::len), Some(16), "it is given another");
}

#[test]
fn a_page_of_another_origin_cannot_reach_an_open_server() {
    let server = TestGateway::new();
    let get = |host: &str| server.send(&HttpRequest::new("GET", "/v1/runs").header("Host", host));
    let rebound = get("evil.example:7070");
    assert_eq!((rebound.status, code(&rebound)), (421, json!("host_refused")));
    assert_eq!(get("localhost:7070").status, 200);
    let post = |origin: &str| {
        let request = json_request("POST", "/v1/keys", &json!({}));
        server.send(&request.header("Host", HOST).header("Origin", origin))
    };
    let form = post("http://evil.example");
    assert_eq!((form.status, code(&form)), (403, json!("origin_refused")));
    assert_eq!(post("null").status, 403);
    let own = post(&format!("http://{HOST}"));
    assert_eq!(own.status, 400, "the request is admitted, and its body checked: {}", own.body);
}

#[test]
fn a_rate_limited_client_gets_429_with_retry_after() {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let limits = Config { requests_per_second: 1, burst: 2, ..Config::new(listen) };
    let server = TestGateway::with(limits);
    let mine = server.key("mine", &[KeyScope::RunsRead], None);
    let other = server.key("other", &[KeyScope::RunsRead], None);
    // All at once: sequential requests could take a second each.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || get(&server, "/v1/runs", &mine);
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let limited = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(code(limited), "rate_limited");
    assert_eq!(limited.header("retry-after"), Some("1"));
    drop(get(&server, "/v1/runs", &other).expect(200));
}

/// Returns all files below a folder, as text.
fn disk(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            text.push_str(&disk(&entry.path()));
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()));
        }
    }
    text
}

#[test]
fn a_key_is_shown_once_and_only_its_hash_is_kept() {
    let server = TestGateway::new();
    let admin = server.key("admin", KeyScope::ALL, None);
    let body = json!({ "name": "ci", "scopes": ["runs:write", "runs:read"] });
    let create = with_key(json_request("POST", "/v1/keys", &body), &admin);
    let made = server.send(&create).expect(201).json();
    let secret = made["key"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    assert_eq!(secret.len(), 32);
    assert_eq!(made["record"]["scopes"], json!(["runs:read", "runs:write"]));
    let listed = get(&server, "/v1/keys", &admin).expect(200).body;
    let audited = get(&server, "/v1/audit", &admin).expect(200).body;
    for (place, text) in [("list", listed), ("audit", audited), ("disk", disk(&server.registry()))]
    {
        assert!(!text.contains(&secret), "the secret is in the {place}");
    }
}
