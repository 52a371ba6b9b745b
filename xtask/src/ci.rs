//! `cargo xtask ci`: everything that must hold, cheapest first.

use crate::{Failure, reference, shell, test, tidy};

pub(crate) fn run() -> Result<(), Failure> {
    shell::run(shell::cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    shell::run(shell::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    let mut doc = shell::cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    shell::run(doc)?;
    reference::check()?;
    test::run(None, test::Missing::Refused)
}
