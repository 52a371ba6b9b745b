//! A setting.

use super::kind::SettingKind;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in the file, such as `tls.cert`; also its name everywhere else.
    pub path: &'static str,
    /// Its flag, without dashes; `None`: it has none.
    pub flag: Option<&'static str>,
    /// Its environment variables, the first that is set counts.
    pub variables: &'static [&'static str],
    /// Kind of its value.
    pub kind: SettingKind,
    /// Default as it would be typed; `None`: nothing, or the machine's own value.
    pub default: Option<&'static str>,
    /// True if a worker without a server has it too.
    pub is_worker: bool,
    /// True if it may contain a secret.
    pub is_secret: bool,
    /// Description in one line.
    pub says: &'static str,
}
