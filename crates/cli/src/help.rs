//! Text of `errand --help`, with the commands in groups.

use std::fmt::Write as _;

/// Title of a group of commands, and their names.
pub(crate) type CommandGroup = (&'static str, &'static [&'static str]);

/// First line of the parser's list of commands, without styles.
const LIST_HEADING: &str = "Commands:";

/// Returns the help of errand itself with its commands in groups; any other help as it is.
///
/// `help` is the parser's text, with or without escape codes for styles.
pub(crate) fn grouped(help: &str, groups: &[CommandGroup]) -> String {
    if !plain(help).starts_with("Runs AI agents and keeps the record") {
        return help.to_owned();
    }
    let lines: Vec<&str> = help.split_inclusive('\n').collect();
    let Some(heading) = lines.iter().position(|line| plain(line).trim_end() == LIST_HEADING) else {
        return help.to_owned();
    };
    let list = &lines[heading + 1..];
    let length = list.iter().position(|line| line.trim().is_empty()).unwrap_or(list.len());
    let mut entries = entries(&list[..length]);
    let mut text = lines[..heading].concat();
    for (title, names) in groups {
        let mut group = String::new();
        for name in *names {
            if let Some(index) = entries.iter().position(|(entry, _)| entry == name) {
                group.push_str(&entries.remove(index).1);
            }
        }
        push_group(&mut text, lines[heading], title, &group);
    }
    let rest: String = entries.into_iter().map(|(_, entry)| entry).collect();
    push_group(&mut text, lines[heading], "More", &rest);
    text.push_str(list[length..].concat().trim_start_matches('\n'));
    text
}

/// Appends a group under a heading styled as the parser's.
fn push_group(text: &mut String, heading: &str, title: &str, group: &str) {
    if !group.is_empty() {
        let heading = heading.replace(LIST_HEADING, &format!("{title}:"));
        // Writing into a string cannot fail.
        let _written = writeln!(text, "{heading}{group}");
    }
}

/// Splits a list of commands into (name, lines): a long description goes on in further lines.
fn entries(list: &[&str]) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in list {
        let words = plain(line);
        match entries.last_mut() {
            Some((_, entry)) if words.starts_with("   ") => entry.push_str(line),
            Some(_) | None => {
                let name = words.split_whitespace().next().unwrap_or_default();
                entries.push((name.to_owned(), (*line).to_owned()));
            }
        }
    }
    entries
}

/// Returns the text without escape sequences for styles.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        plain.push_str(&rest[..start]);
        let end = rest[start..].find('m').map_or(rest.len(), |length| start + length + 1);
        rest = &rest[end..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;
    use crate::commands::GROUPS;

    #[test]
    fn every_command_is_listed_once_under_a_heading() {
        let mut cli = Cli::command();
        cli.build();
        let help = cli.render_help();
        let shown = grouped(&help.to_string(), &GROUPS);
        for command in cli.get_subcommands().filter(|it| !it.is_hide_set()) {
            let start = format!("  {} ", command.get_name());
            let count = shown.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(count, 1, "{}", command.get_name());
        }
        assert!(!shown.contains(LIST_HEADING));
        assert_eq!(plain(&grouped(&help.ansi().to_string(), &GROUPS)), shown);
    }

    #[test]
    fn the_help_of_one_command_is_left_as_it_is() {
        let help = "Show a thing\n\nCommands:\n  ls  List\n\nOptions:\n";
        assert_eq!(grouped(help, &GROUPS), help);
    }
}
