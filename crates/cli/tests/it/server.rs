//! `errand up`: the server as a process.

use errand_testkit::ErrandServer;

use crate::support::sandbox;

#[test]
fn a_server_prints_its_address_serves_its_description_and_ends_on_sigterm() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let document = server.get("/openapi.json").expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"]["/tasks"], serde_json::Value::Null, "only a dispatcher has tasks");
    assert_eq!(server.get("/v1/runs").expect(200).json()["runs"], serde_json::json!([]));
    let running = server.into_process();
    running.terminate();
    drop(running.wait().ok());
}
