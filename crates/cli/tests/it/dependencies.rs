//! Tiers and services that agents need: looked up and checked before a run is admitted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use errand_testkit::{ErrandServer, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{all, finish, sandbox, start};

const TOKEN: &str = "irc-token-of-the-agents-8812";

/// An HTTP server that answers each request with one status.
struct HttpService {
    address: SocketAddr,
    status: Arc<AtomicU16>,
}

impl HttpService {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let answers = Arc::clone(&status);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: TcpStream = stream.unwrap();
                let mut request = [0_u8; 4096];
                drop(stream.read(&mut request));
                let status = answers.load(Ordering::SeqCst);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                drop(stream.write_all(head.as_bytes()));
            }
        });
        Self { address, status }
    }
}

/// Applies the tier `terminal` with the services of an agent platform: a chat server and a graph
/// database, as `scuttlebot-irc` and `navegador-redis`.
fn apply(sandbox: &Sandbox, chat: SocketAddr, graph: SocketAddr) {
    let check = "interval: 1ms, timeout: 5s";
    let manifests = format!(
        "apiVersion: errand.dev/v1\nkind: Service\nmetadata: {{ name: scuttlebot-irc }}\nspec:\n  \
         url: http://{chat}\n  health: {{ http: /health, {check} }}\n  env:\n    \
         SCUTTLEBOT_URL: http://{chat}\n    SCUTTLEBOT_TOKEN: {{ secret: IRC_TOKEN }}\n    \
         SCUTTLEBOT_CHANNEL: '#agents'\n  ports: [{{ container_port: 6667 }}]\n---\n\
         apiVersion: errand.dev/v1\nkind: Service\nmetadata: {{ name: navegador-redis }}\nspec:\n  \
         url: redis://{graph}\n  health: {{ tcp: '{graph}', {check} }}\n  env:\n    \
         NAVEGADOR_REDIS_URL: redis://{graph}\n---\n\
         apiVersion: errand.dev/v1\nkind: Tier\nmetadata: {{ name: terminal }}\nspec:\n  \
         services: [scuttlebot-irc]\n  resources: {{ memory: 64Mi }}\n  secrets: [GITHUB_TOKEN]\n"
    );
    sandbox.write("defs.yaml", manifests);
    drop(sandbox.errand(["apply", "-f", "defs.yaml"]).run().ok());
}

/// Returns an agent of the tier that also needs the graph database, and says what it sees.
fn agent() -> TestAgent {
    let script = "printf '[\"%s\",\"%s\",\"%s\",\"%s\"]' \"$SCUTTLEBOT_CHANNEL\" \
                  \"$NAVEGADOR_REDIS_URL\" \"${#SCUTTLEBOT_TOKEN}\" \"${IRC_TOKEN-unset}\" \
                  > \"$ERRAND_OUTPUT\"; echo \"$SCUTTLEBOT_TOKEN\"; test -n \"$GITHUB_TOKEN\"";
    TestAgent::shell(script)
        .named("terminal-agent")
        .spec("tier: terminal")
        .spec("dependencies: [{ service: navegador-redis, port: 6080 }]")
}

/// Returns a sandbox whose secret store has the secrets of the tier.
fn with_secrets() -> Sandbox {
    let sandbox = sandbox();
    drop(sandbox.errand(["secret", "init"]).run().ok());
    for (name, value) in [("IRC_TOKEN", TOKEN), ("GITHUB_TOKEN", "github-token-of-agents-1")] {
        let set = sandbox.errand(["secret", "set", name, "--value-stdin"]);
        drop(set.stdin(format!("{value}\n")).run().ok());
    }
    sandbox
}

#[test]
fn a_run_has_the_environment_of_its_services_and_is_refused_while_one_is_down() {
    let sandbox = with_secrets();
    let chat = HttpService::start();
    let graph = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = graph.local_addr().unwrap();
    apply(&sandbox, chat.address, at);
    let folder = sandbox.agent(&agent());
    let run_id = start(&sandbox, &folder, &[]);
    let done = finish(&sandbox, &run_id);
    assert_eq!(done["status"], "completed", "{done:#}");
    let expect = json!(["#agents", format!("redis://{at}"), TOKEN.len().to_string(), "unset"]);
    assert_eq!(done["output"], expect);
    let found = sandbox.tool("grep", ["-rlaF", TOKEN, ".errand"]).run();
    assert_eq!(found.stdout(), "", "no file of the registry holds the secret");

    let bom = sandbox.errand(["bom", &run_id]).run().ok().json();
    let services = bom["services"].as_array().unwrap();
    let names: Vec<&Value> = services.iter().map(|service| &service["bom-ref"]).collect();
    assert_eq!(names, ["service:navegador-redis", "service:scuttlebot-irc"]);
    assert_eq!(services[0]["version"], "1");
    assert!(bom.to_string().contains("errand:tier:digest"), "{bom:#}");
    let brief = sandbox.errand(["brief", &run_id, "--json"]).run().ok().json();
    assert_eq!(brief["brief"]["secrets"], json!(["GITHUB_TOKEN", "IRC_TOKEN"]));

    let refused = |complaint: &str| {
        for words in [&["run"][..], &["run", "-d"]] {
            let said = sandbox.errand(words).arg(&folder).run().exits(125).stderr();
            assert!(said.contains("error[dependency_unhealthy]"), "{said}");
            assert!(said.contains(complaint), "{said}");
        }
        assert_eq!(all(&sandbox).len(), 1, "no run was created");
    };
    chat.status.store(503, Ordering::SeqCst);
    refused(&format!("http://{}/health answers 503", chat.address));
    chat.status.store(200, Ordering::SeqCst);
    drop(graph);
    refused(&at.to_string());
    let graph = TcpListener::bind(at).unwrap();
    let done = finish(&sandbox, &start(&sandbox, &folder, &[]));
    assert_eq!(done["status"], "completed", "{done:#}");
    drop(graph);
}

#[test]
fn a_check_may_be_a_program_and_has_a_time_limit() {
    let sandbox = sandbox();
    let service = |name: &str, health: &str| {
        let text = format!(
            "apiVersion: errand.dev/v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec:\n  \
             url: tcp://nowhere:1\n  health: {{ {health} }}\n"
        );
        sandbox.write("service.yaml", text);
        drop(sandbox.errand(["apply", "-f", "service.yaml"]).run().ok());
    };
    service("good", "command: [sh, -c, 'exit 0']");
    service("bad", "command: [sh, -c, 'echo no disk >&2; exit 3']");
    service("slow", "command: [sleep, 60], timeout: 50ms");
    service("gone", "command: [no-such-program-here]");
    for (name, complaint) in [
        ("bad", "is unhealthy: sh exits with 3: no disk"),
        ("slow", "is unhealthy: no answer within 50 ms"),
        ("gone", "no-such-program-here cannot be executed"),
    ] {
        let agent = TestAgent::shell("true").spec(&format!("dependencies: [good, {name}]"));
        let said = sandbox.errand(["run"]).arg(sandbox.agent(&agent)).run().stderr();
        assert!(said.contains(complaint), "{said}");
    }
    let agent = TestAgent::shell("true").spec("dependencies: [good]");
    drop(sandbox.errand(["run"]).arg(sandbox.agent(&agent)).run().ok());
}

#[test]
fn a_missing_service_is_named_before_anything_is_created() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&agent());
    let said = sandbox.errand(["run", "-d"]).arg(&folder).run().exits(2).stderr();
    assert!(said.contains("the catalog has no tier \"terminal\""), "{said}");
    assert!(said.contains("the catalog has no service \"navegador-redis\""), "{said}");
    assert!(!sandbox.registry().exists(), "something was created");

    let server = ErrandServer::start(&sandbox, &[]);
    let refused = server.push(&folder);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert_eq!(refused.json()["code"], "dependency_missing");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    apply(&sandbox, at, at);
    drop(server.push(&folder).expect(201));
    let url = server.url();
    let said = sandbox.errand(["--server", &url, "delete", "service", "navegador-redis"]).run();
    assert!(said.stderr().contains("error[definition_in_use]"), "{}", said.describe());
    drop(listener);
    let refused = server.post("/v1/runs", &json!({ "agent": "terminal-agent" }));
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.json()["code"], "dependency_unhealthy");
}
