//! The whole table for coordinators: every state, every command, every turn.

use std::fmt::Write as _;

use errand_model::coordination::CoordinatorNews;
use errand_model::event::{EventBody, PauseReason};
use errand_model::run::{Command, Lose, Pause};

use super::{Coordinator, chain};
use crate::table::{cancel, commands};

fn states() -> Vec<(&'static str, Coordinator)> {
    let began = || {
        let mut it = Coordinator::new(chain(&["a", "b"]), |_| {});
        it.began();
        it
    };
    let with = |commands: &[Command]| {
        let mut it = began();
        for command in commands {
            it.command(command);
        }
        it
    };
    let pause: Command = Pause { reason: PauseReason::Operator, by: None }.into();
    let lose: Command = Lose { epoch: 2 }.into();
    let mut waits = began();
    let run_id = waits.run_of("a#1");
    waits.turn(&[CoordinatorNews::Waits { run_id, reason: Some(PauseReason::Approval) }]);
    let mut done = began();
    done.completes("a#1", serde_json::json!(1));
    done.completes("b#1", serde_json::json!(2));
    let mut failed = began();
    failed.fails("a#1");
    vec![
        ("not begun", Coordinator::new(chain(&["a", "b"]), |_| {})),
        ("running, a child lives", began()),
        ("held, a child lives", with(std::slice::from_ref(&pause))),
        ("waiting with its child", waits),
        ("stopping, a child lives", with(&[cancel(10)])),
        ("lost, a child lives", with(std::slice::from_ref(&lose))),
        ("held and lost, a child lives", with(&[pause, lose.clone()])),
        ("stopping and lost, a child lives", with(&[lose, cancel(10)])),
        ("done, not ended", done),
        ("failed, not ended", failed),
    ]
}

#[test]
fn every_command_and_a_look_in_every_state_of_a_coordinator() {
    let mut table = String::new();
    for (state, it) in states() {
        writeln!(table, "{state}").unwrap();
        let name = |events: &[EventBody]| {
            let names: Vec<_> = events.iter().map(EventBody::type_name).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(" ") }
        };
        let outcome = match it.run.turn(&[CoordinatorNews::Look], &[], it.now) {
            Ok(turn) => {
                let told = [
                    ("stops", turn.stops.len()),
                    ("holds", turn.holds.len()),
                    ("releases", turn.releases.len()),
                    ("finishes", usize::from(turn.finish.is_some())),
                ];
                let told = told.into_iter().filter(|(_, count)| *count > 0);
                told.fold(name(&turn.events), |text, (what, _)| format!("{text}, {what}"))
            }
            Err(rejection) => format!("refused: {rejection}").replace(it.run.id.as_str(), "R"),
        };
        writeln!(table, "  {:<31}{outcome}", "look").unwrap();
        for (command_name, command) in commands() {
            let mut it = it.clone();
            let outcome = match it.run.decide(&command, it.now) {
                Ok(decision) => {
                    it.record(&decision.events);
                    format!("{} -> {}", name(&decision.events), it.run.status.name())
                }
                Err(rejection) => format!("refused: {rejection}").replace(it.run.id.as_str(), "R"),
            };
            writeln!(table, "  {command_name:<31}{outcome}").unwrap();
        }
    }
    insta::assert_snapshot!("commands_of_a_coordinator", table);
}
