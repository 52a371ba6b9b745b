//! Secrets: stored encrypted, given to agents that name them, and masked everywhere else.

use errand_testkit::{LIMIT, Sandbox, TestAgent, wait_until};

use crate::support::{all, finish, log, run, sandbox, start};

const SECRET: &str = "correct-horse-battery-4711";

/// Returns a sandbox whose store has [`SECRET`] under `API_KEY`.
fn with_secret() -> Sandbox {
    let sandbox = sandbox();
    drop(sandbox.errand(["secret", "init"]).run().ok());
    let set = sandbox.errand(["secret", "set", "API_KEY", "--value-stdin"]);
    drop(set.stdin(format!("{SECRET}\n")).run().ok());
    sandbox
}

/// Panics if any file below the sandbox, agents and home aside, contains the secret.
fn assert_nowhere(sandbox: &Sandbox, secret: &str) {
    let found = sandbox.tool("grep", ["-rlaF", secret, ".errand"]).run();
    assert_eq!(found.stdout(), "", "no file of the registry holds the secret");
}

#[test]
fn a_secret_is_set_listed_used_and_removed() {
    let sandbox = with_secret();
    assert_eq!(sandbox.errand(["secret", "ls"]).run().ok().stdout(), "API_KEY\n");
    assert_nowhere(&sandbox, SECRET);
    let agent = TestAgent::shell("test \"$API_KEY\" = correct-horse-battery-$((4700 + 11))")
        .spec("secrets: [API_KEY]");
    let agent = sandbox.agent(&agent);
    drop(run(&sandbox, &agent, &[]).run().ok());
    drop(sandbox.errand(["secret", "rm", "API_KEY"]).run().ok());
    let refused = run(&sandbox, &agent, &[]).run().exits(125);
    assert!(refused.stderr().contains("secret_missing"), "{}", refused.describe());
    assert_eq!(all(&sandbox).len(), 1, "a refusal creates no run");
}

#[test]
fn the_environment_comes_before_the_store() {
    let mut sandbox = with_secret();
    let agent = TestAgent::shell("printf '%s' \"$API_KEY\" | wc -c").spec("secrets: [API_KEY]");
    let agent = sandbox.agent(&agent);
    let stored = run(&sandbox, &agent, &[]).run().ok().stdout();
    sandbox.set_env("API_KEY", "of-the-environment");
    let given = run(&sandbox, &agent, &[]).run().ok().stdout();
    assert_eq!((stored.trim(), given.trim()), ("26", "18"));
    let detached = start(&sandbox, &agent, &[]);
    finish(&sandbox, &detached);
    assert_eq!(log(&sandbox, &detached).trim(), "18");
}

#[test]
fn a_secret_is_masked_wherever_it_could_be_written() {
    let sandbox = with_secret();
    let script = "echo \"plain $API_KEY\"; echo \"error $API_KEY\" >&2\n\
                  printf 'split correct-horse-'; sleep 0.05; printf 'battery-4711\\n'\n\
                  printf '%s' \"$API_KEY\" | base64\n\
                  errand agent emit note.taken \"{\\\"text\\\": \\\"with $API_KEY\\\"}\"\n\
                  errand agent checkpoint \"{\\\"text\\\": \\\"with $API_KEY\\\"}\"\n\
                  errand agent step one -- sh -c 'echo \"in a step $API_KEY\"'\n\
                  errand agent output \"{\\\"text\\\": \\\"with $API_KEY\\\"}\"\n";
    let agent = sandbox.agent(&TestAgent::shell(script).spec("secrets: [API_KEY]"));
    let shown = run(&sandbox, &agent, &[]).run().ok();
    let record = all(&sandbox).remove(0);
    let run_id = record["run_id"].as_str().unwrap();
    let events = sandbox.errand(["events", run_id, "--json"]).run().ok().stdout();
    let log = sandbox.errand(["logs", run_id]).run().ok();
    let texts = [
        shown.stdout(),
        shown.stderr(),
        record.to_string(),
        events,
        log.stdout(),
        log.stderr(),
        sandbox.errand(["inspect-run", run_id, "-o", "yaml"]).run().ok().stdout(),
    ];
    for text in &texts {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LTQ3MT"), "{text}");
    }
    assert!(texts[0].contains("plain ") && texts[0].contains("split "), "{}", texts[0]);
    assert_nowhere(&sandbox, SECRET);
}

#[test]
fn errors_do_not_contain_secrets() {
    let sandbox = with_secret();
    let script =
        "echo \"cannot log in with $API_KEY\" >&2; echo \"$API_KEY\" > \"$ERRAND_OUTPUT\"; exit 4";
    let agent = sandbox.agent(&TestAgent::shell(script).spec("secrets: [API_KEY]"));
    let shown = run(&sandbox, &agent, &[]).run().exits(4);
    assert!(!shown.stderr().contains(SECRET), "{}", shown.describe());
    assert!(!all(&sandbox)[0].to_string().contains(SECRET));
    assert_nowhere(&sandbox, SECRET);
}

#[test]
fn a_secret_is_in_no_command_line_and_not_in_the_helpers_environment_where_it_comes_from_the_store()
{
    let sandbox = with_secret();
    let script = "echo ready\nexec sleep 600\n";
    let agent = sandbox.agent(&TestAgent::shell(script).spec("secrets: [API_KEY]"));
    let run_id = crate::support::start_ready(&sandbox, &agent);
    for process in sandbox.processes() {
        assert!(!process.command_line.contains(SECRET), "{process:?}");
    }
    let helper = crate::support::pid(&crate::support::record(&sandbox, &run_id)["pid"]);
    let environment = std::fs::read(format!("/proc/{helper}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains(SECRET));
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
}

#[test]
fn a_secrets_value_on_the_command_line_is_refused() {
    let mut sandbox = sandbox();
    sandbox.set_env("API_KEY", SECRET);
    let agent = sandbox.agent(&TestAgent::shell("true").spec("secrets: [API_KEY]"));
    let refused = run(&sandbox, &agent, &["--job", &format!("use {SECRET}")]).run();
    assert!(!refused.stderr().contains(SECRET), "{}", refused.describe());
    assert_ne!(refused.code, Some(0));
    assert!(!sandbox.registry().exists());
}

#[test]
fn bad_names_and_values_are_refused() {
    let sandbox = with_secret();
    let set = |name: &str, value: &str| {
        sandbox.errand(["secret", "set", name, "--value-stdin"]).stdin(value).run()
    };
    for (name, value) in
        [("lower", "good-enough"), ("A B", "good-enough"), ("SHORT", "ab"), ("EMPTY", "")]
    {
        let refused = set(name, value);
        assert_eq!(refused.code, Some(2), "{}", refused.describe());
    }
    assert_eq!(sandbox.errand(["secret", "ls"]).run().ok().stdout(), "API_KEY\n");
    // Without a terminal there is no prompt.
    drop(sandbox.errand(["secret", "set", "OTHER"]).run().exits(2));
}

#[test]
fn a_damaged_secret_is_reported_by_name() {
    let sandbox = with_secret();
    std::fs::write(sandbox.registry().join("secrets/API_KEY.age"), "no age file").unwrap();
    let agent = sandbox.agent(&TestAgent::shell("true").spec("secrets: [API_KEY]"));
    let refused = run(&sandbox, &agent, &[]).run();
    assert!(refused.stderr().contains("API_KEY"), "{}", refused.describe());
    assert_eq!(refused.code, Some(125));
    let mode = std::fs::metadata(sandbox.registry().join("secrets")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o700);
}

#[test]
fn the_token_of_an_attempt_is_a_secret_too() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(
        "echo \"token $ERRAND_TOKEN\"; echo \"$ERRAND_TOKEN\" > \"$HOME/token\"",
    ));
    let shown = run(&sandbox, &agent, &[]).run().ok().stdout();
    let token = std::fs::read_to_string(sandbox.root().join("home/token")).unwrap();
    assert!(!token.trim().is_empty() && !shown.contains(token.trim()), "{shown}");
    wait_until("it is over", LIMIT, || all(&sandbox)[0]["status"] == "completed");
    assert_nowhere(&sandbox, token.trim());
}

#[test]
fn a_secret_that_is_encoded_in_lines_split_or_cut_is_masked_in_failures_too() {
    let mut sandbox = sandbox();
    let secret = "kP9vQ2xWz7LmN4tR8sYb1cD6fGh3jKaE5uTi0oPq".repeat(3);
    sandbox.set_env("API_KEY", &secret);
    let script = "import base64, os, subprocess, sys, time\n\
                  secret = os.environ['API_KEY'].encode()\n\
                  whole = base64.encodebytes(b'user:' + secret).decode()\n\
                  print(whole, flush=True)\n\
                  hexed = secret.hex()\n\
                  for part in hexed[:50], hexed[50:51], hexed[51:]:\n\
                  \x20   sys.stdout.write(part)\n\
                  \x20   sys.stdout.flush()\n\
                  \x20   time.sleep(0.1)\n\
                  cut = 'refused: ' + secret.decode()[:60]\n\
                  subprocess.run(['errand', 'agent', 'step', 's', '--', 'sh', '-c',\n\
                  \x20   'printf %s \"$API_KEY\" | base64 -w 40 >&2; exit 1'])\n\
                  subprocess.run(['errand', 'agent', 'fail', cut])\n\
                  sys.exit(1)\n";
    let agent = sandbox.agent(&TestAgent::python(script).spec("secrets: [API_KEY]"));
    let failed = run(&sandbox, &agent, &[]).run().exits(1);
    let export = sandbox.path("run.tar");
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    drop(sandbox.errand(["export", &run_id, "-o"]).arg(&export).run().ok());
    let said = failed.stdout() + &failed.stderr() + &log(&sandbox, &run_id);
    let encode = "import base64, sys; print(base64.b64encode(sys.argv[1].encode()).decode())";
    let encoded = sandbox.tool("python3", ["-S", "-c", encode, &secret]).run().ok().stdout();
    // A piece of each form; the position of line breaks depends on the text before.
    for piece in [&secret[20..44], &errand_hex(&secret)[40..80], &encoded[8..28], &encoded[60..76]]
    {
        assert!(!said.contains(piece), "{piece} in {said}");
        assert_nowhere(&sandbox, piece);
        assert!(!String::from_utf8_lossy(&std::fs::read(&export).unwrap()).contains(piece));
    }
}

fn errand_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn removing_an_unknown_secret_suggests_the_closest_name() {
    let sandbox = with_secret();
    let refused = sandbox.errand(["secret", "rm", "API_KEI"]).run().refuses(125, "secret_missing");
    assert!(refused.stderr().contains("did you mean API_KEY?"), "{}", refused.stderr());
    let refused = sandbox.errand(["secret", "rm", "OTHER"]).run().refuses(125, "secret_missing");
    assert!(refused.stderr().contains("errand secret ls"), "{}", refused.stderr());
}

#[test]
fn a_missing_secret_without_a_store_names_the_commands_in_order() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true").spec("secrets: [API_KEY]"));
    let refused = run(&sandbox, &agent, &[]).run().refuses(125, "secret_missing");
    let hint = "errand secret init, then errand secret set API_KEY";
    assert!(refused.stderr().contains(hint), "{}", refused.stderr());
}
