//! `errand systemd`: a systemd unit that keeps a service running.

use errand_api::error_code::ErrorCode;
use errand_api::exit_code::STOPPED;
use errand_engine::wait;
use errand_model::event::{RunKind, ServiceRestart};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The unit is for systemd's instance of the user. It brings the service back when it dies and when the
machine has booted; `errand stop` ends it for good.

Examples:
  errand systemd triage > ~/.config/systemd/user/errand-triage.service
  systemctl --user enable --now errand-triage
  loginctl enable-linger                        to begin at boot, and not at the first login")]
pub(crate) struct Args {
    /// The service: its id, a unique part of it, or its name
    service: String,
}

/// Prints the unit.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.service).await?;
    let RegistryOrServer::Here(engine) = &place else {
        return Err(Failure::new(ErrorCode::OnlyLocal, "a unit is for services of this machine"));
    };
    let run = wait::load(engine, &run_id).await?.run;
    if run.spec.kind != RunKind::Service {
        let message = format!("run {run_id} is no service");
        return Err(Failure::new(ErrorCode::Usage, message)
            .hint("`errand serve -d AGENT` begins one; `errand ps` shows them"));
    }
    if run.status.is_terminal() {
        let message = format!("service {run_id} is over");
        return Err(Failure::new(ErrorCode::RunNotLive, message)
            .hint(format!("`errand restart {run_id}` begins it anew")));
    }
    if run.restart_policy() == ServiceRestart::No {
        let message =
            format!("service {run_id} has the restart policy `no`: it does not come back");
        return Err(Failure::new(ErrorCode::Usage, message)
            .hint("begin it with `errand serve -d --restart on_failure AGENT`"));
    }
    let name = run.spec.name.as_ref().unwrap_or(&run.spec.agent.name);
    let program = quoted(&engine.surroundings().program.to_string_lossy());
    let root = quoted(&engine.registry().root().to_string_lossy());
    let errand = format!("{program} --root {root}");
    let name = name.replace(char::is_control, " ").replace('%', "%%");
    context.printer.bytes(
        format!(
            "[Unit]\n\
             Description=errand service {name} (run {run_id})\n\
             After=network-online.target\n\
             \n\
             [Service]\n\
             Type=exec\n\
             # After `systemctl stop`; it is refused while the service runs.\n\
             ExecStartPre=-{errand} resume {run_id}\n\
             # Whoever waits for a service also brings it back.\n\
             ExecStart={errand} wait {run_id}\n\
             Restart=on-abnormal\n\
             # `errand stop` ended it.\n\
             SuccessExitStatus={STOPPED}\n\
             TimeoutStopSec=30\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n"
        )
        .as_bytes(),
    )?;
    Ok(0)
}

/// Quotes a word of a command line for a unit.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('%', "%%").replace('$', "$$"))
}
