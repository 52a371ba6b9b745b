use errand_api::agent_file::{FileReference, Problems, parse, parse_bytes, parse_knowing};
use errand_api::error_code::ErrorCode;

use crate::agent_file::{FULL, with_spec};

/// Returns the problems of a file.
fn bad(text: &str) -> String {
    bad_bytes(text.as_bytes())
}

fn bad_bytes(bytes: &[u8]) -> String {
    match parse_bytes("agent.yaml", bytes) {
        Ok(agent) => panic!("it was taken: {agent:?}"),
        Err(problems) => {
            assert!(!problems.problems.is_empty());
            assert!(problems.problems.is_sorted_by_key(|p| (p.line, p.column)));
            problems.to_string()
        }
    }
}

/// Returns the problems of each `spec`.
fn bad_specs(specs: &[&str]) -> String {
    specs.iter().map(|spec| bad(&with_spec(&format!("  {spec}\n")))).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_problems_are_told_at_once_by_position() {
    let text = r#"
apiVersion: v2
kind: agent
command: [x]
metadata:
  name: Code_Review
  version: 1.2
  label: { a: b }
spec:
  harness: comand
  command: python3 review.py
  timeout: { run: 1h }
  timeouts: { run: 60, step: 5 minutes, queue: 0s, aproval: 1h }
  listen: { address: 0.0.0.0:80, methods: [post] }
"#;
    insta::assert_snapshot!(bad(text), @r#"
    agent.yaml:2:13: apiVersion: expected errand.dev/v1, found the text "v2"
      hint: this version of errand reads errand.dev/v1 only
    agent.yaml:3:7: kind: expected Agent, found the text "agent"
      hint: this version of errand reads Agent only
    agent.yaml:4:1: command: unknown field "command"
      hint: it belongs under spec
    agent.yaml:6:9: metadata.name: "Code_Review" cannot be an agent's name
      hint: lower-case letters, digits, '-' and '_', at most 63 characters, a letter or digit first and last
    agent.yaml:7:12: metadata.version: "1.2" is not a semantic version
      hint: write three numbers, such as 1.2.0 or 1.2.0-rc.1
    agent.yaml:8:3: metadata.label: unknown field "label"
      hint: did you mean "labels"?
    agent.yaml:10:12: spec.harness: "comand" is not a known word
      hint: did you mean "command"? One of: command
    agent.yaml:11:12: spec.command: the command is a list of program and arguments
      hint: write command: [python3, review.py]
    agent.yaml:12:3: spec.timeout: unknown field "timeout"
      hint: did you mean "timeouts"?
    agent.yaml:13:20: spec.timeouts.run: the duration 60 has no unit
      hint: write 60s for seconds, 60ms for milliseconds, 60m for minutes
    agent.yaml:13:30: spec.timeouts.step: "5 minutes" is not a duration
      hint: write a whole number and a unit, such as 500ms, 30s, 10m, 1h30m or 2d
    agent.yaml:13:48: spec.timeouts.queue: the duration is zero
      hint: leave it out for no limit
    agent.yaml:13:52: spec.timeouts.aproval: unknown field "aproval"
      hint: did you mean "approval"?
    agent.yaml:14:22: spec.listen.address: an address that other machines reach needs a secret
      hint: add secret: WEBHOOK_SECRET (and list it in spec.secrets), or listen on 127.0.0.1
    agent.yaml:14:44: spec.listen.methods[0]: "post" is not an HTTP method in upper case
      hint: write POST
    "#);
}

#[test]
fn problems_are_shown_with_their_lines() {
    let long = format!("  env: {{ A: {}, 1B: x }}\n", "x".repeat(200));
    let text = with_spec(&format!("{long}  timeout: 5\n")) + "\tx\n";
    let show = |text: &str| parse("dir/agent.yaml", text).unwrap_err().with_excerpts();
    insta::assert_snapshot!(format!("{}\n{}", show(&text), show(&text.replace("\tx\n", ""))), @r#"
    error: this is not YAML: while scanning a plain scalar, found a tab
     --> dir/agent.yaml:7:12
      |
    7 |   timeout: 5
      |            ^
      = hint: a line is indented with a tab: YAML wants spaces

    error: spec.env.1B: "1B" cannot be the name of an environment variable
     --> dir/agent.yaml:6:215
      |
    6 | xxxxxxxxxxxxxxxxxx, 1B: x }
      |                     ^

    error: spec.timeout: unknown field "timeout"
     --> dir/agent.yaml:7:3
      |
    7 |   timeout: 5
      |   ^
      = hint: did you mean "timeouts"?
    "#);
}

#[test]
fn many_problems_are_counted_and_soon_told() {
    let many = |line: fn(u32) -> String| {
        bad(&with_spec(&(0..40_000).map(line).collect::<String>()))
            .lines()
            .last()
            .unwrap()
            .to_owned()
    };
    let said = [
        many(|index| format!("  unknown{index}: x\n")),
        many(|index| format!("{}  - s{index}\n", if index == 0 { "  skills:\n" } else { "" })),
        many(|index| format!("{}  - s\n", if index == 0 { "  secrets:\n" } else { "" })),
        many(|index| {
            format!("{}    k{}: {{}}\n", if index == 0 { "  env:\n" } else { "" }, index % 9)
        }),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    and 900 more problems
    agent.yaml:7:5: spec.skills: the list has more than 10000 items
    agent.yaml:7:5: spec.secrets: the list has more than 10000 items
    and 39891 more problems
    ");
}

#[test]
fn what_is_no_yaml_is_refused_at_its_place() {
    let cases: &[&[u8]] = &[
        b"",
        b"# only a comment\n",
        b"---\n",
        b"a: b: c\n",
        b"apiVersion: errand.dev/v1\n\tkind: Agent\n",
        b"spec: [a, b\n",
        b"spec: {a: 'b\n",
        b"a: *nowhere\n",
        b"kind: Agent\nspec:\n  a: \xff\xfe\n",
        b"kind: Agent\nspec:\n  a: x\0y\n",
        b"a: 1\n---\nb: 2\n",
        b"a: !secret x\n",
        b"a: !!binary x\n",
        b"- a\n- b\n",
        b"just text\n",
        b"? [a, b]\n: c\n",
        b"a: &x [*x]\n",
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|case| format!("{:?}\n{}", String::from_utf8_lossy(case), bad_bytes(case)))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r##"
    ""
    agent.yaml:1:1: the file is empty
      hint: the least is: apiVersion: errand.dev/v1, kind: Agent, metadata: { name }, spec: { command }
    "# only a comment\n"
    agent.yaml:1:1: the file is empty
      hint: the least is: apiVersion: errand.dev/v1, kind: Agent, metadata: { name }, spec: { command }
    "---\n"
    agent.yaml:1:1: the file is empty
      hint: the least is: apiVersion: errand.dev/v1, kind: Agent, metadata: { name }, spec: { command }
    "a: b: c\n"
    agent.yaml:1:5: this is not YAML: mapping values are not allowed in this context
    "apiVersion: errand.dev/v1\n\tkind: Agent\n"
    agent.yaml:1:13: this is not YAML: while scanning a plain scalar, found a tab
      hint: a line is indented with a tab: YAML wants spaces
    "spec: [a, b\n"
    agent.yaml:2:1: this is not YAML: while parsing a flow sequence, expected ',' or ']'
    "spec: {a: 'b\n"
    agent.yaml:1:11: this is not YAML: while scanning a quoted scalar, found unexpected end of stream
    "a: *nowhere\n"
    agent.yaml:1:4: this is not YAML: while parsing node, found unknown anchor
      hint: write &name at the first place, and *name only after it
    "kind: Agent\nspec:\n  a: ��\n"
    agent.yaml:3:6: this is not UTF-8
      hint: save the file in the encoding UTF-8
    "kind: Agent\nspec:\n  a: x\0y\n"
    agent.yaml:3:7: the character U+0000 cannot stand in a YAML file
      hint: remove it, or write it as an escape in double quotes
    "a: 1\n---\nb: 2\n"
    agent.yaml:2:1: a second document starts here
      hint: an agent file holds one agent: put the other into a folder of its own
    "a: !secret x\n"
    agent.yaml:1:4: the tag !secret means nothing here
      hint: remove it, or quote the text
    "a: !!binary x\n"
    agent.yaml:1:4: the tag !!binary means nothing here
      hint: remove it, or quote the text
    "- a\n- b\n"
    agent.yaml:1:1: expected a mapping, found a list
    "just text\n"
    agent.yaml:1:1: expected a mapping, found the text "just text"
    "? [a, b]\n: c\n"
    agent.yaml:1:3: a key must be text
    "a: &x [*x]\n"
    agent.yaml:1:8: this alias stands inside of what it names
    "##);
}

#[test]
fn duplicate_keys_are_told_with_their_first_place() {
    insta::assert_snapshot!(bad(&with_spec("  env: { A: 1, B: 2, A: 3 }\n  command: [b]\n")), @r#"
    agent.yaml:6:22: "A" is given twice, first on line 6
      hint: keep one of them
    agent.yaml:7:3: "command" is given twice, first on line 5
      hint: keep one of them
    "#);
}

#[test]
fn size_depth_and_aliases_are_bounded() {
    let deep = with_spec(&format!("  input_schema: {}{}\n", "[".repeat(80), "]".repeat(80)));
    let block: String = (0..200).map(|depth| format!("{}- \n", " ".repeat(depth))).collect();
    let line = |level: u32, items: &str| format!("b{level}: &a{level} [{items}]\n");
    let alias = |level: u32| format!("*a{}", level - 1);
    let laughs: String = std::iter::once(line(0, "x, x, x, x, x, x, x, x, x, x"))
        .chain((1..12).map(|level| line(level, &vec![alias(level); 10].join(", "))))
        .collect();
    let nested: String = std::iter::once(line(0, "x"))
        .chain((1..100).map(|level| line(level, &alias(level))))
        .collect();
    let large = format!("{}# {}\n", with_spec(""), "x".repeat(1024 * 1024));
    let said = [deep, block, laughs, nested, large].map(|text| bad(&text));
    insta::assert_snapshot!(said.join("\n"), @r"
    agent.yaml:6:79: this is nested more than 64 levels deep
    agent.yaml:65:65: this is nested more than 64 levels deep
    agent.yaml:6:10: the file has more than 200000 values, those of aliases included
    agent.yaml:64:12: this is nested more than 64 levels deep
    agent.yaml:1:1: the file is longer than 1048576 bytes
      hint: keep long texts in files of their own beside it
    ");
    // Deep without end is refused as fast.
    for unit in ["[", "{a: ", "- ", "? "] {
        assert!(parse("agent.yaml", &unit.repeat(100_000)).is_err(), "{unit}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let said = [
        "apiVersion: errand.dev/v1\n",
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {}\nspec: {}\n",
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata:\nspec:\n",
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {name: a}\nspec: {harness: react}\n",
    ]
    .map(bad);
    insta::assert_snapshot!(said.join("\n"), @r#"
    agent.yaml:1:1: "kind" is missing
      hint: write kind: Agent
    agent.yaml:1:1: "metadata" is missing
      hint: write metadata: { name: my-agent }
    agent.yaml:1:1: "spec" is missing
      hint: write spec: { command: [python3, main.py] }
    agent.yaml:3:11: metadata: "name" is missing
      hint: write name: my-agent
    agent.yaml:4:7: spec: "command" is missing
      hint: write command: [python3, main.py]; a relative path is looked up beside this file first
    agent.yaml:3:9: metadata: expected a mapping, found nothing
    agent.yaml:4:5: spec: expected a mapping, found nothing
    agent.yaml:4:17: spec.harness: the harness react is not supported by this version of errand
      hint: supported: command
    "#);
}

#[test]
fn names_and_versions() {
    let metadata =
        |metadata: &str| bad(&with_spec("").replace("{ name: a }", &format!("{{ {metadata} }}")));
    let long = format!("name: {}", "a".repeat(64));
    let said = [
        "name: -a",
        "name: a_",
        "name: Ünicode",
        "name: ''",
        "name: 5",
        "name: [a]",
        &long,
        "name: a, version: 1",
        "name: a, version: v1.0.0",
        "name: a, labels: {'a b': c}",
        "name: a, labels: {a: [b]}",
        "name: a, labels: {a: }",
    ]
    .map(metadata);
    insta::assert_snapshot!(said.join("\n"), @r#"
    agent.yaml:3:19: metadata.name: "-a" cannot be an agent's name
      hint: lower-case letters, digits, '-' and '_', at most 63 characters, a letter or digit first and last
    agent.yaml:3:19: metadata.name: "a_" cannot be an agent's name
      hint: lower-case letters, digits, '-' and '_', at most 63 characters, a letter or digit first and last
    agent.yaml:3:19: metadata.name: "Ünicode" cannot be an agent's name
      hint: lower-case letters, digits, '-' and '_', at most 63 characters, a letter or digit first and last
    agent.yaml:3:19: metadata.name: the text is empty
    agent.yaml:3:19: metadata.name: expected text, found the number 5
      hint: put it in quotes: "5"
    agent.yaml:3:19: metadata.name: expected text, found a list
    agent.yaml:3:19: metadata.name: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" cannot be an agent's name
      hint: lower-case letters, digits, '-' and '_', at most 63 characters, a letter or digit first and last
    agent.yaml:3:31: metadata.version: "1" is not a semantic version
      hint: write three numbers, such as 1.2.0 or 1.2.0-rc.1
    agent.yaml:3:31: metadata.version: "v1.0.0" is not a semantic version
      hint: write three numbers, such as 1.2.0 or 1.2.0-rc.1
    agent.yaml:3:31: metadata.labels.a b: "a b" cannot be a label: letters, digits, '-', '_', '.', '/', at most 63
    agent.yaml:3:34: metadata.labels.a: expected text, found a list
    agent.yaml:3:32: metadata.labels.a: it has no value
      hint: write "" for an empty label
    "#);
}

#[test]
fn commands_and_surroundings() {
    insta::assert_snapshot!(
        bad_specs(&[
            "harness: [command]",
            "target: process",
            "target: {}",
            "target: { type: docker, image: x }",
            "target: { type: container }",
            "target: { type: container, image: '--privileged' }",
            "target: { type: container, image: a, network: gateway }",
            "target: { type: container, image: a, network: none, ports: [{ container_port: 1 }, \
             { container_port: 1, protocol: tcp }] }",
            "target: { type: container, image: a, mounts: [{ source: ../b, target: c }] }",
            "target: { type: kubernetes, image: x, namespace: My_Space }",
            "workspace: { mode: worktre }",
            "workspace: { mode: temp, ref: main }",
            "workspace: { mode: clone, url: '--upload-pack=x' }",
            "workspace: { mode: worktree, ref: '-f' }",
            "env: [A=b]",
            "env: { 1A: b, ERRAND_TOKEN: c, B: [d], C: }",
            "env: { A: \"x\\0y\" }",
            "secrets: [token, A, A, ERRAND_X]",
            "secrets: [A]\n  env: { A: plain }",
        ]),
        @r#"
    agent.yaml:6:12: spec.harness: expected a known word, found a list
      hint: one of: command
    agent.yaml:6:11: spec.target: expected a mapping, found the text "process"
    agent.yaml:6:11: spec.target: "type" is missing
      hint: write type: and one of process, container, kubernetes
    agent.yaml:6:19: spec.target.type: "docker" is not a known word
      hint: one of: process, container, kubernetes
    agent.yaml:6:11: spec.target: "image" is missing
      hint: write image: ghcr.io/org/agent:1.2
    agent.yaml:6:37: spec.target.image: "--privileged" is not the name of an image
      hint: write a name, and a tag or digest if you like, such as ghcr.io/org/agent:1.2; no https:// before it
    agent.yaml:6:49: spec.target.network: the network gateway is not supported by this version of errand
      hint: supported: bridge, none
    agent.yaml:6:62: spec.target.ports: a container without a network has no ports
      hint: remove the ports, or write network: bridge
    agent.yaml:6:86: spec.target.ports[1]: the port 1 is listed twice
    agent.yaml:6:59: spec.target.mounts[0].source: "../b" is outside of the workspace
      hint: write a path below the workspace, such as data; nothing else can be mounted
    agent.yaml:6:73: spec.target.mounts[0].target: "c" cannot be mounted in a container
      hint: begin with '/', without '..', such as /data; /.errand is errand's own
    agent.yaml:6:52: spec.target.namespace: "My_Space" cannot be a name in Kubernetes
      hint: lower-case letters, digits and '-', at most 63 characters, a letter or digit first and last
    agent.yaml:6:22: spec.workspace.mode: "worktre" is not a known word
      hint: did you mean "worktree"? One of: temp, cwd, worktree, clone
    agent.yaml:6:28: spec.workspace.ref: unknown field "ref"
      hint: known here: mode
    agent.yaml:6:34: spec.workspace.url: "--upload-pack=x" cannot be a URL to clone
      hint: no spaces, and no dash at the beginning
    agent.yaml:6:37: spec.workspace.ref: "-f" cannot be a branch, tag or commit
      hint: no spaces, and no dash at the beginning
    agent.yaml:6:8: spec.env: expected a mapping, found a list
    agent.yaml:6:10: spec.env.1A: "1A" cannot be the name of an environment variable
    agent.yaml:6:17: spec.env.ERRAND_TOKEN: ERRAND_TOKEN is reserved: errand sets what begins with ERRAND_
    agent.yaml:6:37: spec.env.B: expected text, found a list
    agent.yaml:6:43: spec.env.C: it has no value
      hint: write "" for an empty value; `errand run --env NAME=…` passes on one of the caller's
    agent.yaml:6:13: spec.env.A: the text holds a NUL character
    agent.yaml:6:13: spec.secrets[0]: "token" cannot be the name of a secret
      hint: upper-case letters, digits and '_', no digit first, such as GITHUB_TOKEN
    agent.yaml:6:23: spec.secrets[2]: "A" is listed twice
    agent.yaml:6:26: spec.secrets[3]: ERRAND_X is reserved: errand sets what begins with ERRAND_
    agent.yaml:7:8: spec.env: A is both a secret and a plain variable
      hint: remove it from env: the secret is set in the environment
    "#
    );
    let command = |command: &str| bad(&with_spec("").replace("[a]", command));
    let said = ["[]", "['']", "a | b", "[[a]]", "[a, {b: c}]", "", "5"].map(command);
    insta::assert_snapshot!(said.join("\n"), @r#"
    agent.yaml:5:12: spec.command: the command is empty
    agent.yaml:5:13: spec.command[0]: the program has no name
    agent.yaml:5:12: spec.command: the command is a list of program and arguments
      hint: write command: [sh, -c, "…"] to have a shell read it
    agent.yaml:5:13: spec.command[0]: expected text, found a list
    agent.yaml:5:16: spec.command[1]: expected text, found a mapping
    agent.yaml:5:10: spec.command: expected a list, found nothing
    agent.yaml:5:12: spec.command: expected a list, found the number 5
    "#);
}

#[test]
fn limits() {
    insta::assert_snapshot!(
        bad_specs(&[
            "timeouts: { run: 10 }",
            "timeouts: { run: 1.5h }",
            "timeouts: { run: -5m }",
            "timeouts: { run: 5 min }",
            "timeouts: { run: 400d }",
            "timeouts: { run: 0ms }",
            "timeouts: { run: [1m] }",
            "resources: { cpu: fast }",
            "resources: { cpu: 0 }",
            "resources: { memory: 512 }",
            "resources: { memory: 2gb }",
            "resources: { memory: 0Mi }",
            "resources: { gpu: -1 }",
            "resources: { gpu: 1.5 }",
            "retry_policy: {}",
            "retry_policy: { max_retries: -1 }",
            "retry_policy: { maxRetries: 3 }",
            "retry_policy: { max_retries: 3, backoff: exponentail }",
            "retry_policy: { max_retries: 3, initial_delay: 1m, max_delay: 1s }",
            "retry_policy: { max_retries: 3, retry_on: [exit_nonzero, exit_nonzero, usage] }",
            "retry_policy: { max_retries: 3, retry_on: [exit:0, exit:256, exit:x, exit:7, exit:7] }",
            "retry_policy: { max_retries: 3, retry_on: [75, error:Bad, 'error:'] }",
            "budgets: { tokens_per_run: lots }",
            "budgets: { cost_usd_per_run: -2 }",
            "budgets: { cost_usd_per_run: 0.0000001 }",
            "budgets: { cost_usd_per_run: \"2\" }",
            "budgets: { on_exceed: stop }",
        ]),
        @r#"
    agent.yaml:6:20: spec.timeouts.run: the duration 10 has no unit
      hint: write 10s for seconds, 10ms for milliseconds, 10m for minutes
    agent.yaml:6:20: spec.timeouts.run: "1.5h" is not a duration
      hint: write a whole number and a unit, such as 500ms, 30s, 10m, 1h30m or 2d
    agent.yaml:6:20: spec.timeouts.run: "-5m" is not a duration
      hint: write a whole number and a unit, such as 500ms, 30s, 10m, 1h30m or 2d
    agent.yaml:6:20: spec.timeouts.run: "5 min" is not a duration
      hint: write a whole number and a unit, such as 500ms, 30s, 10m, 1h30m or 2d
    agent.yaml:6:20: spec.timeouts.run: 400d is longer than 366 days
    agent.yaml:6:20: spec.timeouts.run: the duration is zero
      hint: leave it out for no limit
    agent.yaml:6:20: spec.timeouts.run: expected a duration such as 10m, found a list
    agent.yaml:6:21: spec.resources.cpu: the text "fast" is not a number of cores
      hint: write cores or thousandths of one: 2, 0.5, 500m
    agent.yaml:6:21: spec.resources.cpu: the number 0 is not a number of cores
      hint: write cores or thousandths of one: 2, 0.5, 500m
    agent.yaml:6:24: spec.resources.memory: the amount of memory 512 has no unit
      hint: write 512Mi or 512Gi
    agent.yaml:6:24: spec.resources.memory: the text "2gb" is not an amount of memory
      hint: write 2Gi (powers of 1,024) or 2G (powers of 1,000)
    agent.yaml:6:24: spec.resources.memory: the amount of memory is zero or more than any machine has
    agent.yaml:6:21: spec.resources.gpu: expected a whole number from 0 to 1024, found -1
    agent.yaml:6:21: spec.resources.gpu: expected a whole number from 0 to 1024, found 1.5
    agent.yaml:6:17: spec.retry_policy: "max_retries" is missing
      hint: write max_retries: 3
    agent.yaml:6:32: spec.retry_policy.max_retries: expected a whole number from 0 to 1000, found -1
    agent.yaml:6:17: spec.retry_policy: "max_retries" is missing
      hint: write max_retries: 3
    agent.yaml:6:19: spec.retry_policy.maxRetries: unknown field "maxRetries"
      hint: did you mean "max_retries"?
    agent.yaml:6:44: spec.retry_policy.backoff: "exponentail" is not a known word
      hint: did you mean "exponential"? One of: exponential, fixed, none
    agent.yaml:6:65: spec.retry_policy.max_delay: max_delay is shorter than initial_delay
    agent.yaml:6:60: spec.retry_policy.retry_on[1]: "exit_nonzero" is listed twice
    agent.yaml:6:74: spec.retry_policy.retry_on[2]: "usage" is not a failure that can be retried
      hint: one of: exit_nonzero, killed_by_signal, out_of_memory, timeout_step, spawn_failed, engine_unreachable, image_unavailable, image_not_found, container_refused, blobs_folder_missing, blobs_unreachable, blobs_upload_cut, dispatcher_unreachable, no_active_dispatcher, bus_unreachable, cluster_unreachable, cluster_refused, pod_lost, disk_full, io_failed, workspace_failed, output_invalid, helper_died, supervisor_stopped, lease_lost, child_failed, fan_out_failed, no_majority, exit:<n>, error:<code>
    agent.yaml:6:46: spec.retry_policy.retry_on[0]: "exit:0" is not a failure that can be retried
      hint: exit codes of failures are 1 to 255: exit:75
    agent.yaml:6:54: spec.retry_policy.retry_on[1]: "exit:256" is not a failure that can be retried
      hint: exit codes of failures are 1 to 255: exit:75
    agent.yaml:6:64: spec.retry_policy.retry_on[2]: "exit:x" is not a failure that can be retried
      hint: exit codes of failures are 1 to 255: exit:75
    agent.yaml:6:80: spec.retry_policy.retry_on[4]: "exit:7" is listed twice
    agent.yaml:6:46: spec.retry_policy.retry_on[0]: 75 is not a failure that can be retried
      hint: for the agent's exit code write exit:75
    agent.yaml:6:50: spec.retry_policy.retry_on[1]: "error:Bad" is not a failure that can be retried
      hint: a code of the agent's own is lower-case words joined by underscores: error:rate_limited
    agent.yaml:6:61: spec.retry_policy.retry_on[2]: "error:" is not a failure that can be retried
      hint: a code of the agent's own is lower-case words joined by underscores: error:rate_limited
    agent.yaml:6:30: spec.budgets.tokens_per_run: expected a whole number, found the text "lots"
    agent.yaml:6:32: spec.budgets.cost_usd_per_run: the number -2 is not an amount of US dollars
      hint: write a number with at most six decimals, such as 2.50
    agent.yaml:6:32: spec.budgets.cost_usd_per_run: the number 0.0000001 is not an amount of US dollars
      hint: write a number with at most six decimals, such as 2.50
    agent.yaml:6:32: spec.budgets.cost_usd_per_run: the text "2" is not an amount of US dollars
      hint: write a number with at most six decimals, such as 2.50
    agent.yaml:6:25: spec.budgets.on_exceed: "stop" is not a known word
      hint: one of: deny_call, pause, cancel
    "#
    );
}

#[test]
fn schedules() {
    insta::assert_snapshot!(
        bad_specs(&[
            "schedules: '@hourly'",
            "schedules: [{}]",
            "schedules: [{ cron: 5 }]",
            "schedules: [{ cron: '61 * * * *' }]",
            "schedules: [{ cron: '* * *' }]",
            "schedules: [{ cron: '0 0 30 2 *' }]",
            "schedules: [{ cron: '@every 5' }]",
            "schedules: [{ cron: '@fortnightly' }]",
            "schedules: [{ cron: '@hourly', timezone: Europe/Berlni }]",
            "schedules: [{ cron: '@hourly', timezone: Mars }]",
            "schedules: [{ cron: '@hourly', missed: never, overlap: parallel }]",
            "schedules: [{ cron: '@hourly', input: { a: .nan } }]",
            "schedules: [{ cron: '@hourly' }, { cron: '@hourly' }]",
            "schedules: [{ cron: '@hourly', time_zone: UTC }]",
        ]),
        @r#"
    agent.yaml:6:14: spec.schedules: expected a list, found the text "@hourly"
    agent.yaml:6:15: spec.schedules[0]: "cron" is missing
      hint: write cron: "0 */5 * * * *"
    agent.yaml:6:23: spec.schedules[0].cron: expected text, found the number 5
      hint: put it in quotes: "5"
    agent.yaml:6:23: spec.schedules[0].cron: "61" is no minute of a cron line (0-59, *, lists, ranges and steps)
      hint: for example "0 */5 * * * *" (seconds first), "*/5 * * * *", @hourly or "@every 30s"
    agent.yaml:6:23: spec.schedules[0].cron: a cron line has 5 fields, 6 with seconds first or 7 with the year last, not 3
      hint: for example "0 */5 * * * *" (seconds first), "*/5 * * * *", @hourly or "@every 30s"
    agent.yaml:6:23: spec.schedules[0].cron: no date ever matches this cron line
      hint: for example "0 */5 * * * *" (seconds first), "*/5 * * * *", @hourly or "@every 30s"
    agent.yaml:6:23: spec.schedules[0].cron: @every needs a duration such as 30s or 1h30m, not "5"
      hint: for example "0 */5 * * * *" (seconds first), "*/5 * * * *", @hourly or "@every 30s"
    agent.yaml:6:23: spec.schedules[0].cron: "@fortnightly" is not @yearly, @monthly, @weekly, @daily, @hourly or @every <duration>
      hint: for example "0 */5 * * * *" (seconds first), "*/5 * * * *", @hourly or "@every 30s"
    agent.yaml:6:44: spec.schedules[0].timezone: "Europe/Berlni" is not a time zone
      hint: did you mean "Europe/Berlin"?
    agent.yaml:6:44: spec.schedules[0].timezone: "Mars" is not a time zone
      hint: write an IANA name, such as UTC or Europe/Berlin
    agent.yaml:6:42: spec.schedules[0].missed: "never" is not a known word
      hint: one of: fire_once, skip, fire_all
    agent.yaml:6:58: spec.schedules[0].overlap: "parallel" is not a known word
      hint: one of: skip, queue, allow
    agent.yaml:6:46: spec.schedules[0].input.a: .nan is no number in JSON
    agent.yaml:6:36: spec.schedules[1]: the same schedule is listed twice
    agent.yaml:6:34: spec.schedules[0].time_zone: unknown field "time_zone"
      hint: did you mean "timezone"?
    "#
    );
}

#[test]
fn listeners() {
    insta::assert_snapshot!(
        bad_specs(&[
            "listen: 127.0.0.1:0",
            "listen: { address: 8080 }",
            "listen: { address: ':8080' }",
            "listen: { address: 'example.com:80' }",
            "listen: { address: '127.0.0.1:99999' }",
            "listen: { address: '0.0.0.0:80' }",
            "listen: { address: '[::]:80' }",
            "listen: { secret: WEBHOOK_SECRET }",
            "secrets: [A]\n  listen: { secret: B }",
            "listen: { path: hook }",
            "listen: { path: '/a?b' }",
            "listen: { methods: [get, POST, POST, 'G T'] }",
            "listen: { methods: POST }",
            "listen: { max_body_bytes: 8k }",
            "listen: { max_body_bytes: 1e12 }",
            "listen: { max_header_bytes: 10 }",
        ]),
        @r#"
    agent.yaml:6:11: spec.listen: expected a mapping, found the text "127.0.0.1:0"
    agent.yaml:6:22: spec.listen.address: "8080" is not an address to listen on
      hint: write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0
    agent.yaml:6:22: spec.listen.address: ":8080" is not an address to listen on
      hint: write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0
    agent.yaml:6:22: spec.listen.address: "example.com:80" is not an address to listen on
      hint: write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0
    agent.yaml:6:22: spec.listen.address: "127.0.0.1:99999" is not an address to listen on
      hint: write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0
    agent.yaml:6:22: spec.listen.address: an address that other machines reach needs a secret
      hint: add secret: WEBHOOK_SECRET (and list it in spec.secrets), or listen on 127.0.0.1
    agent.yaml:6:22: spec.listen.address: an address that other machines reach needs a secret
      hint: add secret: WEBHOOK_SECRET (and list it in spec.secrets), or listen on 127.0.0.1
    agent.yaml:6:21: spec.listen.secret: the secret "WEBHOOK_SECRET" is not one of spec.secrets
      hint: add secrets: [WEBHOOK_SECRET]; here stands its name, never its value
    agent.yaml:7:21: spec.listen.secret: the secret "B" is not one of spec.secrets
      hint: add secrets: [B]; here stands its name, never its value
    agent.yaml:6:19: spec.listen.path: "hook" is not a path
      hint: begin with '/', without query, fragment or spaces, such as /hook
    agent.yaml:6:19: spec.listen.path: "/a?b" is not a path
      hint: begin with '/', without query, fragment or spaces, such as /hook
    agent.yaml:6:23: spec.listen.methods[0]: "get" is not an HTTP method in upper case
      hint: write GET
    agent.yaml:6:34: spec.listen.methods[2]: "POST" is listed twice
    agent.yaml:6:40: spec.listen.methods[3]: "G T" is not an HTTP method in upper case
      hint: write a method such as POST
    agent.yaml:6:22: spec.listen.methods: expected a list, found the text "POST"
    agent.yaml:6:29: spec.listen.max_body_bytes: expected a whole number, found the text "8k"
    agent.yaml:6:29: spec.listen.max_body_bytes: expected a whole number from 0 to 67108864, found 1e12
    agent.yaml:6:31: spec.listen.max_header_bytes: expected a whole number from 256 to 1048576, found 10
    "#
    );
}

#[test]
fn schemas() {
    insta::assert_snapshot!(
        bad_specs(&[
            "input_schema: object",
            "input_schema: { type: text }",
            "input_schema: { type: [string, int] }",
            "input_schema: { type: object, properties: [a] }",
            "input_schema: { type: object, properties: { a: string } }",
            "input_schema: { required: path }",
            "input_schema: { anyOf: [] }",
            "input_schema: { minLength: -1 }",
            "input_schema: { maximum: '5' }",
            "input_schema: { $schema: 'http://json-schema.org/draft-07/schema#' }",
            "output_schema: { items: { items: { type: strin } } }",
        ]),
        @r#"
    agent.yaml:6:17: spec.input_schema: expected a JSON Schema, found the text "object"
      hint: write a mapping such as { type: object, properties: { … } }
    agent.yaml:6:25: spec.input_schema.type: "text" is not a type
      hint: one of: null, boolean, object, array, number, integer, string
    agent.yaml:6:34: spec.input_schema.type[1]: "int" is not a type
      hint: one of: null, boolean, object, array, number, integer, string
    agent.yaml:6:45: spec.input_schema.properties: expected a mapping, found a list
    agent.yaml:6:50: spec.input_schema.properties.a: expected a JSON Schema, found the text "string"
      hint: write a mapping such as { type: object, properties: { … } }
    agent.yaml:6:29: spec.input_schema.required: expected a list, found the text "path"
    agent.yaml:6:26: spec.input_schema.anyOf: the list of schemas is empty
    agent.yaml:6:30: spec.input_schema.minLength: expected a whole number of 0 or more, found -1
    agent.yaml:6:28: spec.input_schema.maximum: expected a number, found the text "5"
    agent.yaml:6:28: spec.input_schema.$schema: the schema is not JSON Schema 2020-12
      hint: write https://json-schema.org/draft/2020-12/schema, or leave it out
    agent.yaml:6:44: spec.output_schema.items.items.type: "strin" is not a type
      hint: did you mean "string"? One of: null, boolean, object, array, number, integer, string
    "#
    );
}

#[test]
fn models_and_tools() {
    insta::assert_snapshot!(
        bad_specs(&[
            "model: claude",
            "model: { provider: anthropic }",
            "model: { provider: anthropic, name: x, fallback: [y] }",
            "tools: [a, a]",
            "tools: [{ description: x }]",
            "tools: [{ name: x, side_effect: none }]",
            "mcp_servers: [{ name: a }]",
            "mcp_servers: [{ name: a, command: [b], url: 'https://c/' }]",
            "mcp_servers: [{ name: a, url: 'ftp://c/' }]",
        ]),
        @r#"
    agent.yaml:6:10: spec.model: expected a mapping, found the text "claude"
    agent.yaml:6:10: spec.model: "name" is missing
      hint: write name: claude-sonnet-4-5
    agent.yaml:6:53: spec.model.fallback[0]: expected a mapping, found the text "y"
    agent.yaml:6:14: spec.tools[1]: the tool "a" is listed twice
    agent.yaml:6:11: spec.tools[0]: "name" is missing
      hint: write name: read_file
    agent.yaml:6:35: spec.tools[0].side_effect: "none" is not a known word
      hint: one of: read_only, local_write, external_write, financial, communication, code_execution, privileged
    agent.yaml:6:17: spec.mcp_servers[0]: an MCP server has a command or a url
      hint: write command: [program, …] for one on stdio, url: https://… for another
    agent.yaml:6:47: spec.mcp_servers[0].url: an MCP server has a command or a url
      hint: remove one of them
    agent.yaml:6:33: spec.mcp_servers[0].url: "ftp://c/" is not a URL
      hint: begin with https:// or http://
    "#
    );
}

#[test]
fn no_cut_and_no_flip_of_a_good_file_is_a_panic() {
    for end in 0..FULL.len() {
        if FULL.is_char_boundary(end) {
            let _any = parse("agent.yaml", &FULL[..end]);
        }
    }
    // Every third place is enough, and three times as fast.
    for at in (0..FULL.len()).step_by(3) {
        for byte in [b'\t', b'{', b']', b'*', b'"'] {
            let mut bytes = FULL.as_bytes().to_vec();
            bytes[at] = byte;
            let _any = parse_bytes("agent.yaml", &bytes);
        }
    }
}

#[test]
fn promises_that_nothing_keeps_are_refused_by_name() {
    let problems = parse(
        "agent.yaml",
        &with_spec("  harness: react\n  target: { image: a, type: kubernetes }\n"),
    )
    .unwrap_err();
    insta::assert_snapshot!(problems, @r"
    agent.yaml:6:12: spec.harness: the harness react is not supported by this version of errand
      hint: supported: command
    ");
    assert_eq!(Problems::code_of(&[problems]), ErrorCode::AgentUnsupported);
    let mixed = parse("agent.yaml", &with_spec("  harness: react\n  env: 5\n")).unwrap_err();
    assert_eq!(mixed.problems.len(), 2);
    assert_eq!(Problems::code_of(&[mixed]), ErrorCode::AgentFileInvalid);
}

#[test]
fn files_that_the_command_needs_are_asked_for() {
    let asked = |spec: &str| {
        let mut asked = Vec::new();
        let mut known = |reference: &FileReference| {
            asked.push(reference.clone());
            Ok(())
        };
        let text = with_spec("").replace("command: [a]", spec);
        parse_knowing("agent.yaml", text.as_bytes(), &mut known).unwrap();
        asked
    };
    let program = |name: &str| FileReference::Program(name.to_owned());
    let script = |name: &str| FileReference::Script(name.to_owned());
    let cases = [
        (
            "command: [python3, -B, src/main.py, other.py]",
            vec![program("python3"), script("src/main.py")],
        ),
        ("command: [/usr/bin/python3.12, main.py]", vec![script("main.py")]),
        ("command: [./run.sh, x.py]", vec![program("./run.sh")]),
        ("command: [sh, -c, 'python3 a.py']", vec![program("sh")]),
        ("command: [python3, -m, tool, a.py]", vec![program("python3")]),
        ("command: [cat, notes.py]", vec![program("cat")]),
        ("command: [bash, /opt/run.sh]", vec![program("bash")]),
        ("command: [python3, main.py]\n  workspace: { mode: cwd }", vec![program("python3")]),
        (
            "command: [a]\n  skills: [s]\n  configs: [c]",
            vec![
                FileReference::Skill("s".to_owned()),
                FileReference::Config("c".to_owned()),
                program("a"),
            ],
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(asked(spec), expected, "{spec}");
    }
}
