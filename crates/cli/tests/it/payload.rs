//! Payloads arrive as they were given.

use errand_testkit::Agent;

use crate::support::sandbox;

/// Compares stdin and the input file with what was sent.
fn check(payload: &[u8]) {
    let sandbox = sandbox();
    let script = "cat > from-stdin; cmp from-stdin \"$ERRAND_INPUT\"; sha256sum < from-stdin";
    let agent = sandbox.agent(&Agent::shell(script));
    let file = sandbox.write("payload", payload);
    let given = format!("@{}", file.display());
    let expected = sandbox.tool("sha256sum", [&file]).run().ok().stdout();
    let expected = expected.split(' ').next().unwrap();

    let from_file = sandbox.errand(["run".as_ref(), agent.as_os_str()]).args(["--job", &given]);
    assert!(from_file.run().ok().stdout().contains(expected));
    let from_stdin = sandbox.errand(["run".as_ref(), agent.as_os_str()]).args(["--job", "-"]);
    assert!(from_stdin.stdin(payload).run().ok().stdout().contains(expected));
}

#[test]
fn text_with_quotes_and_newlines() {
    check(b"it's \"quoted\"\nand\r\nbroken \\ $HOME `id` \xf0\x9f\xa6\x80\n");
}

#[test]
fn bytes_that_are_no_text() {
    check(&[0, 255, 254, 0, b'\n', 0xc3, 0x28]);
}

#[test]
fn ten_mebibytes() {
    let pattern: Vec<u8> = (0..=255).collect();
    check(&pattern.repeat(10 * 1024 * 4));
}

#[test]
fn nothing_at_all() {
    check(b"");
}

#[test]
fn an_agent_that_never_reads_does_not_hang_its_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&Agent::shell("echo done"));
    let file = sandbox.write("payload", vec![b'x'; 10 * 1024 * 1024]);
    let given = format!("@{}", file.display());
    let run = sandbox.errand(["run".as_ref(), agent.as_os_str()]).args(["--job", &given]).run();
    assert!(run.ok().stdout().contains("done"));
}
