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
