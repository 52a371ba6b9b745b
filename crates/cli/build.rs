//! Options of the linker.

use std::env;
use std::io::Write as _;

/// Links without position independence.
///
/// A position-independent program of this size begins with 45,000 relocations, which touch 300
/// pages: 0.9 ms of each start and 2 MiB of each helper. What is given up is that the program's own
/// code lies at a random address; its stack, heap and libraries still do.
///
/// A static program is linked as the compiler says: a further `-no-pie` beside its `-static-pie` makes
/// one that asks for a dynamic linker and crashes there.
#[expect(clippy::disallowed_methods, reason = "cargo describes the target in the environment")]
fn main() -> std::io::Result<()> {
    let mut cargo = std::io::stdout();
    writeln!(cargo, "cargo::rerun-if-changed=build.rs")?;
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static") {
        return Ok(());
    }
    writeln!(cargo, "cargo::rustc-link-arg-bins=-no-pie")
}
