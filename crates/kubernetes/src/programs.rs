//! Programs of errand for a Pod, copied by its first container.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use errand_container::ContainerPrograms;
use errand_shim::file;

/// Copies the shim, this program and its libraries into the folder that a Pod's containers share.
///
/// # Errors
///
/// If a file cannot be copied.
pub fn copy_programs(folder: &Path, program: &Path) -> io::Result<()> {
    let programs = ContainerPrograms::prepare(folder, program)?;
    // All of these folders are mounted.
    for name in ["bin", "whole", "lib"] {
        fs::create_dir_all(folder.join(name))?;
    }
    for (from, inside) in programs.files {
        let Ok(name) = Path::new(&inside).strip_prefix(file::HOME) else { continue };
        let to = folder.join(name);
        fs::copy(&from, &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
