//! Licences of dependencies: only those that `deny.toml` allows.

use super::Tree;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(settings) = tree.text("deny.toml".as_ref()) else {
        return vec!["deny.toml is missing: it lists the licences that are allowed".to_owned()];
    };
    let allowed = allowed_licences(&settings);
    let mut broken = Vec::new();
    for package in tree.packages() {
        let name = package["name"].as_str().unwrap_or_default();
        match package["license"].as_str() {
            None => broken.push(format!("{name} names no licence")),
            Some(expression) if !is_allowed(expression, &allowed) => {
                broken
                    .push(format!("{name} is under {expression}, which deny.toml does not allow"));
            }
            Some(_) => {}
        }
    }
    broken
}

/// Returns the strings of `allow = [ … ]` in the section `[licenses]`; the rest of the file is not
/// read.
fn allowed_licences(settings: &str) -> Vec<String> {
    let section = settings.split("[licenses]").nth(1).unwrap_or_default();
    let list = section.split("allow = [").nth(1).unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    list.lines().filter_map(|line| line.split('"').nth(1)).map(ToOwned::to_owned).collect()
}

/// Returns true if an SPDX expression can be met with allowed licences alone.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // A slash is the older form of "or".
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().collect::<Vec<_>>().into_iter().peekable();
    any_of(&mut words, allowed)
}

type Words<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        // Both sides are read in any case, or the rest would be read wrongly.
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(licence) = words.next() else {
        return false;
    };
    // An exception only ever permits more than the licence it goes with.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    allowed.iter().any(|name| name == licence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: bool) {
        let allowed = ["MIT".to_owned(), "Apache-2.0".to_owned(), "Zlib".to_owned()];
        assert_eq!(is_allowed(expression, &allowed), expect, "{expression}");
    }

    #[test]
    fn an_expression_is_allowed_when_one_of_its_choices_is() {
        check("MIT", true);
        check("GPL-3.0", false);
        check("MIT OR GPL-3.0", true);
        check("GPL-3.0/MIT", true);
        check("MIT AND GPL-3.0", false);
        check("(GPL-3.0 OR MIT) AND Zlib", true);
        check("(MIT OR Apache-2.0) AND GPL-3.0", false);
        check("Apache-2.0 WITH LLVM-exception", true);
        check("", false);
    }

    #[test]
    fn the_list_is_read_from_its_section() {
        let settings = "[bans]\nallow = [\n \"x\",\n]\n[licenses]\nallow = [\n  \"MIT\",\n]\n";
        assert_eq!(allowed_licences(settings), ["MIT"]);
    }
}
