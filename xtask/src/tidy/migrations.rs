//! Released migrations: none is ever changed.
//!
//! The file `released.txt` beside the migrations has a line `<sha-256> <file>` for each released
//! one. It grows with each release; a line is never changed.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Tree;

const LIST: &str = "released.txt";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for list in tree.files.iter().filter(|file| is_list(file)) {
        let folder = list.parent().unwrap_or(list);
        for line in tree.text(list).unwrap_or_default().lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((digest, name)) = line.split_once(' ') else {
                broken.push(format!("{}: {line:?} is no `<sha-256> <file>`", list.display()));
                continue;
            };
            let file = folder.join(name.trim());
            match std::fs::read(tree.root.join(&file)) {
                Err(_) => broken.push(format!("{} was released and is gone", file.display())),
                Ok(bytes) if hex(&bytes) != digest => {
                    broken.push(format!("{} was released: add a new one instead", file.display()));
                }
                Ok(_) => {}
            }
        }
    }
    broken
}

fn is_list(file: &Path) -> bool {
    let in_migrations = file.components().any(|part| part.as_os_str() == "migrations");
    in_migrations && file.file_name().is_some_and(|name| name == LIST)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
