//! Programs of errand in a container: the shim, and the whole program with its libraries.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use errand_model::Digest;
use errand_shim::file;

/// The static program `errand-shim`, which the build of this crate made.
const SHIM: &[u8] = include_bytes!(env!("ERRAND_SHIM"));
/// Digits of the shim's digest in its file name.
const NAME_DIGITS: usize = 16;

/// Programs of errand on this machine, and their paths in a container.
#[derive(Clone, Debug)]
pub struct ContainerPrograms {
    /// Paths of this machine, with their paths in a container.
    pub files: Vec<(PathBuf, String)>,
}

impl ContainerPrograms {
    /// Writes the shim into `folder`, unless it is there, and finds the libraries of `program`, which
    /// is this process's own program.
    ///
    /// # Errors
    ///
    /// If the shim cannot be written.
    pub fn prepare(folder: &Path, program: &Path) -> io::Result<Self> {
        let shim = written_shim(folder)?;
        let mut files = vec![
            (shim.clone(), file::SHIM.to_owned()),
            (shim, file::ERRAND.to_owned()),
            (program.to_owned(), file::WHOLE_PROGRAM.to_owned()),
        ];
        for library in mapped_libraries(&fs::read_to_string("/proc/self/maps")?) {
            files.extend(names_of(&library));
        }
        Ok(Self { files })
    }
}

fn written_shim(folder: &Path) -> io::Result<PathBuf> {
    let digest = Digest::of(SHIM).to_string();
    let digits = digest.rsplit(':').next().unwrap_or_default();
    let path = folder.join(format!("errand-shim-{}", &digits[..NAME_DIGITS.min(digits.len())]));
    let length = u64::try_from(SHIM.len()).unwrap_or(u64::MAX);
    if fs::metadata(&path).is_ok_and(|found| found.len() == length) {
        return Ok(path);
    }
    // Another process may write it at the same time: the last one wins, with the same bytes.
    let part = folder.join(format!("errand-shim.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut open = options.write(true).create(true).truncate(true).mode(0o755).open(&part)?;
    open.write_all(SHIM)?;
    drop(open);
    fs::rename(&part, &path)?;
    Ok(path)
}

/// Returns the shared libraries in a list of a process's mappings: loader and C library among them.
fn mapped_libraries(maps: &str) -> Vec<PathBuf> {
    let path = |line: &str| line.find('/').map(|at| line[at..].to_owned());
    let is_library = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.contains(".so") && (name.starts_with("lib") || name.starts_with("ld"))
    };
    let mut libraries: Vec<String> = maps.lines().filter_map(path).filter(is_library).collect();
    libraries.sort_unstable();
    libraries.dedup();
    libraries.into_iter().map(PathBuf::from).collect()
}

/// Returns the file of a library with its paths in a container: programs ask for it by a name that
/// may be a link on this machine.
fn names_of(library: &Path) -> Vec<(PathBuf, String)> {
    let own = library.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = own.into_iter().collect();
    let folder = library.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in folder.into_iter().flatten().flatten() {
        let is_link = entry.file_type().is_ok_and(|found| found.is_symlink());
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_link
            && name.contains(".so")
            && fs::canonicalize(entry.path()).is_ok_and(|real| real == library)
        {
            names.push(name);
        }
    }
    if names.iter().any(|name| name.starts_with("ld-")) {
        return vec![(library.to_owned(), file::LOADER.to_owned())];
    }
    let inside = |name: String| (library.to_owned(), format!("{}/{name}", file::LIBRARIES));
    names.into_iter().map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_is_static_and_small() {
        let text = String::from_utf8_lossy(SHIM);
        assert!(!text.contains("/lib64/ld-linux"), "it asks for a loader");
        assert!(SHIM.len() <= 4 * 1_024 * 1_024, "{} bytes", SHIM.len());
    }

    #[test]
    fn libraries_are_found_in_the_list_of_mappings() {
        let maps = "7f00-7f01 r-xp 0 fe:00 1  /usr/lib/x/libc.so.6\n\
                    7f01-7f02 r--p 0 fe:00 1  /usr/lib/x/libc.so.6\n\
                    7f02-7f03 r-xp 0 fe:00 2  /usr/lib/x/ld-linux-x86-64.so.2\n\
                    7f03-7f04 r-xp 0 fe:00 3  /usr/bin/errand\n\
                    7f04-7f05 rw-p 0 00:00 0  [heap]\n";
        let expect = ["/usr/lib/x/ld-linux-x86-64.so.2", "/usr/lib/x/libc.so.6"];
        assert_eq!(mapped_libraries(maps), expect.map(PathBuf::from));
    }

    #[test]
    fn the_shim_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = written_shim(folder.path()).unwrap();
        assert_eq!(fs::read(&first).unwrap(), SHIM);
        assert_eq!(written_shim(folder.path()).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
