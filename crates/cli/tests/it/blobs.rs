//! Places for blobs: a folder or a bucket, named once, and found by every command from then on.

use std::fs;
use std::path::Path;

use errand_testkit::s3::{BUCKET, S3Server};
use errand_testkit::{ErrandServer, ProgramOutput, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{all, finish, sandbox, start};

/// Returns an agent with an artifact and a checkpoint, which shows its environment.
fn worker() -> TestAgent {
    TestAgent::shell(
        "errand agent checkpoint '{\"at\": 1}'\nhead -c 100000 /dev/zero > big\n\
         errand agent artifact big --name big\nerrand agent output \"$(env)\"\n",
    )
    .named("worker")
}

/// Removes the registry's own copies of blobs.
fn forget_copies(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.registry().join("blobs")).expect("the registry has blobs");
}

/// Runs an agent with a brief and an artifact, and looks for both without the registry's copies.
/// Returns the key of the brief.
fn keeps_and_finds(sandbox: &Sandbox, place: &str) -> String {
    let folder = sandbox.agent(&worker());
    let run_id =
        start(sandbox, &folder, &["--blobs", place, "--instructions", "Do it.", "--job", "{}"]);
    let done = finish(sandbox, &run_id);
    assert_eq!(done["status"], "completed", "{done}");
    let output = done["output"].to_string();
    assert!(output.contains("ERRAND_API") && !output.contains("AWS_"), "{output}");
    forget_copies(sandbox);
    let brief = sandbox.errand(["brief", &run_id, "--json"]).run().ok().json();
    assert_eq!(brief["brief"]["instructions"], "Do it.", "{brief}");
    drop(sandbox.errand(["artifacts", &run_id, "big", "-o", "copy"]).run().ok());
    assert_eq!(fs::metadata(sandbox.path("copy")).expect("the artifact").len(), 100_000);
    drop(sandbox.errand(["verify", &run_id]).run().ok());
    drop(sandbox.errand(["logs", &run_id]).run().ok());
    brief["key"].as_str().expect("a key").to_owned()
}

fn check_refusal(said: &ProgramOutput, code: &str) {
    assert!(said.stderr().contains(&format!("error[{code}]")), "{code}: {}", said.describe());
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

#[test]
fn blobs_are_kept_in_a_folder_and_found_there() {
    let sandbox = sandbox();
    let key = keeps_and_finds(&sandbox, "../kept");
    let kept = sandbox.repo().join("../kept");
    assert!(kept.join(&key).is_file(), "{key}");
    let record: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.registry().join("blobs.json")).unwrap())
            .unwrap();
    assert!(record["place"].as_str().unwrap().ends_with("/kept"), "{record}");
    // The place may be named again, and no other one.
    let folder = sandbox.agent(&worker());
    drop(sandbox.errand(["run", "--blobs", "../kept"]).arg(&folder).run().ok());
    let refused = sandbox.errand(["run", "-d", "--blobs", "../other"]).arg(&folder).run();
    check_refusal(&refused, "blobs_elsewhere");
    assert_eq!(all(&sandbox).len(), 2);
}

#[test]
fn blobs_are_kept_in_s3_and_found_there() {
    let Some(s3) = S3Server::start() else { return };
    let mut sandbox = sandbox();
    for (name, value) in s3.variables() {
        sandbox.set_env(name, value);
    }
    let key = keeps_and_finds(&sandbox, &format!("s3://{BUCKET}/team"));
    let brief: Value = serde_json::from_str(&s3.object(&format!("team/{key}"))).unwrap();
    assert_eq!(brief["instructions"], "Do it.");
    // A server finds the place in the registry.
    forget_copies(&sandbox);
    let server = ErrandServer::start(&sandbox, &[]);
    let (run_id, _) = key.strip_prefix("briefs/").and_then(|it| it.split_once('/')).unwrap();
    let page = server.get(&format!("/v1/runs/{run_id}/brief")).expect(200).json();
    assert_eq!(page["brief"]["instructions"], "Do it.");
}

#[test]
fn older_blobs_of_the_registry_are_found_after_it_got_a_place() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&worker());
    let older = start(&sandbox, &folder, &["--instructions", "Old."]);
    drop(finish(&sandbox, &older));
    keeps_and_finds_older(&sandbox, &folder, &older);
}

fn keeps_and_finds_older(sandbox: &Sandbox, folder: &Path, older: &str) {
    let run_id = start(sandbox, folder, &["--blobs", "../kept", "--instructions", "New."]);
    drop(finish(sandbox, &run_id));
    for (run_id, said) in [(older, "Old."), (run_id.as_str(), "New.")] {
        let brief = sandbox.errand(["brief", run_id, "--json"]).run().ok().json();
        assert_eq!(brief["brief"]["instructions"], said);
    }
}

#[test]
fn a_removed_run_leaves_no_blobs_in_the_place_once_they_are_old() {
    let sandbox = sandbox();
    keeps_and_finds(&sandbox, "../kept");
    let kept = sandbox.repo().join("../kept");
    drop(sandbox.errand(["prune"]).run().ok());
    assert!(files_below(&kept) > 2, "young ones stay");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24);
    age(&kept, long_ago);
    drop(sandbox.errand(["prune"]).run().ok());
    assert_eq!(files_below(&kept.join("briefs")), 0);
    assert_eq!(files_below(&kept), 3, "the owner's note, the clock, and the agent's inventory");
}

fn age(folder: &Path, to: std::time::SystemTime) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => age(&path, to),
            path => fs::File::open(path).unwrap().set_modified(to).unwrap(),
        }
    }
}

#[test]
fn a_place_that_cannot_be_used_refuses_the_run_before_it_exists() {
    let Some(s3) = S3Server::start() else { return };
    let mut sandbox = sandbox();
    let folder = sandbox.agent(&worker());
    let refuse = |sandbox: &Sandbox, place: &str, code: &str| {
        for how in [&["run", "-d"][..], &["run"]] {
            let refused = sandbox.errand(how).args(["--blobs", place]).arg(&folder).run();
            check_refusal(&refused, code);
        }
        let listed = sandbox.errand(["ps", "-a", "--json"]).run();
        assert_eq!(listed.ok().json(), json!([]));
    };
    refuse(&sandbox, "gs://bucket", "blobs_address_invalid");
    refuse(&sandbox, "no/such/folder", "blobs_address_invalid");
    let half = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    for (name, value) in half {
        sandbox.set_env(name, value);
    }
    refuse(&sandbox, "s3://some-bucket", "blobs_key_invalid");
    sandbox.set_env("AWS_SECRET_ACCESS_KEY", "secret");
    refuse(&sandbox, "s3://some-bucket", "blobs_unreachable");
    for (name, value) in s3.variables() {
        sandbox.set_env(name, value);
    }
    refuse(&sandbox, "s3://missing-bucket", "blobs_bucket_missing");
}

#[test]
fn a_disk_that_is_not_mounted_is_no_empty_place() {
    let sandbox = sandbox();
    let key = keeps_and_finds(&sandbox, "../kept");
    let (run_id, _) = key.strip_prefix("briefs/").and_then(|it| it.split_once('/')).unwrap();
    forget_copies(&sandbox);
    let (kept, away) = (sandbox.repo().join("../kept"), sandbox.repo().join("../away"));
    fs::rename(&kept, &away).unwrap();
    fs::create_dir(&kept).unwrap();
    check_refusal(&sandbox.errand(["brief", run_id]).run(), "blobs_folder_missing");
    let folder = sandbox.agent(&worker());
    let refused = sandbox.errand(["run", "-d", "--instructions", "x"]).arg(&folder).run();
    check_refusal(&refused, "blobs_folder_missing");
    assert_eq!((files_below(&kept), all(&sandbox).len()), (0, 1));
    fs::remove_dir(&kept).unwrap();
    fs::rename(&away, &kept).unwrap();
    drop(sandbox.errand(["brief", run_id]).run().ok());
}
