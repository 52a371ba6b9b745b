//! Failures after which an attempt is repeated, as a file writes them.

use errand_model::retry::{ERROR_PREFIX, EXIT_PREFIX};

use super::at::At;
use super::reader::Reader;
use super::yaml::Kind;
use crate::error_code::ErrorCode;

/// Reads a failure that another attempt may mend: an error code, an exit code, or the agent's own
/// code.
pub(super) fn retry_on(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let what = "a failure that can be retried";
    if let Kind::Number { text } = &at.node.kind {
        let hint = format!("for the agent's exit code write {EXIT_PREFIX}{text}");
        reader.report_hint(at, format!("{text} is not {what}"), hint);
        return None;
    }
    let text = at.text().unwrap_or_default();
    if let Some(code) = text.strip_prefix(EXIT_PREFIX) {
        let code = code.parse::<u8>().ok().filter(|code| *code > 0);
        if code.is_none() {
            let hint = format!("exit codes of failures are 1 to 255: {EXIT_PREFIX}75");
            reader.report_hint(at, format!("{text:?} is not {what}"), hint);
        }
        return code.map(|code| format!("{EXIT_PREFIX}{code}"));
    }
    if let Some(code) = text.strip_prefix(ERROR_PREFIX) {
        let is_code = code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if is_code && code.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Some(text.to_owned());
        }
        let hint = format!(
            "a code of the agent's own is lower-case words joined by underscores: \
             {ERROR_PREFIX}rate_limited"
        );
        reader.report_hint(at, format!("{text:?} is not {what}"), hint);
        return None;
    }
    let codes = ErrorCode::RETRYABLE.iter().map(|code| (code.as_str(), code.as_str()));
    let choices: Vec<(&str, &str)> =
        codes.chain([("exit:<n>", ""), ("error:<code>", "")]).collect();
    reader.choice(at, what, &choices).filter(|code| !code.is_empty()).map(str::to_owned)
}
