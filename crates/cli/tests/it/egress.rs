//! Agents in a sandbox whose network is errand's: they reach what rules of `egress` name.

use errand_testkit::{Reaction, Receiver, TestAgent, can_sandbox};
use serde_json::{Value, json};

use crate::support::{events, ran, sandbox};

/// Sends what each argument says through the proxy, or past it, and prints what comes of it.
const CLIENT: &str = r#"
import base64, os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
basic = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
token = f"Proxy-Authorization: Basic {basic}\r\n"

def talk(text):
    with socket.create_connection((proxy.hostname, proxy.port)) as stream:
        stream.sendall(text.encode())
        stream.settimeout(60)
        said = b""
        while piece := stream.recv(65536):
            said += piece
        return said.decode()

def connect(target, head=token):
    with socket.create_connection((proxy.hostname, proxy.port)) as stream:
        stream.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        stream.settimeout(60)
        said = stream.recv(65536).decode()
        if " 200 " in said.splitlines()[0]:
            stream.sendall(b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while piece := stream.recv(65536):
                said += piece.decode()
        else:
            while " 400 " not in said and not said.endswith("\n") and (piece := stream.recv(65536)):
                said += piece.decode()
        return said

for given in sys.argv[1:]:
    kind, _, target = given.partition(" ")
    try:
        if kind == "connect":
            said = connect(target)
        elif kind == "stranger":
            said = connect(target, "")
        elif kind == "get":
            said = talk(f"GET {target} HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n{token}\r\n")
        elif kind == "inject":
            said = connect(target.replace("|", "\r\n"))
        elif kind == "raw":
            host, port = target.rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=20)
            said = "reached"
        elif kind == "udp":
            host, port = target.rsplit(":", 1)
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (host, int(port)))
            said = "sent"
        elif kind == "env":
            said = os.environ[target]
        lines = said.split("\r\n\r\n") + [""]
        print(given, "->", said.splitlines()[0], "|", lines[-2 if lines[-1] == "" else -1].strip())
    except OSError as error:
        print(given, "->", "error", type(error).__name__)
"#;

fn agent(egress: &str, given: &[String]) -> TestAgent {
    let words = ["python3", "-S", "client.py"];
    let command: Vec<&str> = words.into_iter().chain(given.iter().map(String::as_str)).collect();
    TestAgent::command(&json!(command).to_string())
        .file("client.py", CLIENT)
        .spec("target: { type: process, sandbox: { filesystem: workspace, network: gateway } }")
        .spec(&format!("policy: {{ egress: {egress} }}"))
}

fn ok(body: &str) -> Reaction {
    Reaction::Answer(200, Vec::new(), body.to_owned())
}

#[test]
fn an_agent_reaches_what_a_rule_names_and_nothing_else() {
    if !can_sandbox() {
        return;
    }
    let sandbox = sandbox();
    let (named, hidden) = (Receiver::start(), Receiver::start());
    named.react([ok("from the tunnel"), ok("from the request")]);
    let (open, closed) = (named.port(), hidden.port());
    let given: Vec<String> = [
        format!("connect 127.0.0.1:{open}"),
        format!("get http://127.0.0.1:{open}/plain"),
        format!("connect localhost:{closed}"),
        format!("connect 127.0.0.1:{closed}"),
        "connect 169.254.169.254:80".to_owned(),
        format!("connect 2130706433:{open}"),
        format!("stranger 127.0.0.1:{open}"),
        format!("inject 127.0.0.1:{open}|X: y"),
        "get https://127.0.0.1/".to_owned(),
        format!("raw 127.0.0.1:{open}"),
        "raw 1.1.1.1:443".to_owned(),
        "udp 8.8.8.8:53".to_owned(),
        "env NO_PROXY".to_owned(),
        // No service listens there.
        "connect 127.0.0.1:1".to_owned(),
    ]
    .into();
    let rules = format!(
        "{{ allow: ['127.0.0.1:{open}', 'localhost:{closed}', '169.254.*', '127.0.0.1:1'] }}"
    );
    let (printed, record) = ran(&sandbox, &agent(&rules, &given), &[]);
    let told = |given: &str| {
        let line = printed.lines().find(|line| line.starts_with(given)).unwrap_or("");
        line.split_once("-> ").map_or("", |(_, told)| told).to_owned()
    };
    assert!(told(&given[0]).ends_with("from the tunnel"), "{printed}");
    assert!(told(&given[1]).ends_with("from the request"), "{printed}");
    for (given, status, reason) in [
        (&given[2], "403", "not a public one"),
        (&given[3], "403", "no rule of egress allows"),
        (&given[4], "403", "not a public one"),
        (&given[5], "403", "no rule of egress allows"),
        (&given[6], "407", "token"),
        (&given[7], "400", ""),
        (&given[8], "400", "CONNECT"),
    ] {
        let told = told(given);
        assert!(told.contains(status) && told.contains(reason), "{given}: {printed}");
    }
    for given in &given[9..12] {
        assert!(told(given).starts_with("error"), "{given}: {printed}");
    }
    assert!(told(&given[12]).contains("127.0.0.1"), "{printed}");
    assert!(told(&given[13]).contains("502"), "{printed}");
    assert!(hidden.received().is_empty(), "nothing reached the other service");

    let run_id = record["run_id"].as_str().unwrap();
    let closed = events(&sandbox, run_id, "egress.closed");
    let verdicts: Vec<&str> = closed.iter().map(|it| it["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["allow", "allow", "deny", "deny", "deny", "deny", "allow"], "{closed:?}");
    assert_eq!((&closed[0]["kind"], &closed[1]["kind"]), (&json!("tunnel"), &json!("request")));
    assert!(closed[0]["received_bytes"].as_u64().unwrap() > 10, "{closed:?}");
    assert_eq!(closed[0]["address"], "127.0.0.1");
    assert!(closed[6]["reason"].as_str().unwrap().contains("does not answer"), "{closed:?}");
    let decided = events(&sandbox, run_id, "policy.decided");
    let hooks: Vec<&Value> = decided.iter().filter(|it| it["hook"] == "on_egress").collect();
    assert_eq!(hooks.len(), 7, "{decided:?}");
    assert_eq!(record["counters"]["policy_decisions"], decided.len());
}

#[test]
fn a_command_reaches_the_hosts_that_its_sandbox_names() {
    if !can_sandbox() {
        return;
    }
    let sandbox = sandbox();
    let service = Receiver::start();
    service.react([ok("reached")]);
    sandbox.write("client.py", CLIENT);
    let address = format!("127.0.0.1:{}", service.port());
    let given = format!("workspace,egress={address}");
    let request = format!("connect {address}");
    let ran = sandbox
        .errand(["run", "--sandbox", &given, "--", "python3", "-S", "client.py", &request])
        .args(["connect example.com:443"])
        .run()
        .ok()
        .stdout();
    assert!(ran.contains("| reached"), "{ran}");
    assert!(ran.contains("403"), "{ran}");
}

#[test]
fn rules_about_hosts_without_such_a_sandbox_are_refused() {
    let sandbox = sandbox();
    let validated = |spec: &str| {
        let agent = sandbox.agent(&TestAgent::shell("true").spec(spec));
        sandbox.errand(["validate"]).arg(agent).run().stderr()
    };
    let told = validated("policy: { egress: { allow: [example.com] } }");
    assert!(told.contains("need a sandbox whose network is errand's"), "{told}");
    let told = validated("policy: { egress: { allow: ['https://example.com'] } }");
    assert!(told.contains("is no pattern of hosts"), "{told}");
}
