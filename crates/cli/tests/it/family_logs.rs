//! Merged logs of the agents of a coordinated run.

use errand_testkit::{ErrandServer, Sandbox, TestAgent};

use crate::coordinated::coordinator;
use crate::support::{GATE, finish, open_gate, sandbox, start};

/// Returns an agent that prints its name on both streams, and has an output.
fn talker(name: &str, more: &str) -> TestAgent {
    let script =
        format!("echo {name} begins\n{more}echo {name} complains >&2\nerrand agent output '1'\n");
    TestAgent::shell(&script).named(name)
}

/// Writes a coordinator of an agent followed by a nested pair.
fn team(sandbox: &Sandbox, more: &str) -> String {
    drop(sandbox.agent(&talker("first", "")));
    drop(sandbox.agent(&talker("second", more)));
    let again = "[ $ERRAND_ATTEMPT = 2 ] || exit 1\n";
    let third = talker("third", again).spec("retry_policy: { max_retries: 1, backoff: none }");
    drop(sandbox.agent(&third));
    drop(coordinator(sandbox, "pair", "{ type: chain, agents: [../second, ../third] }"));
    let folder = coordinator(sandbox, "team", "{ type: chain, agents: [../first, ../pair] }");
    start(sandbox, &folder, &["--job", "1", "--name", "team"])
}

const STDOUT: [&str; 4] = [
    "first#1         | first begins",
    "pair#1/second#1 | second begins",
    "pair#1/third#1  | third begins",
    "pair#1/third#1  | third begins",
];
const STDERR: [&str; 3] = [
    "first#1         | first complains",
    "pair#1/second#1 | second complains",
    "pair#1/third#1  | third complains",
];

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn the_log_of_a_coordinator_is_that_of_all_its_children_in_order() {
    let sandbox = sandbox();
    let run_id = team(&sandbox, "");
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let shown = |words: &[&str]| {
        let output = sandbox.errand(["logs", "team"]).args(words).run().ok();
        (output.stdout(), output.stderr())
    };
    let (out, err) = shown(&[]);
    assert_eq!((lines(&out), lines(&err)), (STDOUT.to_vec(), STDERR.to_vec()));
    assert_eq!(shown(&["-f"]), (out, err), "followed when it is over, it is the same");
    // The last three lines of all logs, not of each.
    let (out, err) = shown(&["--tail", "3"]);
    assert_eq!(lines(&out), ["pair#1/third#1  | third begins"; 2]);
    assert_eq!(lines(&err), [STDERR[2]]);
    let (out, err) = shown(&["--attempt", "2"]);
    assert_eq!((lines(&out), lines(&err)), (vec![STDOUT[3]], vec![STDERR[2]]));
    drop(sandbox.errand(["logs", "team", "--attempt", "3"]).run().refuses(2, "filter_invalid"));
    let (out, _) = shown(&["-t", "-n", "1", "--since", "1h"]);
    assert_eq!(out, "");
    let (_, err) = shown(&["-t", "--since", "1h"]);
    let (name, rest) = err.lines().next().unwrap().split_once(" | ").unwrap();
    let (time, text) = rest.split_once(' ').unwrap();
    assert_eq!((name.trim(), time.len(), text), ("first#1", 30, "first complains"));
    let (out, err) = shown(&["--since", "2100-01-01T00:00:00Z"]);
    assert_eq!((out.as_str(), err.contains("printed nothing")), ("", true), "{err}");
    // Errand's own lines: those of children among them, those of the coordinator under its name.
    let (_, err) = shown(&["--system"]);
    assert!(err.contains("first#1         | attempt 1 began"), "{err}");
    let (out, _) = shown(&["--own"]);
    assert_eq!(out, "");
    // A note tells that a removed child's output is missing.
    let all = crate::support::all(&sandbox);
    let first = all.iter().find(|run| run["member"]["step"] == "first#1").unwrap();
    let first = first["run_id"].as_str().unwrap();
    drop(sandbox.errand(["rm", first]).run().ok());
    let (out, err) = shown(&[]);
    assert_eq!(lines(&out), STDOUT[1..]);
    assert!(
        err.contains(&format!("run {first} was removed: what first#1 printed is gone")),
        "{err}"
    );
    // A nested coordinator has children of its own.
    let pair = sandbox.errand(["ps", "-aq", "--filter", "parent=team"]).run().ok().stdout();
    let pair = pair.lines().find(|it| sandbox.errand(["graph", it]).run().code == Some(0)).unwrap();
    let below = sandbox.errand(["logs", pair]).run().ok().stdout();
    assert_eq!(lines(&below)[0], "second#1 | second begins");
}

#[test]
fn a_coordinator_that_is_followed_shows_children_that_begin_later_and_ends_with_it() {
    let sandbox = sandbox();
    let run_id = team(&sandbox, GATE);
    let follower = sandbox.errand(["logs", "-f", &run_id]).spawn();
    follower.wait_for_stdout("second begins");
    open_gate(&sandbox);
    let followed = follower.wait().ok();
    // The width of names is not known before all have begun.
    let told = |text: &str| -> Vec<String> {
        let split = |line: &str| {
            let (name, text) = line.split_once(" | ").unwrap();
            format!("{} | {text}", name.trim())
        };
        text.lines().map(split).collect()
    };
    assert_eq!(told(&followed.stdout()), told(&STDOUT.join("\n")));
    assert_eq!(told(&followed.stderr()), told(&STDERR.join("\n")));
}

#[test]
fn a_server_shows_the_same_family_log_as_its_registry() {
    let sandbox = sandbox();
    let run_id = team(&sandbox, GATE);
    let server = ErrandServer::start(&sandbox, &[]);
    let url = server.url();
    let there = |words: &[&str]| sandbox.errand(["--server", &url, "logs", &run_id]).args(words);
    let follower = there(&["-f"]).spawn();
    follower.wait_for_stdout("second begins");
    open_gate(&sandbox);
    let followed = follower.wait().ok();
    assert_eq!(followed.stdout().lines().count(), STDOUT.len(), "{}", followed.describe());
    assert_eq!(followed.stderr().lines().count(), STDERR.len(), "{}", followed.describe());
    finish(&sandbox, &run_id);
    for words in [&[][..], &["-f"], &["--tail", "2"], &["--attempt", "2"], &["--system", "-t"]] {
        let far = there(words).run().ok();
        let near = sandbox.errand(["logs", &run_id]).args(words).run().ok();
        assert_eq!((far.stdout(), far.stderr()), (near.stdout(), near.stderr()), "{words:?}");
    }
}

#[test]
fn a_thousand_lines_of_agents_that_work_at_once_are_all_there() {
    let sandbox = sandbox();
    let script =
        "i=0; while [ $i -lt 200 ]; do echo \"line $i\"; i=$((i+1)); done\nerrand agent output 1\n";
    drop(sandbox.agent(&TestAgent::shell(script).named("counter")));
    let fan = "{ type: fan_out, agents: [../counter], partition: items }";
    let folder = coordinator(&sandbox, "fan", fan);
    let run_id = start(&sandbox, &folder, &["--job", "{\"items\": [1, 2, 3, 4, 5]}"]);
    let followed = sandbox.errand(["logs", "-f", &run_id]).run().ok().stdout();
    let shown = sandbox.errand(["logs", "-t", &run_id]).run().ok().stdout();
    assert_eq!((followed.lines().count(), shown.lines().count()), (1_000, 1_000));
    let times: Vec<&str> = shown.lines().map(|it| it.split_once(" | ").unwrap().1).collect();
    assert!(times.is_sorted_by_key(|line| &line[..30]), "by time");
    for child in 1..=5 {
        let of_child = |text: &str| -> Vec<String> {
            let name = format!("counter#{child} ");
            let own = text.lines().filter(|line| line.starts_with(&name));
            own.map(|line| line.rsplit_once("line ").unwrap().1.to_owned()).collect()
        };
        let expect: Vec<String> = (0..200).map(|line| line.to_string()).collect();
        assert_eq!((of_child(&followed), of_child(&shown)), (expect.clone(), expect));
    }
    let last = sandbox.errand(["logs", "--tail", "7", &run_id]).run().ok().stdout();
    assert_eq!(last.lines().count(), 7);
}
