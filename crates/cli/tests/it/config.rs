//! Configuration: precedence of sources, refusals, output.

use errand_testkit::Sandbox;
use serde_json::{Value, json};

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_errand"))
}

fn shown(sandbox: &Sandbox, more: &[&str]) -> Value {
    let words = ["config", "show", "--json"].iter().chain(more);
    sandbox.errand(words).run().ok().json()
}

fn setting(shown: &Value, name: &str) -> Value {
    let settings = shown["settings"].as_array().expect("a list");
    settings.iter().find(|it| it["name"] == name).expect("the setting").clone()
}

#[test]
fn flags_win_over_environment_file_and_defaults_in_this_order() {
    let mut sandbox = sandbox();
    let file = sandbox.write(
        "errand.yaml",
        "listen: 127.0.0.1:1\nslots: 2\nlease: 30s\nagents: [team]\ntls: { cert: c.pem, key: k.pem }\n",
    );
    sandbox.set_env("ERRAND_SLOTS", "3");
    sandbox.set_env("ERRAND_LISTEN", "127.0.0.1:2");
    let shown = shown(&sandbox, &["--listen", "127.0.0.1:3", "--label", "a=b", "--label", "c=d"]);
    let of = |name: &str| {
        let setting = setting(&shown, name);
        (setting["value"].clone(), setting["source"].clone())
    };
    let flag = |name: &str| json!({ "kind": "flag", "name": name });
    let line = |line: u32| json!({ "kind": "file", "path": file, "line": line });
    assert_eq!(of("listen"), (json!("127.0.0.1:3"), flag("--listen")));
    assert_eq!(of("labels"), (json!({ "a": "b", "c": "d" }), flag("--label")));
    let environment = json!({ "kind": "environment", "name": "ERRAND_SLOTS" });
    assert_eq!(of("slots"), (json!(3), environment));
    assert_eq!(of("lease"), (json!(30_000), line(3)));
    assert_eq!(of("drain_timeout"), (json!(0), json!({ "kind": "default" })));
    assert_eq!(of("agents").0, json!([sandbox.path("team")]), "beside the file that names it");
    assert_eq!(of("database"), (Value::Null, json!({ "kind": "default" })));
}

#[test]
fn a_configuration_file_named_by_flag_or_environment_must_exist() {
    let sandbox = sandbox();
    sandbox.write("other/conf.yaml", "slots: 7\ntls: { cert: c.pem, key: k.pem }\n");
    let by_flag = shown(&sandbox, &["--config", "other/conf.yaml"]);
    assert_eq!(setting(&by_flag, "slots")["value"], 7);
    assert_eq!(setting(&by_flag, "tls.cert")["value"], json!(sandbox.path("other/c.pem")));
    let by_environment = sandbox.errand(["config", "show"]);
    let table = by_environment.env("ERRAND_CONFIG", "other/conf.yaml").run().ok().stdout();
    assert!(table.contains("other/conf.yaml:1"), "{table}");
    let missing = sandbox.errand(["config", "show", "--config", "nowhere.yaml"]).run();
    drop(missing.refuses(2, "error[config_invalid]"));
}

#[test]
fn every_problem_of_a_configuration_file_is_reported_by_line_and_column() {
    let sandbox = sandbox();
    sandbox.write("errand.yaml", "listn: x\nlease: 15\nnamespaces: { A: {} }\n");
    let refused = sandbox.errand(["config", "check"]).run().refuses(2, "has 3 problems");
    for place in ["errand.yaml:1:1", "errand.yaml:2:8", "errand.yaml:3:15", "did you mean"] {
        assert!(refused.stderr().contains(place), "{place}: {}", refused.stderr());
    }
    sandbox.write("errand.yaml", "# nothing yet\n");
    let valid = sandbox.errand(["config", "check"]).run().ok().stdout();
    assert!(valid.contains("the configuration is valid"), "{valid}");
}

#[test]
fn malformed_and_contradictory_settings_are_refused() {
    let sandbox = sandbox();
    let refused = |words: &[&str], complaint: &str| {
        let words = ["config", "check"].iter().chain(words);
        drop(sandbox.errand(words).run().refuses(2, complaint));
    };
    refused(&["--slots", "many"], "--slots cannot be understood: a whole number");
    refused(&["--tls-cert", "c.pem"], "error[tls_invalid]");
    refused(&["--log-level", "loud"], "one of: off, error");
    let bad = sandbox.errand(["config", "check"]).env("ERRAND_LEASE", "soon").run();
    drop(bad.refuses(2, "ERRAND_LEASE cannot be understood"));
}

#[test]
fn secrets_of_the_configuration_are_masked() {
    let mut sandbox = sandbox();
    sandbox.set_env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    sandbox.set_env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic hunter2");
    sandbox.set_env("ERRAND_DATABASE", "postgres://ada:hunter2@db/errand");
    for words in [["config", "show"].as_slice(), &["config", "show", "--json"]] {
        let text = sandbox.errand(words).run().ok().stdout();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("postgres://ada:***@db/errand"), "{text}");
        assert!(text.contains("authorization"), "{text}");
    }
    let bad = sandbox.errand(["config", "show"]).env("ERRAND_OTLP_HEADERS", "=hunter2").run();
    let refused = bad.refuses(2, "ERRAND_OTLP_HEADERS cannot be understood");
    assert!(!refused.stderr().contains("hunter2"), "{}", refused.stderr());
}
