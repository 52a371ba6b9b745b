//! Agents over HTTP: pushed, listed, removed.

use std::fs;
use std::process::Command;

use errand_testkit::{ErrandServer, HttpRequest, TestAgent};
use serde_json::json;

use crate::support::TestGateway;

#[test]
fn a_version_is_registered_once_and_replaced_only_by_force() {
    let server = TestGateway::working();
    let folder = server.agent(&TestAgent::shell("echo 1").named("one"));
    let pushed = server.push(&folder).expect(201);
    assert_eq!(pushed.header("location"), Some("/v1/agents/one/versions/1.0.0"));
    let digest = pushed.json()["digest"].clone();
    assert_eq!(server.push(&folder).expect(200).json()["outcome"], "same");
    server.agent(&TestAgent::shell("echo 2").named("one"));
    let refused = server.push(&folder).expect(409).json();
    assert_eq!(refused["code"], "agent_conflict");
    assert_eq!(server.get("/v1/agents/one").expect(200).json()["digest"], digest);
    let forced =
        server.send(&ErrandServer::push_request(&folder, "?force=true")).expect(201).json();
    assert_eq!(forced["outcome"], "replaced");
    assert_ne!(forced["digest"], digest);
    let run = server.post("/v1/runs/wait", &json!({ "agent": "one@1.0.0" })).expect(200).json();
    assert_eq!(run["output"], 2);
}

#[test]
fn versions_are_listed_and_forgotten() {
    let server = TestGateway::new();
    let folder = server.agent(&TestAgent::shell("echo 1").named("one"));
    drop(server.push(&folder).expect(201));
    let yaml = fs::read_to_string(folder.join("agent.yaml")).unwrap();
    fs::write(folder.join("agent.yaml"), yaml.replace("1.0.0", "2.0.0")).unwrap();
    drop(server.push(&folder).expect(201));
    let agents = server.get("/v1/agents").expect(200).json();
    assert_eq!(agents["agents"].as_array().unwrap().len(), 1);
    assert_eq!(agents["agents"][0]["version"], "2.0.0");
    let versions = server.get("/v1/agents/one/versions").expect(200).json();
    let shown: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["version"].as_str().unwrap(), it["is_current"].as_bool().unwrap()))
        .collect();
    assert_eq!(shown, [("1.0.0", false), ("2.0.0", true)]);
    let page = server.get("/v1/agents/one/versions?limit=1").expect(200).json();
    assert_eq!(page["next_cursor"], "1.0.0");
    let rest = server.get("/v1/agents/one/versions?limit=1&cursor=1.0.0").expect(200).json();
    assert_eq!(rest["versions"][0]["version"], "2.0.0");
    let definition = &server.get("/v1/agents/one/versions/1.0.0").expect(200).json()["definition"];
    assert_eq!(definition["name"], "one");
    let delete = |target: &str| server.send(&HttpRequest::new("DELETE", target)).status;
    assert_eq!(delete("/v1/agents/one/versions/2.0.0"), 204);
    assert_eq!(server.get("/v1/agents/one").expect(200).json()["version"], "1.0.0");
    assert_eq!(delete("/v1/agents/one"), 204);
    assert_eq!(delete("/v1/agents/one"), 404);
    assert_eq!(server.get("/v1/agents").expect(200).json()["agents"], json!([]));
}

#[test]
fn a_bad_agent_is_refused_with_all_its_problems_and_their_places() {
    let server = TestGateway::new();
    let folder =
        server.agent(&TestAgent::shell("true").named("bad").spec("nonsense: 1").spec("tools: 5"));
    let problem = server.push(&folder).expect(422).json();
    assert_eq!(problem["code"], "agent_file_invalid");
    let places: Vec<_> = problem["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["line"].as_u64().unwrap(), it["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(6, 3), (7, 10)]);
    assert!(problem["detail"].as_str().unwrap().starts_with("agent.yaml"), "{problem}");
    let send = |body: &[u8]| {
        let request =
            HttpRequest::post("/v1/agents", body).header("Content-Type", "application/x-tar");
        server.send(&request)
    };
    assert_eq!(send(b"no archive at all").expect(400).json()["code"], "request_malformed");
    assert_eq!(send(&[0; 1024]).expect(422).json()["code"], "agent_file_missing");
    let json = HttpRequest::post("/v1/agents", "{}").header("Content-Type", "application/json");
    assert_eq!(server.send(&json).expect(415).json()["code"], "content_type_unsupported");
    assert_eq!(server.get("/v1/agents").expect(200).json()["agents"], json!([]));
}

#[test]
fn an_archive_entry_cannot_leave_its_folder() {
    let server = TestGateway::new();
    let folder = server.agent(&TestAgent::shell("true").named("sly"));
    fs::write(server.path("outside.txt"), "outside").unwrap();
    let pack = |arguments: &[&str]| {
        let packed = Command::new("tar").args(["-P", "-cf", "-"]).args(arguments).output().unwrap();
        assert!(packed.status.success(), "{packed:?}");
        let request = HttpRequest::post("/v1/agents", packed.stdout);
        server.send(&request.header("Content-Type", "application/x-tar"))
    };
    let inside = folder.to_str().unwrap();
    let up = pack(&["-C", inside, ".", "../outside.txt"]).expect(422).json();
    assert_eq!(up["code"], "parcel_invalid");
    std::os::unix::fs::symlink("/etc/hostname", folder.join("link")).unwrap();
    let link = pack(&["-C", inside, "."]).expect(422).json();
    assert_eq!(link["code"], "parcel_symlink_escapes");
    let parcels = server.registry().join("parcels");
    let left = fs::read_dir(parcels).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "nothing is left of what was refused");
}

#[test]
fn a_server_refuses_a_coordinator_pushed_without_its_agents() {
    let server = TestGateway::new();
    drop(server.agent(&TestAgent::shell("cat").named("good")));
    fs::create_dir(server.path("team")).unwrap();
    let yaml = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: team, version: 1.0.0 }\n\
                spec:\n  coordinator: { type: chain, agents: [../good] }\n";
    fs::write(server.path("team/agent.yaml"), yaml).unwrap();
    let problem = server.push(&server.path("team")).expect(422).json();
    assert_eq!(problem["code"], "agent_file_invalid");
    let said = problem["problems"][0]["message"].as_str().unwrap();
    assert!(said.ends_with("the agent ../good did not come with this one"), "{problem}");
}
