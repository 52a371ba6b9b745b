//! Folders, files and blobs beside the database.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use errand_model::Digest;
use errand_store::files::{self, Sync};
use errand_store::sqlite::{JournalFiles, Options, Sqlite};
use errand_store::{
    BlobError, Blobs, FinalSnapshot, JournalFile, Registry, RegistryError, SOCKET_PATH_LIMIT_BYTES,
    SnapshotError, Store as _,
};
use tempfile::TempDir;

use super::Fresh;
use crate::conformance::appending::started;
use crate::world::new_id;

#[test]
fn the_nearest_registry_counts_and_a_new_one_lies_at_the_top_of_the_repository() {
    let folder = TempDir::with_prefix("errand-store-").unwrap();
    let outer = folder.path().join("outer");
    let inner = outer.join("vendor/inner");
    let deep = inner.join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    for repository in [&outer, &inner] {
        std::fs::create_dir(repository.join(".git")).unwrap();
    }
    assert_eq!(Registry::find(&deep), None);
    assert_eq!(Registry::place_for(&deep).root(), inner.join(".errand"));
    Registry::at(outer.join(".errand")).create().unwrap();
    assert_eq!(Registry::find(&deep), None, "a repository in another has its own");
    assert_eq!(Registry::find(&outer.join("vendor")).unwrap().root(), outer.join(".errand"));
    let workspace = outer.join(".errand/workspaces/one");
    std::fs::create_dir_all(workspace.join(".git")).unwrap();
    assert_eq!(Registry::find(&workspace).unwrap().root(), outer.join(".errand"));
    Registry::at(inner.join(".errand")).create().unwrap();
    assert_eq!(Registry::find(&deep).unwrap().root(), inner.join(".errand"));
    assert_eq!(Registry::place_for(folder.path()).root(), folder.path().join(".errand"));
}

#[test]
fn folders_are_made_once_and_secrets_are_private() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    let gitignore = fresh.registry.root().join(".gitignore");
    assert_eq!(std::fs::read_to_string(&gitignore).unwrap(), "*\n!/catalog/\n!/catalog/**\n");
    std::fs::write(&gitignore, "mine\n").unwrap();
    fresh.registry.create().unwrap();
    assert_eq!(std::fs::read_to_string(&gitignore).unwrap(), "mine\n");
    let mode = std::fs::metadata(fresh.registry.secrets()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_socket_whose_path_would_be_too_long_lies_elsewhere() {
    let short = std::path::Path::new("/run/errand");
    let near = Registry::at("/r/.errand".into());
    assert!(near.run_socket(&new_id(), short).starts_with(near.root()));
    let far = Registry::at(format!("/{}/.errand", "long".repeat(20)).into());
    let path = far.run_socket(&new_id(), short);
    assert!(path.starts_with(short) && path.as_os_str().len() <= SOCKET_PATH_LIMIT_BYTES);
}

#[test]
fn files_are_read_within_bounds_and_through_no_link() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    let run_id = new_id();
    let path = fresh.registry.run_record(&run_id);
    let read = |limit| files::read(&fresh.registry, &path, limit);
    assert_eq!(read(9).unwrap(), None);
    files::write_atomic(&path, b"12345", Sync::Yes).unwrap();
    files::write_atomic(&path, b"123456", Sync::No).unwrap();
    assert_eq!(read(6).unwrap().unwrap(), b"123456");
    assert!(matches!(read(5), Err(RegistryError::TooLong { size_bytes: 6, .. })));
    assert_eq!(std::fs::read_dir(fresh.registry.runs()).unwrap().count(), 1);

    let outside = fresh.registry.root().parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    std::fs::remove_file(&path).unwrap();
    symlink(outside.join("secret"), &path).unwrap();
    assert!(matches!(read(9), Err(RegistryError::NotAFile { .. })));
    let leaving = fresh.registry.runs().join("../../outside/secret");
    let refused = files::read(&fresh.registry, &leaving, 9);
    assert!(matches!(refused, Err(RegistryError::Outside { .. })), "{refused:?}");
    symlink(&outside, fresh.registry.root().join("link")).unwrap();
    let through = fresh.registry.root().join("link/secret");
    let refused = files::read(&fresh.registry, &through, 9);
    assert!(matches!(refused, Err(RegistryError::Outside { .. })), "{refused:?}");
}

#[test]
fn blobs_are_stored_once_and_checked() {
    let fresh = Fresh::new();
    let blobs = Blobs::at(fresh.registry.blobs());
    let digest = blobs.put(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(blobs.put(b"hello").unwrap(), digest);
    assert_eq!(blobs.get(&digest).unwrap(), b"hello");
    let big = vec![7_u8; 300_000];
    let path = fresh.registry.root().join("big");
    std::fs::write(&path, &big).unwrap();
    let (stored, size_bytes) = blobs.put_file(&path).unwrap();
    assert_eq!((stored.clone(), size_bytes), (Digest::of(&big), 300_000));
    assert_eq!(blobs.open(&stored).unwrap().1, 300_000);
    std::fs::write(blobs.path(&digest), b"hellO").unwrap();
    assert!(matches!(blobs.get(&digest), Err(BlobError::Damaged { .. })));
    let unnamed = BTreeSet::from([digest.clone()]);
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    assert_eq!(blobs.sweep(&unnamed, SystemTime::UNIX_EPOCH).unwrap(), (0, 0));
    assert!(blobs.open(&digest).is_ok(), "it is younger than that");
    assert_eq!(blobs.sweep(&unnamed, later).unwrap().0, 1);
    assert_eq!(blobs.sweep(&unnamed, later).unwrap(), (0, 0));
    assert!(matches!(blobs.get(&digest), Err(BlobError::Missing { .. })));
}

#[test]
fn a_snapshot_that_cannot_be_used_says_why() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    let (run_id, other) = (new_id(), new_id());
    let path = fresh.registry.run_final(&run_id);
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        FinalSnapshot::read(&fresh.registry, &run_id).unwrap_err()
    };
    assert!(matches!(read(""), SnapshotError::Damaged { .. }));
    assert!(matches!(read("{\"schema\":1"), SnapshotError::Damaged { .. }));
    let zero = "0".repeat(64);
    let document = |schema: u32, of: &str| {
        format!(
            "{{\"schema\":{schema},\"run_id\":\"{of}\",\"attempt\":1,\"epoch\":1,\
             \"head_before\":{{\"seq\":0,\"hash\":\"{zero}\"}},\"events\":[]}}"
        )
    };
    assert!(matches!(read(&document(2, run_id.as_str())), SnapshotError::Newer { found: 2, .. }));
    assert!(matches!(read(&document(1, other.as_str())), SnapshotError::Foreign { .. }));
}

#[tokio::test]
async fn a_journal_writer_adds_lines_that_other_processes_did_not_write() {
    let fresh = Fresh::new();
    let (one, other) = (fresh.open_sqlite(), fresh.open_sqlite());
    // This process commits, and dies before it writes the file.
    let dying = Options { journal_files: JournalFiles::Skip, ..Options::CREATE };
    let dying = Sqlite::open(&fresh.registry, dying).unwrap();
    let mut writer = started(&one).await;
    for (number, store) in [&one, &dying, &one, &other, &dying, &other, &one].iter().enumerate() {
        store.append(writer.step(&number.to_string())).await.unwrap();
    }
    let path = fresh.registry.run_events(&writer.run.id);
    let in_file = || -> Vec<u64> {
        let text = std::fs::read(&path).unwrap();
        let lines = JournalFile::parse(&path, &text, None);
        assert!(lines.problems.is_empty(), "{:?}", lines.problems);
        // In the order of the file, not sorted.
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let event = |line: &[u8]| -> serde_json::Value { serde_json::from_slice(line).unwrap() };
        lines.map(|line| event(line)["seq"].as_u64().unwrap()).collect()
    };
    let all = |last| (1..=last).collect::<Vec<u64>>();
    assert_eq!(in_file(), all(writer.head.seq));
    // The last event is added on demand, also by a process that has the file open.
    let written = writer.head.seq;
    dying.append(writer.step("last")).await.unwrap();
    assert_eq!(in_file(), all(written));
    one.sync_files(&writer.run.id).await.unwrap();
    assert_eq!(in_file(), all(writer.head.seq));
}

#[tokio::test]
async fn a_file_that_could_not_be_written_is_whole_after_a_later_commit_of_any_run() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut ended = started(&store).await;
    let mut other = started(&store).await;
    // A new store has no files open.
    let store = fresh.open_sqlite();
    let path = fresh.registry.run_events(&ended.run.id);
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();
    let before = ended.head.seq;
    store.append(ended.complete()).await.unwrap();
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    let last = |path: &std::path::Path| {
        let text = std::fs::read(path).unwrap();
        JournalFile::parse(path, &text, None).events.last().unwrap().seq
    };
    assert_eq!(last(&path), before, "it lacks the end");
    store.append(other.step("something")).await.unwrap();
    assert_eq!(last(&path), ended.head.seq);
}

#[tokio::test]
async fn a_huge_file_that_is_no_journal_is_refused_without_being_read() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let run_id = started(&store).await.run.id;
    let path = fresh.registry.run_events(&run_id);
    let zeros = |bytes: u64| {
        std::fs::write(&path, "").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
        JournalFile::read(&fresh.registry, &run_id)
    };
    let refused = zeros(6 * 1024 * 1024 * 1024).unwrap_err();
    assert!(matches!(refused, RegistryError::TooLong { .. }), "{refused:?}");
    // A file just below the limit ends with its first line.
    let read = zeros(3 * 1024 * 1024 * 1024).unwrap();
    assert_eq!((read.events.len(), read.problems.len()), (0, 1), "{:?}", read.problems);
}

#[tokio::test]
async fn a_journal_file_loses_events_that_a_loss_of_power_took_from_the_database() {
    let fresh = Fresh::new();
    let mut writer = started(&fresh.open_sqlite()).await;
    // These are in the file, and never reached the disk as a commit.
    let mut lost = writer.clone();
    let lost = [lost.step("lost"), lost.step("lost too")];
    let path = fresh.registry.run_events(&writer.run.id);
    let mut text = std::fs::read_to_string(&path).unwrap();
    for event in lost.iter().flat_map(|append| &append.events) {
        text.push_str(&(event.to_json_line() + "\n"));
    }
    std::fs::write(&path, &text).unwrap();

    let store = fresh.open_sqlite();
    store.append(writer.step("made after that")).await.unwrap();
    let events = store.events(&writer.run.id, 0, u32::MAX).await.unwrap();
    let file = JournalFile::read(&fresh.registry, &writer.run.id).unwrap();
    assert_eq!((file.events, file.problems.len()), (events, 0));

    // That writer died between its commit and the file: the lost lines are older than the next
    // events.
    std::fs::write(&path, &text).unwrap();
    let store = fresh.open_sqlite();
    for key in ["a third writer", "and its next step"] {
        store.append(writer.step(key)).await.unwrap();
    }
    let events = store.events(&writer.run.id, 0, u32::MAX).await.unwrap();
    let file = JournalFile::read(&fresh.registry, &writer.run.id).unwrap();
    assert_eq!((file.events, file.problems.len()), (events, 0));
}
