//! Scripted provider of `clients/provider.py`: a command that runs with it, and the requests that it got.

use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_testkit::{Command, Sandbox};
use serde_json::Value;

/// Time limit of SDKs and coding agents, whose start alone takes seconds on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(4);
/// Key of the provider, which no agent must ever see.
const KEY: &str = "sk-the-real-key-of-the-provider";

/// Returns the path of a program beside the tests.
pub(crate) fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(name)
}

fn log(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("requests")
}

/// Returns `errand run` with these providers, whose address is the scripted one's. `words` are its other
/// options, and the command.
pub(crate) fn run<'s>(sandbox: &'s Sandbox, providers: &[&str], words: &[&str]) -> Command<'s> {
    let script = client("provider.py");
    let with = sandbox.tool("/usr/bin/env", ["python3"]).arg(script).arg(log(sandbox)).arg("--");
    let options =
        providers.iter().flat_map(|name| ["--provider".to_owned(), format!("{name}=PROVIDER_KEY")]);
    let with = with.args([env!("CARGO_BIN_EXE_errand"), "run"]).args(options);
    with.args(words).env("PROVIDER_KEY", KEY).stdin("").limit(LIMIT)
}

/// Checks that each request had the provider's key, once, and that the run counts all of them. Returns
/// their number.
pub(crate) fn check_requests(sandbox: &Sandbox, run: &Value) -> u64 {
    let requests = std::fs::read_to_string(log(sandbox)).unwrap();
    let requests: Vec<Value> =
        requests.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for request in &requests {
        let headers = &request["headers"];
        let keys = ["authorization", "x-api-key", "x-goog-api-key"];
        let sent: Vec<&str> = keys.iter().filter_map(|name| headers[name].as_str()).collect();
        assert!(sent.len() == 1 && sent[0].ends_with(KEY), "{headers}");
    }
    let is_counted = |request: &&Value| !request["path"].as_str().unwrap().contains("count_tokens");
    let calls = u64::try_from(requests.iter().filter(is_counted).count()).unwrap();
    assert_eq!(run["usage"]["input_tokens"], 1000 * calls, "{run}");
    assert_eq!(run["usage"]["output_tokens"], 50 * calls, "{run}");
    assert!(run["usage"]["cost_usd"].as_f64().unwrap() > 0.0, "{run}");
    calls
}
