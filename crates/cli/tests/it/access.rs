//! Access to a server: keys, scopes, rate limits, TLS, and headers of every response.

use errand_testkit::postgres::{self, Durability};
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Response, Sandbox, wait_until};
use serde_json::{Value, json};

use crate::support::sandbox;

/// Creates a key; returns its whole text.
pub(crate) fn key(sandbox: &Sandbox, name: &str, scopes: &str, more: &[&str]) -> String {
    let words = ["keys", "create", "--name", name, "--scope", scopes];
    sandbox.errand(words).args(more).run().ok().stdout_line()
}

pub(crate) const ALL: &str = "runs:read,runs:write,approvals:decide,admin";

fn get(server: &ErrandServer, target: &str, key: &str) -> Response {
    let request = HttpRequest::new("GET", target);
    server.send(&request.header("Authorization", &format!("Bearer {key}")))
}

fn code(response: &Response) -> Value {
    response.json()["code"].clone()
}

#[test]
fn a_loopback_server_without_keys_is_open_with_a_warning_and_a_public_one_does_not_start() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    server.process().wait_for_stderr("this server is open");
    drop(server.get("/v1/runs").expect(200));
    drop(server);
    let refused = sandbox.errand(["up", "--listen", "0.0.0.0:0"]).run();
    let refused = refused.refuses(2, "error[listen_open]");
    assert!(refused.stderr().contains("errand keys create"), "{}", refused.stderr());
    let made = key(&sandbox, "me", ALL, &[]);
    let server = ErrandServer::of(sandbox.errand(["up", "--listen", "0.0.0.0:0"]).spawn());
    assert!(!server.process().stderr().contains("is open"));
    let here = server.address().replace("0.0.0.0", "127.0.0.1");
    assert_eq!(HttpRequest::new("GET", "/v1/runs").send(&here).status, 401);
    let with =
        HttpRequest::new("GET", "/v1/runs").header("Authorization", &format!("Bearer {made}"));
    assert_eq!(with.send(&here).status, 200);
}

#[test]
fn missing_wrong_and_expired_keys_are_refused_with_codes_of_their_own() {
    let sandbox = sandbox();
    let good = key(&sandbox, "good", "runs:read", &[]);
    let short = key(&sandbox, "short", "runs:read", &["--expires", "1ms"]);
    let server = ErrandServer::start(&sandbox, &[]);
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
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    drop(server.get("/v1/runs").expect(200));
    let made = key(&sandbox, "me", ALL, &[]);
    wait_until("the door is locked", LIMIT, || server.get("/v1/runs").status == 401);
    drop(get(&server, "/v1/runs", &made).expect(200));
    drop(sandbox.errand(["keys", "revoke", "me"]).run().ok());
    wait_until("the key is refused", LIMIT, || get(&server, "/v1/runs", &made).status == 401);
    assert_eq!(server.get("/v1/runs").status, 401, "nothing unlocks the door again");
}

#[test]
fn administrators_manage_keys_of_their_own_namespace_only() {
    let sandbox = sandbox();
    let a = key(&sandbox, "a", ALL, &["--namespace", "team-a"]);
    let b = key(&sandbox, "b", "admin,runs:read", &["--namespace", "team-b"]);
    let server = ErrandServer::start(&sandbox, &[]);
    let post = |key: &str, body: &Value| {
        let request = HttpRequest::post("/v1/keys", body.to_string());
        let request = request.header("Content-Type", "application/json");
        server.send(&request.header("Authorization", &format!("Bearer {key}")))
    };
    let made = post(&a, &json!({ "name": "ci", "scopes": ["runs:read"] })).expect(201).json();
    assert_eq!(made["record"]["namespace"], "team-a");
    let text = made["key"].as_str().expect("a key");
    drop(get(&server, "/v1/runs", text).expect(200));
    let twice = post(&a, &json!({ "name": "ci", "scopes": ["runs:read"] })).expect(409);
    assert_eq!(code(&twice), "key_conflict");
    let more = post(&b, &json!({ "name": "x", "scopes": ["runs:write"] })).expect(403);
    assert_eq!(code(&more), "scope_missing", "nobody gives away what they do not have");
    let unknown = post(&a, &json!({ "name": "x", "scopes": ["all"] })).expect(400);
    assert_eq!(code(&unknown), "request_invalid");
    let names = |key: &str| {
        let listed = get(&server, "/v1/keys", key).expect(200).json();
        let names = listed["keys"].as_array().expect("a list").iter();
        names.map(|key| key["name"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names(&a), names(&b)), (vec!["a".into(), "ci".into()], vec!["b".into()]));
    let delete = |key: &str, which: &str| {
        let request = HttpRequest::new("DELETE", &format!("/v1/keys/{which}"));
        server.send(&request.header("Authorization", &format!("Bearer {key}")))
    };
    let public = made["record"]["public"].as_str().expect("a public part");
    assert_eq!(code(&delete(&b, public).expect(404)), "key_not_found");
    assert_eq!(delete(&a, public).expect(200).json()["name"], "ci");
    let audited = get(&server, "/v1/audit?limit=2", &a).expect(200).json();
    let actions: Vec<_> = audited["entries"].as_array().expect("a list").iter().collect();
    assert_eq!(actions[0]["action"], "key.revoked");
    assert_eq!(actions[0]["by"]["name"], "a");
    assert_eq!(actions[0]["by"]["from"], "127.0.0.1");
    assert_eq!(actions[1]["action"], "key.created");
    let next = audited["next_cursor"].as_str().expect("another page");
    let rest = get(&server, &format!("/v1/audit?cursor={next}"), &a).expect(200).json();
    assert_eq!(rest["entries"].as_array().map(Vec::len), Some(1), "how its own key was made");
    let of_b = get(&server, "/v1/audit", &b).expect(200).body;
    assert!(!of_b.contains(public), "{of_b}");
    assert!(!server.process().stderr().contains(text), "a key is in the log");
}

#[test]
fn every_response_has_security_headers_and_a_request_id() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
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
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let raw = |head: &str| {
        let text = format!("{head}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
        HttpRequest::send_raw(server.address(), text.as_bytes())
    };
    let rebound = raw("GET /v1/runs HTTP/1.1\r\nHost: evil.example:7070");
    assert_eq!((rebound.status, code(&rebound)), (421, json!("host_refused")));
    let local = raw("GET /v1/runs HTTP/1.1\r\nHost: localhost:7070");
    assert_eq!(local.status, 200);
    let host = server.address();
    let post = format!("POST /v1/keys HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json");
    let form = raw(&format!("{post}\r\nOrigin: http://evil.example"));
    assert_eq!((form.status, code(&form)), (403, json!("origin_refused")));
    let null = raw(&format!("{post}\r\nOrigin: null"));
    assert_eq!(null.status, 403);
    let own = raw(&format!("{post}\r\nOrigin: http://{host}"));
    assert_eq!(own.status, 400, "it is let in, and its body looked at: {}", own.body);
}

#[test]
fn a_rate_limited_client_gets_429_with_retry_after() {
    let sandbox = sandbox();
    let mine = key(&sandbox, "mine", "runs:read", &[]);
    let other = key(&sandbox, "other", "runs:read", &[]);
    let server = ErrandServer::start(&sandbox, &["--requests-per-second", "1", "--burst", "2"]);
    // All at once: sequential requests could take a second each.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || get(&server, "/v1/runs", &mine);
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let limited = answers.iter().find(|answer| answer.status == 429).expect("a refusal");
    assert_eq!(code(limited), "rate_limited");
    assert_eq!(limited.header("retry-after"), Some("1"));
    drop(get(&server, "/v1/runs", &other).expect(200));
}

#[test]
fn too_large_and_too_slow_heads_and_bodies_are_refused() {
    let sandbox = sandbox();
    let limits = ["--max-body", "1Ki", "--max-headers", "8Ki", "--header-timeout", "2s"];
    let server = ErrandServer::start(&sandbox, &limits);
    let large = json!({ "name": "x".repeat(2_000), "scopes": ["admin"] });
    assert_eq!(code(&server.post("/v1/keys", &large).expect(413)), "request_too_large");
    let head = HttpRequest::new("GET", "/v1/runs").header("X-Large", &"x".repeat(20_000));
    assert_eq!(server.send(&head).status, 431);
    // A head that never ends: the server closes the connection.
    let slow = HttpRequest::send_raw(server.address(), b"GET /v1/runs HTTP/1.1\r\nHost: local");
    assert!(matches!(slow.status, 0 | 408), "{slow:?}");
    drop(server.get("/v1/runs").expect(200));
}

#[test]
fn a_server_with_a_certificate_speaks_tls_and_reloads_a_changed_certificate() {
    let sandbox = sandbox();
    let certificate = |name: &str| {
        let subject = format!("/CN={name}");
        let words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let more = ["-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem"];
        let alt = ["-subj", &subject, "-addext", "subjectAltName=IP:127.0.0.1"];
        drop(sandbox.tool("openssl", words).args(more).args(alt).run().ok());
    };
    certificate("first");
    let server = ErrandServer::start(&sandbox, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let url = format!("https://{}/healthz", server.address());
    let curl = |words: &[&str]| sandbox.tool("curl", words).arg(&url).run();
    let answer = curl(&["-sSi", "--http2", "--cacert", "cert.pem"]).ok().stdout();
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let plain = HttpRequest::new("GET", "/healthz").send(server.address());
    assert_eq!(plain.status, 0, "without TLS nothing is answered");
    let there = format!("http://{}", server.address());
    let hint = format!("write https://{}", server.address());
    drop(sandbox.errand(["--server", &there, "ps"]).run().refuses(125, &hint));
    certificate("second");
    wait_until("the new certificate is in force", LIMIT, || {
        curl(&["-sS", "--cacert", "cert.pem"]).code == Some(0)
    });
    drop(server);
    let other = sandbox.write("other.pem", sandbox.read("cert.pem"));
    let words = ["up", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key"];
    let refused = sandbox.errand(words).arg(other).run();
    drop(refused.refuses(2, "error[tls_invalid]"));
    let plain = ErrandServer::start(&sandbox, &[]);
    let there = format!("https://{}", plain.address());
    let hint = format!("write http://{}", plain.address());
    drop(sandbox.errand(["--server", &there, "ps"]).run().refuses(125, &hint));
}

#[test]
fn the_keys_of_a_server_are_in_its_database_and_not_in_the_folder() {
    let sandbox = sandbox();
    let database = postgres::PostgresServer::start(Durability::None, "");
    let url = database.url();
    drop(sandbox.errand(["migrate", "--database", &url]).run().ok());
    let words = ["keys", "create", "--name", "me", "--scope", "runs:read", "--database", &url];
    let key = sandbox.errand(words).run().ok().stdout().trim_end().to_owned();
    let up = ["up", "--listen", "127.0.0.1:0", "--database", &url];
    let server = ErrandServer::of(sandbox.errand(up).limit(LIMIT).spawn());
    drop(server.send(&HttpRequest::new("GET", "/v1/runs")).expect(401));
    drop(get(&server, "/v1/runs", &key).expect(200));
    let listed = sandbox.errand(["keys", "ls"]).env("ERRAND_DATABASE", &url).run().ok();
    assert!(listed.stdout().contains("runs:read"), "{}", listed.describe());
    let audit = sandbox.errand(["audit", "ls", "--database", &url]).run().ok().stdout();
    let made = audit.lines().find(|line| line.contains("key.created")).expect(&audit);
    assert!(!made.contains("  -  "), "somebody made it: {made}");
    // Files in the folder are not taken for the remains of a registry.
    drop(sandbox.errand(["ps"]).run().refuses(125, "registry_elsewhere"));
    drop(
        sandbox
            .errand(["--server", "local", "keys", "ls"])
            .run()
            .refuses(125, "registry_elsewhere"),
    );
    let other = ["--server", "http://127.0.0.1:9", "keys", "revoke", "me"];
    drop(sandbox.errand(other).run().refuses(2, "only_local"));
}
