//! Words that users know from other programs, and errand's commands for them.

use clap::CommandFactory as _;
use errand_api::agent_file::closest;
use errand_api::error_code::ErrorCode;

use crate::args::Cli;

/// Words of other programs, each with advice.
const HABITS: [(&str, &str); 30] = [
    ("attach", "`errand logs -f RUN` follows what a run prints; nothing can be typed into it"),
    ("cancel", "`errand stop RUN` ends a run"),
    ("create", "`errand run PATH` starts a run; `errand push PATH` registers an agent"),
    (
        "dashboard",
        "there is no dashboard yet: `errand ps` shows what lives, `errand up` serves the API",
    ),
    ("describe", "`errand inspect-run RUN` shows everything that is known of a run"),
    (
        "doctor",
        "`errand config check`, `errand registry check` and `errand validate PATH` look for faults",
    ),
    (
        "exec",
        "no command runs inside a live run; `errand inspect-run RUN` says where its workspace is",
    ),
    (
        "gc",
        "`errand registry gc` frees what no run names; `errand prune` removes runs that are over",
    ),
    ("history", "`errand ps -a` lists all runs, `errand events RUN` shows the journal of one"),
    ("images", "`errand agents ls` lists registered agents"),
    ("init", "an agent is a folder with an agent.yaml: `errand schema` says what it may hold"),
    ("kill", "`errand stop --force RUN` kills a run at once"),
    ("list", "`errand ps` lists runs: the live ones, or all with -a"),
    ("log", "`errand logs RUN` shows what a run printed"),
    ("login", "`errand context add NAME --server URL` remembers a server and its key"),
    ("ls", "`errand ps` lists runs: the live ones, or all with -a"),
    ("new", "an agent is a folder with an agent.yaml: `errand schema` says what it may hold"),
    ("remove", "`errand rm RUN` removes a run that is over"),
    (
        "rerun",
        "`errand restart RUN` begins a run anew, `errand retry RUN` goes on where it stopped",
    ),
    ("server", "`errand up` serves runs over HTTP; `errand serve` keeps one agent as a service"),
    (
        "shell",
        "no command runs inside a live run; `errand inspect-run RUN` says where its workspace is",
    ),
    ("show", "`errand inspect-run RUN` shows everything that is known of a run"),
    ("start", "`errand run PATH` starts a run, `errand resume RUN` lets a paused one go on"),
    ("status", "`errand ps` shows what lives, `errand inspect-run RUN` everything about one run"),
    ("submit", "`errand run -d PATH` starts a run and leaves it running"),
    ("tail", "`errand logs -f RUN` follows what a run prints"),
    ("top", "`errand ps` shows what lives, `errand usage` what it costs"),
    ("ui", "there is no dashboard yet: `errand ps` shows what lives, `errand up` serves the API"),
    ("version", "`errand --version` prints it"),
    ("watch", "`errand logs -f RUN` and `errand events -f RUN` follow a run"),
];

/// Returns the refusal of a word that is no command, with the most likely command as a hint.
pub(super) fn refusal(word: &str) -> String {
    let hint = match HABITS.iter().find(|(habit, _)| *habit == word) {
        Some((_, hint)) => (*hint).to_owned(),
        None => match closest_command(word) {
            Some(name) => format!("did you mean `errand {name}`?"),
            None => "`errand --help` lists all commands".to_owned(),
        },
    };
    let shown = word.escape_debug();
    format!("error[{}]: there is no command \"{shown}\"\nhint: {hint}\n", ErrorCode::Usage)
}

/// Returns the visible command whose name differs least from `word`, if the two are alike.
fn closest_command(word: &str) -> Option<String> {
    let cli = Cli::command();
    let names = cli.get_subcommands().filter(|it| !it.is_hide_set()).map(clap::Command::get_name);
    closest(word, names).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, hint: &str) {
        let refusal = refusal(word);
        assert!(refusal.starts_with("error[usage]: there is no command"), "{refusal}");
        assert!(refusal.contains(hint), "{refusal}");
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_command_for_it() {
        check("rnu", "did you mean `errand run`?");
        check("top", "`errand ps`");
        check("kill", "`errand stop --force RUN`");
        check("ls", "`errand ps`");
        check("aprove", "did you mean `errand approve`?");
        check("qwertz", "`errand --help`");
        check("a\u{1b}[2Jb", "\\u{1b}");
    }

    #[test]
    fn no_hidden_command_is_suggested() {
        assert!(!refusal("internel").contains("internal"), "{}", refusal("internel"));
    }

    #[test]
    fn habits_are_in_order_and_name_only_commands_that_exist() {
        let cli = Cli::command();
        assert!(HABITS.is_sorted_by_key(|(word, _)| *word));
        for (word, hint) in HABITS {
            assert!(cli.find_subcommand(word).is_none(), "{word} is a command");
            for part in hint.split("`errand ").skip(1) {
                let name = part.split([' ', '`']).next().unwrap_or_default();
                assert!(name.starts_with("--") || cli.find_subcommand(name).is_some(), "{hint}");
            }
        }
    }
}
