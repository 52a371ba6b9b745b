use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use errand_api::agent_file::{parse, to_json};
use errand_api::{error_code::ErrorCode, schema};
use serde_json::Value;

use crate::agent_file::{FULL, with_spec};

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema::agent_file()).unwrap()
}

/// Returns the schema's errors for a file.
fn complaints(text: &str) -> Vec<String> {
    let json = to_json("agent.yaml", text.as_bytes()).unwrap();
    let validator = validator();
    validator
        .iter_errors(&json)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_schema_is_one_and_describes_every_field() {
    let schema = schema::agent_file();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut bare = Vec::new();
    find_bare(&schema, "#", &mut bare);
    assert!(bare.is_empty(), "without a description: {bare:#?}");
    let text = schema.to_string();
    assert!(!text.contains("\"x-"), "a mark was left behind");
}

/// Paths of properties that say nothing about themselves.
fn find_bare(schema: &Value, path: &str, bare: &mut Vec<String>) {
    for (name, value) in schema.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        if name == "properties" {
            for (field, property) in value.as_object().unwrap() {
                let is_tag = property.get("const").is_some();
                if property.get("description").is_none() && !is_tag {
                    bare.push(format!("{path}/{field}"));
                }
            }
        }
        find_bare(value, &path, bare);
    }
    for (index, item) in schema.as_array().into_iter().flatten().enumerate() {
        find_bare(item, &format!("{path}/{index}"), bare);
    }
}

/// `spec`s that the parser takes.
pub(crate) const GOOD: &[&str] = &[
    "  target: { type: container, image: 'localhost:5000/a/b:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef' }\n",
    "  target: { type: container, image: a, pull: never, user: 1000, network: none, runtime: runsc }\n",
    "  target: { type: container, image: a, ports: [{ container_port: 80, protocol: udp }], mounts: [{ source: ., target: /a, read_only: true }] }\n",
    "",
    "  description: x\n  harness: command\n",
    "  env: { A: 1, B: true, C: \"\", D: 1.5 }\n  secrets: [A_B, _C]\n",
    "  target: { type: process }\n",
    "  workspace: { mode: cwd }\n",
    "  workspace: { mode: worktree }\n",
    "  workspace: { mode: clone, url: https://example.org/a.git, ref: main }\n",
    "  resources: { cpu: 0.5, memory: 100B }\n",
    "  resources: { cpu: 500m, gpu: 2 }\n",
    "  timeouts: { run: 2d1h1m1s1ms }\n",
    "  retry_policy: { max_retries: 0, backoff: none, initial_delay: 0s, retry_on: [timeout_step, lease_lost, exit:1, exit:255, error:rate_limited] }\n",
    "  budgets: { cost_usd_per_run: 0.000001, tokens_per_run: 18446744073709551615, on_exceed: cancel }\n",
    "  input_schema: true\n  output_schema: { $ref: '#/$defs/a', $defs: { a: { type: string } } }\n",
    "  schedules: []\n",
    "  schedules: [{ cron: '@every 5s', input: null }, { cron: '0 0 * * *', input: [1], missed: fire_all, overlap: allow }]\n",
    "  listen: {}\n",
    "  listen: { address: 'localhost:1', max_body_bytes: 0, path: / }\n",
    "  listen: { address: '[::1]:8080', methods: [M-SEARCH] }\n",
    "  tools: [a, { name: b, input_schema: { type: object } }]\n",
    "  mcp_servers: [{ name: a, command: [b, 1], env: { X: 1 } }]\n",
    "  model: { provider: a, name: b }\n",
    "  handoffs: []\n",
    "  handoffs: [reviewer, ../other, { agent: ., name: myself }]\n",
];

pub(crate) const GOOD_COORDINATORS: &[&str] = &[
    "{ type: chain, agents: [a, ../b, a-1@1.0.0] }",
    "{ type: chain, agents: [a, { agent: ../b, name: c_d, input: { x: ['{{ outputs.a.b | 1 }}'] } }], max_messages: 7 }",
    "{ type: fan_out, agents: [a] }",
    "{ type: fan_out, agents: [a, { agent: a, name: b }], aggregation: majority, timeout_per_agent: 30s, max_parallel: 8 }",
    "{ type: fan_out, agents: [a], partition: items, on_failure: ignore }",
    "{ type: fan_out, agents: [a, b], aggregation: collect, on_failure: { min_success: 2 } }",
    "{ type: workflow, graph: { a: { outputs_to: [c], max_runs: 2, join: all }, c: { agent: ../x, outputs_to: [a, __end__, { to: a, when: { type: ERROR } }] } } }",
    "{ type: workflow, graph: { a: { outputs_to: [b, { to: a, when: { type: TASK } }] }, b: { outputs_to: [{ to: __end__, when: { payload: { ok: true, /x/y: { gt: 1, in: [2, 3] } } } }], input: '{{ output }}' } }, max_messages: 9 }",
    "{ type: workflow, start: b, max_messages: 5, graph: { a: { outputs_to: [b, __end__] }, b: { outputs_to: [a] } } }",
];

/// `spec`s that both refuse.
const BAD: &[&str] = &[
    "  harness: magic\n",
    "  unknown: 1\n",
    "  description: 5\n",
    "  env: [A]\n",
    "  env: { A: [b] }\n",
    "  env: { A: }\n",
    "  env: { 1A: b }\n",
    "  env: { ERRAND_TOKEN: b }\n",
    "  secrets: [lower]\n",
    "  secrets: [A, A]\n",
    "  target: process\n",
    "  target: {}\n",
    "  target: { type: docker }\n",
    "  target: { type: container }\n",
    "  target: { type: process, image: x }\n",
    "  workspace: { mode: temp, ref: x }\n",
    "  workspace: { mode: clone }\n",
    "  resources: { memory: 512 }\n",
    "  resources: { memory: 2gb }\n",
    "  resources: { cpu: fast }\n",
    "  resources: { gpu: -1 }\n",
    "  timeouts: { run: 10 }\n",
    "  timeouts: { run: 1.5h }\n",
    "  timeouts: { run: \"\" }\n",
    "  timeouts: { run: 1s1m }\n",
    "  timeouts: { ru: 1m }\n",
    "  retry_policy: {}\n",
    "  retry_policy: { max_retries: 1.5 }\n",
    "  retry_policy: { max_retries: 1001 }\n",
    "  retry_policy: { max_retries: 3, retry_on: [usage] }\n",
    "  retry_policy: { max_retries: 3, retry_on: [exit:0] }\n",
    "  retry_policy: { max_retries: 3, retry_on: [exit:256] }\n",
    "  retry_policy: { max_retries: 3, retry_on: [75] }\n",
    "  retry_policy: { max_retries: 3, retry_on: ['error:'] }\n",
    "  retry_policy: { max_retries: 3, backoff: linear }\n",
    "  budgets: { cost_usd_per_run: -1 }\n",
    "  budgets: { tokens_per_run: x }\n",
    "  budgets: { on_exceed: stop }\n",
    "  input_schema: object\n",
    "  input_schema: { type: text }\n",
    "  input_schema: { properties: { a: string } }\n",
    "  schedules: [{}]\n",
    "  schedules: [{ cron: 5 }]\n",
    "  schedules: [{ cron: '@hourly', missed: never }]\n",
    "  schedules: [{ cron: '@hourly', when: x }]\n",
    "  listen: { address: 8080 }\n",
    "  listen: { address: 'localhost' }\n",
    "  listen: { methods: [post] }\n",
    "  listen: { path: hook }\n",
    "  listen: { max_header_bytes: 1 }\n",
    "  listen: { max_body_bytes: 67108865 }\n",
    "  model: { provider: a }\n",
    "  model: a\n",
    "  tools: [{ description: x }]\n",
    "  tools: [5]\n",
    "  mcp_servers: [{ name: a }]\n",
    "  mcp_servers: [{ name: a, command: [b], url: 'https://c' }]\n",
    "  dependencies: [{ agent: a, port: 1 }]\n",
    "  policies: a\n",
    "  policy: { tools: { deny: [{ when: {} }] } }\n",
    "  tier: A/b\n",
    "  harness: acp\n",
    "  harness: react\n",
    "  target: { type: container, image: 'https://a/b' }\n",
    "  target: { type: container, image: a, pull: sometimes }\n",
    "  target: { type: container, image: a, network: gateway }\n",
    "  target: { type: container, image: a, user: '-1' }\n",
    "  target: { type: container, image: a, runtime: a/b }\n",
    "  target: { type: container, image: a, ports: [{ container_port: 0 }] }\n",
    "  target: { type: container, image: a, mounts: [{ source: ../a, target: /a }] }\n",
    "  target: { type: container, image: a, mounts: [{ source: /a, target: /a }] }\n",
    "  target: { type: container, image: a, mounts: [{ source: a, target: a }] }\n",
    "  target: { type: container, image: a, mounts: [{ source: a, target: /.errand }] }\n",
    "  target: { type: kubernetes, namespace: My_Space, image: a }\n",
    "  target: { type: kubernetes, image: a, runtime_class: -a }\n",
    "  target: { type: kubernetes, image: a, pull: always }\n",
    "  handoffs: a\n",
    "  handoffs: [{ agent: a, input: 1 }]\n",
];

const BAD_COORDINATORS: &[&str] = &[
    "{}",
    "{ type: ring }",
    "{ type: chain }",
    "{ type: chain, agents: [] }",
    "{ type: chain, agents: [a], max_parallel: 1 }",
    "{ type: chain, agents: [{ name: a }] }",
    "{ type: chain, agents: [{ agent: ../a, name: a.b }] }",
    "{ type: chain, agents: [5] }",
    "{ type: fan_out, agents: [{ agent: a, input: 1 }] }",
    "{ type: fan_out, agents: [a], on_failure: never }",
    "{ type: fan_out, agents: [a], on_failure: { min_success: 0 } }",
    "{ type: workflow, graph: { a: { outputs_to: [{ to: __end__, when: {} }] } } }",
    "{ type: workflow, graph: { a: { outputs_to: [{ to: __end__, when: { payload: { x: { more: 1 } } } }] } } }",
    "{ type: workflow, graph: { a: { outputs_to: [{ to: __end__, when: { payload: { x: { lt: true } } } }] } } }",
    "{ type: workflow, graph: { a: { outputs_to: [__end__], join: some } } }",
    "{ type: workflow, graph: { a.b: { agent: a, outputs_to: [__end__] } } }",
    "{ type: fan_out, agents: [a], max_parallel: 0 }",
    "{ type: fan_out, agents: [a], aggregation: sum }",
    "{ type: workflow, graph: {} }",
    "{ type: workflow, graph: { a: [] } }",
    "{ type: workflow, graph: { a: { to: b } } }",
    "{ type: workflow, graph: { a: { outputs_to: [{ to: a, when: { type: task } }] } } }",
];

pub(crate) fn with_coordinator(coordinator: &str) -> String {
    with_spec(&format!("  coordinator: {coordinator}\n")).replace("  command: [a]\n", "")
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let files = GOOD.iter().map(|spec| with_spec(spec));
    let coordinators = GOOD_COORDINATORS.iter().map(|text| with_coordinator(text));
    for text in files.chain(coordinators).chain([FULL.to_owned()]) {
        parse("agent.yaml", &text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        assert_eq!(complaints(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_parser_refuses_what_the_schema_refuses_and_both_refuse_these() {
    let files = BAD.iter().map(|spec| with_spec(spec));
    let coordinators = BAD_COORDINATORS.iter().map(|text| with_coordinator(text));
    let whole = [
        with_spec("").replace("errand.dev/v1", "v2"),
        with_spec("").replace("kind: Agent", "kind: agent"),
        with_spec("").replace("name: a", "name: A_b"),
        with_spec("").replace("name: a", "name: a, version: 1.2"),
        with_spec("").replace("name: a", "name: a, labels: [a]"),
        with_spec("").replace("[a]", "[]"),
        with_spec("").replace("[a]", "a b"),
        with_spec("").replace("spec:", "more: 1\nspec:"),
        "apiVersion: errand.dev/v1\nkind: Agent\n".to_owned(),
        "[]".to_owned(),
    ];
    for text in files.chain(coordinators).chain(whole) {
        assert!(parse("agent.yaml", &text).is_err(), "the parser takes\n{text}");
        assert!(!complaints(&text).is_empty(), "the schema takes\n{text}");
    }
}

/// Fields that the parser names as known at a place, told by one that is not.
fn known_to_parser(text: &str) -> BTreeSet<String> {
    let problems = parse("agent.yaml", text).unwrap_err().problems;
    let hint = problems
        .iter()
        .filter(|problem| problem.message.contains("qqqqqqqqqqqq"))
        .find_map(|problem| problem.hint.as_deref()?.strip_prefix("known here: "))
        .unwrap_or_else(|| panic!("{text}\n{problems:#?}"));
    hint.split(", ").map(str::to_owned).collect()
}

#[test]
fn parser_and_schema_know_the_same_fields() {
    let schema = schema::agent_file();
    let fields = |pointer: &str| -> BTreeSet<String> {
        let object = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}\n{schema:#}"));
        object["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let spec = |text: &str| with_spec(&format!("  {text}\n"));
    let coordinator = with_coordinator;
    let cases = [
        (with_spec("").replace("spec:", "qqqqqqqqqqqq: 1\nspec:"), ""),
        (with_spec("").replace("name: a", "name: a, qqqqqqqqqqqq: 1"), "/$defs/Metadata"),
        (spec("qqqqqqqqqqqq: 1"), "/$defs/Spec"),
        (spec("target: { type: process, qqqqqqqqqqqq: 1 }"), "/$defs/Target/oneOf/0"),
        (spec("workspace: { mode: worktree, qqqqqqqqqqqq: 1 }"), "/$defs/Workspace/oneOf/2"),
        (spec("workspace: { mode: clone, qqqqqqqqqqqq: 1 }"), "/$defs/Workspace/oneOf/3"),
        (spec("model: { qqqqqqqqqqqq: 1 }"), "/$defs/Model"),
        (spec("model: { fallback: [{ qqqqqqqqqqqq: 1 }] }"), "/$defs/ModelName"),
        (spec("tools: [{ qqqqqqqqqqqq: 1 }]"), "/$defs/ToolObject"),
        (spec("mcp_servers: [{ qqqqqqqqqqqq: 1 }]"), "/$defs/McpServer"),
        (spec("resources: { qqqqqqqqqqqq: 1 }"), "/$defs/Resources"),
        (spec("timeouts: { qqqqqqqqqqqq: 1 }"), "/$defs/Timeouts"),
        (spec("retry_policy: { qqqqqqqqqqqq: 1 }"), "/$defs/RetryPolicy"),
        (spec("budgets: { qqqqqqqqqqqq: 1 }"), "/$defs/Budgets"),
        (spec("schedules: [{ qqqqqqqqqqqq: 1 }]"), "/$defs/Schedule"),
        (spec("listen: { qqqqqqqqqqqq: 1 }"), "/$defs/Listen"),
        (coordinator("{ type: chain, qqqqqqqqqqqq: 1 }"), "/$defs/Coordinator/oneOf/0"),
        (coordinator("{ type: fan_out, qqqqqqqqqqqq: 1 }"), "/$defs/Coordinator/oneOf/1"),
        (coordinator("{ type: workflow, qqqqqqqqqqqq: 1 }"), "/$defs/Coordinator/oneOf/2"),
        (coordinator("{ type: workflow, graph: { a: { qqqqqqqqqqqq: 1 } } }"), "/$defs/Node"),
        (
            coordinator("{ type: workflow, graph: { a: { outputs_to: [{ qqqqqqqqqqqq: 1 }] } } }"),
            "/$defs/Outcome",
        ),
        (
            coordinator(
                "{ type: workflow, graph: { a: { outputs_to: [{ to: a, when: { qqqqqqqqqqqq: 1 } }] } } }",
            ),
            "/$defs/When",
        ),
        (coordinator("{ type: chain, agents: [{ qqqqqqqqqqqq: 1 }] }"), "/$defs/NamedLink"),
        (coordinator("{ type: fan_out, agents: [{ qqqqqqqqqqqq: 1 }] }"), "/$defs/NamedMember"),
        (
            coordinator("{ type: fan_out, agents: [a], on_failure: { qqqqqqqqqqqq: 1 } }"),
            "/$defs/OnFailure/oneOf/2",
        ),
        (spec("handoffs: [{ qqqqqqqqqqqq: 1 }]"), "/$defs/NamedMember"),
    ];
    for (text, pointer) in cases {
        assert_eq!(known_to_parser(&text), fields(pointer), "{pointer}");
    }
}

#[test]
fn the_schema_lists_the_failures_that_can_be_retried() {
    let schema = schema::agent_file();
    let listed: Vec<&str> = schema["$defs"]["RetryOn"]["anyOf"][0]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap())
        .collect();
    let codes: Vec<&str> = ErrorCode::RETRYABLE.iter().map(|code| code.as_str()).collect();
    assert_eq!(listed, codes);
}

/// Every agent file below the repository's `examples` and every one in its documentation.
#[test]
fn the_agent_files_of_examples_and_documentation_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["examples", "docs"] {
        collect(&root.join(folder), &mut files);
    }
    files.push(root.join("README.md"));
    let mut seen = 0;
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let is_page = file.extension().is_some_and(|extension| extension == "md");
        let agents = if is_page { agents_of_page(&text) } else { vec![text] };
        for agent in agents {
            seen += 1;
            parse(&file.display().to_string(), &agent)
                .unwrap_or_else(|problems| panic!("{problems}\n{agent}"));
            assert_eq!(complaints(&agent), Vec::<String>::new(), "{}", file.display());
        }
    }
    assert!(seen > 0, "no agent file was found");
}

pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, files);
        } else if name == "agent.yaml" || name.ends_with(".md") {
            files.push(path);
        }
    }
}

/// The code blocks of a page that begin with `apiVersion`.
fn agents_of_page(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.split_once('\n').map(|(_, code)| code.to_owned()))
        .filter(|code| code.starts_with("apiVersion:"))
        .collect()
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    for (name, child) in value.as_object().into_iter().flatten() {
        let name = name.replace('~', "~0").replace('/', "~1");
        places(child, &format!("{pointer}/{name}"), found);
    }
    for (index, child) in value.as_array().into_iter().flatten().enumerate() {
        places(child, &format!("{pointer}/{index}"), found);
    }
}

#[test]
fn whatever_stands_anywhere_the_schema_takes_what_the_parser_takes() {
    let values = serde_json::json!([
        null, true, 0, 1, -1, 1.5, 1e30, "", " ", "x", "X_1", "10m", "0s", "2Gi", "500m", "1", "/x",
        "127.0.0.1:1", "1.2.3", "@hourly", "https://x", [], ["x"], ["X"], [["x"]], {}, { "x": "x" },
        { "X": 1 }, { "type": "string" }, { "name": "x" }, "é\u{1F980}\n", "a\u{0}b"
    ]);
    let validator = validator();
    let mut taken = 0;
    let mut refused = Vec::new();
    let files = GOOD.iter().map(|spec| with_spec(spec));
    let coordinators = GOOD_COORDINATORS.iter().map(|text| with_coordinator(text));
    for text in files.chain(coordinators).chain([FULL.to_owned()]) {
        let whole = to_json("agent.yaml", text.as_bytes()).unwrap();
        let mut pointers = Vec::new();
        places(&whole, "", &mut pointers);
        for pointer in pointers {
            for value in values.as_array().unwrap() {
                let mut changed = whole.clone();
                *changed.pointer_mut(&pointer).unwrap() = value.clone();
                // JSON is YAML.
                if parse("agent.yaml", &changed.to_string()).is_ok() {
                    taken += 1;
                    let complaints = validator.iter_errors(&changed);
                    refused.extend(complaints.map(|error| format!("{pointer} = {value}: {error}")));
                }
            }
        }
    }
    assert_eq!(refused, Vec::<String>::new());
    assert!(taken > 1_000, "only {taken} were good");
}
