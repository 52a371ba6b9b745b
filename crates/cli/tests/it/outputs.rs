//! Outputs of any size: kept whole, handed on whole, given to whoever may read the run.

use errand_testkit::Agent;
use serde_json::Value;

use crate::support::sandbox;

#[test]
fn an_output_above_the_limit_fails_with_a_code_of_its_own() {
    let sandbox = sandbox();
    for script in [
        "head -c 3000 /dev/zero",
        "printf '\"%03000d\"' 7 >\"$ERRAND_OUTPUT\"",
        "head -c 2000 /dev/zero | tr '\\0' 'y' | errand agent output - || exit 9",
    ] {
        let agent = sandbox.agent(&Agent::shell(script));
        let command = sandbox.errand(["run", "--json"]).arg(&agent).env("ERRAND_MAX_OUTPUT", "1Ki");
        let ran = command.run();
        let record = ran.json();
        if script.ends_with("exit 9") {
            assert_eq!(record["exit_code"], 9, "{record:#}");
            assert!(ran.stderr().contains("error[output_too_large]"), "{}", ran.describe());
            continue;
        }
        assert_eq!(record["status"], "failed", "{script}: {record:#}");
        assert_eq!(record["last_error"]["code"], "output_too_large", "{record:#}");
        let message = record["last_error"]["message"].as_str().unwrap();
        assert!(message.contains("more than 1024 bytes"), "{message}");
        assert_eq!(record["output"], Value::Null);
    }
    let quiet = sandbox.agent(&Agent::shell("head -c 3000 /dev/zero; echo 1 >\"$ERRAND_OUTPUT\""));
    let ran = sandbox.errand(["run", "--json"]).arg(quiet).env("ERRAND_MAX_OUTPUT", "1Ki");
    assert_eq!(ran.run().ok().json()["output"], 1);
}
