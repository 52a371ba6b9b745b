//! Runs of twenty steps with five hundred kills at random moments: completed steps are never
//! repeated, all others are executed.
//!
//! The moments are drawn from a seed that is printed: `ERRAND_STRESS_SEED` sets another one,
//! `ERRAND_STRESS_KILLS` the number of kills.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use errand_testkit::{
    LIMIT, Process, Sandbox, TestAgent, processes_of_run, processes_with, wait_for, wait_until,
};
use serde_json::Value;

use crate::support::{finish, record, sandbox};

const STEPS: usize = 20;
/// Concurrent runs.
const LANES: u64 = 5;
/// Kills in one run; after that it is left alone.
const KILLS_OF_A_RUN: u64 = 14;

/// Sequential steps, each with one atomic effect: a folder of its name. Each execution adds a line
/// `<step> <attempt>`, each start one `<checkpoint> <attempt>`. Every third step is a command of
/// `errand agent step`, the others use the socket.
const AGENT: &str = r#"
import http.client, json, os, socket, sys, time
home, attempt = os.environ["HOME"], os.environ["ERRAND_ATTEMPT"]
place = os.path.join(home, os.environ["ERRAND_RUN_ID"])
os.makedirs(place, exist_ok=True)

class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["ERRAND_API"][len("unix://"):])
api = Local("errand")
def call(method, path, body=None):
    api.request(method, "/agent/v1/" + path, json.dumps(body) if body is not None else None,
        {"Authorization": "Bearer " + os.environ["ERRAND_TOKEN"], "Content-Type": "application/json"})
    answer = api.getresponse()
    text = answer.read()
    if answer.status >= 300: sys.exit(f"{path}: {answer.status} {text}")
    return json.loads(text)
def line(name, text):
    fd = os.open(os.path.join(place, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, (text + "\n").encode())
    os.close(fd)
def effect(key):
    line("executions", f"{key} {attempt}")
    time.sleep(0.002)
    try: os.mkdir(os.path.join(place, key))
    except FileExistsError: pass
COMMAND = 'echo "$1 $ERRAND_ATTEMPT" >> "$0/executions"; sleep 0.01; mkdir -p "$0/$1"; echo "did $1"'

state = call("GET", "checkpoint")["state"]
done = state["done"] if state else 0
line("starts", f"{done} {attempt}")
# Every other attempt goes from the beginning: what is done is served from the record.
first = done + 1 if int(attempt) % 2 else 1
for number in range(first, 21):
    key = f"s{number}"
    if FORGETS:
        call("POST", f"steps/{key}/begin", {})
        effect(key)
        call("POST", f"steps/{key}/complete", {"output": "did " + key})
    elif number % 3 == 0:
        words = ["errand", "agent", "step", key, "--", "sh", "-c", COMMAND, place, key]
        status = os.waitpid(os.posix_spawnp("errand", words, os.environ), 0)[1]
        if status: sys.exit(f"{key}: {status}")
    else:
        begun = call("POST", f"steps/{key}/begin", {})
        if begun["status"] == "run":
            effect(key)
            call("POST", f"steps/{key}/complete", {"output": "did " + key})
        elif begun["output"] != "did " + key: sys.exit(f"{key} gave {begun}")
    if number > done:
        call("PUT", "checkpoint", {"state": {"done": number}})
        done = number
    if FORGETS and int(attempt) < 3 and number == 5: os.kill(os.getpid(), 9)
"#;

fn agent(forgets: bool) -> TestAgent {
    let flag = if forgets { "FORGETS = True\n" } else { "FORGETS = False\n" };
    TestAgent::python(&format!("{flag}{AGENT}"))
        .spec("retry_policy: { max_retries: 900, backoff: none }")
}

/// A generator with the same numbers for the same seed (xorshift).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[expect(clippy::disallowed_methods, reason = "how long and how it kills is chosen from outside")]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Process to be killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Agent,
    Helper,
    HelperAndAgent,
    Command,
    Client,
}

/// Kills the process if it exists; returns true if it did.
fn kill(run_id: &str, victim: Victim) -> bool {
    let of_run = |part: &str| {
        let mut found = processes_of_run(run_id);
        found.retain(|process| process.command_line.contains(part));
        found
    };
    let helper = || processes_with(format!("ERRAND_HELPER={run_id}\0"));
    let victims: Vec<Process> = match victim {
        Victim::Agent => of_run("agent.py"),
        Victim::Helper => helper(),
        Victim::HelperAndAgent => [helper(), of_run("agent.py")].concat(),
        Victim::Command => {
            let mut found = of_run("executions");
            found.retain(|process| process.command_line.starts_with("sh "));
            found
        }
        Victim::Client => of_run("errand agent step"),
    };
    victims.iter().for_each(Process::kill);
    !victims.is_empty()
}

/// Starts a run and kills the starting process at some moment; repeats until a run was started.
fn launch(sandbox: &Sandbox, agent: &Path, name: &str, draw: &mut Draw) -> String {
    for round in 0.. {
        let name = format!("{name}-{round}");
        let words = ["run", "-d", "--name", &name];
        let launcher = sandbox.errand(words).arg(agent).spawn();
        if draw.below(4) == 0 {
            thread::sleep(Duration::from_millis(draw.below(120)));
            launcher.kill();
            drop(launcher.wait());
        } else {
            drop(launcher.wait().ok());
        }
        let found = sandbox.errand(["inspect-run", &name]).run();
        // The run was not admitted, or no supervisor took it.
        if found.code == Some(0) && found.json()["last_error"]["code"] != "launcher_died" {
            return found.json()["run_id"].as_str().unwrap().to_owned();
        }
    }
    unreachable!("there is always another round")
}

/// Runs one run after the other with kills until there were enough. Returns their ids.
fn lane(sandbox: &Sandbox, agent: &Path, number: u64, seed: u64, left: &AtomicI64) -> Vec<String> {
    let mut draw =
        Draw(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number * 2 + 1) | 1);
    let mut ids = Vec::new();
    while left.load(Ordering::Relaxed) > 0 {
        let name = format!("lane-{number}-{}", ids.len());
        let run_id = launch(sandbox, agent, &name, &mut draw);
        let mut kills = 0;
        while kills < KILLS_OF_A_RUN && left.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(20 + draw.below(180)));
            let victim = match draw.below(8) {
                0 | 1 => Victim::Agent,
                2 => Victim::Helper,
                3 => Victim::HelperAndAgent,
                4 | 5 => Victim::Command,
                _ => Victim::Client,
            };
            if kill(&run_id, victim) {
                kills += 1;
                left.fetch_sub(1, Ordering::Relaxed);
            }
            // Reading the record reconciles the run.
            let status = record(sandbox, &run_id)["status"].clone();
            if status == "completed" || status == "failed" {
                break;
            }
        }
        ids.push(run_id);
    }
    ids
}

/// Traces of a run.
#[derive(Default)]
struct Evidence {
    /// Attempts that executed a step, by step.
    executions: BTreeMap<String, Vec<u64>>,
    /// Attempts with the checkpoint that they found.
    starts: Vec<(u64, u64)>,
    effects: Vec<String>,
    events: Vec<Value>,
}

impl Evidence {
    fn of(sandbox: &Sandbox, run_id: &str) -> Self {
        let place = sandbox.root().join("home").join(run_id);
        let lines = |name: &str| {
            let text = std::fs::read_to_string(place.join(name)).unwrap_or_default();
            let lines = text.lines().map(|line| {
                let (what, attempt) = line.split_once(' ').unwrap();
                (what.to_owned(), attempt.parse::<u64>().unwrap())
            });
            lines.collect::<Vec<_>>()
        };
        let mut evidence = Self::default();
        for (key, attempt) in lines("executions") {
            evidence.executions.entry(key).or_default().push(attempt);
        }
        evidence.starts = lines("starts")
            .iter()
            .map(|(done, attempt)| (done.parse().unwrap(), *attempt))
            .collect();
        let entries = std::fs::read_dir(&place).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        evidence.effects = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let events = sandbox.errand(["events", run_id, "--json"]).run().ok();
        evidence.events = events.json_lines();
        evidence
    }

    /// Returns the problems; empty if there are none.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut completed: BTreeMap<&str, u64> = BTreeMap::new();
        let mut started: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let (mut checkpoint, mut found) = (0, BTreeMap::new());
        for event in &self.events {
            let attempt = event["attempt"].as_u64().unwrap();
            let key = event["data"]["key"].as_str().unwrap_or_default();
            match event["type"].as_str().unwrap() {
                "attempt.started" => drop(found.insert(attempt, checkpoint)),
                "checkpoint.saved" => {
                    checkpoint = event["data"]["state"]["json"]["done"].as_u64().unwrap();
                }
                "step.started" => {
                    *started.entry((key, attempt)).or_default() += 1;
                    if completed.contains_key(key) {
                        problems.push(format!("{key} was begun in {attempt} after it was done"));
                    }
                }
                "step.completed" if completed.insert(key, attempt).is_some() => {
                    problems.push(format!("{key} was completed twice"));
                }
                _ => {}
            }
        }
        for (key, attempts) in &self.executions {
            let done_in = completed.get(key.as_str()).copied().unwrap_or(u64::MAX);
            for attempt in attempts {
                let begun = started.get(&(key.as_str(), *attempt)).copied().unwrap_or(0);
                let times = attempts.iter().filter(|other| *other == attempt).count();
                // The start of a step may be lost if its helper was killed meanwhile.
                let allowed = begun.max(1);
                if *attempt > done_in || u64::try_from(times).unwrap() > allowed {
                    problems.push(format!(
                        "{key}: executed {times} times in attempt {attempt}, begun {begun} times, \
                         done in {done_in}"
                    ));
                }
            }
        }
        for (done, attempt) in &self.starts {
            if found.get(attempt) != Some(done) {
                problems.push(format!("attempt {attempt} began at {done}, not at {found:?}"));
            }
        }
        if completed.len() != STEPS || self.effects.len() != STEPS {
            let (steps, effects) = (completed.len(), self.effects.len());
            problems.push(format!("{steps} steps and {effects} effects of {STEPS}"));
        }
        problems
    }
}

#[test]
fn stress_five_hundred_kills_and_no_step_is_done_twice() {
    let (seed, kills) = (number("ERRAND_STRESS_SEED", 7), number("ERRAND_STRESS_KILLS", 500));
    println!("ERRAND_STRESS_SEED={seed} ERRAND_STRESS_KILLS={kills}");
    let sandbox = sandbox();
    let agent = sandbox.agent(&agent(false));
    let left = AtomicI64::new(i64::try_from(kills).unwrap());
    let ids: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|number| {
                let (sandbox, agent, left) = (&sandbox, &agent, &left);
                scope.spawn(move || lane(sandbox, agent, number, seed, left))
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    for run_id in &ids {
        let record = wait_for("the run is over", LIMIT * 2, || {
            let record = finish(&sandbox, run_id);
            (record["status"] == "completed").then_some(record)
        });
        assert_eq!(record["counters"]["steps"], STEPS, "{record:#}");
        wait_until("nothing of the run lives", LIMIT, || processes_of_run(run_id).is_empty());
        let problems = Evidence::of(&sandbox, run_id).problems();
        assert!(problems.is_empty(), "seed {seed}, run {run_id}: {problems:#?}");
        drop(sandbox.errand(["verify", run_id]).run().ok());
    }
    println!("{} runs, {} kills", ids.len(), kills);
    wait_until("no helper is left", LIMIT, || sandbox.processes().is_empty());
}

#[test]
fn stress_the_check_detects_an_agent_that_repeats_completed_steps() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&agent(true));
    let run_id = crate::support::start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let problems = Evidence::of(&sandbox, &run_id).problems();
    let is_caught = |problem: &String| problem.starts_with("s2: executed 1 times in attempt 2");
    assert!(problems.iter().any(is_caught), "{problems:#?}");
    // A journal that lost a completion is detected, too.
    let mut evidence = Evidence::of(&sandbox, &run_id);
    evidence
        .events
        .retain(|event| event["type"] != "step.completed" || event["data"]["key"] != "s20");
    assert!(evidence.problems().iter().any(|problem| problem.starts_with("19 steps")));
}
