//! Payloads, unchanged from the command line to the agent.

use errand_testkit::TestAgent;

use crate::support::sandbox;

/// Compares stdin and the input file with the bytes sent.
fn check(payload: &[u8]) {
    let sandbox = sandbox();
    let script = "cat > from-stdin; cmp from-stdin \"$ERRAND_INPUT\"; sha256sum < from-stdin";
    let agent = sandbox.agent(&TestAgent::shell(script));
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
fn a_payload_with_quotes_and_newlines_arrives_unchanged() {
    check(b"it's \"quoted\"\nand\r\nbroken \\ $HOME `id` \xf0\x9f\xa6\x80\n");
}

#[test]
fn a_binary_payload_arrives_unchanged() {
    check(&[0, 255, 254, 0, b'\n', 0xc3, 0x28]);
}

#[test]
fn a_payload_of_ten_mebibytes_arrives_unchanged() {
    let pattern: Vec<u8> = (0..=255).collect();
    check(&pattern.repeat(10 * 1024 * 4));
}

#[test]
fn an_empty_payload_arrives_empty() {
    check(b"");
}

#[test]
fn an_agent_that_never_reads_does_not_hang_its_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo done"));
    let file = sandbox.write("payload", vec![b'x'; 10 * 1024 * 1024]);
    let given = format!("@{}", file.display());
    let run = sandbox.errand(["run".as_ref(), agent.as_os_str()]).args(["--job", &given]).run();
    assert!(run.ok().stdout().contains("done"));
}

#[test]
fn a_payload_on_the_command_line_arrives_unchanged() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat"));
    let typed = "it's \"quoted\"\nand $HOME `id` \u{1f980}\\";
    assert_eq!(crate::support::run(&sandbox, &agent, &["--job", typed]).run().ok().stdout(), typed);
    let at = crate::support::run(&sandbox, &agent, &["--job", "@@here"]).run().ok().stdout();
    assert_eq!(at, "@here");
    let empty = crate::support::run(&sandbox, &agent, &["--job", ""]).run().ok().stdout();
    assert_eq!(empty, "");
}

#[test]
fn arguments_that_are_not_utf8_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat"));
    let broken = std::ffi::OsStr::from_bytes(b"a\xffb");
    for flag in ["--job", "--name", "--label", "--env"] {
        let refused = sandbox.errand(["run"]).arg(&agent).arg(flag).arg(broken).run();
        assert_eq!(refused.code, Some(2), "{}", refused.describe());
    }
    assert!(!sandbox.registry().exists());
}

#[test]
fn large_outputs_and_checkpoints_come_back_whole() {
    let sandbox = sandbox();
    let script = "import json, os, subprocess, sys\n\
                  big = {'text': 'x' * 200_000, 'crab': '\\U0001f980'}\n\
                  open('state', 'w').write(json.dumps(big))\n\
                  def errand(*words):\n\
                  \x20   return subprocess.run(['errand', 'agent', *words], check=True, capture_output=True).stdout\n\
                  errand('checkpoint', '@state')\n\
                  assert json.loads(errand('checkpoint', '--get')) == big\n\
                  errand('step', 'big', '--', 'cat', 'state')\n\
                  assert json.loads(errand('step', 'big', '--', 'cat', 'state')) == big\n\
                  json.dump(big, open(os.environ['ERRAND_OUTPUT'], 'w'))\n";
    let agent = sandbox.agent(&TestAgent::python(script));
    let ran = crate::support::run(&sandbox, &agent, &["--json"]).run().ok();
    let run_id = crate::support::all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let record = crate::support::record(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{}", ran.describe());
    crate::support::assert_over(&sandbox, &run_id);
    let lines = sandbox.errand(["events", &run_id, "--json"]).run().ok().stdout();
    assert!(lines.lines().all(|line| line.len() < 64 * 1024), "large data is kept apart");
    let again = sandbox.errand(["restart", &run_id]).run().ok().stdout_line();
    assert_eq!(crate::support::finish(&sandbox, &again)["status"], "completed");
}

#[test]
fn any_file_type_in_place_of_the_output_file_does_not_block_the_run() {
    let sandbox = sandbox();
    for odd in ["mkfifo $ERRAND_OUTPUT", "mkdir $ERRAND_OUTPUT", "ln -s /dev/zero $ERRAND_OUTPUT"] {
        let agent = sandbox.agent(&TestAgent::shell(odd));
        let output = sandbox.errand(["run"]).arg(&agent).run();
        assert_eq!(output.code, Some(125), "{odd}: {}", output.describe());
        assert!(output.stderr().contains("output_invalid"), "{odd}: {}", output.describe());
    }
}
