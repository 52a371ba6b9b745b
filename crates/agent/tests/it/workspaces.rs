//! Workspaces in all modes, and their removal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use errand_agent::workspace::{Error, Mode, Workspaces};

use crate::support::Place;

fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with two commits, of which the first has the tag `v1` and the branch `old`.
fn repository(place: &Place) -> PathBuf {
    let path = place.path("repository");
    fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet"]);
    fs::write(path.join("file"), "one").unwrap();
    git(&path, &["add", "file"]);
    git(&path, &["commit", "--quiet", "-m", "one"]);
    git(&path, &["tag", "v1"]);
    git(&path, &["branch", "old"]);
    fs::write(path.join("file"), "two").unwrap();
    git(&path, &["commit", "--quiet", "-a", "-m", "two"]);
    path
}

fn workspaces(place: &Place) -> Workspaces {
    Workspaces::new(place.path("workspaces"))
}

fn content(workspace: &Path) -> String {
    fs::read_to_string(workspace.join("file")).unwrap()
}

#[test]
fn a_temporary_workspace_is_empty_at_first_and_survives_attempts() {
    let place = Place::new();
    let workspaces = workspaces(&place);
    let first = workspaces.prepare(&place.run_id, &Mode::Temp, place.dir.path()).unwrap();
    assert_eq!(fs::read_dir(&first).unwrap().count(), 0);
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(first.join("kept"), "x").unwrap();
    let second = workspaces.prepare(&place.run_id, &Mode::Temp, place.dir.path()).unwrap();
    assert_eq!(first, second);
    assert!(second.join("kept").exists());
    workspaces.remove(&place.run_id).unwrap();
    assert!(!first.exists());
    workspaces.remove(&place.run_id).unwrap();
}

#[test]
fn the_callers_directory_is_used_and_never_removed() {
    let place = Place::new();
    let workspaces = workspaces(&place);
    let path = workspaces.prepare(&place.run_id, &Mode::Cwd, place.dir.path()).unwrap();
    assert_eq!(path, fs::canonicalize(place.dir.path()).unwrap());
    workspaces.remove(&place.run_id).unwrap();
    assert!(place.dir.path().exists());
    assert!(!place.path("workspaces").exists());
    let error = workspaces.prepare(&place.run_id, &Mode::Cwd, &place.path("gone")).unwrap_err();
    assert!(matches!(error, Error::NoDirectory { .. }), "{error:?}");
}

#[test]
fn a_worktree_is_detached_survives_attempts_and_leaves_no_trace() {
    let place = Place::new();
    let repository = repository(&place);
    let workspaces = workspaces(&place);
    let mode = Mode::Worktree { reference: Some("v1".to_owned()) };
    let path = workspaces.prepare(&place.run_id, &mode, &repository).unwrap();
    assert_eq!(content(&path), "one");
    assert_eq!(git(&path, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    fs::write(path.join("file"), "changed").unwrap();
    let again = workspaces.prepare(&place.run_id, &mode, &repository).unwrap();
    assert_eq!((again, content(&path)), (path.clone(), "changed".to_owned()));
    workspaces.remove(&place.run_id).unwrap();
    assert!(!path.exists());
    assert_eq!(git(&repository, &["worktree", "list"]).lines().count(), 1);

    let head = Mode::Worktree { reference: None };
    let path = workspaces.prepare(&place.run_id, &head, &repository).unwrap();
    assert_eq!(content(&path), "two");
}

#[test]
fn a_partial_worktree_is_replaced() {
    let place = Place::new();
    let repository = repository(&place);
    let workspaces = workspaces(&place);
    let half = workspaces.path(&place.run_id);
    git(
        &repository,
        &["worktree", "add", "--no-checkout", "--detach", half.to_str().unwrap(), "v1"],
    );
    let mode = Mode::Worktree { reference: None };
    let path = workspaces.prepare(&place.run_id, &mode, &repository).unwrap();
    assert_eq!(content(&path), "two");
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let path = workspaces.prepare(&place.run_id, &mode, &repository).unwrap();
    assert_eq!(content(&path), "two");
}

#[test]
fn a_clone_has_the_requested_reference() {
    let place = Place::new();
    let repository = repository(&place);
    let workspaces = workspaces(&place);
    let check = |url: &str, reference: Option<&str>, expect: &str| {
        let mode = Mode::Clone { url: url.to_owned(), reference: reference.map(str::to_owned) };
        let path = workspaces.prepare(&place.run_id, &mode, place.dir.path()).unwrap();
        assert_eq!(content(&path), expect);
        fs::write(path.join("kept"), "x").unwrap();
        workspaces.prepare(&place.run_id, &mode, place.dir.path()).unwrap();
        assert!(path.join("kept").exists());
        workspaces.remove(&place.run_id).unwrap();
        assert!(!path.exists());
    };
    let url = repository.to_str().unwrap();
    check(url, None, "two");
    check(url, Some("old"), "one");
    check("repository", Some("v1"), "one");
    check("./repository", Some(&git(&repository, &["rev-parse", "v1"])), "one");
    assert_eq!(fs::read_dir(place.path("workspaces")).unwrap().count(), 0);
}

#[test]
fn a_failed_workspace_reports_its_reason_and_leaves_nothing() {
    let place = Place::new();
    let repository = repository(&place);
    let workspaces = workspaces(&place);
    let refused = |mode: Mode, origin: &Path| {
        let error = workspaces.prepare(&place.run_id, &mode, origin).unwrap_err();
        assert_eq!(fs::read_dir(place.path("workspaces")).unwrap().count(), 0);
        error
    };
    let worktree = |text: &str| Mode::Worktree { reference: Some(text.to_owned()) };
    let error = refused(worktree("nowhere"), &repository);
    assert!(matches!(error, Error::NoReference { .. }), "{error:?}");
    let error = refused(worktree("--help"), &repository);
    assert!(matches!(error, Error::LooksLikeOption { .. }), "{error:?}");
    let error = refused(worktree("v1"), place.dir.path());
    assert!(matches!(error, Error::NoRepository { .. }), "{error:?}");
    let clone = |url: &str, reference: Option<&str>| Mode::Clone {
        url: url.to_owned(),
        reference: reference.map(str::to_owned),
    };
    let error = refused(clone("no-such-repository", None), place.dir.path());
    assert!(
        matches!(&error, Error::Git { message, .. } if message.contains("no-such-repository")),
        "{error:?}"
    );
    let error = refused(clone("--upload-pack=touch x", None), place.dir.path());
    assert!(matches!(error, Error::LooksLikeOption { .. }), "{error:?}");
    let error = refused(clone("repository", Some("nowhere")), place.dir.path());
    assert!(matches!(error, Error::NoReference { .. }), "{error:?}");
}

#[test]
fn read_only_files_of_a_workspace_are_removed_and_links_are_not_followed() {
    let place = Place::new();
    let workspaces = workspaces(&place);
    let path = workspaces.prepare(&place.run_id, &Mode::Temp, place.dir.path()).unwrap();
    fs::write(place.path("precious"), "x").unwrap();
    fs::create_dir_all(path.join("cache/deep")).unwrap();
    fs::write(path.join("cache/deep/file"), "x").unwrap();
    std::os::unix::fs::symlink(place.dir.path(), path.join("cache/out")).unwrap();
    for directory in ["cache/deep", "cache"] {
        fs::set_permissions(path.join(directory), fs::Permissions::from_mode(0o555)).unwrap();
    }
    workspaces.remove(&place.run_id).unwrap();
    assert!(!path.exists() && place.path("precious").exists());
}
