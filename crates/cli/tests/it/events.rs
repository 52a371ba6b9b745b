//! Journal and record, rendered for people.

use errand_testkit::TestAgent;

use crate::support::{finish, ready, sandbox, start};

#[test]
fn events_are_lines_for_people_and_can_be_chosen() {
    let sandbox = sandbox();
    let script = "errand agent step build -- sh -c 'exit 3' || true\n\
        errand agent step build -- echo built\n";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &["--name", "it"]);
    finish(&sandbox, &run_id);
    let all = sandbox.errand(["events", "it"]).run().ok().stdout();
    let first = all.lines().next().unwrap();
    assert!(
        first.contains("run.created") && first.contains("test-agent  1.0.0  job  manual"),
        "{all}"
    );
    assert!(all.lines().enumerate().all(|(place, line)| {
        line.split_whitespace().next() == Some((place + 1).to_string().as_str())
    }));
    let of = |types: &str| {
        let words = ["events", "it", "--type", types, "--json"];
        let events = sandbox.errand(words).run().ok().json_lines();
        let types = events.iter().map(|event| event["type"].as_str().unwrap().to_owned());
        types.collect::<Vec<_>>()
    };
    let step = ["step.started", "step.failed", "step.started", "step.completed"];
    assert_eq!(of("step"), step);
    assert_eq!(of("step.*"), step);
    assert_eq!(of("step.failed,run.completed"), ["step.failed", "run.completed"]);
    assert_eq!(of("nothing.happened"), [""; 0]);
    drop(sandbox.errand(["events", "it", "--type", "Step!"]).run().exits(2));
    let failed = sandbox.errand(["events", "it", "-t", "step.failed"]).run().ok().stdout();
    assert!(failed.contains("build") && failed.contains("exit=3"), "{failed}");
}

#[test]
fn following_ends_by_itself_with_the_run() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("echo ready; read line < \"$HOME/gate\"");
    drop(sandbox.tool("sh", ["-c", "mkfifo \"$HOME/gate\""]).run().ok());
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    ready(&sandbox, &run_id);
    let following = sandbox.errand(["events", "-f", &run_id, "--type", "run"]).spawn();
    drop(sandbox.tool("sh", ["-c", "echo go > \"$HOME/gate\""]).run().ok());
    let shown = following.wait().ok().stdout();
    let types: Vec<_> = shown.lines().map(|line| line.split_whitespace().nth(3).unwrap()).collect();
    assert_eq!(types, ["run.created", "run.started", "run.completed"], "{shown}");
}

#[test]
fn a_record_as_yaml_is_a_manifest() {
    let sandbox = sandbox();
    let script = "echo hi > a.txt; errand agent artifact a.txt; echo '{\"ok\": true}'";
    let agent = TestAgent::shell(script);
    let run_id =
        start(&sandbox, &sandbox.agent(&agent), &["--name", "it", "--env", "NOTE=quiet-word"]);
    finish(&sandbox, &run_id);
    let yaml = sandbox.errand(["inspect-run", "it", "-o", "yaml"]).run().ok().stdout();
    let expected = [
        "apiVersion: \"errand.dev/v1\"\nkind: \"Run\"\nmetadata:\n",
        &format!("  run_id: \"{run_id}\"\n"),
        "  name: \"it\"\n",
        "  phase: \"completed\"\n",
        &format!("    - \"artifact://{run_id}/a.txt\"\n"),
        &format!("  trace: \"trace://{run_id}\"\n"),
        "    generation: 1\n",
        "    sealed: true\n",
    ];
    for expected in expected {
        assert!(yaml.contains(expected), "{expected:?} is not in\n{yaml}");
    }
    let started = yaml.lines().find(|line| line.trim().starts_with("started_at: \"20")).unwrap();
    assert!(started.ends_with("Z\""), "RFC 3339: {started}");
    assert!(!yaml.contains("quiet-word"), "{yaml}");
}
