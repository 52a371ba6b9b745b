//! Prices of calls, budgets of runs, and the actions at their limits.

use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support::{
    all, event_types, events, finish, kill, ran, record, run, sandbox, start, wait_for_record,
};

/// Returns a line of shell that reports a model call of so many tokens.
fn called(tokens: u64) -> String {
    format!("errand agent emit model.called '{{\"input_tokens\": {tokens}}}'\n")
}

fn usage(sandbox: &Sandbox, words: &[&str]) -> Value {
    sandbox.errand(["usage", "--json"]).args(words).run().ok().json()
}

#[test]
fn a_call_is_priced_by_the_table_or_by_the_agent_and_never_free() {
    let sandbox = sandbox();
    let script = r#"
        errand agent emit model.called '{"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 120, "output_tokens": 30}'
        errand agent emit model.called '{"provider": "acme", "model": "house", "input_tokens": 5}'
        errand agent emit model.called '{"model": "gpt-4o", "cost_usd": 0.0123456789, "note": "mine"}'
        errand agent step look -- errand agent emit tool.called '{"name": "search", "arguments": {"q": 1}, "side_effect": "read_only"}'"#;
    let (_, record) = ran(&sandbox, &TestAgent::shell(script), &["--label", "team=red"]);
    assert_eq!(record["status"], "completed");
    let run_id = record["run_id"].as_str().unwrap();
    let calls = events(&sandbox, run_id, "model.called");
    assert_eq!(calls[0]["cost_micro_usd"], 36);
    assert_eq!(calls[0]["priced_by"], "price_table");
    assert_eq!(calls[0]["price_source"], "https://openai.com/api/pricing/");
    assert_eq!(calls[0]["price_date"], "2024-10-02");
    assert_eq!(calls[1].get("cost_micro_usd"), None);
    assert_eq!(calls[2]["cost_micro_usd"], 12_346);
    assert_eq!((&calls[2]["priced_by"], &calls[2]["note"]), (&json!("agent"), &json!("mine")));
    let tool = &events(&sandbox, run_id, "tool.called")[0];
    assert_eq!(tool["step"], "look", "the step whose command makes the call");
    assert_eq!(tool["idempotency_key"].as_str().unwrap().len(), 37);
    let used = &record["usage"];
    assert_eq!((&used["cost_usd"], &used["unpriced_calls"]), (&json!(0.012_382), &json!(1)));
    assert_eq!(record["counters"]["model_calls"], 3);
    let by_model = usage(&sandbox, &["--by", "model"]);
    let costs: Vec<_> =
        by_model["rows"].as_array().unwrap().iter().map(|row| &row["cost_micro_usd"]).collect();
    assert_eq!(costs, [&json!(12_346), &json!(36), &Value::Null]);
    assert_eq!(by_model["total"]["unpriced_calls"], 1);
    let by_team = usage(&sandbox, &["--by", "label=team"]);
    assert_eq!(by_team["rows"][0]["key"], "red");
    assert_eq!(by_team["rows"][0]["tool_calls"], 1);
    let table = sandbox.errand(["usage", "--by", "tool"]).run().ok().stdout();
    assert!(table.lines().next().unwrap().starts_with("TOOL"), "{table}");
    assert!(table.contains("search"), "{table}");
}

#[test]
fn the_users_prices_win_and_a_bad_table_starts_nothing() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(
        r#"errand agent emit model.called '{"provider": "acme", "model": "house-2", "input_tokens": 1000, "output_tokens": 10}'"#,
    ));
    let price = "schema: 1\nprices:\n- { provider: acme, model: house-*, input: 0.5, output: 2, \
                 date: 2025-01-01, source: contract 7 }\n";
    sandbox.write(".errand/prices.yaml", price);
    drop(run(&sandbox, &agent, &[]).run().ok());
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let call = events(&sandbox, &run_id, "model.called").remove(0);
    assert_eq!(
        (&call["cost_micro_usd"], &call["price_source"]),
        (&json!(520), &json!("contract 7"))
    );
    let shown = sandbox.errand(["prices"]).run().ok().stdout();
    assert!(shown.contains("house-*") && shown.contains("contract 7"), "{shown}");
    sandbox.write(".errand/prices.yaml", price.replace("0.5", "-0.5"));
    for output in [run(&sandbox, &agent, &[]).run(), sandbox.errand(["prices"]).run()] {
        let output = output.refuses(2, "error[price_table_invalid]");
        let told = output.stderr();
        assert!(
            told.contains("prices.yaml:3:44") && told.contains("the price -0.5 is negative"),
            "{told}"
        );
    }
    assert_eq!(all(&sandbox).len(), 1, "nothing was admitted");
}

#[test]
fn a_price_table_of_the_catalog_wins_over_shipped_prices_and_not_over_the_users() {
    let sandbox = sandbox();
    let call = r#"errand agent emit model.called '{"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1000000}'"#;
    let agent = TestAgent::shell(call);
    let table = "apiVersion: errand.dev/v1\nkind: PriceTable\nmetadata: { name: contract }\nspec:\n  prices:\n  \
                 - { provider: openai, model: gpt-4o-mini, input: 0.07, output: 2, date: 2025-01-01, source: ours }\n";
    let cost = |sandbox: &Sandbox| {
        let (_, record) = ran(sandbox, &agent, &[]);
        let call = events(sandbox, record["run_id"].as_str().unwrap(), "model.called").remove(0);
        call["cost_micro_usd"].clone()
    };
    assert_eq!(cost(&sandbox), 150_000);
    sandbox.write("table.yaml", table);
    drop(sandbox.errand(["apply", "-f", "table.yaml"]).run().ok());
    assert_eq!(cost(&sandbox), 70_000);
    let shown = sandbox.errand(["prices", "--check", "openai/gpt-4o-mini"]).run().ok().stdout();
    assert!(shown.contains("catalog") && shown.contains("ours"), "{shown}");
    sandbox.write(
        ".errand/prices.yaml",
        "schema: 1\nprices:\n- { model: gpt-4o-mini, input: 1, output: 2, date: 2025-01-01, source: mine }\n",
    );
    assert_eq!(cost(&sandbox), 1_000_000);
    sandbox.write("twice.yaml", format!("{table}  - {{ provider: openai, model: gpt-4o-mini, input: cheap, output: 2, date: 2025-01-01, source: x }}\n"));
    let refused = sandbox.errand(["apply", "-f", "twice.yaml"]).run().refuses(2, "error[");
    assert!(refused.stderr().contains("spec.prices[1].input"), "{}", refused.stderr());
    sandbox.write("twice.yaml", format!("{table}  - {{ provider: openai, model: gpt-4o-mini, input: 1, output: 2, date: 2025-01-01, source: x }}\n"));
    let refused = sandbox.errand(["apply", "-f", "twice.yaml"]).run().refuses(2, "error[");
    assert!(refused.stderr().contains("is given twice"), "{}", refused.stderr());
}

#[test]
fn a_price_covers_writes_to_a_cache_long_prompts_and_the_class_of_service() {
    let sandbox = sandbox();
    let call = |more: &str| {
        format!(
            "errand agent emit model.called '{{\"provider\": \"anthropic\", \"model\": \"claude-opus-5-5\", {more}}}'\n"
        )
    };
    let script = call(
        r#""input_tokens": 1000, "cached_tokens": 500, "cache_write_tokens": 200, "cache_write_long_tokens": 100, "output_tokens": 100"#,
    ) + &call(r#""input_tokens": 1000, "service_tier": "batch""#)
        + &call(r#""input_tokens": 1000, "service_tier": "fast", "regional": true"#)
        + &call(r#""input_tokens": 1000, "service_tier": "scale""#)
        + "errand agent emit model.called '{\"model\": \"claude-haiku-5-5\", \"input_tokens\": 200000}'";
    let (_, record) = ran(&sandbox, &TestAgent::shell(&script), &[]);
    let calls = events(&sandbox, record["run_id"].as_str().unwrap(), "model.called");
    let costs: Vec<_> = calls.iter().map(|call| call["cost_micro_usd"].as_u64()).collect();
    // 200 * 4 + 500 * 0.20 + 200 * 5 + 100 * 8 + 100 * 20 dollars for a million tokens.
    assert_eq!(costs, [Some(4_700), Some(2_000), Some(8_800), None, Some(100_000)]);
    assert_eq!(record["usage"]["unpriced_calls"], 1);
}

#[test]
fn a_model_without_a_price_is_refused_under_a_limit_in_dollars() {
    let sandbox = sandbox();
    let script = "set +e
        errand agent reserve model --tokens 10 --model house 2>told; echo reserve=$?; cat told
        errand agent reserve model --tokens 10 2>/dev/null; echo unnamed=$?
        errand agent reserve model --tokens 10 --model gpt-4o-mini >/dev/null; echo priced=$?
        errand agent reserve model --tokens 10 --model house --cost-usd 0.01 >/dev/null; echo said=$?
        errand agent reserve tool >/dev/null; echo tool=$?";
    let agent = TestAgent::shell(script).spec("budgets: { cost_usd_per_day: 1 }");
    let (printed, _) = ran(&sandbox, &agent, &[]);
    for line in ["reserve=1\n", "unnamed=1\n", "priced=0\n", "said=0\n", "tool=0\n"] {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
    assert!(printed.contains("error[model_unpriced]"), "{printed}");
    assert!(printed.contains("no price of the model \"house\" is known"), "{printed}");
    sandbox.write(
        ".errand/prices.yaml",
        "schema: 1\nprices:\n- { model: '*', input: 30, output: 60, date: 2026-01-01, source: ours }\n",
    );
    let (printed, _) = ran(&sandbox, &agent, &[]);
    assert!(printed.contains("reserve=0\n"), "every model has a price now: {printed}");
}

#[test]
fn a_price_is_looked_up_by_the_name_of_its_model() {
    let sandbox = sandbox();
    let found = sandbox.errand(["prices", "--check", "claude-haiku-5-5"]).run().ok();
    assert!(found.stdout().contains(">100000"), "{}", found.stdout());
    assert!(found.stderr().contains("are as of 2026-"));
    let json = sandbox.errand(["prices", "--json", "--check", "openai/gpt-6.1-sol"]).run().ok();
    let price = &json.json()["prices"][0];
    assert_eq!(price["input_micro_usd_per_million"], 2_000_000);
    assert_eq!(price["cache_write_micro_usd_per_million"], 2_500_000);
    assert_eq!(price["above"][0]["above_tokens"], 272_000);
    assert_eq!(price["fast_millionths"], 2_000_000);
    let missing = sandbox.errand(["prices", "--check", "house"]).run();
    drop(missing.refuses(125, "error[model_unpriced]"));
}

#[test]
fn an_invalid_reported_event_is_refused_and_not_recorded() {
    let sandbox = sandbox();
    let script = r#"set +e
        errand agent emit model.called '{"input_tokens": -4}' 2>&1; echo $?
        errand agent emit tool.called '{"name": "pay", "side_effect": "theft"}' 2>&1 | head -1"#;
    let (printed, record) = ran(&sandbox, &TestAgent::shell(script), &[]);
    assert!(
        printed.contains("$.events[0].data.input_tokens: expected a whole number"),
        "{printed}"
    );
    assert!(printed.contains("\"theft\" is not a class of side effects"), "{printed}");
    assert!(printed.contains("\n2\n"), "{printed}");
    assert_eq!(record["counters"]["model_calls"], 0);
    assert_eq!(record["counters"]["tool_calls"], 0);
}

#[test]
fn a_run_is_warned_once_and_its_calls_are_denied_at_the_end() {
    let sandbox = sandbox();
    let script = called(70)
        + &called(15)
        + "set +e
        errand agent reserve model --tokens 10 >id; echo reserve=$?
        errand agent reserve model --tokens 10 2>told; echo reserve=$?; cat told
        errand agent step think --kind model -- echo thought; echo step=$?\n"
        + "errand agent emit model.called \"{\\\"reservation_id\\\": \\\"$(cat id)\\\", \\\"input_tokens\\\": 30}\"
        errand agent step more --kind model -- echo thought 2>/dev/null; echo step=$?
        errand agent step other --kind tool -- echo done; echo step=$?";
    let agent = TestAgent::shell(&script).spec("budgets: { tokens_per_run: 100 }");
    let (printed, record) = ran(&sandbox, &agent, &[]);
    assert_eq!(record["status"], "completed");
    for line in ["reserve=0\nreserve=1\n", "thought\nstep=0\n", "step=125\n", "done\nstep=0\n"] {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
    let told = "error[budget_exceeded]: tokens_per_run leaves no room: 85 tokens used, 10 tokens reserved, \
                10 tokens wanted, 100 tokens allowed";
    assert!(printed.contains(told), "{printed}");
    let run_id = record["run_id"].as_str().unwrap();
    assert_eq!(
        events(&sandbox, run_id, "budget.warned"),
        [json!({ "limit": "tokens_per_run", "used": 85, "allowed": 100 })]
    );
    assert_eq!(
        events(&sandbox, run_id, "budget.exceeded"),
        [json!({ "limit": "tokens_per_run", "used": 85, "allowed": 100, "action": "deny_call" })]
    );
    assert_eq!(record["usage"]["exceeded"], json!(["tokens_per_run"]));
    assert_eq!(record["usage"]["input_tokens"], 115, "what was called is a fact");
    let listed = sandbox.errand(["ps", "-a"]).run().ok().stdout();
    assert!(listed.contains("over budget"), "{listed}");
}

#[test]
fn a_budget_cancels_its_run() {
    let sandbox = sandbox();
    let script = called(150) + "exec sleep 600";
    let agent =
        TestAgent::shell(&script).spec("budgets: { tokens_per_run: 100, on_exceed: cancel }");
    let (_, record) = ran(&sandbox, &agent, &[]);
    assert_eq!(record["status"], "cancelled", "{record:#}");
    let run_id = record["run_id"].as_str().unwrap();
    assert_eq!(events(&sandbox, run_id, "run.cancelled")[0]["cause"], "budget");
}

#[test]
fn flags_tighten_what_the_agent_allows() {
    let sandbox = sandbox();
    let agent =
        TestAgent::shell("errand agent reserve model --tokens 60 >/dev/null || echo denied");
    let agent = sandbox.agent(&agent.spec("budgets: { tokens_per_run: 100 }"));
    let printed = |more: &[&str]| run(&sandbox, &agent, more).run().ok().stdout();
    assert_eq!(printed(&[]), "");
    assert_eq!(printed(&["--budget", "tokens_per_run=50"]), "denied\n");
    assert_eq!(printed(&["--budget", "tokens_per_run=5000"]), "", "100 are allowed");
    drop(run(&sandbox, &agent, &["--budget", "tokens=5"]).run().refuses(2, "the limits are"));
    drop(
        run(&sandbox, &agent, &["--budget", "cost_usd_per_run=-1"]).run().refuses(2, "US dollars"),
    );
}

#[test]
fn a_wall_time_budget_ends_its_run() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("exec sleep 600")
        .spec("budgets: { wall_time_per_run: 300ms, on_exceed: cancel }");
    let (_, record) = ran(&sandbox, &agent, &[]);
    assert_eq!(record["status"], "cancelled", "{record:#}");
    assert_eq!(record["usage"]["exceeded"], json!(["wall_time_ms_per_run"]));
    let types = event_types(&sandbox, record["run_id"].as_str().unwrap());
    assert!(types.contains(&"budget.warned".to_owned()), "{types:?}");
}

/// Waits for the next UTC day if little is left of this one: a test of daily budgets needs the rest
/// of a day.
pub(crate) fn let_the_day_last() {
    use errand_agent::Clock as _;
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    let left_ms = || DAY_MS - errand_agent::SystemClock.now().as_millis().rem_euclid(DAY_MS);
    wait_until("the next day", LIMIT * 2, || left_ms() > 40_000);
}

/// Reserves 30 tokens until it is refused, and uses each reservation.
const SPENDER: &str = r#"set +e
    while id=$(errand agent reserve model --tokens 30 2>/dev/null); do
        errand agent emit model.called "{\"reservation_id\": \"$id\", \"input_tokens\": 29}"
    done"#;

#[test]
fn ten_runs_at_once_never_spend_more_than_their_agents_day_has() {
    let_the_day_last();
    let sandbox = sandbox();
    let agent = sandbox.agent(
        &TestAgent::shell(SPENDER).named("spender").spec("budgets: { tokens_per_day: 1000 }"),
    );
    let runs: Vec<_> = (0..10).map(|_| start(&sandbox, &agent, &[])).collect();
    for run_id in &runs {
        assert_eq!(finish(&sandbox, run_id)["status"], "completed");
    }
    let spent = usage(&sandbox, &["--agent", "spender"])["total"]["input_tokens"].as_u64().unwrap();
    assert!((971..=1_000).contains(&spent), "{spent}");
    let exceeded = json!(["tokens_per_day"]);
    assert!(all(&sandbox).iter().all(|run| run["usage"]["exceeded"] == exceeded));
}

#[test]
fn reservations_of_a_killed_run_are_released() {
    let_the_day_last();
    let sandbox = sandbox();
    let budget = "budgets: { tokens_per_day: 100 }";
    let hoarder = "errand agent reserve model --tokens 100\nexec sleep 600";
    let hoarder = sandbox.agent(&TestAgent::shell(hoarder).named("twin").spec(budget));
    let first = start(&sandbox, &hoarder, &[]);
    wait_until("it was promised everything", LIMIT, || {
        sandbox.errand(["logs", &first]).run().stdout().contains("rsv_")
    });
    let asks =
        "errand agent reserve model --tokens 100 >/dev/null 2>&1 && echo granted || echo denied";
    let asks = sandbox.agent(&TestAgent::shell(asks).named("twin").spec(budget));
    assert_eq!(run(&sandbox, &asks, &[]).run().ok().stdout(), "denied\n");
    kill(&record(&sandbox, &first)["pid"]);
    assert_eq!(run(&sandbox, &asks, &[]).run().ok().stdout(), "granted\n");
    assert_eq!(finish(&sandbox, &first)["status"], "failed");
}

#[test]
fn a_run_is_held_by_its_budget() {
    let sandbox = sandbox();
    let script = called(150) + "echo went on";
    let agent =
        TestAgent::shell(&script).spec("budgets: { tokens_per_run: 100, on_exceed: pause }");
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    wait_for_record(&sandbox, &run_id, "it is held", |record| record["status"] == "paused");
    assert_eq!(events(&sandbox, &run_id, "run.paused")[0]["reason"], "budget");
    let resume = |more: &[&str]| sandbox.errand(["resume", &run_id]).args(more).run();
    drop(resume(&[]).refuses(125, "error[budget_exceeded]"));
    let spent = "tokens_per_run is spent (150 of 120): raise it with --raise tokens_per_run=N";
    drop(resume(&["--raise", "tokens_per_run=120"]).refuses(125, spent));
    drop(resume(&["--raise", "tokens_per_run=5"]).refuses(2, "error[budget_invalid]"));
    drop(resume(&["--raise", "tool_calls_per_run=5"]).refuses(2, "has no limit"));
    drop(resume(&["--raise", "tokens_per_run=400000"]).ok());
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    let raised = events(&sandbox, &run_id, "budget.raised");
    assert_eq!(raised.last().unwrap()["allowed"], 400_000);
    let limits = &record["budgets"]["limits"];
    assert_eq!(limits[0], json!({ "limit": "tokens_per_run", "allowed": 400_000, "used": 150 }));
}

#[test]
fn a_run_whose_call_has_no_room_is_not_resumed_before_it_has() {
    let sandbox = sandbox();
    let script = called(800) + "errand agent reserve model --tokens 400 > /dev/null; echo went on";
    let agent = TestAgent::shell(&script)
        .named("held")
        .spec("budgets: { tokens_per_run: 1000, on_exceed: pause }");
    let server = ErrandServer::start(&sandbox, &[]);
    assert_eq!(server.push(&sandbox.agent(&agent)).status, 201);
    let run_id = server.post("/v1/runs", &json!({ "agent": "held" })).json()["run_id"].clone();
    let run_id = run_id.as_str().unwrap();
    wait_for_record(&sandbox, run_id, "it is held", |record| record["status"] == "paused");
    let spent = "tokens_per_run is spent (800 of 1000)";
    drop(sandbox.errand(["resume", run_id]).run().refuses(125, spent));
    let problem = server.post(&format!("/v1/runs/{run_id}/resume"), &json!({})).expect(409).json();
    assert_eq!((&problem["code"], &problem["detail"]), (&json!("budget_exceeded"), &json!(spent)));
    let away = sandbox.errand(["--server", &server.url(), "resume", run_id]).run();
    drop(away.refuses(125, spent));
    assert_eq!(record(&sandbox, run_id)["status"], "paused");
    drop(sandbox.errand(["resume", run_id, "--raise", "tokens_per_run=1200"]).run().ok());
    assert_eq!(finish(&sandbox, run_id)["status"], "completed");
}

#[test]
fn a_day_has_only_so_much_time_for_all_runs_of_an_agent() {
    let_the_day_last();
    let sandbox = sandbox();
    let agent = TestAgent::shell("exec sleep 600")
        .named("slow")
        .spec("budgets: { wall_time_per_day: 1s, on_exceed: cancel }");
    let agent = sandbox.agent(&agent);
    let runs: Vec<_> = (0..3).map(|_| start(&sandbox, &agent, &[])).collect();
    for run_id in &runs {
        let record = finish(&sandbox, run_id);
        assert_eq!(record["status"], "cancelled", "{record:#}");
        assert_eq!(record["usage"]["exceeded"], json!(["wall_time_ms_per_day"]));
    }
    let again = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &again)["status"], "cancelled");
    let total = usage(&sandbox, &["--agent", "slow"])["total"]["wall_time_ms"].as_u64().unwrap();
    // Total time, not a second for each, even if a busy machine ends them late.
    assert!((800..20_000).contains(&total), "about a second: {total} ms");
}

#[test]
fn costs_of_tools_and_look_ups_are_in_the_record_the_sums_and_the_trace() {
    let sandbox = sandbox();
    let script = r#"
        errand agent emit model.called '{"model": "m", "input_tokens": 5, "cost_usd": 0.1}'
        errand agent emit tool.called '{"name": "search", "cost_usd": 0.05}'
        errand agent emit tool.called '{"name": "read"}'
        errand agent emit memory.accessed '{"store": "profile", "operation": "read", "results": 2}'
        errand agent emit knowledge.retrieved '{"source": "wiki", "query": "swans", "results": 3}'
        errand agent emit tool.called '{"name": "search", "cost_usd": "much"}' 2>&1 || true
    "#;
    let agent =
        TestAgent::shell(script).spec("budgets: { cost_usd_per_run: 0.12, on_exceed: deny_call }");
    let (printed, record) = ran(&sandbox, &agent, &[]);
    assert!(printed.contains("cost_usd: expected US dollars"), "{printed}");
    assert_eq!(record["usage"]["cost_usd"], 0.15);
    assert_eq!(record["usage"]["exceeded"], json!(["cost_micro_usd_per_run"]));
    let counters = &record["counters"];
    assert_eq!((&counters["model_calls"], &counters["tool_calls"]), (&json!(1), &json!(2)));
    let looked_up = (&counters["memory_accesses"], &counters["knowledge_retrievals"]);
    assert_eq!(looked_up, (&json!(1), &json!(1)));
    let by_tool = usage(&sandbox, &["--by", "tool"]);
    let rows: Vec<_> = by_tool["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["key"].as_str().unwrap(),
                row["tool_calls"].as_u64().unwrap(),
                row["cost_usd"].clone(),
            )
        })
        .collect();
    assert_eq!(rows, [("search", 1, json!(0.05)), ("read", 1, Value::Null)]);
    let total = &by_tool["total"];
    assert_eq!((&total["cost_usd"], &total["tool_calls"]), (&json!(0.05), &json!(2)));
    assert_eq!(total["model_calls"], 0, "the total is that of the rows");
    let run_id = record["run_id"].as_str().unwrap();
    let drawn = sandbox.errand(["trace", run_id, "--json"]).run().ok().stdout();
    for words in ["memory.accessed", "profile, read, 2 results", "wiki, swans, 3 results"] {
        assert!(drawn.contains(words), "{words} in {drawn}");
    }
    let told = sandbox.errand(["events", run_id]).run().ok().stdout();
    assert!(
        told.lines().any(|it| it.contains("memory.accessed") && it.contains("results=2")),
        "{told}"
    );
}

#[test]
fn an_attempt_records_its_setup() {
    let sandbox = sandbox();
    let agent =
        TestAgent::shell("pwd; cp \"$ERRAND_BRIEF\" brief").spec("workspace: { mode: cwd }");
    let (printed, record) = ran(&sandbox, &agent, &[]);
    let attempt = &record["attempts"][0];
    assert_eq!((&attempt["harness"], &attempt["target"]), (&json!("command"), &json!("process")));
    assert_eq!(attempt["workspace"], json!({ "mode": "cwd", "path": printed.trim() }));
    assert_eq!(attempt["registry_path"], sandbox.registry().to_str().unwrap());
    let brief = sandbox.read("brief");
    let digest = errand_model::Digest::of(brief.as_bytes());
    assert_eq!(attempt["brief_digest"], digest.as_str());
    assert_eq!(record["bom"]["name"], "test-agent");
    let run_id = record["run_id"].as_str().unwrap();
    let manifest = sandbox.errand(["inspect-run", run_id, "-o", "yaml"]).run().ok().stdout();
    assert!(manifest.contains("namespace: \"default\""), "{manifest}");
    assert!(manifest.contains("harness: \"command\""), "{manifest}");
}
