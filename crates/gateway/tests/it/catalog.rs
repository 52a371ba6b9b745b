//! The catalog over HTTP.

use errand_api::access::KeyScope;
use errand_testkit::HttpRequest;
use serde_json::{Value, json};

use crate::support::{TestGateway, json_request, with_key};

fn config(name: &str, content: &str) -> Value {
    json!({
        "apiVersion": "errand.dev/v1", "kind": "Config", "metadata": { "name": name },
        "spec": { "content": content, "content_type": "text/plain" },
    })
}

#[test]
fn a_definition_has_versions_and_belongs_to_a_namespace() {
    let server = TestGateway::new();
    let of_a = server.key("a", &[KeyScope::Catalog], Some("team-a"));
    let of_b = server.key("b", &[KeyScope::Catalog], Some("team-b"));
    let send = |method: &str, target: &str, body: &Value, key: &str| {
        server.send(&with_key(json_request(method, target, body), key))
    };
    let get =
        |target: &str, key: &str| server.send(&with_key(HttpRequest::new("GET", target), key));
    let path = "/v1/catalog/config/style";
    let made = send("PUT", path, &config("style", "a"), &of_a).expect(201).json();
    assert_eq!((&made["outcome"], &made["version"]), (&json!("created"), &json!(1)));
    let same = send("PUT", path, &config("style", "a"), &of_a).expect(200).json();
    assert_eq!((&same["outcome"], &same["version"]), (&json!("unchanged"), &json!(1)));
    let other = send("PUT", path, &config("style", "b"), &of_a).expect(200).json();
    assert_eq!((&other["outcome"], &other["version"]), (&json!("changed"), &json!(2)));
    let first = get(&format!("{path}?version=1"), &of_a).expect(200).json();
    assert_eq!(first["manifest"], config("style", "a"));
    assert_eq!(first["digest"], made["digest"]);
    let current = get(path, &of_a).expect(200).json();
    assert_eq!(current["manifest"]["spec"]["content"], "b");
    let list = get("/v1/catalog/config", &of_a).expect(200).json();
    assert_eq!(list["definitions"][0]["name"], "style");

    assert_eq!(get(path, &of_b).expect(404).json()["code"], "definition_not_found");
    assert_eq!(get("/v1/catalog/config", &of_b).expect(200).json()["definitions"], json!([]));
    let missing = get(&format!("{path}?version=9"), &of_a).expect(404).json();
    assert_eq!(missing["code"], "definition_not_found");
    let delete = |key: &str| server.send(&with_key(HttpRequest::new("DELETE", path), key));
    drop(delete(&of_b).expect(404));
    drop(delete(&of_a).expect(204));
    drop(get(path, &of_a).expect(404));
    // The numbers of versions go on.
    let again = send("PUT", path, &config("style", "a"), &of_a).expect(201).json();
    assert_eq!(again["version"], 3);
    drop(get(&format!("{path}?version=1"), &of_a).expect(404));
}

#[test]
fn only_an_operator_applies_a_check_that_the_server_executes() {
    let server = TestGateway::new();
    let of_a = server.key("a", &[KeyScope::Catalog], Some("team-a"));
    let elsewhere = server.key("b", &[KeyScope::Catalog, KeyScope::Admin], Some("team-a"));
    let operator = server.key("c", &[KeyScope::Catalog, KeyScope::Admin], None);
    let service = json!({ "apiVersion": "errand.dev/v1", "kind": "Service",
        "metadata": { "name": "db" },
        "spec": { "url": "tcp://db:1", "health": { "command": ["true"] } } });
    let batch = json!({ "manifests": [service] });
    for key in [&of_a, &elsewhere] {
        let put = json_request("PUT", "/v1/catalog/service/db", &service);
        let refused = server.send(&with_key(put, key)).expect(403).json();
        assert_eq!(refused["code"], "scope_missing");
        let post = json_request("POST", "/v1/catalog", &batch);
        drop(server.send(&with_key(post, key)).expect(403));
    }
    let put = json_request("PUT", "/v1/catalog/service/db", &service);
    drop(server.send(&with_key(put, &operator)).expect(201));
}

#[test]
fn a_manifest_with_problems_changes_nothing() {
    let server = TestGateway::new();
    let put = |target: &str, body: &str| {
        let request = HttpRequest::put(target, body).header("Content-Type", "application/json");
        server.send(&request)
    };
    let body = "{\n  \"apiVersion\": \"errand.dev/v1\", \"kind\": \"Config\",\n  \"metadata\": {\"name\": \"x\"},\n  \"spec\": {\"contents\": \"a\"}\n}";
    let refused = put("/v1/catalog/config/x", body).expect(422).json();
    assert_eq!(refused["code"], "manifest_invalid");
    let places: Vec<_> = refused["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["line"].as_u64().unwrap(), it["message"].as_str().unwrap()))
        .collect();
    let expected =
        [(4, "spec: \"content\" is missing"), (4, "spec.contents: unknown field \"contents\"")];
    assert_eq!(places, expected);
    let good = config("x", "a").to_string();
    let refused = put("/v1/catalog/config/y", &good).expect(422).json();
    assert_eq!(refused["code"], "manifest_invalid", "{refused}");
    let refused = put("/v1/catalog/configs/x", &good).expect(400).json();
    assert_eq!(refused["code"], "parameter_invalid", "{refused}");
    let tier = json!({
        "apiVersion": "errand.dev/v1", "kind": "Tier", "metadata": { "name": "t" },
        "spec": { "services": ["redis"] },
    });
    let refused = put("/v1/catalog/tier/t", &tier.to_string()).expect(422).json();
    assert!(refused["detail"].as_str().unwrap().contains("\"redis\""), "{refused}");
    // One of two is wrong: none is stored.
    let batch = json!({ "manifests": [config("x", "a"), tier] });
    drop(server.post("/v1/catalog", &batch).expect(422));
    assert_eq!(server.get("/v1/catalog/config").expect(200).json()["definitions"], json!([]));
}

#[test]
fn a_definition_that_others_use_is_not_deleted() {
    let server = TestGateway::new();
    let service = json!({
        "apiVersion": "errand.dev/v1", "kind": "Service", "metadata": { "name": "redis" },
        "spec": { "url": "redis://redis:6379" },
    });
    let tier = json!({
        "apiVersion": "errand.dev/v1", "kind": "Tier", "metadata": { "name": "t" },
        "spec": { "services": ["redis"] },
    });
    let applied = server.post("/v1/catalog", &json!({ "manifests": [tier, service] }));
    assert_eq!(applied.expect(200).json()["changes"].as_array().unwrap().len(), 2);
    let delete = |target: &str| server.send(&HttpRequest::new("DELETE", target));
    let refused = delete("/v1/catalog/service/redis").expect(409).json();
    assert_eq!(refused["code"], "definition_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("tier/t"), "{refused}");
    drop(delete("/v1/catalog/service/redis?force=true").expect(204));
    drop(delete("/v1/catalog/tier/t").expect(204));
}
