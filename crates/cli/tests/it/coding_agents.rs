//! Unmodified coding agents, against a scripted provider behind the real wire, with no other network.
//!
//! Each is given one task on its own command line, and its model asks it to run one command.

use std::path::{Path, PathBuf};

use errand_testkit::{Sandbox, can_sandbox};

use crate::{provider, support};

/// Returns the folder with the program of an agent; `None`, with a warning, if it is missing.
fn programs(agent: &str) -> Option<PathBuf> {
    let folder = support::installed("coding-agents")?.join("node_modules/.bin");
    if folder.join(agent).exists() {
        return Some(folder);
    }
    support::warn(&format!(
        "{agent} has more than 350 MB; `cargo xtask coding-agents` installs it"
    ));
    None
}

/// Returns a sandbox of the test with an empty repository, and the agent's programs on the search path.
fn sandbox(programs: &Path) -> Sandbox {
    let mut sandbox = support::sandbox();
    sandbox.set_env("PATH", support::path_with_node(programs));
    sandbox.git_init();
    // Gemini CLI asks people for a way to sign in, unless its settings name one.
    let settings = r#"{"security":{"auth":{"selectedType":"gemini-api-key"}}}"#;
    support::write_at_home(&sandbox, ".gemini/settings.json", settings);
    sandbox
}

/// Has an agent do its task, as it is and in a sandbox without a network, and checks what it did and what
/// errand recorded.
fn check(agent: &str, provider: &str, command: &[&str]) {
    let Some(programs) = programs(agent) else { return };
    check_with(&[], &programs, provider, command);
    if can_sandbox() {
        // Its packages: the program is a link to a file of one.
        let real = std::fs::canonicalize(programs.join(agent)).unwrap();
        let packages = real.ancestors().find(|above| above.ends_with("node_modules")).unwrap();
        let shown = format!(
            "workspace,network=none,read={},read={},write=~/.gemini",
            packages.display(),
            programs.display()
        );
        check_with(&["--sandbox", &shown], &programs, provider, command);
    }
}

fn check_with(options: &[&str], programs: &Path, provider: &str, command: &[&str]) {
    let sandbox = sandbox(programs);
    let words = [options, &["--"], command].concat();
    let ran = provider::run(&sandbox, &[provider], &words).run().ok();
    assert!(ran.stdout().contains("All is done."), "{}", ran.describe());
    let made = std::fs::read_to_string(sandbox.path("made.txt"));
    assert_eq!(made.unwrap(), "made\n", "the agent ran the command of its model");
    let run = support::all(&sandbox).remove(0);
    let calls = provider::check_requests(&sandbox, &run);
    assert!(calls >= 2, "{run}");
    assert_eq!(run["counters"]["model_calls"], calls, "{run}");
}

#[test]
fn gemini_cli_runs_a_command_and_its_calls_are_counted() {
    let command =
        ["gemini", "--yolo", "--skip-trust", "-m", "gemini-2.5-flash", "-p", "make a file"];
    check("gemini", "google", &command);
}

#[test]
fn claude_code_runs_a_command_and_its_calls_are_counted() {
    check("claude", "anthropic", &["claude", "-p", "make a file", "--allowedTools", "Bash"]);
}

#[test]
fn codex_runs_a_command_and_its_calls_are_counted() {
    let command = "codex exec -m gpt-5 --sandbox danger-full-access \
                   -c openai_base_url=\"$OPENAI_BASE_URL\" 'make a file'";
    check("codex", "openai", &["sh", "-c", command]);
}

#[test]
fn opencode_runs_a_command_and_its_calls_are_counted() {
    check("opencode", "openai", &["opencode", "run", "-m", "openai/gpt-5", "make a file"]);
}
