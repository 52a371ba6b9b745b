//! The first process of a Pod: as in a container, but orders, reports and files go through a
//! connection to errand, which is made again whenever it is lost.

mod agent_api;
mod connection;
mod files;
mod secret;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use errand_shim::{LaunchOrder, Order, StartProblem, file};

use super::event::{Arrival, Reports};
use super::first_process::{self, Supervisor};
use super::inside;
use super::outbox::Outbox;
use super::processes::ENDED_BY_SIGNAL;

use connection::Connection;
use secret::PodSecret;

/// Runs the Pod's command. Returns its exit code.
pub(super) fn run() -> ExitCode {
    match supervise() {
        Ok(code) => ExitCode::from(code),
        Err(error) => inside::refuse(&format!("the Pod's command cannot be run: {error}")),
    }
}

fn supervise() -> io::Result<u8> {
    let secret = Arc::new(PodSecret::read()?);
    let outbox = Arc::new(Outbox::default());
    let (arrive, arrivals) = mpsc::channel();
    first_process::forward_signals(arrive.clone())?;
    let connection = Connection { secret, outbox: Arc::clone(&outbox), arrive: arrive.clone() };
    let (keeper, returned) = connection.keeper();
    thread::spawn(move || keeper.keep());
    let supervisor = Supervisor {
        control: PathBuf::from(file::CONTROL),
        reports: Reports::Pod(outbox),
        arrivals,
    };
    let order: LaunchOrder = loop {
        match supervisor.arrivals.recv().map_err(io::Error::other)? {
            Arrival::Order(Order::Launch(order)) => break order,
            Arrival::Unwritten(errno) => return supervisor.refuse(StartProblem::Input(errno)),
            Arrival::Refused => {
                return Err(io::Error::other("another Pod carries out this attempt"));
            }
            // Asked to end before the command began.
            Arrival::Order(Order::Signal(_)) | Arrival::Asked(_) => return Ok(ENDED_BY_SIGNAL),
            Arrival::Order(Order::Dismiss | Order::Freeze | Order::Thaw)
            | Arrival::OrdersClosed
            | Arrival::Reaped(_)
            | Arrival::Alone
            | Arrival::Printed => {}
        }
    };
    let reports = supervisor.reports.clone();
    supervisor.carry_out(&order, &arrive, || {
        for root in returned.lock().map(|roots| roots.clone()).unwrap_or_default() {
            // A tree that cannot be reported as a whole is reported as cut.
            drop(files::send(&root, &reports));
        }
    })
}
