//! Coordinators and handoffs in agent files.

use errand_api::agent_file::{Agent, FileReference, ProblemKind, Unknown, parse, parse_knowing};
use errand_model::event::MessageType;

use crate::agent_file::with_spec;

fn without_command(spec: &str) -> String {
    with_spec(&format!("  {spec}\n")).replace("  command: [a]\n", "")
}

fn good(spec: &str) -> Agent {
    let text = without_command(spec);
    parse("agent.yaml", &text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn bad(spec: &str) -> String {
    let problems = parse("agent.yaml", &without_command(spec)).unwrap_err();
    problems.to_string()
}

fn definition(spec: &str) -> serde_json::Value {
    serde_json::to_value(good(spec).coordinator).unwrap()
}

#[test]
fn a_chain_is_its_agents_in_order() {
    insta::assert_json_snapshot!(
        definition(
            "coordinator: { type: chain, agents: [extractor, ../validator/, { agent: ../validator, \
             name: check, input: { text: '{{ output.text }}', all: '{{ input }}' } }] }",
        ),
        @r#"
    {
      "agents": {
        "check": {
          "agent": "../validator"
        },
        "extractor": {
          "agent": "extractor"
        },
        "validator": {
          "agent": "../validator/"
        }
      },
      "pattern": {
        "links": [
          {
            "name": "extractor"
          },
          {
            "name": "validator"
          },
          {
            "input": {
              "all": "{{ input }}",
              "text": "{{ output.text }}"
            },
            "name": "check"
          }
        ],
        "max_messages": 100,
        "type": "chain"
      }
    }
    "#
    );
}

#[test]
fn a_fan_out_has_everything_that_the_file_says() {
    insta::assert_json_snapshot!(
        definition(
            "coordinator: { type: fan_out, agents: [es, fr@1.0.0, { agent: ../de/german.yaml }], \
             partition: items, aggregation: collect, timeout_per_agent: 30s, max_parallel: 8, \
             on_failure: { min_success: 2 } }",
        ),
        @r#"
    {
      "agents": {
        "es": {
          "agent": "es"
        },
        "fr": {
          "agent": "fr@1.0.0"
        },
        "german": {
          "agent": "../de/german.yaml"
        }
      },
      "pattern": {
        "aggregation": "collect",
        "max_parallel": 8,
        "members": [
          "es",
          "fr",
          "german"
        ],
        "on_failure": {
          "min_success": 2
        },
        "partition": "items",
        "timeout_per_agent_ms": 30000,
        "type": "fan_out"
      }
    }
    "#
    );
    let least = "coordinator: { type: fan_out, agents: [es] }";
    insta::assert_json_snapshot!(definition(least), @r#"
    {
      "agents": {
        "es": {
          "agent": "es"
        }
      },
      "pattern": {
        "aggregation": "merge_all",
        "members": [
          "es"
        ],
        "on_failure": "fail",
        "type": "fan_out"
      }
    }
    "#);
}

#[test]
fn a_workflow_is_a_graph_with_conditions() {
    insta::assert_json_snapshot!(
        definition(
            "coordinator:\n    type: workflow\n    graph:\n      researcher: { agent: \
             ../researcher, outputs_to: [analyst], max_runs: 3 }\n      analyst: { outputs_to: \
             [writer], join: all }\n      writer: { outputs_to: [{ to: analyst, when: { type: \
             VALIDATION, payload: { /approved: false, score: { gte: 0.5, lt: 1 } } } }, __end__], \
             input: '{{ outputs.analyst }}' }\n    max_messages: 20",
        ),
        @r#"
    {
      "agents": {
        "analyst": {
          "agent": "analyst"
        },
        "researcher": {
          "agent": "../researcher"
        },
        "writer": {
          "agent": "writer"
        }
      },
      "pattern": {
        "max_messages": 20,
        "nodes": {
          "analyst": {
            "join": "all",
            "outputs_to": [
              {
                "to": "writer"
              }
            ]
          },
          "researcher": {
            "join": "any",
            "max_runs": 3,
            "outputs_to": [
              {
                "to": "analyst"
              }
            ]
          },
          "writer": {
            "input": "{{ outputs.analyst }}",
            "join": "any",
            "outputs_to": [
              {
                "to": "analyst",
                "when": {
                  "payload": [
                    {
                      "eq": false,
                      "pointer": "/approved"
                    },
                    {
                      "gte": 0.5,
                      "pointer": "/score"
                    },
                    {
                      "lt": 1,
                      "pointer": "/score"
                    }
                  ],
                  "type": "VALIDATION"
                }
              },
              {
                "to": "__end__"
              }
            ]
          }
        },
        "start": "researcher",
        "type": "workflow"
      }
    }
    "#
    );
}

#[test]
fn handoffs_are_agents_by_the_names_that_the_file_has_for_them() {
    let text =
        with_spec("  handoffs: [reviewer@2.0.0, ../other, { agent: ./x/y.yaml, name: z }]\n");
    let agent = parse("agent.yaml", &text).unwrap();
    let handoffs = agent.handoffs.iter().map(|(name, member)| (name.as_str(), &*member.agent));
    let expected = [("other", "../other"), ("reviewer", "reviewer@2.0.0"), ("z", "./x/y.yaml")];
    assert_eq!(handoffs.collect::<Vec<_>>(), expected);
}

#[test]
fn every_mistake_in_a_coordinator_is_told_at_its_place() {
    let said = [
        "{}",
        "{ type: chian }",
        "{ type: chain }",
        "{ type: chain, agents: [] }",
        "{ type: chain, agents: [a], max_parallel: 2 }",
        "{ type: chain, agents: [a, b, a, ../b, /c, A_b, 'd@', ../.., { name: e }, { agent: ../f, name: g.h }] }",
        "{ type: chain, agents: [a, { agent: b, input: { x: ['{{ outputs.c }}', '{{ input', '{{ body }}'] } }] }",
        "{ type: fan_out, agents: [a], max_parallel: 0, timeout_per_agent: 5 }",
        "{ type: fan_out, agents: [a, b], on_failure: never, aggregation: merge }",
        "{ type: fan_out, agents: [a, b], on_failure: { min_success: 3 } }",
        "{ type: workflow, graph: {} }",
    ]
    .map(|spec| bad(&format!("coordinator: {spec}")));
    insta::assert_snapshot!(said.join("\n"), @r#"
    agent.yaml:5:16: spec.coordinator: "type" is missing
      hint: write type: and one of chain, fan_out, workflow
    agent.yaml:5:24: spec.coordinator.type: "chian" is not a known word
      hint: did you mean "chain"? One of: chain, fan_out, workflow
    agent.yaml:5:16: spec.coordinator: "agents" is missing
      hint: write agents: [first, second]
    agent.yaml:5:39: spec.coordinator.agents: there is no agent in the list
    agent.yaml:5:44: spec.coordinator.max_parallel: unknown field "max_parallel"
      hint: known here: agents, max_messages, type
    agent.yaml:5:46: spec.coordinator.agents[2]: another agent of this list has the name "a"
      hint: give this one its own: { agent: a, name: … }
    agent.yaml:5:49: spec.coordinator.agents[3]: another agent of this list has the name "b"
      hint: give this one its own: { agent: ../b, name: … }
    agent.yaml:5:55: spec.coordinator.agents[4]: "/c" is not relative to this file
      hint: write a registered name, name@version, or a path relative to this file such as ../validator
    agent.yaml:5:59: spec.coordinator.agents[5]: "A_b" cannot be an agent
      hint: write a registered name, name@version, or a path relative to this file such as ../validator
    agent.yaml:5:64: spec.coordinator.agents[6]: "d@" cannot be an agent
      hint: write a registered name, name@version, or a path relative to this file such as ../validator
    agent.yaml:5:70: spec.coordinator.agents[7]: "../.." does not tell what the agent is called here
      hint: write { agent: ../.., name: … }
    agent.yaml:5:77: spec.coordinator.agents[8]: "agent" is missing
      hint: write agent: reviewer
    agent.yaml:5:111: spec.coordinator.agents[9].name: "g.h" cannot be the name of an agent here
      hint: letters, digits, '-' and '_', at most 63 characters, a letter or digit first
    agent.yaml:5:68: spec.coordinator.agents[1].input.x[0]: the template cannot be read: "outputs.c": no agent here has the name "c"
    agent.yaml:5:87: spec.coordinator.agents[1].input.x[1]: the template cannot be read: {{ has no }}
    agent.yaml:5:99: spec.coordinator.agents[1].input.x[2]: the template cannot be read: "body" is not input, output, outputs.<name> (each of them also with .a.b or #/a/b), from or type
    agent.yaml:5:60: spec.coordinator.max_parallel: expected a whole number from 1 to 4294967295, found 0
    agent.yaml:5:82: spec.coordinator.timeout_per_agent: the duration 5 has no unit
      hint: write 5s for seconds, 5ms for milliseconds, 5m for minutes
    agent.yaml:5:61: spec.coordinator.on_failure: "never" is not a known word
      hint: one of: fail, ignore; or a mapping with min_success
    agent.yaml:5:81: spec.coordinator.aggregation: "merge" is not a known word
      hint: one of: merge_all, first_success, majority, collect
    agent.yaml:5:76: spec.coordinator.on_failure.min_success: 3 can never succeed: there are 2 agents
    agent.yaml:5:41: spec.coordinator.graph: the graph has no node
    "#);
}

#[test]
fn every_mistake_in_a_graph_is_told_at_its_place() {
    let said = [
        "{ a: { outputs_to: [b] } }",
        "{ a.b: { agent: a }, spanish_translator: { outputs_to: [__end__] } }",
        "{ a: { outputs_to: [__done__, __end__, __end__, { to: __end__, when: { type: RESULT } }] } }",
        "{ a: { outputs_to: [{ to: a, when: { type: task } }, { to: __end__, when: {} }, { when: { type: TASK } }] } }",
        "{ a: { outputs_to: [{ to: __end__, when: { payload: { 'x y': 1, /a~b: 1, c: {}, d: { more: 1, lt: true, in: [], exists: 1 } } } }] } }",
        "{ a: { join: some, max_runs: 0, input: '{{ outputs.z }}', outputs_to: [__end__] } }",
    ]
    .map(|graph| bad(&format!("coordinator: {{ type: workflow, graph: {graph} }}")));
    insta::assert_snapshot!(said.join("\n"), @r#"
    agent.yaml:5:61: spec.coordinator.graph.a.outputs_to[0]: "b" is not a node of the graph
      hint: one of: a, __end__, __self__, __prev__, __next__
    agent.yaml:5:41: spec.coordinator.graph: no path leads from the start to __end__
      hint: write outputs_to: [__end__] on the node whose output is the result
    agent.yaml:5:43: spec.coordinator.graph.a.b: "a.b" cannot be the name of a node
      hint: letters, digits, '-' and '_', at most 63 characters, a letter or digit first
    agent.yaml:5:62: spec.coordinator.graph.spanish_translator: no message reaches "spanish_translator"
      hint: name it in another node's outputs_to, or write start: spanish_translator
    agent.yaml:5:61: spec.coordinator.graph.a.outputs_to[0]: "__done__" is not a node of the graph
      hint: one of: a, __end__, __self__, __prev__, __next__
    agent.yaml:5:80: spec.coordinator.graph.a.outputs_to[2]: "__end__" is listed twice
    agent.yaml:5:89: spec.coordinator.graph.a.outputs_to[3]: "__end__" is also listed without a condition
      hint: a message would take both edges: remove one
    agent.yaml:5:43: spec.coordinator.graph.a: the loop a -> a has no bound
      hint: write max_messages beside graph, or max_runs on one of these nodes
    agent.yaml:5:84: spec.coordinator.graph.a.outputs_to[0].when.type: "task" is not a known word
      hint: did you mean "TASK"? One of: TASK, RESULT, VALIDATION, ERROR, CONTROL
    agent.yaml:5:115: spec.coordinator.graph.a.outputs_to[1].when: the condition says nothing
      hint: write type: RESULT, payload: { approved: true }, or leave when: out
    agent.yaml:5:121: spec.coordinator.graph.a.outputs_to[2]: "to" is missing
      hint: write to: __end__
    agent.yaml:5:95: spec.coordinator.graph.a.outputs_to[0].when.payload.x y: "x y" is no place in a payload
      hint: write the name of a member, or a JSON pointer such as /review/score
    agent.yaml:5:105: spec.coordinator.graph.a.outputs_to[0].when.payload./a~b: "/a~b" is no JSON pointer: ~ stands there as ~0, and / in a name as ~1
      hint: write the name of a member, or a JSON pointer such as /review/score
    agent.yaml:5:117: spec.coordinator.graph.a.outputs_to[0].when.payload.c: there is no test in the condition
      hint: one of: eq, ne, lt, lte, gt, gte, in, exists
    agent.yaml:5:126: spec.coordinator.graph.a.outputs_to[0].when.payload.d.more: unknown field "more"
      hint: known here: eq, exists, gt, gte, in, lt, lte, ne
    agent.yaml:5:139: spec.coordinator.graph.a.outputs_to[0].when.payload.d.lt: expected a number or text, found the truth value true
    agent.yaml:5:149: spec.coordinator.graph.a.outputs_to[0].when.payload.d.in: the list is empty
    agent.yaml:5:161: spec.coordinator.graph.a.outputs_to[0].when.payload.d.exists: expected true or false, found the number 1
    agent.yaml:5:54: spec.coordinator.graph.a.join: "some" is not a known word
      hint: one of: any, all
    agent.yaml:5:70: spec.coordinator.graph.a.max_runs: expected a whole number from 1 to 100000, found 0
    agent.yaml:5:80: spec.coordinator.graph.a.input: the template cannot be read: "outputs.z": no agent here has the name "z"
    "#);
    let at_once = bad(
        "coordinator: { type: workflow, graph: { draft: { outputs_to: [chek] }, check: { outputs_to: [draft, \
         elsewhere] }, lonely: { outputs_to: [lonely] }, stuck: { outputs_to: [lonely] } } }",
    );
    insta::assert_snapshot!(at_once, @r#"
    agent.yaml:5:43: spec.coordinator.graph.draft: the loop draft -> check -> draft has no bound
      hint: write max_messages beside graph, or max_runs on one of these nodes
    agent.yaml:5:65: spec.coordinator.graph.draft.outputs_to[0]: "chek" is not a node of the graph
      hint: did you mean "check"?
    agent.yaml:5:103: spec.coordinator.graph.check.outputs_to[1]: "elsewhere" is not a node of the graph
      hint: one of: draft, check, lonely, stuck, __end__, __self__, __prev__, __next__
    agent.yaml:5:117: spec.coordinator.graph.lonely: no message reaches "lonely"
      hint: name it in another node's outputs_to, or write start: lonely
    agent.yaml:5:117: spec.coordinator.graph.lonely: the loop lonely -> lonely has no bound
      hint: write max_messages beside graph, or max_runs on one of these nodes
    agent.yaml:5:151: spec.coordinator.graph.stuck: no message reaches "stuck"
      hint: name it in another node's outputs_to, or write start: stuck
    "#);
    let start =
        bad("coordinator: { type: workflow, start: z, graph: { a: { outputs_to: [__end__] } } }");
    insta::assert_snapshot!(start, @r#"
    agent.yaml:5:41: spec.coordinator.start: "z" is not a node of the graph
      hint: one of: a
    "#);
}

#[test]
fn a_graph_that_cannot_work_is_refused_as_a_whole() {
    let said = [
        // Nothing reaches b, and c leads nowhere.
        "{ a: { outputs_to: [__end__, c] }, b: { outputs_to: [__end__] }, c: }",
        // Nothing ends.
        "{ a: { outputs_to: [b] }, b: , c: { outputs_to: [__end__] } }",
        // Two loops, one of them with a bound.
        "{ a: { outputs_to: [b, d] }, b: { outputs_to: [c] }, c: { outputs_to: [a, __end__] }, \
         d: { outputs_to: [e] }, e: { outputs_to: [d, __end__], max_runs: 2 } }",
        "{ a: { outputs_to: [__self__, __end__] } }",
        "{ a: { outputs_to: [b, __end__] }, b: { outputs_to: [__prev__] } }",
    ]
    .map(|graph| bad(&format!("coordinator: {{ type: workflow, graph: {graph} }}")));
    insta::assert_snapshot!(said.join("\n"), @r#"
    agent.yaml:5:76: spec.coordinator.graph.b: no message reaches "b"
      hint: name it in another node's outputs_to, or write start: b
    agent.yaml:5:106: spec.coordinator.graph.c: no path leads from "c" to __end__
      hint: write outputs_to: [__end__], another node, or __prev__ if it answers whoever writes to it
    agent.yaml:5:41: spec.coordinator.graph: no path leads from the start to __end__
      hint: write outputs_to: [__end__] on the node whose output is the result
    agent.yaml:5:72: spec.coordinator.graph.c: no message reaches "c"
      hint: name it in another node's outputs_to, or write start: c
    agent.yaml:5:43: spec.coordinator.graph.a: the loop a -> b -> c -> a has no bound
      hint: write max_messages beside graph, or max_runs on one of these nodes
    agent.yaml:5:43: spec.coordinator.graph.a: the loop a -> a has no bound
      hint: write max_messages beside graph, or max_runs on one of these nodes
    agent.yaml:5:43: spec.coordinator.graph.a: the loop a -> b -> a has no bound
      hint: write max_messages beside graph, or max_runs on one of these nodes
    "#);
}

#[test]
fn a_loop_with_a_bound_is_no_problem() {
    for rest in [
        "max_messages: 100, graph: { a: { outputs_to: [b] }, b: { outputs_to: [a, __end__] } }",
        "graph: { a: { outputs_to: [b], max_runs: 5 }, b: { outputs_to: [a, __end__] } }",
        "graph: { a: { outputs_to: [b] }, b: { outputs_to: [__prev__, __end__], max_runs: 2 } }",
        "graph: { a: { outputs_to: [__next__, __end__] } }",
    ] {
        good(&format!("coordinator: {{ type: workflow, {rest} }}"));
    }
}

#[test]
fn what_only_a_process_has_use_for_is_refused_of_a_coordinator() {
    let text = with_spec(
        "  coordinator: { type: chain, agents: [b] }\n  harness: command\n  workspace: { mode: cwd }\n  \
         skills: [x]\n  secrets: [X]\n  env: { A: b }\n  handoffs: [c]\n  resources: { cpu: 1 }\n",
    );
    let problems = parse("agent.yaml", &text).unwrap_err();
    insta::assert_snapshot!(problems, @r#"
    agent.yaml:5:12: spec.command: a coordinator runs other agents and has no command
      hint: remove command or coordinator
    agent.yaml:7:12: spec.harness: a coordinator has no process: it has no use for a harness
      hint: give harness to its agents
    agent.yaml:8:14: spec.workspace: a coordinator has no process: it has no use for a workspace
      hint: give workspace to its agents
    agent.yaml:9:11: spec.skills: a coordinator has no process: it has no use for skills
      hint: give skills to its agents
    agent.yaml:10:12: spec.secrets: a coordinator has no process: it has no use for secrets
      hint: give secrets to its agents
    agent.yaml:11:8: spec.env: a coordinator has no process: it has no use for an environment
      hint: give env to its agents
    agent.yaml:12:13: spec.handoffs: a coordinator has no process: it has no use for handoffs
      hint: give handoffs to its agents
    agent.yaml:13:14: spec.resources: a coordinator has no process: it has no use for resources
      hint: give resources to its agents
    "#);
}

#[test]
fn agents_that_are_not_known_are_told_with_everything_else() {
    let text = without_command(
        "coordinator:\n    type: workflow\n    graph:\n      a: { outputs_to: [b, c] }\n      b: { agent: \
         ../x, outputs_to: [__end__] }\n      c: { outputs_to: [] }",
    );
    let mut asked = Vec::new();
    let mut known = |reference: &FileReference| {
        let FileReference::Agent(agent) = reference else { return Ok(()) };
        asked.push(agent.clone());
        let hint = Some("look again".to_owned());
        Err(Unknown { message: format!("there is no {agent}"), hint, kind: ProblemKind::Invalid })
    };
    let problems = parse_knowing("agent.yaml", text.as_bytes(), &mut known).unwrap_err();
    assert_eq!(asked, ["a", "../x", "c"]);
    insta::assert_snapshot!(problems, @r#"
    agent.yaml:8:7: spec.coordinator.graph.a: there is no a
      hint: look again
    agent.yaml:9:19: spec.coordinator.graph.b.agent: there is no ../x
      hint: look again
    agent.yaml:10:7: spec.coordinator.graph.c: no path leads from "c" to __end__
      hint: write outputs_to: [__end__], another node, or __prev__ if it answers whoever writes to it
    agent.yaml:10:7: spec.coordinator.graph.c: there is no c
      hint: look again
    "#);
}

#[test]
fn more_agents_than_there_may_be_are_refused() {
    let agents: Vec<String> = (0..257).map(|number| format!("a{number}")).collect();
    let said = bad(&format!("coordinator: {{ type: chain, agents: [{}] }}", agents.join(", ")));
    assert!(
        said.contains("spec.coordinator.agents: there are 257 agents, more than 256"),
        "{said}"
    );
}

#[test]
fn schemas_name_every_type_of_message_and_no_other() {
    let schema = errand_api::schema::agent_file();
    let named = schema["$defs"]["MessageType"]["oneOf"].as_array().unwrap();
    let named: Vec<&str> = named.iter().map(|it| it["const"].as_str().unwrap()).collect();
    assert_eq!(named, MessageType::ALL.map(MessageType::word));
}
