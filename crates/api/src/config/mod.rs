//! Configuration of a server and a worker: one table of settings, each with its name in the file,
//! its environment variable, its flag, its type and its default.
//!
//! Deliberately absent: the precedence of sources, and reading any of them; the command line does
//! that.

mod file;
mod kind;
mod setting;
mod settings;
mod table;

pub use file::{FILE_NAME, FileSetting, parse};
pub use kind::{NamespaceLimits, SettingKind, SettingValue, Unreadable};
pub use setting::Setting;
pub use settings::{Contradiction, LimitSettings, LogFormat, LogSettings, Otlp, Settings, Tls};
pub use table::{SETTINGS, setting};
