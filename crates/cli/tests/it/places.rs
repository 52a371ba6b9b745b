//! Where the registry is.

use errand_testkit::{Agent, Sandbox, Tmpfs};

use crate::support::{all, sandbox};

#[test]
fn two_repositories_one_in_the_other_have_their_own_registries() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&Agent::shell("true"));
    sandbox.git_init();
    drop(sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().ok());
    std::fs::create_dir_all(sandbox.path("inner/deep")).unwrap();
    drop(sandbox.tool("git", ["init", "--quiet", "inner"]).run().ok());
    let inside = || sandbox.errand(["run".as_ref(), agent.as_os_str()]).current_dir("inner/deep");
    drop(inside().run().ok());
    drop(inside().run().ok());
    let listed = sandbox.errand(["ps", "-a", "--json"]).current_dir("inner/deep").run().ok();
    assert_eq!(listed.json().as_array().unwrap().len(), 2);
    assert_eq!(all(&sandbox).len(), 1);
    assert!(sandbox.path("inner/.errand/registry.db").is_file());
}

#[test]
fn the_registry_keeps_itself_out_of_git() {
    let sandbox = sandbox();
    sandbox.git_init();
    let agent = sandbox.agent(&Agent::shell("true"));
    sandbox.commit_all("all");
    drop(sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().ok());
    assert_eq!(sandbox.git(["status", "--porcelain"]), "");
}

#[test]
fn a_full_disk_is_said_and_harms_nothing() {
    let Some(disk) = Tmpfs::mount(8 * 1024 * 1024) else {
        return;
    };
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    let agent = sandbox.agent(&Agent::shell("true"));
    drop(sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().ok());
    let filler = disk.fill(0);
    let refused = sandbox.errand(["run".as_ref(), "-d".as_ref(), agent.as_os_str()]).run();
    assert!(refused.stderr().contains("disk_full"), "{}", refused.describe());
    drop(refused.exits(125));
    std::fs::remove_file(filler).unwrap();
    drop(sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().ok());
    assert_eq!(all(&sandbox).iter().filter(|run| run["status"] == "completed").count(), 2);
}

#[test]
fn a_disk_that_cannot_be_written_is_said() {
    let Some(disk) = Tmpfs::mount(8 * 1024 * 1024) else {
        return;
    };
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    let agent = sandbox.agent(&Agent::shell("true"));
    drop(sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().ok());
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        let words = ["-o", &options, disk.path().to_str().unwrap()].map(str::to_owned);
        drop(sandbox.tool("mount", words).run().ok());
    };
    remount("ro");
    let refused = sandbox.errand(["run".as_ref(), agent.as_os_str()]).run();
    let listed = sandbox.errand(["ps", "-a"]).run();
    remount("rw");
    assert!(refused.stderr().contains("registry_read_only"), "{}", refused.describe());
    assert!(listed.code == Some(0), "looking needs no writing: {}", listed.describe());
}
