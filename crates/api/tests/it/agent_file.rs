use errand_api::agent_file::{Agent, parse, parse_bytes};
use serde_json::json;

/// The smallest file, with more of `spec` appended.
pub(crate) fn with_spec(more: &str) -> String {
    format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: a }}\nspec:\n  command: [a]\n{more}"
    )
}

#[track_caller]
pub(crate) fn good(text: &str) -> Agent {
    parse("agent.yaml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The example of the design, as far as one agent can have all of it at once.
pub(crate) const FULL: &str = r#"
apiVersion: errand.dev/v1
kind: Agent
metadata: { name: code-review, version: 1.2.0, labels: { team: platform, level: 3 } }
spec:
  description: Reviews a change and writes a report.
  harness: command
  command: [python3, review.py]
  target: { type: process }
  workspace: { mode: worktree, ref: main }
  model:
    provider: anthropic
    name: claude-sonnet-4-5
    fallback: [{ provider: openai, name: gpt-4o-mini }]
  skills: [code-review]
  configs: [style-guide]
  secrets: [GITHUB_TOKEN, WEBHOOK_SECRET]
  env: { TZ: UTC, RETRIES: 3, VERBOSE: true, EMPTY: "" }
  tools: [read_file, { name: post_comment, side_effect: communication, command: [./post.sh] }]
  mcp_servers: [{ name: github, command: [gh-mcp, --stdio] }, { name: web, url: https://mcp.example/ }]
  input_schema: { type: object, required: [path], properties: { path: { type: string } } }
  output_schema: { type: [object, "null"], additionalProperties: false }
  resources: { cpu: "1", memory: 2Gi, gpu: 0 }
  timeouts: { run: 1h, step: 5m, queue: 10m, approval: 30m }
  retry_policy: { max_retries: 3, backoff: exponential, initial_delay: 1s, max_delay: 30s, retry_on: [exit_nonzero] }
  budgets: { tokens_per_run: 200000, cost_usd_per_run: 2.0, cost_usd_per_day: 25, tool_calls_per_run: 100, on_exceed: deny_call }
  schedules: [{ cron: "0 */5 * * * *", timezone: Europe/Berlin, input: { deep: [1, 2.5, null] }, missed: fire_once, overlap: skip }]
  listen: { address: 0.0.0.0:8080, path: /hook, methods: [POST, PUT], secret: WEBHOOK_SECRET, max_body_bytes: 8192, max_header_bytes: 4096 }
"#;

#[test]
fn a_file_that_says_the_least_gets_every_default() {
    let agent = good(&with_spec(""));
    insta::assert_json_snapshot!(agent, @r#"
    {
      "name": "a",
      "version": "0.0.0",
      "labels": {},
      "description": null,
      "harness": "command",
      "command": [
        "a"
      ],
      "target": {
        "type": "process"
      },
      "workspace": {
        "mode": "temp"
      },
      "model": null,
      "skills": [],
      "configs": [],
      "secrets": [],
      "env": {},
      "tools": [],
      "mcp_servers": [],
      "tier": null,
      "dependencies": [],
      "input_schema": null,
      "output_schema": null,
      "resources": {
        "cpu_millis": null,
        "memory_bytes": null,
        "gpu": 0
      },
      "timeouts": {
        "run_ms": null,
        "step_ms": null,
        "queue_ms": null,
        "approval_ms": null
      },
      "retry_policy": {
        "max_retries": 0,
        "backoff": "none",
        "initial_delay_ms": 0,
        "max_delay_ms": 0,
        "retry_on": []
      },
      "budgets": {
        "tokens_per_run": null,
        "cost_micro_usd_per_run": null,
        "cost_micro_usd_per_day": null,
        "tool_calls_per_run": null,
        "on_exceed": "deny_call"
      },
      "policies": [],
      "schedules": [],
      "listen": null,
      "coordinator": null
    }
    "#);
}

#[test]
fn a_file_that_says_all_of_it_is_read_whole() {
    insta::assert_json_snapshot!(good(FULL), @r#"
    {
      "name": "code-review",
      "version": "1.2.0",
      "labels": {
        "level": "3",
        "team": "platform"
      },
      "description": "Reviews a change and writes a report.",
      "harness": "command",
      "command": [
        "python3",
        "review.py"
      ],
      "target": {
        "type": "process"
      },
      "workspace": {
        "mode": "worktree",
        "ref": "main"
      },
      "model": {
        "provider": "anthropic",
        "name": "claude-sonnet-4-5",
        "fallback": [
          {
            "provider": "openai",
            "name": "gpt-4o-mini"
          }
        ]
      },
      "skills": [
        "code-review"
      ],
      "configs": [
        "style-guide"
      ],
      "secrets": [
        "GITHUB_TOKEN",
        "WEBHOOK_SECRET"
      ],
      "env": {
        "EMPTY": "",
        "RETRIES": "3",
        "TZ": "UTC",
        "VERBOSE": "true"
      },
      "tools": [
        {
          "name": "read_file",
          "description": null,
          "command": [],
          "input_schema": null,
          "side_effect": null
        },
        {
          "name": "post_comment",
          "description": null,
          "command": [
            "./post.sh"
          ],
          "input_schema": null,
          "side_effect": "communication"
        }
      ],
      "mcp_servers": [
        {
          "name": "github",
          "command": [
            "gh-mcp",
            "--stdio"
          ],
          "url": null,
          "env": {}
        },
        {
          "name": "web",
          "command": [],
          "url": "https://mcp.example/",
          "env": {}
        }
      ],
      "tier": null,
      "dependencies": [],
      "input_schema": {
        "properties": {
          "path": {
            "type": "string"
          }
        },
        "required": [
          "path"
        ],
        "type": "object"
      },
      "output_schema": {
        "additionalProperties": false,
        "type": [
          "object",
          "null"
        ]
      },
      "resources": {
        "cpu_millis": 1000,
        "memory_bytes": 2147483648,
        "gpu": 0
      },
      "timeouts": {
        "run_ms": 3600000,
        "step_ms": 300000,
        "queue_ms": 600000,
        "approval_ms": 1800000
      },
      "retry_policy": {
        "max_retries": 3,
        "backoff": "exponential",
        "initial_delay_ms": 1000,
        "max_delay_ms": 30000,
        "retry_on": [
          "exit_nonzero"
        ]
      },
      "budgets": {
        "tokens_per_run": 200000,
        "cost_micro_usd_per_run": 2000000,
        "cost_micro_usd_per_day": 25000000,
        "tool_calls_per_run": 100,
        "on_exceed": "deny_call"
      },
      "policies": [],
      "schedules": [
        {
          "cron": "0 */5 * * * *",
          "timezone": "Europe/Berlin",
          "input": {
            "deep": [
              1,
              2.5,
              null
            ]
          },
          "missed": "fire_once",
          "overlap": "skip"
        }
      ],
      "listen": {
        "address": "0.0.0.0:8080",
        "path": "/hook",
        "methods": [
          "POST",
          "PUT"
        ],
        "secret": "WEBHOOK_SECRET",
        "max_body_bytes": 8192,
        "max_header_bytes": 4096
      },
      "coordinator": null
    }
    "#);
}

#[test]
fn the_definition_survives_its_own_json() {
    for text in [FULL.to_owned(), with_spec("")] {
        let agent = good(&text);
        let json = serde_json::to_string(&agent).unwrap();
        assert_eq!(serde_json::from_str::<Agent>(&json).unwrap(), agent);
    }
}

#[test]
fn a_definition_of_an_older_errand_is_read_and_one_of_a_newer_is_refused() {
    let whole = serde_json::to_value(good(FULL)).unwrap();
    for field in ["budgets", "schedules", "coordinator", "retry_policy"] {
        let mut older = whole.clone();
        older.as_object_mut().unwrap().remove(field);
        serde_json::from_value::<Agent>(older).unwrap_or_else(|error| panic!("{field}: {error}"));
    }
    let mut newer = whole;
    newer["priority"] = json!(5);
    let error = serde_json::from_value::<Agent>(newer).unwrap_err().to_string();
    assert!(error.starts_with("unknown field `priority`"), "{error}");
}

#[test]
fn the_same_definition_written_differently_is_the_same() {
    let reordered = "\u{feff}# a comment\nspec: {command: &c [\"a\"], timeouts: {run: 60m}}\n\
                     metadata: {'name': \"a\"}\nkind: Agent\n\"apiVersion\": errand.dev/v1\n";
    let plain = with_spec("  timeouts:\n    run: 1h\n");
    assert_eq!(good(reordered), good(&plain));
    assert_eq!(good(&plain.replace('\n', "\r\n")), good(&plain));
    assert_eq!(good(&format!("---\n{plain}...\n")), good(&plain));
}

#[test]
fn anchors_stand_for_what_they_name() {
    let text = with_spec(
        "  timeouts: { run: &long 1h, step: *long }\n  input_schema: &s { type: object }\n  \
         output_schema: *s\n",
    );
    let agent = good(&text);
    assert_eq!(agent.timeouts.step_ms, Some(3_600_000));
    assert_eq!(agent.output_schema, Some(json!({ "type": "object" })));
}

#[test]
fn words_that_look_like_numbers_stay_as_they_are_written() {
    let agent = good(
        &with_spec("  env: { A: 007, B: 1e3, C: yes, D: 0x10, E: ~x }\n")
            .replace("command: [a]", "command: [sleep, 0.50, true]"),
    );
    assert_eq!(agent.command, ["sleep", "0.50", "true"]);
    let values: Vec<&str> = agent.env.values().map(String::as_str).collect();
    assert_eq!(values, ["007", "1e3", "yes", "0x10", "~x"]);
}

#[test]
fn a_stored_definition_names_what_this_version_cannot_honour() {
    let agent = good(FULL);
    assert!(agent.unsupported().is_empty());
    let mut stored = serde_json::to_value(&agent).unwrap();
    stored["tier"] = "terminal".into();
    stored["harness"] = "react".into();
    stored["target"] = serde_json::json!({ "type": "container", "image": "a" });
    stored["dependencies"] =
        serde_json::json!([{ "agent": "indexer", "tier": null, "service": null, "port": 6667 }]);
    let old: Agent = serde_json::from_value(stored).unwrap();
    assert_eq!(old.unsupported(), ["`dependencies`"]);
    assert_eq!((old.harness.name(), old.target.name()), ("react", "container"));
}

#[test]
fn names_of_agents_may_have_underscores() {
    for name in ["spanish_translator", "a", "a_b-c", "9_9"] {
        let text = with_spec("").replace("name: a }", &format!("name: {name:?} }}"));
        assert_eq!(good(&text).name, name);
    }
    for name in ["_a", "a_", "A_b", "a.b", "a b", "a@b"] {
        let text = with_spec("").replace("name: a }", &format!("name: {name:?} }}"));
        assert!(parse("agent.yaml", &text).is_err(), "{name}");
    }
}

#[test]
fn bytes_are_read_like_text() {
    assert_eq!(parse_bytes("agent.yaml", FULL.as_bytes()), parse("agent.yaml", FULL));
}
