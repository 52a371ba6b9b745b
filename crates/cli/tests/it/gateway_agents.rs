//! Agents that a server loads from a folder.

use std::fs;

use errand_testkit::{ErrandServer, LIMIT, TestAgent, wait_until};
use serde_json::json;

use crate::support::sandbox;

#[test]
fn the_agents_of_a_folder_are_registered_at_start_and_when_they_change() {
    let sandbox = sandbox();
    let agents = sandbox.path("agents");
    TestAgent::shell("echo 1").named("one").write_below(&agents);
    fs::write(agents.join("README"), "no agent").unwrap();
    let server = ErrandServer::start(&sandbox, &["--agents", agents.to_str().unwrap()]);
    let output = |agent: &str| {
        let answer = server.post("/v1/runs/wait", &json!({ "agent": agent }));
        (answer.status == 200).then(|| answer.json()["output"].clone())
    };
    assert_eq!(output("one"), Some(json!(1)), "it is there when the server listens");
    TestAgent::shell("echo 2").named("two").write_below(&agents);
    wait_until("a new agent is found", LIMIT, || output("two") == Some(json!(2)));
    TestAgent::shell("echo 3").named("one").write_below(&agents);
    wait_until("a changed agent is found", LIMIT, || output("one") == Some(json!(3)));
}
