//! Agents of two namespaces on one server.

use errand_testkit::{ErrandServer, HttpRequest, Response, TestAgent};
use serde_json::{Value, json};

use crate::access::{ALL, key};
use crate::support::sandbox;

fn json_request(method: &str, target: &str, body: &Value) -> HttpRequest {
    let request = HttpRequest::new(method, target).body(body.to_string());
    request.header("Content-Type", "application/json")
}

fn with(server: &ErrandServer, request: HttpRequest, key: &str) -> Response {
    server.send(&request.header("Authorization", &format!("Bearer {key}")))
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
