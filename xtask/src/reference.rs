//! `cargo xtask gen`: the pages under `docs/reference`, printed by the program itself, and the
//! types of the gRPC definition, made by a test of the gateway.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Failure, shell};

/// A generated file and the arguments of `errand` that print it.
struct Page {
    /// Relative to `docs/reference`.
    file: &'static str,
    arguments: &'static [&'static str],
}

const PAGES: &[Page] = &[
    Page { file: "cli.md", arguments: &["internal", "reference", "commands"] },
    Page { file: "error-codes.md", arguments: &["internal", "reference", "error-codes"] },
    Page { file: "exit-codes.md", arguments: &["internal", "reference", "exit-codes"] },
    Page { file: "openapi.json", arguments: &["internal", "reference", "openapi"] },
    Page { file: "agent-file.schema.json", arguments: &["schema"] },
];

/// Test that compares the generated gRPC types with their definition.
const GRPC_TEST: [&str; 7] = [
    "test",
    "--quiet",
    "--locked",
    "--package",
    "errand-gateway",
    "--lib",
    "generated_files_are_those_of_the_definition",
];
/// Variable that makes the test write the types first.
const GRPC_WRITE: &str = "ERRAND_GENERATE";

/// Writes all generated files.
///
/// # Errors
///
/// If the program does not build or does not print a page, or a file cannot be written.
pub(crate) fn write() -> Result<(), Failure> {
    let mut test = shell::cargo(&GRPC_TEST);
    test.env(GRPC_WRITE, "1");
    shell::run(test)?;
    let program = build()?;
    fs::create_dir_all(folder())?;
    for page in PAGES {
        let path = folder().join(page.file);
        fs::write(&path, print(&program, page)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        shell::say(&format!("wrote docs/reference/{}", page.file));
    }
    Ok(())
}

/// Compares the printed pages with those that the program prints now. The gRPC types are compared by
/// the gateway's tests.
///
/// # Errors
///
/// If a file is missing or differs, or a page is superfluous.
pub(crate) fn check() -> Result<(), Failure> {
    let program = build()?;
    let mut stale = Vec::new();
    for page in PAGES {
        let printed = print(&program, page)?;
        if fs::read_to_string(folder().join(page.file)).ok().as_deref() != Some(printed.as_str()) {
            stale.push(page.file.to_owned());
        }
    }
    for entry in fs::read_dir(folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !PAGES.iter().any(|page| page.file == name) {
            stale.push(format!("{name} (nobody generates it)"));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "docs/reference is out of date: {}\nhint: run `cargo xtask gen` and commit what it writes",
        stale.join(", ")
    )
    .into())
}

fn folder() -> PathBuf {
    shell::root().join("docs/reference")
}

fn build() -> Result<PathBuf, Failure> {
    shell::run(shell::cargo(&["build", "--quiet", "--locked", "--package", "errand"]))?;
    let metadata = shell::cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: serde_json::Value = serde_json::from_str(&shell::capture(metadata)?)?;
    let target = metadata["target_directory"].as_str().ok_or("cargo names no target folder")?;
    Ok(Path::new(target).join("debug/errand"))
}

/// Returns the program's output, with a fixed width and without the caller's environment.
fn print(program: &Path, page: &Page) -> Result<String, Failure> {
    let mut command = shell::tool(program, page.arguments);
    command.env_clear().env("COLUMNS", "100");
    shell::capture(command)
}
