//! Export of a coordinator with all its descendants in one file, and its import.

use std::path::{Path, PathBuf};

use errand_testkit::{ErrandServer, Sandbox, TestAgent};
use serde_json::Value;

use crate::coordinated::{coordinator, report};
use crate::support::{all, finish, sandbox, start};

fn export(sandbox: &Sandbox, run_id: &str, name: &str) -> PathBuf {
    let file = sandbox.path(name);
    drop(sandbox.errand(["export", run_id, "-o"]).arg(&file).run().ok());
    file
}

fn manifest(sandbox: &Sandbox, file: &Path) -> Value {
    sandbox.tool("tar", ["xOf", file.to_str().unwrap(), "manifest.json"]).run().ok().json()
}

/// Returns the output of commands about a family.
fn seen(sandbox: &Sandbox) -> Vec<String> {
    let commands: [&[&str]; 9] = [
        &["trace", "report"],
        &["graph", "report", "--width", "80"],
        &["messages", "report", "--json"],
        &["logs", "report", "--system", "-t"],
        &["ps", "-aq"],
        &["ps", "-aq", "--filter", "parent=report"],
        &["usage", "--by", "agent", "--json"],
        &["events", "report", "--json"],
        &["verify", "--all"],
    ];
    commands.iter().map(|words| sandbox.errand(*words).run().ok().stdout()).collect()
}

/// Returns the id of the child whose step has that key.
fn child(sandbox: &Sandbox, key: &str) -> String {
    let all = all(sandbox);
    let found = all.iter().find(|run| run["member"]["step"] == key);
    found.expect(key)["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_imported_coordinator_has_all_its_family_and_is_exported_again_byte_for_byte() {
    let (here, there) = (sandbox(), sandbox());
    let run_id = report(&here);
    let file = export(&here, &run_id, "report.tar");
    let manifest = manifest(&here, &file);
    assert_eq!(manifest["schema"], 2);
    assert_eq!(manifest["children"].as_object().unwrap().len(), 5);
    let verified = here.errand(["verify"]).arg(&file).run().ok().stdout();
    assert!(verified.contains("sealed, and so are the 5 runs that it started"), "{verified}");
    let verified = here.errand(["verify", "--json"]).arg(&file).run().ok().json();
    assert_eq!(verified["children"], 5);
    let imported = there.errand(["import"]).arg(&file).run().ok();
    assert_eq!(imported.stdout_line(), run_id);
    assert_eq!(seen(&there), seen(&here));
    for run in all(&here) {
        let id = run["run_id"].as_str().unwrap();
        let there = crate::support::record(&there, id);
        assert_eq!(there["parent_run_id"], run["parent_run_id"], "{id}");
        assert_eq!(there["member"], run["member"], "{id}");
    }
    let again = export(&there, &run_id, "again.tar");
    assert!(std::fs::read(&again).unwrap() == std::fs::read(&file).unwrap(), "the same bytes");
    let told = there.errand(["import"]).arg(&file).run().ok().stderr();
    assert!(told.contains("is here already"), "{told}");
    // All parcels came along: the run can be repeated.
    let restarted = there.errand(["restart", &run_id]).run().ok().stdout_line();
    assert_eq!(finish(&there, &restarted)["status"], "completed");
    drop(there.errand(["rm", &restarted]).run().ok());
    // A missing run of a family is brought back, and nothing else changes.
    let removed = child(&here, "analyst#1");
    drop(there.errand(["rm", &removed]).run().ok());
    let refused = there.errand(["export", &run_id, "-o", "no.tar"]).run();
    let told = refused.refuses(125, "error[child_removed]").stderr();
    assert!(told.contains(&removed) && told.contains("analyst#1"), "{told}");
    assert!(!there.path("no.tar").exists());
    drop(there.errand(["export", "--own", &run_id, "-o", "own.tar"]).run().ok());
    drop(there.errand(["import"]).arg(&file).run().ok());
    assert_eq!(seen(&there), seen(&here));
}

#[test]
fn a_coordinator_alone_and_any_other_run_keep_the_export_layout_of_one_run() {
    let (here, there) = (sandbox(), sandbox());
    let run_id = report(&here);
    drop(here.errand(["export", "--own", &run_id, "-o", "own.tar"]).run().ok());
    let writer = export(&here, &child(&here, "writer#1"), "writer.tar");
    for file in [here.path("own.tar"), writer] {
        let manifest = manifest(&here, &file);
        assert_eq!((&manifest["schema"], manifest.get("children")), (&1.into(), None));
        let entries = manifest["entries"].as_object().unwrap();
        let is_other = |name: &&String| name.starts_with("runs/") || name.starts_with("parcels/");
        assert_eq!(entries.keys().find(is_other), None);
        drop(there.errand(["verify"]).arg(&file).run().ok());
        drop(there.errand(["import"]).arg(&file).run().ok());
    }
    assert_eq!(all(&there).len(), 2);
    let messages = there.errand(["messages", "report"]).run().ok().stdout();
    assert_eq!(messages.lines().count(), 5);
    // The others are imported beside those that exist.
    let file = export(&here, &run_id, "report.tar");
    drop(there.errand(["import"]).arg(&file).run().ok());
    assert_eq!(seen(&there), seen(&here));
}

/// Changes a byte behind `mark`, at its first occurrence behind the entry `name`.
fn tampered(file: &Path, name: &str, mark: &str) -> PathBuf {
    let mut bytes = std::fs::read(file).unwrap();
    let find = |from: usize, what: &str| {
        let found = bytes[from..].windows(what.len()).position(|it| it == what.as_bytes());
        from + found.expect(what)
    };
    let at = find(find(0, name), mark) + mark.len();
    bytes[at] ^= 1;
    let to = file.with_extension("tampered.tar");
    std::fs::write(&to, bytes).unwrap();
    to
}

#[test]
fn a_change_in_an_exported_child_is_found_and_nothing_is_imported() {
    let (here, there) = (sandbox(), sandbox());
    let run_id = report(&here);
    let file = export(&here, &run_id, "report.tar");
    let deep = child(&here, "second#1");
    let events = format!("runs/{deep}/events.jsonl");
    for (name, mark, code, what) in [
        (events.as_str(), "\"input_tokens\":", "journal_broken", "was changed"),
        (&format!("runs/{deep}/log"), "attempt", "archive_damaged", "log was changed"),
        (&format!("runs/{deep}/record.json"), "\"agent\": {\n", "archive_damaged", "record.json"),
        ("manifest.json", "\"children\": {\n    \"", "archive_", ""),
    ] {
        let file = tampered(&file, name, mark);
        let told = here.errand(["verify"]).arg(&file).run().exits(125).stderr();
        assert!(told.contains(code) && told.contains(what), "{name}: {told}");
        if code == "journal_broken" {
            assert!(told.contains(name), "{told}");
        }
        drop(there.errand(["import"]).arg(&file).run().exits(125));
        assert!(!there.registry().exists(), "{name}: nothing is created");
    }
}

/// Leaves entries out of an export, in Python, and writes a manifest that fits again.
const LEAVE_OUT: &str = r#"
import json, sys, tarfile
source, target, run = sys.argv[1:4]
whole = open(source, "rb").read()
out = b""
with tarfile.open(source) as tar:
    for info in tar:
        end = info.offset_data + (info.size + 511) // 512 * 512
        head, data = whole[info.offset:info.offset_data], whole[info.offset_data:end]
        if info.name.startswith(f"runs/{run}/"): continue
        if info.name == "manifest.json":
            document = json.loads(data[:info.size])
            del document["children"][run]
            for name in list(document["entries"]):
                if name.startswith(f"runs/{run}/"): del document["entries"][name]
            data = json.dumps(document, indent=2).encode() + b"\n"
            block = bytearray(head[-512:])
            block[124:136] = b"%011o\0" % len(data)
            block[148:156] = b" " * 8
            block[148:156] = b"%07o\0" % sum(block)
            head = head[:-512] + bytes(block)
            data += b"\0" * (-len(data) % 512)
        out += head + data
open(target, "wb").write(out + b"\0" * 1024)
"#;

#[test]
fn a_child_left_out_of_an_export_is_reported_missing() {
    let sandbox = sandbox();
    let run_id = report(&sandbox);
    let file = export(&sandbox, &run_id, "report.tar");
    let target = sandbox.path("fewer.tar");
    let researcher = child(&sandbox, "researcher#1");
    let python = sandbox.tool("python3", ["-S", "-c", LEAVE_OUT]).arg(&file).arg(&target);
    drop(python.arg(&researcher).run().ok());
    let told = sandbox.errand(["verify"]).arg(&target).run().exits(125).stderr();
    // A child whose blobs are all shared is itself reported missing, another one by a blob that
    // only it names.
    let is_missed = told.contains(&format!("run {researcher}, which is a step, is missing"));
    assert!(is_missed || told.contains("no event names it"), "{told}");
}

#[test]
fn a_server_exports_the_same_family() {
    let sandbox = sandbox();
    let run_id = report(&sandbox);
    let near = export(&sandbox, &run_id, "near.tar");
    let server = ErrandServer::start(&sandbox, &[]);
    let words = ["--server", &server.url(), "export", &run_id, "-o", "far.tar"];
    drop(sandbox.errand(words).run().ok());
    let far = std::fs::read(sandbox.path("far.tar")).unwrap();
    assert!(std::fs::read(near).unwrap() == far, "the same bytes");
    let words = ["--server", &server.url(), "export", "--own", &run_id, "-o", "own.tar"];
    drop(sandbox.errand(words).run().ok());
    assert_eq!(manifest(&sandbox, &sandbox.path("own.tar"))["schema"], 1);
    drop(sandbox.errand(["rm", &child(&sandbox, "second#1")]).run().ok());
    let answer = server.get(&format!("/v1/runs/{run_id}/export"));
    assert_eq!((answer.status, &answer.json()["code"]), (409, &"child_removed".into()));
}

#[test]
fn exports_contain_the_agents_of_a_plan_that_never_ran() {
    let (here, there) = (sandbox(), sandbox());
    // Not `$HOME/go`: a run repeated on its own host keeps the environment of its caller.
    let go = there.root().join("home/go");
    let gate = format!("[ -e {} ] || exit 1\nerrand agent output 1\n", go.display());
    drop(
        here.agent(&TestAgent::shell(&gate).named("gate").spec("retry_policy: { max_retries: 0 }")),
    );
    drop(here.agent(&TestAgent::shell("errand agent output 2\n").named("late")));
    drop(coordinator(&here, "inner", "{ type: chain, agents: [../late] }"));
    let folder = coordinator(&here, "outer", "{ type: chain, agents: [../gate, ../inner] }");
    let run_id = start(&here, &folder, &["--job", "1"]);
    assert_eq!(finish(&here, &run_id)["status"], "failed");
    let file = export(&here, &run_id, "outer.tar");
    drop(there.errand(["verify"]).arg(&file).run().ok());
    drop(there.errand(["import"]).arg(&file).run().ok());
    std::fs::write(go, "").unwrap();
    let again = there.errand(["restart", &run_id]).run().ok().stdout_line();
    let record = finish(&there, &again);
    assert_eq!((&record["status"], &record["output"]), (&"completed".into(), &2.into()));
}
