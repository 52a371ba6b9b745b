//! Stable text: variable parts are replaced by placeholders of the same width.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Patterns of variable parts with their placeholders, in order.
const RULES: &[(&str, &str)] = &[
    // Digests come before ids, whose alphabet is wider and whose length is shorter.
    (r"\b[0-9a-f]{64}\b", "<digest-------------------------------------------------------->"),
    (r"\b[0-9a-f]{40}\b", "<commit-------------------------------->"),
    (r"\b01[0-9a-hjkmnp-tv-z]{18}\b", "<run-id------------>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|\+00:00)", "<rfc3339-with-nanoseconds---->"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "<rfc3339----------->"),
    (r"\b1[6-9]\d{11}\b", "1700000000000"),
    (r#"("(?:pid|process_group_id)":\s*)\d+"#, "${1}4242"),
    (r#"("(?:wall_ms|cpu_ms|duration_ms|max_rss_bytes)":\s*)\d+"#, "${1}1"),
    (r"\bpid \d+\b", "pid 4242"),
    (r"\b(less than a second|a second|\d+ seconds?) ago\b", "<moments ago>"),
    (r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "<time>"),
    (r"127\.0\.0\.1:\d{2,5}\b", "127.0.0.1:<port>"),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compile = |(pattern, placeholder): &(&str, &'static str)| {
        (Regex::new(pattern).expect("a pattern of this file"), *placeholder)
    };
    RULES.iter().map(compile).collect()
});

/// Returns `text` with ids, digests, times, pids, ports, and the path of `sandbox` replaced.
#[must_use]
pub fn stable(text: &str, sandbox: &Path) -> String {
    let mut stable = text.replace(&*sandbox.to_string_lossy(), "<sandbox>");
    for (pattern, placeholder) in COMPILED.iter() {
        stable = pattern.replace_all(&stable, *placeholder).into_owned();
    }
    stable
}
