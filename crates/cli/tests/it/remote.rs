//! Commands over a server: their output is the same as on the registry itself.

use errand_testkit::{ErrandServer, LIMIT, ProgramOutput, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::people::refused;
use crate::support::{all, event_types, record, sandbox, sleeper, wait_for_record};

/// Returns an agent that uses many features, and prints to both streams.
fn busy() -> TestAgent {
    let script = "echo begin; echo aside >&2\n\
                  errand agent step fetch -- sh -c 'echo letters'\n\
                  echo hello > \"$TMPDIR/out.txt\"\n\
                  errand agent artifact \"$TMPDIR/out.txt\" --name notes/out.txt > /dev/null\n\
                  errand agent emit model.called '{\"provider\": \"openai\", \"model\": \"gpt-4o\", \
                   \"input_tokens\": 10, \"output_tokens\": 2}'\n\
                  errand agent session append user 'hi' > /dev/null || true\n\
                  errand agent output '{\"done\": true}'\n\
                  echo end\n";
    TestAgent::shell(script).named("busy")
}

fn failing() -> TestAgent {
    TestAgent::shell("echo oops >&2; exit 4")
        .named("failing")
        .spec("retry_policy: { max_retries: 1, backoff: none }")
}

fn there(sandbox: &Sandbox, server: &ErrandServer, words: &[&str]) -> ProgramOutput {
    sandbox.errand(["--server", &server.url()]).args(words).run()
}

fn here(sandbox: &Sandbox, words: &[&str]) -> ProgramOutput {
    sandbox.errand(words).run()
}

/// Returns JSON without the member that only one side has: the name of the default namespace.
fn plain(text: &str) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("namespace");
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    serde_json::from_str::<Value>(text).map_or_else(
        |_| text.to_owned(),
        |mut value| {
            strip(&mut value);
            format!("{value:#}")
        },
    )
}

/// Returns the error line.
fn complaint(output: &ProgramOutput) -> Option<String> {
    output.stderr().lines().find(|line| line.starts_with("error[")).map(str::to_owned)
}

fn session_of(sandbox: &Sandbox, run_id: &str) -> String {
    record(sandbox, run_id)["session_id"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_read_command_shows_the_same_over_a_server() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&busy());
    let words = ["run", "--session", "chat", "--name", "one", "--label", "team=a"];
    drop(sandbox.errand(words).arg(&agent).args(["--job", "{\"a\": 1}"]).run().ok());
    let good = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    drop(sandbox.errand(["run"]).arg(sandbox.agent(&failing())).run().exits(4));
    let bad = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(session_of(&sandbox, &good), "chat");
    let server = ErrandServer::start(&sandbox, &[]);
    let lines = "ps|ps -a|ps -a --json|ps -aq|ps -a --filter status=failed -q|ps -a -n 1 -q\
        |ps -a --filter label=team=a --filter agent=busy -q|ps --filter nonsense=1\
        |inspect-run GOOD|inspect-run one|inspect-run GOOD -o yaml|inspect-run nothing\
        |wait GOOD BAD|wait --json GOOD|logs GOOD|logs GOOD --system|logs GOOD -n 1|logs -f GOOD\
        |logs GOOD --attempt 1|logs GOOD --attempt 7|logs BAD\
        |events GOOD|events GOOD --json|events GOOD --type step|events -f GOOD\
        |artifacts GOOD|artifacts GOOD --json|artifacts GOOD notes/out.txt|artifacts GOOD nothing\
        |trace GOOD|trace GOOD --json|trace --all BAD\
        |replay GOOD|replay GOOD --json|usage|usage --by run --json|usage --by label=team|usage --run GOOD\
        |usage --by day --since 2020-01-01\
        |sessions ls|sessions ls -q|sessions ls --json|sessions show chat|sessions show chat --json\
        |sessions show nothing|sessions rm nothing\
        |dlq ls|dlq ls --json|dlq ls -q --agent failing|dlq ls --code nothing|dlq show BAD\
        |dlq show BAD --json|dlq show GOOD|bom GOOD|bom ls busy|bom ls busy --json|bom busy@1\
        |bom busy@7|bom --diff GOOD BAD|verify GOOD|verify GOOD --json|verify --all\
        |approvals ls|approvals ls -a --json|approve GOOD|input GOOD 1|pause GOOD|resume GOOD\
        |retry GOOD|stop GOOD|container ls -a|container inspect GOOD";
    let mut different = Vec::new();
    for line in lines.split('|') {
        let line = line.replace("GOOD", &good).replace("BAD", &bad);
        let words: Vec<&str> = line.split_whitespace().collect();
        let ask = || (here(&sandbox, &words), there(&sandbox, &server, &words));
        let is_same = |(near, far): &(ProgramOutput, ProgramOutput)| {
            near.code == far.code
                && plain(&near.stdout()) == plain(&far.stdout())
                && complaint(near) == complaint(far)
        };
        // Ages are shown in seconds: a second may pass between two commands, but not each time.
        let mut answers = ask();
        for _ in 0..20 {
            if is_same(&answers) {
                break;
            }
            answers = ask();
        }
        if !is_same(&answers) {
            different.push(format!("{}\n{}", answers.0.describe(), answers.1.describe()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n=====\n"));
}

#[test]
fn a_folder_is_pushed_and_run_and_its_output_and_exit_code_come_back() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let url = server.url();
    let agent = sandbox.agent(&TestAgent::shell("cat; echo to stderr >&2; exit 3").named("echo"));
    let run = |words: &[&str]| sandbox.errand(["--server", &url, "run"]).args(words).run();
    let path = agent.display().to_string();
    let output = run(&[&path, "--job", "hello"]).exits(3);
    assert_eq!(output.stdout().trim_end(), "hello");
    assert!(output.stderr().contains("to stderr"), "{}", output.stderr());
    assert!(output.stderr().contains("error[exit_nonzero]"), "{}", output.stderr());
    // By its name, now that it is registered; detached, and as JSON.
    let words = ["echo", "--job", "{\"a\": 1}", "-d", "--name", "n", "--label", "k=v", "--json"];
    let record = run(&words).ok().json();
    let run_id = record["run_id"].as_str().unwrap();
    let waited = there(&sandbox, &server, &["wait", run_id]).exits(3);
    assert_eq!(waited.stdout_line(), "3");
    let over = there(&sandbox, &server, &["inspect-run", "n"]).ok().json();
    assert_eq!((&over["labels"]["k"], &over["input"]), (&json!("v"), &json!({ "a": 1 })));
    // The same key again gives the same run.
    let first = run(&["echo", "-d", "--idempotency-key", "k1"]).ok().stdout_line();
    assert_eq!(run(&["echo", "-d", "--idempotency-key", "k1"]).ok().stdout_line(), first);
    drop(run(&["nothing", "-d"]).refuses(125, "error[agent_not_found]"));
    // Another content under the same version does not replace the first one silently.
    std::fs::write(agent.join("more.txt"), "more").unwrap();
    drop(run(&[&path, "-d"]).refuses(125, "error[agent_conflict]"));
    drop(there(&sandbox, &server, &["push", &path, "--force"]).ok());
    drop(run(&[&path]).exits(3));
    let listed = there(&sandbox, &server, &["agents", "ls"]).ok().stdout();
    assert!(listed.contains("echo"), "{listed}");
    let shown = there(&sandbox, &server, &["agents", "show", "echo"]).ok().json();
    assert_eq!(shown["version"], "1.0.0");
    drop(there(&sandbox, &server, &["agents", "rm", "echo"]).ok());
    drop(there(&sandbox, &server, &["agents", "show", "echo"]).refuses(125, "agent_not_found"));
}

#[test]
fn every_action_on_a_run_works_over_a_server() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let url = server.url();
    let path = sandbox.agent(&sleeper()).display().to_string();
    let far = |words: &[&str]| there(&sandbox, &server, words);
    let started = sandbox.errand(["--server", &url, "run", "-d", &path]).run().ok().stdout_line();
    wait_until("it is ready", LIMIT, || far(&["logs", &started]).stdout().contains("ready"));
    let follower = sandbox.errand(["--server", &url, "events", "-f", &started]).spawn();
    assert_eq!(far(&["pause", &started]).ok().stdout_line(), started);
    assert_eq!(record(&sandbox, &started)["status"], "paused");
    assert_eq!(far(&["resume", &started]).ok().stdout_line(), started);
    assert_eq!(far(&["restart", &started]).ok().stdout_line(), started);
    wait_for_record(&sandbox, &started, "it has another attempt", |it| it["attempt"] == 2);
    drop(far(&["rm", &started]).refuses(125, "error[run_live]"));
    assert_eq!(far(&["stop", &started]).ok().stdout_line(), started);
    assert_eq!(record(&sandbox, &started)["status"], "cancelled");
    let followed = follower.wait().ok().stdout();
    assert!(followed.contains("run.paused") && followed.contains("run.cancelled"), "{followed}");
    let again = far(&["retry", "-d", &started]).ok().stdout_line();
    assert_eq!(record(&sandbox, &again)["origin_run_id"], started.as_str());
    drop(far(&["stop", "--force", &again]).ok());
    let file = sandbox.path("run.tar");
    drop(far(&["export", &started, "-o", &file.display().to_string()]).ok());
    drop(here(&sandbox, &["verify", &file.display().to_string()]).ok());
    assert_eq!(far(&["rm", &started]).ok().stdout_line(), started);
    drop(far(&["inspect-run", &started]).refuses(125, "error[run_not_found]"));
    let pruned = far(&["prune", "--dry-run"]).ok();
    assert_eq!(pruned.stdout_line(), again);
    assert!(pruned.stderr().contains("1 runs would be removed"), "{}", pruned.stderr());
    drop(far(&["prune"]).ok());
    assert_eq!(all(&sandbox), Vec::<Value>::new());
}

#[test]
fn people_answer_over_a_server() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let url = server.url();
    let script = "errand agent approve --action deploy --target production > d.json || echo no\n\
                  errand agent input --prompt 'Which page?'\n";
    let path = sandbox.agent(&TestAgent::shell(script).named("asker")).display().to_string();
    let run_id = sandbox.errand(["--server", &url, "run", "-d", &path]).run().ok().stdout_line();
    let far = |words: &[&str]| there(&sandbox, &server, words);
    let asks = |what: &str| {
        wait_until("it asks", LIMIT, || {
            let listed = far(&["approvals", "ls", "--json"]).ok().json();
            listed[what].as_array().is_some_and(|open| !open.is_empty())
        });
    };
    asks("approvals");
    let wrong = format!("sha256:{}", "0".repeat(64));
    drop(refused(&far(&["approve", &run_id, "--digest", &wrong]), "digest_mismatch"));
    let decided = far(&["approve", &run_id, "--by", "ada", "--comment", "go", "--json"]).ok();
    assert_eq!(decided.json()["decision"], "approve");
    drop(refused(&far(&["reject", &run_id]), "question_decided"));
    asks("inputs");
    drop(far(&["input", &run_id, "7"]).ok());
    assert_eq!(far(&["wait", &run_id]).ok().stdout_line(), "0");
    let over = record(&sandbox, &run_id);
    assert_eq!(over["approvals"][0]["decided_by"], "ada");
    assert_eq!(over["inputs"][0]["answer"], 7);
    assert!(event_types(&sandbox, &run_id).contains(&"approval.decided".to_owned()));
}

#[test]
fn dead_letters_and_sessions_are_settled_over_a_server() {
    let sandbox = sandbox();
    drop(
        sandbox.errand(["run", "--session", "chat"]).arg(sandbox.agent(&failing())).run().exits(4),
    );
    let dead = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let server = ErrandServer::start(&sandbox, &[]);
    let far = |words: &[&str]| there(&sandbox, &server, words);
    let redriven = far(&["dlq", "redrive", &dead, "--from-start", "--json"]).ok().json();
    let again = redriven[0]["redriven_as"].as_str().unwrap().to_owned();
    drop(far(&["wait", &again]).exits(4));
    drop(refused(&far(&["dlq", "redrive", &dead]), "dead_letter_settled"));
    assert_eq!(far(&["dlq", "discard", "--all"]).ok().stdout_line(), again);
    assert_eq!(far(&["dlq", "ls", "-q"]).ok().stdout(), "");
    let state = json!({ "state": { "a": 1 }, "revision": 0 }).to_string();
    let put = |body: &str| {
        let request = errand_testkit::HttpRequest::put("/v1/sessions/other/state", body);
        server.send(&request.header("Content-Type", "application/json"))
    };
    assert_eq!(put(&state).expect(200).json()["revision"], 1);
    assert_eq!(put(&state).expect(409).json()["code"], "session_conflict");
    assert_eq!(server.get("/v1/sessions/other/state").expect(200).header("etag"), Some("\"1\""));
    assert_eq!(far(&["sessions", "rm", "chat"]).ok().stdout_line(), "chat");
    assert_eq!(far(&["sessions", "prune", "--all"]).ok().stdout_line(), "other");
    assert_eq!(here(&sandbox, &["sessions", "ls", "-q"]).ok().stdout(), "");
}

#[test]
fn artifacts_and_logs_support_range_requests_and_etags() {
    let sandbox = sandbox();
    drop(sandbox.errand(["run"]).arg(sandbox.agent(&busy())).run().ok());
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let server = ErrandServer::start(&sandbox, &[]);
    let target = format!("/v1/runs/{run_id}/artifacts/notes%2Fout.txt");
    let whole = server.get(&target).expect(200);
    assert_eq!(whole.body, "hello\n");
    assert_eq!(whole.header("content-type"), Some("text/plain"));
    let disposition = whole.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"out.txt\""), "{disposition}");
    let tag = whole.header("etag").unwrap().to_owned();
    let ask = |method: &str, name: &str, value: &str| {
        server.send(&errand_testkit::HttpRequest::new(method, &target).header(name, value))
    };
    let part = ask("GET", "Range", "bytes=1-3").expect(206);
    assert_eq!((part.body.as_str(), part.header("content-range")), ("ell", Some("bytes 1-3/6")));
    assert_eq!(ask("GET", "Range", "bytes=6-").expect(416).json()["code"], "range_unsatisfiable");
    drop(ask("GET", "If-None-Match", &tag).expect(304));
    let head = ask("HEAD", "Accept", "*/*").expect(200);
    assert_eq!((head.body.as_str(), head.header("content-length")), ("", Some("6")));
    let log = server.get(&format!("/v1/runs/{run_id}/log")).expect(200);
    assert!(log.body.contains(" stdout F begin\n"), "{}", log.body);
    drop(server.get("/v1/runs/01234567890123456789/log").expect(404));
}

#[test]
fn unreachable_servers_and_malformed_urls_are_reported() {
    let sandbox = sandbox();
    let ps = |server: &str| sandbox.errand(["--server", server, "ps"]).run();
    // A port that was free a moment ago may be used by another test now.
    drop(ps("http://127.0.0.1:1").refuses(125, "error[server_unreachable]"));
    for wrong in ["127.0.0.1:80", "ftp://a", "http://u:p@a", "http://"] {
        assert_eq!(ps(wrong).code, Some(2), "{wrong}");
    }
    let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", service.local_addr().unwrap());
    let answers = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = service.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let body = "<h1>Welcome</h1>";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
    });
    drop(ps(&url).refuses(125, "error[not_a_server]"));
    answers.join().unwrap();
}

#[test]
fn a_server_with_keys_refuses_requests_without_one_and_contexts_provide_it() {
    let sandbox = sandbox();
    let key = crate::access::key(&sandbox, "me", crate::access::ALL, &[]);
    let server = ErrandServer::start(&sandbox, &[]);
    let url = server.url();
    drop(there(&sandbox, &server, &["ps"]).refuses(125, "error[key_missing]"));
    let bad = sandbox.errand(["--server", &url, "ps"]).env("ERRAND_API_KEY", "errand_no").run();
    drop(bad.refuses(125, "error[key_invalid]"));
    drop(sandbox.errand(["ps"]).env("ERRAND_SERVER", &url).env("ERRAND_API_KEY", &key).run().ok());

    let file = sandbox.write("key", format!("{key}\n"));
    let context = |words: &[&str]| sandbox.errand(["context"]).args(words).run();
    drop(context(&["use", "prod"]).refuses(2, "error[context_not_found]"));
    drop(sandbox.errand(["--server", "prod", "ps"]).run().refuses(2, "error[context_not_found]"));
    let add = ["add", "prod", "--server", &url, "--key-file", &file.display().to_string()];
    drop(context(&add).ok());
    // The context is known but not in use.
    drop(sandbox.errand(["agents", "ls"]).run().refuses(2, "this needs a server"));
    drop(sandbox.errand(["--server", "prod", "agents", "ls"]).run().ok());
    drop(context(&["use", "prod"]).ok());
    let used = sandbox.errand(["agents", "ls"]).run().ok();
    assert!(used.stderr().contains(&format!("context prod: {url}")), "{}", used.stderr());
    assert_eq!(context(&["ls", "--json"]).ok().json()["used"], "prod");
    for local in [["registry", "check"], ["secret", "ls"]] {
        drop(sandbox.errand(local).run().refuses(2, "error[only_local]"));
    }
    drop(sandbox.errand(["--server", "local", "registry", "check"]).run().ok());
    drop(sandbox.errand(["--root", ".errand", "registry", "check"]).run().ok());
    drop(context(&["rm", "prod"]).ok());
    drop(sandbox.errand(["registry", "check"]).run().ok());
    let shown = std::fs::read_to_string(sandbox.config().join("errand/contexts.json")).unwrap();
    assert!(!shown.contains(&key), "{shown}");
}

#[test]
fn an_interrupt_ends_the_run_on_the_server_and_the_command_with_130() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let path = sandbox.agent(&sleeper()).display().to_string();
    let running = sandbox.errand(["--server", &server.url(), "run", &path]).spawn();
    running.wait_for_stdout("ready");
    running.interrupt();
    drop(running.wait().exits(130));
    assert_eq!(all(&sandbox)[0]["status"], "cancelled");
}

#[test]
fn a_second_interrupt_over_a_server_kills_at_once() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let script = "trap 'echo asked' TERM\necho ready\nwhile :; do sleep 0.01 || true; done\n";
    let path = sandbox.agent(&TestAgent::shell(script)).display().to_string();
    let running = sandbox.errand(["--server", &server.url(), "run", &path]).spawn();
    running.wait_for_stdout("ready");
    running.interrupt();
    running.wait_for_stderr("once more, and it is killed at once");
    running.wait_for_stdout("asked");
    running.interrupt();
    drop(running.wait().exits(130));
    let record = all(&sandbox).remove(0);
    assert_eq!((&record["status"], &record["signal"]), (&json!("cancelled"), &json!(9)));
}
