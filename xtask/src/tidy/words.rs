//! Words that are true on one machine only.

use super::Tree;

/// Text that names a machine, with its kind. Written in two parts so that this file passes.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a folder of one machine"),
    ("/ro", "ot/", "a folder of one machine"),
    ("/ho", "me/", "a folder of one machine"),
    ("/Us", "ers/", "a folder of one machine"),
    ("index.", "crates.io", "a registry host: cargo knows it"),
    ("static.", "crates.io", "a registry host: cargo knows it"),
    ("registry.", "npmjs.org", "a registry host: the client knows it"),
    ("proxy.", "golang.org", "a registry host: the client knows it"),
    ("deb.", "debian.org", "a registry host: apt knows it"),
    ("DO NOT ", "SUBMIT", "a mark left behind"),
];

/// The only source of dependencies, as `Cargo.lock` writes it.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in &tree.files {
        let Some(text) = tree.text(file) else {
            continue;
        };
        let is_lock = file.file_name().is_some_and(|name| name == "Cargo.lock");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", file.display(), number + 1);
            if is_lock && line.starts_with("source = ") && !line.contains(SOURCE) {
                broken.push(format!("{place}: {line} is not the public registry"));
            }
            broken.extend(forbidden_in(line).map(|complaint| format!("{place}: {complaint}")));
        }
    }
    broken
}

fn forbidden_in(line: &str) -> impl Iterator<Item = String> {
    FORBIDDEN
        .iter()
        .map(|(first, second, what)| (format!("{first}{second}"), what))
        .filter(|(word, _)| line.contains(word))
        .map(|(word, what)| format!("{word} is {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines_are_found() {
        let line = format!("include = \"{}{}project\"", "/ro", "ot/");
        assert_eq!(forbidden_in(&line).count(), 1);
        assert_eq!(forbidden_in("https://docs.rs/errand").count(), 0);
    }
}
