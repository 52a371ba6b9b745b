//! Name of the person who gives a command, for records.

use errand_agent::os;
use errand_api::audit::Actor;
use errand_api::error_code::ErrorCode;

use crate::context::Context;
use crate::failure::Failure;

/// File with the names of users.
const PASSWD: &str = "/etc/passwd";
/// Longest such file that is read: on a machine with more users a directory service has the names.
const PASSWD_LIMIT_BYTES: u64 = 4 * 1024 * 1024;
/// Longest name of a person who decides.
const DECIDER_LIMIT_BYTES: usize = 200;

/// Returns the name of the user for the record: `$USER`, or else the system's name for the user of
/// this process, or else `uid` and the number, which is always known.
pub(crate) fn user(context: &Context) -> String {
    let named = context.variable("USER").or_else(|| context.variable("LOGNAME"));
    if let Some(name) = named.and_then(|name| name.to_str()).filter(|name| is_name(name)) {
        return name.to_owned();
    }
    let uid = rustix::process::getuid().as_raw();
    let is_short = std::fs::metadata(PASSWD).is_ok_and(|it| it.len() <= PASSWD_LIMIT_BYTES);
    let known = is_short.then(|| std::fs::read(PASSWD).ok()).flatten();
    let known = known.and_then(|bytes| name_of(&String::from_utf8_lossy(&bytes), uid));
    known.unwrap_or_else(|| format!("uid {uid}"))
}

/// Returns the name of the person who decides: as typed, or else the user's name, or else the
/// user's number.
pub(crate) fn decider(context: &Context, typed: Option<String>) -> Result<String, Failure> {
    let name = typed.unwrap_or_else(|| user(context));
    if is_name(&name) && name.len() <= DECIDER_LIMIT_BYTES {
        return Ok(name);
    }
    let message = format!("--by takes a name of at most {DECIDER_LIMIT_BYTES} bytes on one line");
    Err(Failure::new(ErrorCode::Usage, message))
}

/// Returns the name of a user in the text of a file such as `/etc/passwd`.
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| is_name(name))?;
        // The second field is the password or a placeholder.
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(name)
}

/// Returns true if a text can name a user on one line.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_control)
}

/// Returns the user who runs this command, for the audit log.
pub(crate) fn actor(context: &Context) -> Actor {
    // Without a name, the user's number.
    let name = decider(context, None).ok();
    Actor { key: None, name, from: os::host_name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number_in_the_systems_list() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n# note\n:x:7::::\nada:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(name_of(passwd, 7), None);
        assert_eq!(name_of(passwd, 100), None);
    }
}
