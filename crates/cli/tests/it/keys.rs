//! API keys and the audit log, through the command line.

use errand_testkit::Sandbox;
use serde_json::Value;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_errand"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn make(sandbox: &Sandbox, more: &[&str]) -> Value {
    let words = ["keys", "create", "--json"].iter().chain(more);
    json(&sandbox.errand(words).run().ok().stdout())
}

#[test]
fn keys_are_listed_revoked_and_audited() {
    let mut sandbox = sandbox();
    sandbox.set_env("USER", "ada");
    make(&sandbox, &["--name", "ci", "--scope", "runs:read", "--namespace", "team-a"]);
    make(&sandbox, &["--name", "boss", "--scope", "admin", "--expires", "90d"]);
    let listed = json(&sandbox.errand(["keys", "ls", "--json"]).run().ok().stdout());
    let name = |key: &Value| (key["name"].clone(), key["namespace"].clone());
    let names: Vec<_> = listed["keys"].as_array().expect("a list").iter().map(name).collect();
    assert_eq!(names, [("ci".into(), "team-a".into()), ("boss".into(), "default".into())]);
    assert_eq!(listed["keys"][0]["expires_at_ms"], Value::Null);
    let table = sandbox.errand(["keys", "ls"]).run().ok().stdout();
    assert!(table.contains("in 89 days") || table.contains("in 90 days"), "{table}");

    let public = listed["keys"][1]["public"].as_str().expect("a public part").to_owned();
    assert_eq!(sandbox.errand(["keys", "revoke", "boss"]).run().ok().stdout().trim(), public);
    let again = sandbox.errand(["keys", "revoke", &public]).run().exits(125);
    assert!(again.stderr().contains("error[key_not_found]"), "{}", again.stderr());

    let audited = json(&sandbox.errand(["audit", "ls", "--json"]).run().ok().stdout());
    let what = |entry: &Value| entry["action"].as_str().unwrap_or_default().to_owned();
    let actions: Vec<_> = audited["entries"].as_array().expect("a list").iter().map(what).collect();
    assert_eq!(actions, ["key.revoked", "key.created"], "the newest first, of one namespace");
    assert_eq!(audited["entries"][0]["by"]["name"], "ada");
    assert_eq!(audited["entries"][0]["object"], public.as_str());
    let other = sandbox.errand(["audit", "ls", "--json", "--namespace", "team-a"]).run().ok();
    assert_eq!(json(&other.stdout())["entries"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_invalid_key_is_refused_and_not_created() {
    let sandbox = sandbox();
    make(&sandbox, &["--name", "ci", "--scope", "runs:read"]);
    let refused = |words: &[&str], code: u8, said: &str| {
        let words = ["keys", "create"].iter().chain(words);
        let output = sandbox.errand(words).run().exits(code.into());
        assert!(output.stderr().contains(said), "{}", output.stderr());
    };
    refused(&["--name", "x", "--scope", "runs:delete"], 2, "is no scope: runs:read");
    refused(&["--name", "x"], 2, "--scope");
    refused(&["--name", "", "--scope", "admin"], 2, "error[key_not_made]");
    refused(&["--name", "x", "--scope", "admin", "--namespace", "A"], 2, "[namespace_invalid]");
    refused(&["--name", "ci", "--scope", "admin"], 125, "error[key_conflict]");
    let listed = json(&sandbox.errand(["keys", "ls", "--json"]).run().ok().stdout());
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1));
}
