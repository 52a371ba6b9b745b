//! Detection of tampering: each event, each kind of change, each copy.

use std::path::{Path, PathBuf};

use errand_testkit::{Sandbox, TestAgent};
use serde_json::Value;

use crate::support::{event_types, finish, nobody_left, sandbox, start};

/// Makes copies of a registry, each tampered with in one way by the Python of `tampering`, and
/// prints the expected findings: `[[folder, kind, event, what], …]`.
const VARIANTS: &str = r#"
import json, os, shutil, sqlite3, sys
source, target, run_id = sys.argv[1:4]
expected = []

def variant(kind, seq, what, change):
    folder = os.path.join(target, f"{len(expected)}")
    shutil.copytree(source, folder, symlinks=True)
    change(folder)
    expected.append([folder, kind, seq, what])

def lines_of(folder):
    return os.path.join(folder, "runs", run_id + ".events.jsonl")
"#;

const IN_THE_REGISTRY: &str = r#"
def sql(*statements):
    def change(folder):
        db = sqlite3.connect(os.path.join(folder, "registry.db"))
        for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            db.execute(f"drop trigger {name}")
        db.execute("drop index events_by_run")
        (run,) = db.execute("select run from runs where run_id = ?", [run_id]).fetchone()
        for statement in statements:
            db.execute(statement.replace(":run", str(run)))
        db.commit()
        db.close()
    return change

length = len(open(lines_of(source)).readlines())
event = "update events set {} where run = :run and seq = {}"
copy = "insert into events (run, seq, at_ms, attempt, type, data, hash) select run, {}, at_ms, attempt, type, data, hash from events where run = :run and seq = {}"
stranger = "insert into events (run, seq, at_ms, attempt, type, data, hash) select run, {}, at_ms, attempt, type, '{{\"y\":2}}', hash from events where run = :run and seq = {}"
shift = "update events set seq = seq + {} where run = :run and seq >= {}"
for seq in range(1, length + 1):
    for to in ["data = replace(data, '{', '{\"x\":1,')", "at_ms = at_ms + 1", "attempt = attempt + 1", "type = 'x.' || type", "hash = zeroblob(32)", "hash = x''"]:
        variant(to, seq, "changed", sql(event.format(to, seq)))
    variant("removed", seq, "removed", sql(f"delete from events where run = :run and seq = {seq}"))
    # The next takes its number, and so on.
    what = "removed" if seq < length - 1 else ("changed" if seq < length else "removed")
    variant("removed and renumbered", seq, what, sql(f"delete from events where run = :run and seq = {seq}", shift.format(-1, seq + 1)))
    variant("cut off", seq, "removed", sql(f"delete from events where run = :run and seq >= {seq}"))
    variant("cut off with the head", seq, "removed", sql(f"delete from events where run = :run and seq >= {seq}",
        f"update runs set head_seq = {seq} - 1, head_hash = coalesce((select hash from events where run = :run and seq = {seq} - 1), zeroblob(32)) where run = :run"))
    variant("added", seq, "added", sql(shift.format(1, seq), stranger.format(seq, seq + 1)))
    variant("added beside", seq, "added", sql(stranger.format(seq, seq), f"update events set id = (select max(id) + 1 from events) where id = (select min(id) from events where run = :run and seq = {seq})"))
    if seq < length:
        variant("swapped", seq, "reordered", sql(event.format("seq = -1", seq), event.format(f"seq = {seq}", seq + 1), event.format(f"seq = {seq + 1}", -1)))
variant("added at the end", length + 1, "added", sql(copy.format(length + 1, length)))
variant("added before the first", 1, "added", sql(copy.format(0, 1)))
variant("added before the first", 1, "added", sql(copy.format(-7, 1)))
"#;

const IN_THE_FILE: &str = r#"
def lines(edit):
    def change(folder):
        path = lines_of(folder)
        with open(path) as file: all = file.readlines()
        edit(all)
        with open(path, "w") as file: file.write("".join(all))
    return change

length = len(open(lines_of(source)).readlines())
def put(n, line):
    def edit(all): all[n] = line(all[n])
    return edit
def swap(n):
    def edit(all): all[n], all[n + 1] = all[n + 1], all[n]
    return edit
def drop(n):
    def edit(all): del all[n]
    return edit
def cut(n):
    def edit(all): del all[n:]
    return edit
def half(n):
    def edit(all):
        del all[n + 1:]
        all[n] = all[n][:40]
    return edit
def add(n, line):
    def edit(all): all.insert(n, line(all))
    return edit
def other(line):
    return line.replace('"data":{', '"data":{"x":1,').replace(",}", "}")
def renumbered(line, seq):
    event = json.loads(line)
    return line.replace(f'"seq":{event["seq"]}', f'"seq":{seq}')
for n in range(length):
    seq = n + 1
    for kind, line in {
        "data": other,
        "time": lambda line: line.replace('"at_ms":1', '"at_ms":2'),
        "no event": lambda line: "not an event\n",
        "no text": lambda line: "\udcff\n",
        "torn": lambda line: line[:50] + "\n",
        "other form": lambda line: line.replace('"seq":', '"seq": '),
        "hash": lambda line: line[:-5] + ("aa" if line[-5:-3] != "aa" else "bb") + line[-3:],
    }.items():
        if kind == "no text":
            def change(folder, n=n):
                path = lines_of(folder)
                with open(path, "rb") as file: all = file.readlines()
                all[n] = b"\xff\xfe\n"
                with open(path, "wb") as file: file.writelines(all)
            variant(kind, seq, "changed", change)
        else:
            variant(kind, seq, "changed", lines(put(n, line)))
    variant("removed", seq, "removed", lines(drop(n)))
    variant("cut off", seq, "removed", lines(cut(n)))
    variant("cut in half", seq, "changed", lines(half(n)))
    variant("added", seq, "added", lines(add(n, lambda all, n=n: renumbered(other(all[n]), n + 1))))
    if n < length - 1:
        variant("swapped", seq, "reordered", lines(swap(n)))
variant("added at the end", length + 1, "added", lines(add(length, lambda all: renumbered(all[-1], length + 1))))
variant("garbage at the end", length + 1, "added", lines(add(length, lambda all: "and so on\n")))
variant("gone", 1, "removed", lambda folder: os.remove(lines_of(folder)))
"#;

/// Records a finished run of two steps, a checkpoint, an artifact and long payloads.
fn recorded(sandbox: &Sandbox) -> String {
    let script = "errand agent step one -- echo 1\n\
                  errand agent step long -- sh -c 'seq 1 20000'\n\
                  errand agent checkpoint '{\"page\": 7}'\n\
                  echo report > report.md\n\
                  errand agent artifact report.md\n\
                  errand agent emit model.called '{\"provider\": \"p\", \"model\": \"m\"}'\n\
                  errand agent output '{\"n\": 1}'\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start(sandbox, &agent, &[]);
    assert_eq!(finish(sandbox, &run_id)["status"], "completed");
    nobody_left(sandbox);
    run_id
}

/// Makes the variants; returns `(folder, kind, event, what)` of each.
fn variants(sandbox: &Sandbox, run_id: &str, how: &str) -> Vec<(PathBuf, String, u64, String)> {
    // Checkpoints the write-ahead log into the database, so that the file can be copied.
    let checkpoint = "import sqlite3, sys\n\
                      db = sqlite3.connect(sys.argv[1])\n\
                      db.execute('pragma wal_checkpoint(truncate)')\n";
    let database = sandbox.registry().join("registry.db");
    drop(sandbox.tool("python3", ["-S", "-c", checkpoint]).arg(database).run().ok());
    let target = sandbox.root().join("variants");
    drop(std::fs::remove_dir_all(&target));
    let script = format!("{VARIANTS}{how}\nprint(json.dumps(expected))\n");
    let made = sandbox.tool("python3", ["-S", "-c", &script]);
    let made = made.arg(sandbox.registry()).arg(target).arg(run_id).run().ok().json();
    let made = made.as_array().unwrap().iter();
    made.map(|row| {
        let text = |at: usize| row[at].as_str().unwrap().to_owned();
        (PathBuf::from(text(0)), text(1), row[2].as_u64().unwrap(), text(3))
    })
    .collect()
}

/// Returns the findings of `errand verify` in that registry: place, event, what.
fn found(sandbox: &Sandbox, root: &Path, name: &str) -> Vec<(String, u64, String)> {
    let verified = sandbox.errand(["--root"]).arg(root).args(["verify", name, "--json"]).run();
    let verified = verified.exits(125);
    assert!(verified.stderr().contains("error[journal_broken]"), "{}", verified.describe());
    let document = verified.json();
    assert_eq!(document["unbroken"], false);
    let findings = document["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings
        .map(|it| (text(&it["place"]), it["event"].as_u64().unwrap_or(0), text(&it["what"])))
        .collect()
}

/// Verifies all variants, several at once; each has one finding, in `place`.
fn check(sandbox: &Sandbox, run_id: &str, place: &str, how: &str) {
    let variants = variants(sandbox, run_id, how);
    assert!(variants.len() > 100, "{}", variants.len());
    std::thread::scope(|scope| {
        for part in variants.chunks(variants.len().div_ceil(4)) {
            scope.spawn(move || {
                for (folder, kind, event, what) in part {
                    let expected = (place.to_owned(), *event, what.clone());
                    assert_eq!(found(sandbox, folder, run_id), [expected], "{kind} at {event}");
                }
            });
        }
    });
    drop(sandbox.errand(["verify", run_id]).run().ok());
}

#[test]
fn every_change_of_an_event_in_the_registry_is_found() {
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    check(&sandbox, &run_id, "registry", IN_THE_REGISTRY);
}

#[test]
fn every_change_of_a_line_in_the_journal_file_is_found() {
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    check(&sandbox, &run_id, "file", IN_THE_FILE);
}

#[test]
fn a_completely_forged_journal_is_told_apart_by_the_record_file() {
    const FORGED: &str = r#"
import hashlib
def canonical(event):
    keys = ("at_ms", "attempt", "data", "run_id", "seq", "type")
    return json.dumps({k: event[k] for k in keys}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
def forged(from_seq):
    before, all = b"\0" * 32, []
    for line in open(lines_of(source)):
        event = json.loads(line)
        if event["seq"] == from_seq:
            event["at_ms"] += 1
        before = hashlib.sha256(before + canonical(event).encode()).digest()
        event["hash"] = before.hex()
        all.append(event)
    return all
def in_registry(from_seq):
    def change(folder):
        db = sqlite3.connect(os.path.join(folder, "registry.db"))
        for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            db.execute(f"drop trigger {name}")
        (run,) = db.execute("select run from runs where run_id = ?", [run_id]).fetchone()
        for event in forged(from_seq):
            db.execute("update events set at_ms = ?, hash = ? where run = ? and seq = ?",
                [event["at_ms"], bytes.fromhex(event["hash"]), run, event["seq"]])
        db.execute("update runs set head_hash = ? where run = ?", [bytes.fromhex(event["hash"]), run])
        db.execute("delete from states where run = ?", [run])
        db.commit()
    return change
def in_file(from_seq):
    def change(folder):
        with open(lines_of(folder), "w") as file:
            for event in forged(from_seq):
                file.write(json.dumps({k: event[k] for k in ("run_id", "seq", "at_ms", "attempt", "type", "data", "hash")},
                    separators=(",", ":"), ensure_ascii=False) + "\n")
    return change
for seq in (2, 5):
    variant("registry", seq, "changed", in_registry(seq))
    variant("file", seq, "changed", in_file(seq))
"#;
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    for (folder, place, event, what) in variants(&sandbox, &run_id, FORGED) {
        assert_eq!(found(&sandbox, &folder, &run_id), [(place, event, what)]);
    }
}

#[test]
fn rows_and_blobs_of_a_run_are_verified() {
    const ROWS: &str = r#"
def sql(statement):
    def change(folder):
        db = sqlite3.connect(os.path.join(folder, "registry.db"))
        for (name,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            db.execute(f"drop trigger {name}")
        db.execute(statement)
        db.commit()
    return change
variant("registry", 0, "row", sql("update runs set status = 'failed'"))
variant("registry", 0, "row", sql("update runs set ended_at_ms = ended_at_ms + 1"))
variant("registry", 0, "row", sql("update runs set head_hash = x'00'"))
variant("registry", 0, "row", sql("update states set state = replace(state, '\"exit_code\":0', '\"exit_code\":3')"))
variant("registry", 0, "row", sql("update states set state = replace(state, 'page', 'cage')"))
def blobs(folder):
    return sorted(os.path.join(at, name) for at, _, names in os.walk(os.path.join(folder, "blobs")) for name in names)
def spoil(n):
    def change(folder):
        os.chmod(blobs(folder)[n], 0o644)
        with open(blobs(folder)[n], "r+b") as file: file.write(b"@")
    return change
digests = {os.path.relpath(path, os.path.join(source, "blobs")).replace("/", ""): n for n, path in enumerate(blobs(source))}
for line in open(lines_of(source)):
    for digest, n in digests.items():
        if digest in line:
            seq = json.loads(line)["seq"]
            variant("file", seq, "blob_changed", spoil(n))
            variant("file", seq, "blob_missing", lambda folder, n=n: os.remove(blobs(folder)[n]))
"#;
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    let variants = variants(&sandbox, &run_id, ROWS);
    assert_eq!(variants.len(), 11);
    for (folder, place, event, what) in variants {
        assert_eq!(found(&sandbox, &folder, &run_id), [(place, event, what)]);
    }
}

#[test]
fn lines_left_by_dying_processes_are_no_tampering() {
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    let path = sandbox.registry().join(format!("runs/{run_id}.events.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut left = String::new();
    for line in &lines {
        // An unfinished line, the whole line, and some earlier ones.
        left += &[&line[..line.len() / 2], "\n\n", line, "\n", lines[0], "\n"].concat();
    }
    std::fs::write(&path, left).unwrap();
    drop(sandbox.errand(["verify", &run_id]).run().ok());
}

#[test]
fn all_runs_are_verified_and_the_broken_ones_named() {
    let sandbox = sandbox();
    let ids: Vec<String> = (0..3).map(|_| recorded(&sandbox)).collect();
    let whole = sandbox.errand(["verify", "--all"]).run().ok();
    assert_eq!(whole.stdout().lines().count(), 3);
    let path = sandbox.registry().join(format!("runs/{}.events.jsonl", ids[1]));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"attempt\":1", "\"attempt\":2", 1)).unwrap();
    // One of the runs is removed from the registry by hand.
    crate::damage::tamper(
        &sandbox,
        &format!("db.execute(\"delete from runs where run_id = '{}'\")", ids[2]),
    );
    let broken = sandbox.errand(["verify", "--all", "--json"]).run().exits(125);
    let all = broken.json();
    let what: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["findings"][0]["what"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(what, ["", "changed", "run_missing"]);
    assert!(broken.stderr().contains("2 of 3 runs"), "{}", broken.describe());
    drop(sandbox.errand(["verify"]).run().exits(2));
}

#[test]
fn a_journal_file_of_gigabytes_of_zeros_is_reported_in_bounded_time() {
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    let path = sandbox.registry().join("runs").join(format!("{run_id}.events.jsonl"));
    std::fs::write(&path, "").unwrap();
    let zeros = std::fs::File::options().write(true).open(&path).unwrap();
    zeros.set_len(6 * 1024 * 1024 * 1024).unwrap();
    let verified = sandbox.errand(["verify", "--all", "--json"]).run().exits(125);
    let document = verified.json();
    assert_eq!(document[0]["findings"][0]["what"], "changed", "{document}");
    let checked = sandbox.errand(["registry", "check"]).run().exits(1);
    assert!(checked.stdout().contains("bytes"), "{}", checked.describe());
}

#[test]
fn a_live_run_is_verified_up_to_its_last_event() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&crate::support::sleeper());
    let run_id = crate::support::start_ready(&sandbox, &agent);
    let verified = sandbox.errand(["verify", &run_id]).run().ok();
    assert!(verified.stdout().contains("not over yet"), "{}", verified.describe());
    assert!(event_types(&sandbox, &run_id).contains(&"run.started".to_owned()));
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
}
