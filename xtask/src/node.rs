//! Packages from npm that tests need, in cargo's folder for files of tests.

use std::fs;
use std::path::Path;

use crate::python::{self, Installed};
use crate::{Failure, shell};

/// Virtual environment that has `node` and `npm` on a machine without them.
pub(crate) const WITH_NODE: &str = "openapi-clients";

/// SDKs of model providers, a server of tools, and the suite of their protocol.
const CLIENTS: [&str; 9] = [
    "openai@7.57.0",
    "@anthropic-ai/sdk@1.12.0",
    "@google/genai@3.1.0",
    "ai@7.0.173",
    "@ai-sdk/openai@4.0.118",
    "@ai-sdk/anthropic@4.0.105",
    "zod@4.6.7",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/conformance@0.1.16",
];
/// Coding agents of less than 150 MB.
const AGENTS: [&str; 1] = ["@google/gemini-cli@0.61.0"];
/// Coding agents of 350 to 400 MB each, which only `cargo xtask coding-agents` installs: packages and
/// programs.
const LARGE_AGENTS: [(&str, &str); 3] = [
    ("opencode-ai@1.18.33", "opencode"),
    ("@openai/codex@0.169.0", "codex"),
    ("@anthropic-ai/claude-code@2.1.330", "claude"),
];
const SKIPPED_CLIENTS: &str = "no model was called by an SDK for node, and no tool of a server from \
                               npm, as the packages could not be had";
const SKIPPED_AGENTS: &str = "no coding agent was run, as the packages could not be had";

/// Installs the packages where the tests look for them: the folders `node-clients/` and
/// `coding-agents/`. Does nothing if they are there.
pub(crate) fn install() -> [Installed; 2] {
    [
        install_folder("node-clients", &CLIENTS, SKIPPED_CLIENTS),
        install_folder("coding-agents", &AGENTS, SKIPPED_AGENTS),
    ]
}

/// `cargo xtask coding-agents`: installs all coding agents that tests know, more than a gigabyte.
///
/// # Errors
///
/// If a package cannot be had.
pub(crate) fn install_agents() -> Result<(), Failure> {
    let large = LARGE_AGENTS.map(|(package, _)| package);
    fetch(&python::folder("coding-agents"), &[&AGENTS[..], &large].concat())
}

/// Prints which large coding agents the tests skipped, since they are not installed.
pub(crate) fn say_missing_agents() {
    let programs = python::folder("coding-agents").join("node_modules/.bin");
    let is_missing = |(_, program): &&(&str, &str)| !programs.join(program).exists();
    let missing: Vec<&str> =
        LARGE_AGENTS.iter().filter(is_missing).map(|(_, program)| *program).collect();
    if !missing.is_empty() {
        shell::say(&format!(
            "SKIPPED: {} of more than 350 MB each were not run: `cargo xtask coding-agents` installs them",
            missing.join(", ")
        ));
    }
}

fn install_folder(name: &str, packages: &[&str], skipped: &'static str) -> Installed {
    let folder = python::folder(name);
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    let missing = format!("packages from npm ({})", packages.join(", "));
    python::install(&missing, skipped, || fetch(&folder, packages))
}

/// Installs packages with `npm`: the machine's, or that of the virtual environment.
pub(crate) fn fetch(folder: &Path, packages: &[&str]) -> Result<(), Failure> {
    // Remains of an interrupted run.
    drop(fs::remove_dir_all(folder));
    fs::create_dir_all(folder)?;
    fs::write(folder.join("package.json"), "{ \"private\": true }\n")?;
    let mut npm = shell::tool("npm", &["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    npm.args(packages).current_dir(folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = python::folder(WITH_NODE).join("bin");
    let folders = std::env::split_paths(&path).chain([beside]);
    npm.env("PATH", std::env::join_paths(folders)?);
    shell::run(npm)?;
    fs::write(folder.join("ready"), "")?;
    Ok(())
}
