//! One thing that can be configured.

use super::kind::Kind;

/// One thing that can be configured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in the file, such as `tls.cert`; also its name everywhere else.
    pub path: &'static str,
    /// Its flag, without dashes; `None`: it has none.
    pub flag: Option<&'static str>,
    /// Its environment variables, the first that is set counts.
    pub variables: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// What is in force if nobody says anything, as it would be typed; `None`: nothing, or what the
    /// machine has.
    pub default: Option<&'static str>,
    /// Whether a worker without a server has it too.
    pub is_worker: bool,
    /// Whether it may hold what nobody else should see.
    pub is_secret: bool,
    /// What it does, in one line.
    pub says: &'static str,
}
