//! Location of the registry.

use errand_testkit::{Sandbox, TestAgent, Tmpfs};

use crate::support::{all, sandbox};

#[test]
fn two_repositories_one_in_the_other_have_their_own_registries() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
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
    let agent = sandbox.agent(&TestAgent::shell("true"));
    sandbox.commit_all("all");
    drop(sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().ok());
    assert_eq!(sandbox.git(["status", "--porcelain"]), "");
}

#[test]
fn a_full_disk_is_reported_and_damages_nothing() {
    let Some(disk) = Tmpfs::mount(8 * 1024 * 1024) else {
        return;
    };
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    let agent = sandbox.agent(&TestAgent::shell("true"));
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
fn a_read_only_disk_is_reported() {
    let Some(disk) = Tmpfs::mount(8 * 1024 * 1024) else {
        return;
    };
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    let agent = sandbox.agent(&TestAgent::shell("true"));
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

#[test]
fn a_full_disk_while_a_run_works_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Tmpfs::mount(8 * 1024 * 1024) else {
        return;
    };
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    let script =
        format!("echo ready\n{}echo '{{\"n\": 1}}' > \"$ERRAND_OUTPUT\"", crate::support::GATE);
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let run_id = crate::support::start_ready(&sandbox, &agent);
    crate::support::open_gate(&sandbox);
    // The run writes at the same time: fill all space that is left.
    let filler = disk.path().join("filler");
    drop(std::fs::write(&filler, vec![0; 16 * 1024 * 1024]));
    errand_testkit::wait_until("the agent is over", errand_testkit::LIMIT, || {
        errand_testkit::processes_of_run(&run_id).is_empty()
    });
    let listed = sandbox.errand(["ps", "-a"]).run();
    assert!(listed.stdout().contains(&run_id), "{}", listed.describe());
    std::fs::remove_file(filler).unwrap();
    let record = crate::support::finish(&sandbox, &run_id);
    assert!(["completed", "failed"].contains(&record["status"].as_str().unwrap()), "{record:#}");
    crate::support::assert_over(&sandbox, &run_id);
    drop(sandbox.errand(["registry", "check"]).run().ok());
}

#[test]
fn a_read_only_folder_is_reported() {
    let Some(disk) = Tmpfs::mount(8 * 1024 * 1024) else {
        return;
    };
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        let words = ["-o", &options, disk.path().to_str().unwrap()].map(str::to_owned);
        drop(sandbox.tool("mount", words).run().ok());
    };
    remount("ro");
    let refused = sandbox.errand(["run".as_ref(), agent.as_os_str()]).run();
    remount("rw");
    assert!(refused.stderr().contains(".errand"), "{}", refused.describe());
    drop(refused.exits(125));
    assert!(!sandbox.registry().exists());
}

#[test]
fn a_named_root_is_used() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let named = sandbox.errand(["--root", "elsewhere", "run", "-d"]).arg(&agent);
    let run_id = named.run().ok().stdout_line();
    let root = sandbox.path("elsewhere");
    let by_variable = sandbox.errand(["wait", &run_id]).env("ERRAND_ROOT", &root).run();
    drop(by_variable.ok());
    assert!(!sandbox.registry().exists());
    assert_eq!(all(&sandbox).len(), 0);
}

#[test]
fn a_place_with_a_long_and_odd_name_works() {
    let sandbox = sandbox();
    let odd = format!("it's \"odd\" \u{1f980} {}", "deep ".repeat(30).trim());
    let agent =
        sandbox.agent(&TestAgent::shell("errand agent step one -- pwd; errand agent output 7"));
    std::fs::create_dir(sandbox.path(&odd)).unwrap();
    let ran = sandbox.errand(["run"]).arg(&agent).current_dir(&odd).run().ok();
    assert!(ran.stdout().contains("workspaces"), "{}", ran.describe());
    let listed = sandbox.errand(["ps", "-a", "--json"]).current_dir(&odd).run().ok().json();
    assert_eq!(listed[0]["output"], 7);
}

#[test]
fn names_with_odd_characters_are_found_again() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let names =
        ["it's", "say \"hi\"", "\u{1f980} crab", "a%b_c*d", "-dash", "$HOME `id`", "back\\slash"];
    for name in names {
        let named = format!("--name={name}");
        let run_id = crate::support::start(&sandbox, &agent, &[&named]);
        let found = sandbox.errand(["inspect-run", "--", name]).run().ok().json();
        assert_eq!((&found["run_id"], &found["name"]), (&run_id.into(), &name.into()));
    }
    let listed = sandbox.errand(["ps", "-a"]).run().ok().stdout();
    assert_eq!(listed.lines().count(), names.len() + 1, "one line each: {listed}");
    assert_eq!(sandbox.errand(["inspect-run", "a%"]).run().code, Some(125), "no wild cards");
}
