//! Flags of all settings, generated from their table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use errand_api::config::{FILE_NAME, SETTINGS, Setting, SettingKind};

/// Values of flags, by the names of the settings. `WORKER` restricts them to a worker's settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags<const WORKER: bool> {
    /// Value of `--config`.
    pub(crate) file: Option<PathBuf>,
    /// Several values for a flag that may be repeated.
    pub(crate) typed: BTreeMap<&'static str, Vec<String>>,
}

/// Flags of a server with its worker.
pub(crate) type ServerFlags = Flags<false>;
/// Flags of a worker.
pub(crate) type WorkerFlags = Flags<true>;

const FILE: &str = "config";

fn flagged(worker: bool) -> impl Iterator<Item = (&'static Setting, &'static str)> {
    SETTINGS
        .iter()
        .filter(move |setting| setting.is_worker || !worker)
        .filter_map(|setting| Some((setting, setting.flag?)))
}

impl<const WORKER: bool> Args for Flags<WORKER> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "The file with the configuration; by default {FILE_NAME} beside the registry's folder \
                 [env: ERRAND_CONFIG]"
            ));
        flagged(WORKER).fold(command.arg(file), |command, (setting, flag)| {
            // An older name of the flag for a worker's name.
            let alias = (setting.path == "worker_name").then_some("name");
            command.arg(
                Arg::new(setting.path)
                    .visible_aliases(alias)
                    .long(flag)
                    .value_name(value_name(setting.kind))
                    .action(if is_repeated(setting.kind) {
                        ArgAction::Append
                    } else {
                        ArgAction::Set
                    })
                    .help(help(setting)),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const WORKER: bool> FromArgMatches for Flags<WORKER> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self { file: matches.get_one::<PathBuf>(FILE).cloned(), ..Self::default() };
        for (setting, _) in flagged(WORKER) {
            if let Some(values) = matches.get_many::<String>(setting.path) {
                flags.typed.insert(setting.path, values.cloned().collect());
            }
        }
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns true if the flag may be given several times, one item each.
pub(super) const fn is_repeated(kind: SettingKind) -> bool {
    matches!(kind, SettingKind::Texts | SettingKind::Paths | SettingKind::Words)
}

const fn value_name(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Text | SettingKind::Texts => "TEXT",
        SettingKind::Path => "FILE",
        SettingKind::PathOrUrl => "PLACE",
        SettingKind::Paths => "DIR",
        SettingKind::Choice(_) => "WORD",
        SettingKind::Whole(_, _) => "N",
        SettingKind::Duration | SettingKind::Delay => "DURATION",
        SettingKind::Bytes => "SIZE",
        SettingKind::Cpu => "CORES",
        SettingKind::Words => "KEY=WORD",
        SettingKind::Namespaces => "",
    }
}

fn help(setting: &Setting) -> String {
    let mut letters = setting.says.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let mut help: String = first.chain(letters).collect();
    if is_repeated(setting.kind) {
        help.push_str("; may be repeated");
    }
    if let SettingKind::Choice(words) = setting.kind {
        help = format!("{help}: {}", words.join(", "));
    }
    if let Some(default) = setting.default {
        help = format!("{help} [default: {default}]");
    }
    match setting.variables.first() {
        Some(variable) => format!("{help} [env: {variable}]"),
        None => help,
    }
}
