//! Services woken by requests, over the real network stack.

use std::thread;

use errand_testkit::{HttpRequest, LIMIT, Sandbox, TestAgent, wait_until};

use crate::support::{GATE, address, all, open_gate, record, sandbox, serve, wakes};

const SECRET: &str = "a-shared-secret-4711";

/// Serves an agent that fails or waits at the gate, as the request's body asks.
fn service(sandbox: &Sandbox) -> (String, String) {
    let script = format!("case \"$(cat)\" in *fail*) exit 3;; *hold*) {GATE};; esac");
    let agent = TestAgent::shell(&script.replace("\n;;", ";;")).spec("secrets: [HOOK_SECRET]").spec(
        "listen: { address: \"127.0.0.1:0\", path: /hook, methods: [POST], secret: HOOK_SECRET, \
         max_body_bytes: 1024, max_header_bytes: 2048 }",
    );
    let agent = sandbox.agent(&agent);
    let service = serve(sandbox, &agent, &[]);
    let address = address(sandbox, &service);
    (service, address)
}

fn with_secret() -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.set_env("HOOK_SECRET", SECRET);
    sandbox
}

fn post(body: &str) -> HttpRequest {
    HttpRequest::post("/hook", body).header("x-errand-secret", SECRET)
}

#[test]
fn requests_to_a_service_are_answered_by_the_outcome_of_their_wake() {
    let sandbox = with_secret();
    let (service, address) = service(&sandbox);
    let status = |request: HttpRequest| request.send(&address).status;
    assert_eq!(status(post("hello")), 202);
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(status(HttpRequest::post("/hook?a=1", "x").header("Authorization", &bearer)), 202);
    assert_eq!(status(HttpRequest::post("/hook", "hello")), 401);
    assert_eq!(status(HttpRequest::post("/hook", "x").header("x-errand-secret", "wrong")), 401);
    assert_eq!(status(HttpRequest::post("/other", "x").header("x-errand-secret", SECRET)), 404);
    let method = HttpRequest::new("GET", "/hook").header("x-errand-secret", SECRET).send(&address);
    assert_eq!(method.status, 405);
    assert!(method.headers.iter().any(|(name, value)| name == "allow" && value == "POST"));
    assert_eq!(status(post(&"x".repeat(1025))), 413);
    assert_eq!(status(post("x").header("x-long", &"y".repeat(4096))), 431);
    assert_eq!(HttpRequest::send_raw(&address, b"this is no HTTP\r\n\r\n").status, 400);
    assert_eq!(status(post("fail")), 500);

    let record = record(&sandbox, &service);
    let listener = &record["operation"]["listeners"][0];
    assert_eq!(listener["requests_handled"], 3, "refused requests wake nobody: {listener:#}");
    assert!(listener["last_request_at"].is_i64());
    assert_eq!(listener["bound_addr"], address.as_str());
    assert_eq!(listener["secret_sha256"].as_str().unwrap().len(), 64);
    let states: Vec<_> =
        wakes(&sandbox, &service).iter().map(|wake| wake["status"].clone()).collect();
    assert_eq!(states, ["completed", "completed", "failed"]);
    drop(sandbox.errand(["stop", &service]).run().ok());
    let found = sandbox.tool("grep", ["-rlaF", SECRET, ".errand"]).run();
    assert_eq!(found.stdout(), "", "only the hash of the shared secret is kept");
}

#[test]
fn a_request_arrives_as_it_was_sent_without_its_credentials() {
    let sandbox = with_secret();
    let (service, address) = service(&sandbox);
    let request = HttpRequest::post("/hook?tag=v1&token=hide-me", "it's \"quoted\"\n\u{1f980}")
        .header("x-errand-secret", SECRET)
        .header("X-GitHub-Event", "push")
        .header("Cookie", "session=hide-me");
    assert_eq!(request.send(&address).status, 202);
    let wake = wakes(&sandbox, &service).remove(0);
    assert_eq!(wake["trigger"]["type"], "webhook");
    let input = &wake["input"];
    assert_eq!(input["method"], "POST");
    assert_eq!(input["path"], "/hook");
    assert_eq!(input["body"], "it's \"quoted\"\n\u{1f980}");
    assert_eq!(input["headers"]["x-github-event"], "push");
    assert!(input["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(!wake.to_string().contains("hide-me"), "{wake:#}");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn too_many_requests_at_once_are_429_and_the_others_are_all_served() {
    let sandbox = with_secret();
    let (service, address) = service(&sandbox);
    let clients: Vec<_> = (0..80)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || post("hold").send(&address))
        })
        .collect();
    let turned_away = || clients.iter().filter(|client| client.is_finished()).count();
    wait_until("some are turned away", LIMIT, || turned_away() >= 5);
    open_gate(&sandbox);
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let (served, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 202);
    assert!(served.len() >= 64, "only {} were served", served.len());
    for answer in &others {
        assert_eq!(answer.status, 429);
        assert!(answer.headers.iter().any(|(name, _)| name == "retry-after"), "{answer:?}");
    }
    assert_eq!(wakes(&sandbox, &service).len(), served.len());
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn flags_win_over_the_file_and_methods_merge() {
    let sandbox = with_secret();
    let agent = TestAgent::shell("true").spec("secrets: [HOOK_SECRET]").spec(
        "listen: { address: \"127.0.0.1:0\", path: /hook, methods: [POST], secret: HOOK_SECRET }",
    );
    let agent = sandbox.agent(&agent);
    let more = [
        "--listen",
        "127.0.0.1:0",
        "--listen-path",
        "/other",
        "--listen-method",
        "put",
        "--listen-shared-secret",
        "another-secret",
    ];
    let service = serve(&sandbox, &agent, &more);
    let address = address(&sandbox, &service);
    let send = |method: &str, path: &str, secret: &str| {
        HttpRequest::new(method, path).header("x-errand-secret", secret).send(&address).status
    };
    assert_eq!(send("PUT", "/other", "another-secret"), 202);
    assert_eq!(send("POST", "/other", "another-secret"), 202);
    assert_eq!(send("POST", "/other", SECRET), 401);
    assert_eq!(send("POST", "/hook", "another-secret"), 404);
    assert_eq!(send("DELETE", "/other", "another-secret"), 405);
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn an_address_in_use_is_reported_and_leaves_no_service() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = ["--listen", &address];
    let refused = crate::support::command(&sandbox, &["serve", "-d"], &agent, &words).run();
    assert!(refused.stderr().contains("listen_address_in_use"), "{}", refused.describe());
    drop(refused.exits(125));
    assert!(all(&sandbox).iter().all(|run| run["status"] == "failed"));
    crate::support::nobody_left(&sandbox);
}

#[test]
fn a_restarted_service_listens_again() {
    let sandbox = with_secret();
    let (service, first) = service(&sandbox);
    drop(sandbox.errand(["restart", &service]).run().ok());
    crate::support::wait_for_record(&sandbox, &service, "attempt 2 runs", |it| {
        it["attempt"] == 2 && it["status"] == "running"
    });
    let second = address(&sandbox, &service);
    assert_eq!(post("x").send(&second).status, 202, "{first} {second}");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn a_request_that_cannot_be_stored_does_not_end_its_service() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("cat > /dev/null")
        .spec("listen: { address: \"127.0.0.1:0\", path: /hook, max_body_bytes: 100000 }");
    let service = serve(&sandbox, &sandbox.agent(&agent), &[]);
    let address = address(&sandbox, &service);
    // The body is too long for a journal, and the blob store is gone.
    let (blobs, aside) = (sandbox.path(".errand/blobs"), sandbox.path("blobs"));
    std::fs::rename(&blobs, &aside).unwrap();
    std::fs::write(&blobs, "in the way").unwrap();
    let lost = HttpRequest::post("/hook", "x".repeat(50_000)).send(&address);
    assert!(lost.status >= 500, "{}", lost.status);
    std::fs::remove_file(&blobs).unwrap();
    std::fs::rename(&aside, &blobs).unwrap();
    assert_eq!(HttpRequest::post("/hook", "hello").send(&address).status, 202);
    assert_eq!(record(&sandbox, &service)["status"], "running");
}

#[test]
fn listeners_of_the_file_and_of_flags_add_up() {
    let sandbox = with_secret();
    let agent = TestAgent::shell("true").spec("secrets: [HOOK_SECRET]").spec(
        "listen:\n    - { address: \"127.0.0.1:0\", path: /hook, secret: HOOK_SECRET }\n    \
         - { address: \"127.0.0.2:0\", path: /open, methods: [POST] }",
    );
    let agent = sandbox.agent(&agent);
    let more = ["--listen", "127.0.0.3:0", "--listen", "127.0.0.3:0", "--listen-path", "/flag"];
    let service = serve(&sandbox, &agent, &more);
    let record = record(&sandbox, &service);
    let listeners = record["operation"]["listeners"].as_array().unwrap();
    let paths: Vec<_> = listeners.iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/hook", "/open", "/flag"]);
    let send = |number: usize, path: &str, secret: &str| {
        let address = listeners[number]["bound_addr"].as_str().unwrap();
        HttpRequest::post(path, "x").header("x-errand-secret", secret).send(address).status
    };
    assert_eq!(send(0, "/hook", SECRET), 202);
    assert_eq!(send(0, "/hook", "wrong"), 401);
    assert_eq!(send(1, "/open", "any"), 202);
    assert_eq!(send(2, "/flag", "any"), 202);
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn an_added_listener_is_like_the_only_one_of_the_file() {
    let sandbox = with_secret();
    let agent = TestAgent::shell("true").spec("secrets: [HOOK_SECRET]").spec(
        "listen: { address: \"127.0.0.1:0\", path: /hook, methods: [POST], secret: HOOK_SECRET }",
    );
    let agent = sandbox.agent(&agent);
    let service = serve(&sandbox, &agent, &["--listen", "127.0.0.2:0"]);
    let record = record(&sandbox, &service);
    let listeners = record["operation"]["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 2, "{listeners:#?}");
    for listener in listeners {
        let address = listener["bound_addr"].as_str().unwrap();
        assert_eq!(HttpRequest::post("/hook", "x").send(address).status, 401);
        assert_eq!(post("x").send(address).status, 202);
    }
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn a_listener_that_responds_at_once_answers_before_the_wake_has_ended() {
    let sandbox = sandbox();
    let agent = TestAgent::shell(&format!("cat > /dev/null\n{GATE}"))
        .spec("listen: { address: \"127.0.0.1:0\", respond: at_once }");
    let service = serve(&sandbox, &sandbox.agent(&agent), &[]);
    let answer = HttpRequest::post("/", "x").send(&address(&sandbox, &service));
    assert_eq!(answer.status, 202);
    let wake = wakes(&sandbox, &service).pop().unwrap();
    let body = answer.json();
    assert_eq!((&body["run_id"], &body["status"]), (&wake["run_id"], &"accepted".into()));
    assert_eq!(wake["stopped_at_ms"], serde_json::Value::Null);
    open_gate(&sandbox);
    let wake = wake["run_id"].as_str().unwrap();
    assert_eq!(crate::support::finish(&sandbox, wake)["status"], "completed");
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn a_listener_without_a_secret_takes_no_requests_of_web_pages() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let more = ["--listen", "127.0.0.1:0", "--listen-host", "hooks.example.com"];
    let service = serve(&sandbox, &agent, &more);
    let address = address(&sandbox, &service);
    let raw = |headers: &str| {
        let request =
            format!("POST / HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n");
        HttpRequest::send_raw(&address, request.as_bytes()).status
    };
    assert_eq!(raw("Host: evil.example\r\n"), 403);
    assert_eq!(raw("Host: localhost\r\nOrigin: http://evil.example\r\n"), 403);
    assert_eq!(raw("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"), 403);
    assert_eq!(wakes(&sandbox, &service).len(), 0);
    assert_eq!(raw("Host: localhost\r\n"), 202);
    assert_eq!(raw("Host: hooks.example.com\r\n"), 202);
    drop(sandbox.errand(["stop", &service]).run().ok());
}

#[test]
fn an_address_in_use_is_reported_with_the_service_that_has_it() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let first = serve(&sandbox, &agent, &["--name", "first", "--listen", "127.0.0.1:0"]);
    let address = address(&sandbox, &first);
    for words in [["serve", "-d"].as_slice(), &["serve"]] {
        let refused =
            crate::support::command(&sandbox, words, &agent, &["--listen", &address]).run();
        let hint = format!("run {first} (first) listens there: `errand stop {first}` ends it");
        assert!(refused.stderr().contains(&hint), "{}", refused.describe());
    }
    drop(sandbox.errand(["stop", &first]).run().ok());
}
