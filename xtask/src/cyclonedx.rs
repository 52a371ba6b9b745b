//! The published schema of `CycloneDX`, against which a test validates the inventories of agents.
//!
//! A Python package contains the schema, so that the repository needs no copy.

use std::fs;
use std::path::Path;

use crate::python::{self, Installed};
use crate::{Failure, packages, shell};

/// The package that holds the schemas.
const PACKAGE: &str = "cyclonedx-python-lib";
/// Folder of the schemas in the package.
const PLACE: &str = "cyclonedx/schema/_res";
/// The schema that is needed, and those that it refers to.
const FILES: [&str; 3] =
    ["bom-1.6.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"];

const SKIPPED: &str = "inventories were not validated against the schema of CycloneDX 1.6, which \
                       could not be installed";

/// Installs the schemas where the tests look for them: `cyclonedx/` in cargo's folder for files of
/// tests. Does nothing if they are there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("cyclonedx");
    if FILES.iter().all(|name| folder.join(name).is_file()) {
        return Installed::Yes;
    }
    let missing = format!("the schema of CycloneDX 1.6 (from the package {PACKAGE})");
    python::install(&missing, SKIPPED, || fetch(&folder))
}

fn fetch(folder: &Path) -> Result<(), Failure> {
    let download = folder.with_extension("download");
    // Remains of an interrupted run.
    drop(fs::remove_dir_all(&download));
    fs::create_dir_all(&download)?;
    if shell::capture(shell::tool("python3", &["-m", "pip", "--version"])).is_err() {
        packages::install(&["python3-pip"])?;
    }
    let into = download.to_string_lossy().into_owned();
    let args = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", &into, PACKAGE];
    shell::run(shell::tool("python3", &args))?;
    let wheel = fs::read_dir(&download)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or("pip downloaded no wheel")?;
    let wheel = wheel.to_string_lossy().into_owned();
    shell::run(shell::tool("python3", &["-m", "zipfile", "-e", &wheel, &into]))?;
    fs::create_dir_all(folder)?;
    for name in FILES {
        fs::copy(download.join(PLACE).join(name), folder.join(name))
            .map_err(|error| format!("{PACKAGE} has no {name}: {error}"))?;
    }
    fs::remove_dir_all(&download)?;
    Ok(())
}
