//! `cargo xtask test`: all tests, including the installation of what they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::Installed;
use crate::{
    Failure, clients, cyclonedx, frameworks, grpc, model_sdks, moto, node, packages, prometheus,
    schemathesis, shell, tool_sdks,
};

/// Crates whose documentation has examples that are run.
const CRATES_WITH_DOCTESTS: [&str; 2] = ["errand-model", "errand-api"];

/// Behaviour for a tool that a test needs and that cannot be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Tests that need the tool are skipped, and reported at the end.
    Skipped,
    /// Tests that need the tool are skipped, and the command fails.
    Refused,
}

/// Runs the tests whose names contain `filter`, or all.
///
/// All temporary files of the tests go into one folder. A process that has the folder in its
/// environment after the tests was left behind by one of them: it is killed, and fails the command.
///
/// # Errors
///
/// If the build, a test, or a doctest failed, a test left a process behind, or a required tool is
/// missing.
pub(crate) fn run(filter: Option<&str>, missing: Missing) -> Result<(), Failure> {
    packages::install_missing()?;
    let schema = cyclonedx::install();
    let client = grpc::install();
    let described = schemathesis::install();
    let parser = prometheus::install();
    let s3 = moto::install();
    let [python, typescript] = clients::install();
    let sdks = model_sdks::install();
    let of_tools = tool_sdks::install();
    let frameworks = frameworks::install();
    let [node_clients, agents] = node::install();
    let of_agents = [sdks, of_tools, frameworks, node_clients, agents];
    let others = [schema, client, described, parser, s3, python, typescript];
    let tools: Vec<Installed> = others.into_iter().chain(of_agents).collect();
    shell::run(shell::cargo(&["build", "--workspace", "--all-targets", "--locked"]))?;

    let scratch = make_scratch()?;
    let tested = run_tests(filter, &scratch);
    let left_behind = end_processes_of(&scratch);
    let removed = fs::remove_dir_all(&scratch);

    for tool in &tools {
        tool.say_what_was_skipped();
    }
    node::say_missing_agents();
    tested?;
    if !left_behind.is_empty() {
        return Err(format!("the tests left processes behind:\n{}", left_behind.join("\n")).into());
    }
    removed.map_err(|error| format!("cannot remove {}: {error}", scratch.display()))?;
    if missing == Missing::Refused {
        for tool in tools {
            tool.refuse_skipped()?;
        }
    }
    Ok(())
}

fn run_tests(filter: Option<&str>, scratch: &Path) -> Result<(), Failure> {
    let mut tests = if shell::has_program("cargo-nextest") {
        shell::cargo(&["nextest", "run", "--workspace", "--locked"])
    } else {
        shell::say("cargo-nextest is not installed: falling back to `cargo test`, which is slower");
        shell::cargo(&["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"])
    };
    tests.args(filter);
    shell::run(in_scratch(tests, scratch))?;
    if filter.is_some() {
        return Ok(());
    }
    for name in CRATES_WITH_DOCTESTS {
        let doctests = shell::cargo(&["test", "--doc", "--locked", "--package", name]);
        shell::run(in_scratch(doctests, scratch))?;
    }
    Ok(())
}

fn in_scratch(mut command: Command, scratch: &Path) -> Command {
    command.env("TMPDIR", scratch);
    command
}

/// Creates the folder for temporary files. Its path is short: sockets lie below it, and their paths
/// are bounded.
fn make_scratch() -> Result<PathBuf, Failure> {
    let scratch = std::env::temp_dir().join(format!("errand-tests-{}", std::process::id()));
    fs::create_dir_all(&scratch)
        .map_err(|error| format!("cannot create {}: {error}", scratch.display()))?;
    Ok(scratch)
}

/// Kills every process whose environment has the folder. Returns a line for each.
fn end_processes_of(scratch: &Path) -> Vec<String> {
    let needle = scratch.to_string_lossy().into_owned();
    let own = std::process::id().to_string();
    let mut ended = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(environment) = fs::read(entry.path().join("environ")) else {
            continue;
        };
        if !String::from_utf8_lossy(&environment).contains(&needle) {
            continue;
        }
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        // The shell's built-in `kill`: a minimal machine has no other.
        if shell::capture(shell::tool("sh", &["-c", "kill -KILL \"$0\"", &pid])).is_ok() {
            ended.push(format!("  {pid} {line}"));
        }
    }
    ended
}
