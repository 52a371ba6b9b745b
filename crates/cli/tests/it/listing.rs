//! Lists of runs, and the commands with names of container tools.

use errand_testkit::{ErrandServer, TestAgent, stable};
use serde_json::json;

use crate::support::{all, finish, ready, run, sandbox, sleeper, start, start_ready};

#[test]
fn ps_shows_live_runs_newest_first_and_all_with_a() {
    let sandbox = sandbox();
    let done = start(&sandbox, &sandbox.agent(&TestAgent::shell("exit 0").named("well")), &[]);
    finish(&sandbox, &done);
    let failed = start(&sandbox, &sandbox.agent(&TestAgent::shell("exit 9").named("badly")), &[]);
    finish(&sandbox, &failed);
    let agent = sandbox.agent(&sleeper());
    let live = start(&sandbox, &agent, &["--name", "the live one"]);
    ready(&sandbox, &live);
    let stopped = start(&sandbox, &agent, &[]);
    drop(sandbox.errand(["stop", "--force", &stopped]).run().ok());

    let shown = sandbox.errand(["ps", "-a"]).run().ok().stdout();
    let shown = stable(&shown, &sandbox.root());
    let words: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect())
        .collect();
    let header = ["RUN ID", "NAME", "AGENT", "KIND", "STATUS", "TRIGGER", "NEXT WAKE"];
    let id = "<run-id------------>";
    let expected = [
        &header[..],
        &[id, "-", "sleeper@1.0.0", "job", "stopped <moments ago>", "manual"],
        &[id, "the live one", "sleeper@1.0.0", "job", "running less than a second", "manual"],
        &[id, "-", "badly@1.0.0", "job", "failed (9) <moments ago>", "manual"],
        &[id, "-", "well@1.0.0", "job", "exited (0) <moments ago>", "manual"],
    ];
    assert!(words.len() == expected.len(), "{shown}");
    for (words, expected) in words.iter().zip(expected) {
        let is_same = |(word, expected): (&&str, &&str)| {
            word == expected || word.starts_with("running ") && expected.starts_with("running ")
        };
        assert!(words.iter().zip(expected).all(is_same), "{shown}");
    }
    assert_eq!(sandbox.errand(["ps", "-q"]).run().ok().stdout(), format!("{live}\n"));
    let ids = sandbox.errand(["ps", "-a", "-q"]).run().ok().stdout();
    assert_eq!(ids.lines().collect::<Vec<_>>(), [&stopped, &live, &failed, &done]);
    let ids: Vec<_> = all(&sandbox).iter().map(|run| run["run_id"].clone()).collect();
    assert_eq!(ids, [stopped.clone(), live.clone(), failed.clone(), done]);
    let filtered =
        |filter: &str| sandbox.errand(["ps", "-a", "-q", "--filter", filter]).run().ok().stdout();
    assert_eq!(filtered("status=failed"), format!("{failed}\n"));
    // The words in the list, and those in the record.
    for word in ["stopped", "cancelled"] {
        assert_eq!(filtered(&format!("status={word}")), format!("{stopped}\n"), "{word}");
    }
    assert_eq!(filtered("status=exited"), filtered("status=completed"));
    assert_eq!(filtered("since=1h").lines().count(), 4);
    assert_eq!(filtered("since=2999-01-01"), "");
    assert_eq!(filtered("name=the live one"), format!("{live}\n"));
    assert_eq!(filtered("agent=sleeper").lines().count(), 2);
    let newest = sandbox.errand(["ps", "-a", "-q", "-n", "1"]).run().ok().stdout();
    assert_eq!(newest, format!("{stopped}\n"));
    drop(sandbox.errand(["stop", "--force", &live]).run().ok());
}

#[test]
fn lists_are_empty_without_a_registry() {
    let sandbox = sandbox();
    assert_eq!(sandbox.errand(["ps", "-a", "--json"]).run().ok().stdout().trim(), "[]");
    assert_eq!(sandbox.errand(["ps"]).run().ok().stdout().lines().count(), 1, "a header");
    assert!(!sandbox.registry().exists(), "looking creates nothing");
}

#[test]
fn commands_with_names_of_container_tools_do_the_same() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let same = |one: &[&str], other: &[&str]| {
        let [one, other] = [one, other].map(|words| sandbox.errand(words).run().ok().stdout());
        assert_eq!(one, other);
    };
    same(&["ps", "-q"], &["container", "ls", "-q"]);
    same(&["ps", "-q"], &["container", "ps", "-q"]);
    same(&["logs", &run_id], &["container", "logs", &run_id]);
    same(&["inspect-run", &run_id], &["container", "inspect", &run_id]);
    drop(sandbox.errand(["container", "restart", "--force", &run_id]).run().ok());
    drop(sandbox.errand(["container", "stop", "--force", &run_id]).run().ok());
    drop(sandbox.errand(["container", "wait", &run_id]).run().exits(143));
    drop(sandbox.errand(["container", "rm", &run_id]).run().ok());
    drop(sandbox.errand(["container", "prune"]).run().ok());
    assert_eq!(all(&sandbox).len(), 0);
}

#[test]
fn events_are_followed_to_the_end() {
    let sandbox = sandbox();
    let script = "for i in 1 2 3; do errand agent emit progress.reported \"{\\\"n\\\": $i}\"; done";
    let run_id = start(&sandbox, &sandbox.agent(&TestAgent::shell(script)), &[]);
    let followed = sandbox.errand(["events", "-f", "--json", &run_id]).run().ok().json_lines();
    let seqs: Vec<_> = followed.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "in order, no gap: {seqs:?}");
    assert_eq!(followed.last().unwrap()["type"], "run.completed");
    let kinds = followed.iter().filter(|event| event["type"] == "progress.reported").count();
    assert_eq!(kinds, 3);
}

#[test]
fn a_run_works_with_its_streams_closed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo printed; echo complained >&2"));
    let errand = env!("CARGO_BIN_EXE_errand");
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        for detached in ["", "-d"] {
            let line = format!("{errand} run {detached} {} {closed}", agent.display());
            drop(sandbox.tool("sh", ["-c", &line]).run());
        }
    }
    for record in all(&sandbox) {
        let run_id = record["run_id"].as_str().unwrap();
        let record = finish(&sandbox, run_id);
        assert_eq!(record["status"], "completed", "{record:#}");
        let shown = sandbox.errand(["logs", run_id]).run().ok();
        assert_eq!(
            (shown.stdout().as_str(), shown.stderr().as_str()),
            ("printed\n", "complained\n")
        );
    }
    assert_eq!(all(&sandbox).len(), 8);
}

#[test]
fn binary_output_is_shown_and_stored_unchanged() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("printf 'a\\377\\000b\\r\\n\\303(\\n'"));
    let expected = b"a\xff\x00b\r\n\xc3(\n";
    assert_eq!(run(&sandbox, &agent, &[]).run().ok().stdout_bytes, expected);
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.errand(["logs", &run_id]).run().ok().stdout_bytes, expected);
    drop(sandbox.errand(["inspect-run", &run_id]).run().ok().json());
}

#[test]
fn a_part_of_an_id_that_fits_several_runs_names_them() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let ids = [start(&sandbox, &agent, &[]), start(&sandbox, &agent, &[])];
    let refused = sandbox.errand(["inspect-run", &ids[0][..4]]).run();
    assert!(ids.iter().all(|id| refused.stderr().contains(id)), "{}", refused.describe());
    drop(refused.refuses(125, "run_ambiguous"));
    for id in &ids {
        finish(&sandbox, id);
    }
    drop(sandbox.errand(["rm", &ids[0][..4]]).run().refuses(125, "run_ambiguous"));
    assert_eq!(all(&sandbox).len(), 2);
}

#[test]
fn a_filter_for_a_single_value_is_refused_if_given_twice() {
    let sandbox = sandbox();
    let twice = ["ps", "-a", "-f", "status=completed", "-f", "status=failed"];
    drop(sandbox.errand(twice).run().refuses(2, "filter_invalid"));
    let labels = ["ps", "-a", "-f", "label=a=1", "-f", "label=b=2"];
    drop(sandbox.errand(labels).run().ok());
}

#[test]
fn a_queued_run_is_listed_as_queued_not_as_starting() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &["--slots", "0"]);
    let agent = sandbox.agent(&TestAgent::shell("true").named("quick"));
    drop(sandbox.errand(["--server", &server.url(), "push"]).args([agent]).run().ok());
    drop(server.post("/v1/runs", &json!({ "agent": "quick" })).expect(202));
    let later = json!({ "agent": "quick", "scheduled_at": "2100-01-01T00:00:00Z" });
    drop(server.post("/v1/runs", &later).expect(202));
    let shown = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(shown.contains("queued ") && shown.contains("due in "), "{shown}");
}
