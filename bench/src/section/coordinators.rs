//! Coordinators: costs of their runs on PostgreSQL, and memory of waiting ones.
//!
//! The floor is F16, one-row commits per second of 16 clients on the same server just before.

mod fan_out;
mod turns;
mod waiting;

use std::sync::Arc;

use errand_store::Registry;
use errand_store::postgres::{Notices, Options, Postgres};
use errand_testkit::postgres::{Durability, PostgresServer};

use super::{postgres, worker};
use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::Lab;
use crate::report::{Line, median};

/// Numbers of children of the small and the large fan-out.
const FEW: u32 = 100;
const MANY: u32 = 1_000;
/// Children per second, as a share of F16.
const TARGET: f64 = 0.25;
/// Largest multiple of the coordinator's own work for the small fan-out that the large one may
/// need.
const MOST_TIMES: f64 = 12.0;
/// Agents of the chain whose commits are counted.
const LINKS: u32 = 20;
/// Durable commits for each routed message.
const MOST_COMMITS: f64 = 2.0;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let mut lines = on_postgres(arguments)?;
    lines.extend(waiting::measure(arguments)?);
    Ok(lines)
}

#[derive(Default)]
struct Rounds {
    f16: Vec<f64>,
    few: Vec<f64>,
    many: Vec<f64>,
    own: Vec<turns::Times>,
    commits: Vec<f64>,
}

fn on_postgres(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let server = PostgresServer::start(Durability::Full, "");
    Postgres::migrate(&server.url())?;
    let store = Arc::new(Postgres::open(&server.url(), Options { notices: Notices::Send })?);
    let registry = Registry::at(lab.registry());
    std::fs::create_dir_all(registry.root())?;
    let engine = worker::engine_on(store.clone(), registry, (lab.folder(), arguments))?;
    let agents = fan_out::Agents::write(&lab, LINKS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds = Rounds::default();
    // A warm-up prepares statements and opens connections.
    runtime.block_on(Box::pin(fan_out::run(&engine, &agents, FEW)))?;
    for number in 0..arguments.rounds {
        rounds.f16.push(runtime.block_on(postgres::floor(&server.url()))?.f16);
        rounds.few.push(runtime.block_on(Box::pin(fan_out::run(&engine, &agents, FEW)))?);
        rounds.many.push(runtime.block_on(Box::pin(fan_out::run(&engine, &agents, MANY)))?);
        let own = turns::compare(store.as_ref(), &server, (number, FEW, MANY));
        rounds.own.push(runtime.block_on(Box::pin(own))?);
        rounds.commits.push(runtime.block_on(Box::pin(fan_out::commits(&engine, &agents)))?);
    }
    Ok(rounds.lines())
}

impl Rounds {
    fn lines(&self) -> Vec<Line> {
        let f16 = median(self.f16.clone());
        let floor = format!("F16 {f16:.0}/s");
        let rate = |children: u32, seconds: &[f64], target: Option<f64>| {
            let per_second = f64::from(children) / median(seconds.to_vec());
            Line {
                name: format!("coordinators: fan-out to {children}"),
                measured: format!("{per_second:.0} children/s"),
                target: target.map_or_else(String::new, |target| format!("{target} F16")),
                floor: floor.clone(),
                share: target.map(|target| f16 * target / per_second),
                note: format!("{:.2} F16", per_second / f16),
            }
        };
        let own = |what: &str, of: fn(&turns::Times) -> f64| {
            let times = median(self.own.iter().map(of).collect());
            Line {
                name: format!("coordinators: own {what}, {MANY} ÷ {FEW} children"),
                measured: format!("{times:.1} times"),
                target: format!("{MOST_TIMES} times"),
                floor: String::new(),
                share: Some(times / MOST_TIMES),
                note: String::new(),
            }
        };
        let commits = median(self.commits.clone());
        vec![
            rate(FEW, &self.few, None),
            rate(MANY, &self.many, Some(TARGET)),
            own("time", |times| times.seconds),
            own("commits", |times| times.commits),
            own("bytes", |times| times.bytes),
            Line {
                name: "coordinators: a routed message".to_owned(),
                measured: format!("{commits:.2} commits"),
                target: format!("{MOST_COMMITS} commits"),
                floor: String::new(),
                share: Some(commits / MOST_COMMITS),
                note: format!("a chain of {LINKS}"),
            },
        ]
    }
}
