//! `errand config check`: checks that a server would start with the configuration.

use errand_agent::target::TargetStartError;
use errand_api::error_code::ErrorCode;
use errand_kubernetes::missing_rights;

use crate::config::{Configuration, ServerFlags};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ask the Kubernetes cluster which rights errand lacks in NAMESPACE, by default that of the
    /// kubeconfig, instead
    #[arg(long, value_name = "NAMESPACE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "a flag with an optional value, as clap reads it")]
    kubernetes: Option<Option<String>>,
    #[command(flatten)]
    flags: ServerFlags,
}

/// Checks the configuration.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    if let Some(namespace) = &args.kubernetes {
        return rights(context, namespace.as_deref()).await;
    }
    let configuration = Configuration::load(context, &args.flags)?;
    let settings = configuration.settings()?;
    if let Some(files) = &settings.tls {
        errand_gateway::check_tls(files).map_err(|error| {
            Failure::new(ErrorCode::TlsInvalid, "the server cannot use its TLS files")
                .because(&error)
                .hint("mend the files, or the paths: `errand config show` says where they are from")
        })?;
    }
    let what = configuration.file.as_deref().map_or_else(
        || "there is no file; flags and environment".to_owned(),
        |file| file.display().to_string(),
    );
    context.printer.line(&format!("{what}: the configuration is valid"))?;
    Ok(0)
}

/// Tells which rights errand lacks in a namespace of the cluster.
async fn rights(context: &Context, namespace: Option<&str>) -> Result<u8, Failure> {
    let asked = missing_rights(&context.cluster(), namespace).await;
    let (namespace, missing) = asked.map_err(|error| match error {
        TargetStartError::Refused { code, message } => Failure::new(code, message),
        other @ (TargetStartError::NotFound { .. }
        | TargetStartError::NotExecutable { .. }
        | TargetStartError::WorkingDirectory { .. }
        | TargetStartError::Input { .. }
        | TargetStartError::AlreadyStarted { .. }
        | TargetStartError::Other(_)) => Failure::internal("the cluster cannot be asked", &other),
    })?;
    let listed = |is_needed: bool| -> Vec<String> {
        let of_kind = missing.iter().filter(|right| right.is_needed == is_needed);
        of_kind.map(|right| format!("{} {}", right.verb, right.resource)).collect()
    };
    let (needed, useful) = (listed(true), listed(false));
    if !useful.is_empty() {
        let useful = useful.join(", ");
        context.printer.note(&format!("useful, not needed, and missing: {useful}"));
    }
    if needed.is_empty() {
        let line = format!("namespace {namespace}: errand has all rights that it needs");
        context.printer.line(&line)?;
        return Ok(0);
    }
    let message =
        format!("errand lacks rights in the namespace {namespace}: {}", needed.join(", "));
    Err(Failure::new(ErrorCode::ClusterForbidden, message)
        .hint("deploy/kubernetes/errand-rbac.yaml has a role with all of them"))
}
