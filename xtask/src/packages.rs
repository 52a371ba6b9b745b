//! Debian packages that tests need, and their installation.

use crate::{Failure, shell};

/// A program that a test needs besides Rust.
struct Package {
    /// Name of the program on the search path.
    program: &'static str,
    /// The Debian package that holds it.
    debian: &'static str,
    /// Tests that need it.
    reason: &'static str,
}

/// Packages that the tests of the whole workspace need. One line per package.
const PACKAGES: &[Package] = &[
    Package { program: "git", debian: "git", reason: "worktree and clone workspaces, code-review" },
    Package {
        program: "pg_ctlcluster",
        debian: "postgresql",
        reason: "the registry in PostgreSQL",
    },
    Package { program: "podman", debian: "podman", reason: "agents in containers" },
    Package { program: "runc", debian: "runc", reason: "agents in containers" },
    Package { program: "busybox", debian: "busybox-static", reason: "images for containers" },
    Package { program: "redis-server", debian: "redis-server", reason: "tasks by a bus" },
    Package { program: "python3", debian: "python3-minimal", reason: "agents written in Python" },
];

/// Installs missing packages, with a message for each.
///
/// # Errors
///
/// If a package is missing and there is no `apt-get`, or `apt-get` failed.
pub(crate) fn install_missing() -> Result<(), Failure> {
    let missing: Vec<&Package> =
        PACKAGES.iter().filter(|package| !shell::has_program(package.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        shell::say(&format!("missing: {} ({})", package.program, package.reason));
    }
    if !shell::has_program("apt-get") {
        let names: Vec<&str> = missing.iter().map(|package| package.program).collect();
        return Err(format!("install {} and try again", names.join(", ")).into());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.debian).collect();
    install(&names)
}

/// Installs Debian packages.
///
/// # Errors
///
/// If `apt-get` is missing or failed.
pub(crate) fn install(names: &[&str]) -> Result<(), Failure> {
    apt(&["update", "--quiet"])?;
    let mut args = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    args.extend(names);
    apt(&args)
}

fn apt(args: &[&str]) -> Result<(), Failure> {
    let mut command = shell::tool("apt-get", args);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(command)
}
