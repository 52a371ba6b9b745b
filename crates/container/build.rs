//! Builds `errand-shim` as a static program, which this crate carries.
//!
//! A package cannot ask Cargo to link one program statically, so the build is one of its own, in a
//! folder of its own. It is small: the shim has two dependencies.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Variables that would make the build of the shim another one than meant: a wrapper such as clippy's,
/// and flags and folders of the outer build.
const NOT_INHERITED: [&str; 6] = [
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

fn main() -> ExitCode {
    for path in ["../shim/src", "../shim/Cargo.toml", "build.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    match build() {
        Ok(shim) => {
            println!("cargo::rustc-env=ERRAND_SHIM={}", shim.display());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("cargo::error=errand-shim cannot be built: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<PathBuf, String> {
    let variable = |name: &str| env::var_os(name).ok_or_else(|| format!("{name} is not set"));
    let folder = PathBuf::from(variable("OUT_DIR")?).join("shim");
    let mut cargo = Command::new(variable("CARGO")?);
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    let target = variable("TARGET")?;
    cargo
        .args(["rustc", "--package", "errand-shim", "--bin", "errand-shim", "--release"])
        .arg("--manifest-path")
        .arg(PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../shim/Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .arg("--target")
        .arg(&target)
        .args(["--offline", "--quiet", "--", "-C", "target-feature=+crt-static"]);
    let status = cargo.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("cargo ended with {status}"));
    }
    Ok(folder.join(target).join("release").join("errand-shim"))
}
