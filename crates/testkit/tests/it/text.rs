//! Placeholders and agent files.

use std::path::Path;

use errand_testkit::{TestAgent, stable};

fn check(text: &str, expect: &str) {
    assert_eq!(stable(text, Path::new("/tmp/sandbox")), expect);
}

#[test]
fn variable_parts_become_placeholders() {
    check("id 01k9zq3v7m5c8d2e4f6g failed", "id <run-id------------> failed");
    check("/tmp/sandbox/repo/x", "<sandbox>/repo/x");
    check("{\"at_ms\":1789000123456}", "{\"at_ms\":1700000000000}");
    check("\"pid\": 77, \"pids\": 77", "\"pid\": 4242, \"pids\": 77");
    check("exited (0) 5 seconds ago", "exited (0) <moments ago>");
    check("2026-02-03T04:05:06.123456789Z stdout F x", "<rfc3339-with-nanoseconds----> stdout F x");
    check("nothing differs here: 12345", "nothing differs here: 12345");
}

#[test]
fn a_placeholder_has_the_width_of_the_replaced_text() {
    for text in ["01k9zq3v7m5c8d2e4f6g", "2026-02-03T04:05:06.123456789Z", "1789000123456"] {
        assert_eq!(stable(text, Path::new("/tmp/sandbox")).len(), text.len(), "{text}");
    }
}

#[test]
fn an_agent_file_has_the_given_name_command_and_spec() {
    let agent = TestAgent::shell("echo hi").named("greeter").spec("timeouts: { run: 1s }");
    let expected = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: greeter, version: 1.0.0 }\n\
                    spec:\n  command: [sh, -e, agent.sh]\n  timeouts: { run: 1s }\n";
    assert_eq!(agent.yaml(), expected);
}
