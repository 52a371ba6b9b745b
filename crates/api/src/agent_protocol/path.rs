//! Paths of the calls. A segment that a name or key fills is percent-encoded.

/// Prefix of every path.
pub const PREFIX: &str = "/agent/v1";
/// `POST`: [`super::Checkin`] → [`super::CheckinAnswer`].
pub const CHECKIN: &str = "/agent/v1/checkin";
/// `POST {STEPS}{key}/begin`, `…/complete`, `…/fail`.
pub const STEPS: &str = "/agent/v1/steps/";
/// `PUT`: [`super::SaveCheckpoint`] → [`super::Done`]; `GET` → [`super::CheckpointAnswer`].
pub const CHECKPOINT: &str = "/agent/v1/checkpoint";
/// `POST`: [`super::ReportEvents`] → [`super::ReportEventsAnswer`].
pub const EVENTS: &str = "/agent/v1/events";
/// `POST`: [`super::OutputPart`]; `PUT`: [`super::SetOutput`]; both → [`super::Done`].
pub const OUTPUT: &str = "/agent/v1/output";
/// `POST {ARTIFACTS}{name}` with the file as body → [`super::ArtifactAnswer`].
pub const ARTIFACTS: &str = "/agent/v1/artifacts/";
/// `POST`: [`super::Reserve`] → [`super::ReserveAnswer`]; `DELETE {RESERVATIONS}/{id}` →
/// [`super::Done`].
pub const RESERVATIONS: &str = "/agent/v1/budget/reservations";
/// `GET` → the brief, a JSON document.
pub const BRIEF: &str = "/agent/v1/brief";
/// `GET` → [`super::SessionAnswer`]; `PUT`: [`super::PutSession`] → [`super::SessionAnswer`].
pub const SESSION: &str = "/agent/v1/session";
/// `GET` → [`super::MessagesAnswer`]; `POST`: [`super::AppendMessages`] →
/// [`super::AppendMessagesAnswer`].
pub const SESSION_MESSAGES: &str = "/agent/v1/session/messages";
/// `GET {SESSION_RESULTS}{tool}?input=…` or `?key=…` → [`super::ResultAnswer`]; `PUT`:
/// [`super::KeepResult`] → [`super::KeepResultAnswer`].
pub const SESSION_RESULTS: &str = "/agent/v1/session/results/";
/// `GET` → server-sent events, each a [`super::ControlEvent`].
pub const CONTROL: &str = "/agent/v1/control";
/// `POST`: [`super::Checkback`] → [`super::Done`].
pub const CHECKBACK: &str = "/agent/v1/checkback";
/// `POST`: [`super::AskApproval`] → [`super::ApprovalAnswer`]: a long poll.
pub const APPROVALS: &str = "/agent/v1/approvals";
/// `POST`: [`super::AskInput`] → [`super::InputAnswer`]: a long poll.
pub const INPUTS: &str = "/agent/v1/inputs";
/// `POST`: [`super::SendMessage`] → [`super::MessageAnswer`].
pub const MESSAGES: &str = "/agent/v1/messages";
/// `GET` → [`super::AgentMessage`], or `null`: a long poll.
pub const NEXT_MESSAGE: &str = "/agent/v1/messages/next";
/// `POST`: [`super::HandOver`] → [`super::HandOverAnswer`].
pub const HANDOFF: &str = "/agent/v1/handoff";

/// `POST`: begin the step of that key.
pub fn begin_step(key: &str) -> String {
    format!("{STEPS}{}/begin", encode(key))
}

/// `POST`: complete the step of that key.
pub fn complete_step(key: &str) -> String {
    format!("{STEPS}{}/complete", encode(key))
}

/// `POST`: fail the step of that key.
pub fn fail_step(key: &str) -> String {
    format!("{STEPS}{}/fail", encode(key))
}

/// `DELETE`: give a reservation back.
pub fn reservation(id: &str) -> String {
    format!("{RESERVATIONS}/{}", encode(id))
}

/// `POST`: keep an artifact of that name.
pub fn artifact(name: &str) -> String {
    format!("{ARTIFACTS}{}", encode(name))
}

/// `GET`, `PUT`: the session's results of that tool.
pub fn session_results(tool: &str) -> String {
    format!("{SESSION_RESULTS}{}", encode(tool))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, `/` included.
pub fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// Undoes percent-encoding; `None` if a `%` is not followed by two hex digits, or the bytes are no
/// UTF-8. A `+` stays a `+`.
pub fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex_digit(bytes.next()?)?, hex_digit(bytes.next()?)?);
            decoded.push((high << 4) | low);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for text in ["", "plain-1.0_~", "a/b c", "%", "ü+\u{0}\"", "100%/é"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
            assert!(!encode(text).contains('/'));
        }
        assert_eq!(encode("a/b c"), "a%2Fb%20c");
    }

    #[test]
    fn half_an_escape_is_no_text() {
        for text in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode("a+b%2b").as_deref(), Some("a+b+"));
    }
}
