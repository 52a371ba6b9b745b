//! Agent that is made for one run: a command in this folder, or one in a container.

use std::fs;
use std::path::{Path, PathBuf};

use errand_api::agent_file::{
    FILE_NAME, Problems, ProcessPlace, Providers, TargetKind, file_of_command, file_of_image,
};
use errand_api::error_code::ErrorCode;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::given_provider::GivenProvider;
use super::given_sandbox::GivenSandbox;
use super::mcp_file;
use crate::context::Context;
use crate::failure::Failure;

/// Name of the file of a command's agent: arguments of the command that name a file of its parcel
/// would mean that file.
const COMMAND_FILE: &str = ".errand-command.yaml";

// Options that make an agent for one run.
#[derive(Debug, clap::Args)]
pub(crate) struct MadeAgent {
    /// Run this image in a container, with COMMAND or the image's own, instead of an agent
    #[arg(long, value_name = "IMAGE", conflicts_with = "path")]
    image: Option<String>,
    /// Let the command reach a model provider (openai, anthropic, google) through errand, which
    /// adds the key from the secret KEY and records each call; may be given again
    #[arg(long = "provider", value_name = "NAME=KEY[,base_url=URL]", conflicts_with = "path")]
    providers: Vec<GivenProvider>,
    /// Start the tool servers (MCP) of this file, and let the command call them through errand, which
    /// records each call
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    mcp: Option<PathBuf>,
    /// Let the kernel keep the command to this folder (workspace), or from writing elsewhere
    /// (`read_only`), and with network=none from everything but errand,
    /// or with egress=HOST from every host but those that are named
    #[arg(
        long,
        value_name = "FILES[,network=none][,egress=HOST][,read=PATH][,write=PATH]",
        conflicts_with_all = ["path", "image"]
    )]
    sandbox: Option<GivenSandbox>,
    /// A command to run in this folder, or with --image in the container
    #[arg(last = true, conflicts_with = "path", value_name = "COMMAND")]
    command: Vec<String>,
}

/// Returns the path of the agent that is to run, where no agent is to be made.
pub(super) fn given_path(path: Option<&Path>) -> Result<&Path, Failure> {
    path.ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "neither an agent nor a command is given")
            .hint("errand run PATH runs an agent, errand run -- COMMAND a command in this folder")
    })
}

impl MadeAgent {
    /// Returns true if an agent is to be made.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.image.is_some() || !self.command.is_empty()
    }

    /// Writes an agent that a server is to run, if one is asked for.
    pub(super) fn for_server(&self, context: &Context) -> Result<Option<TempDir>, Failure> {
        if !self.is_asked_for() {
            return Ok(None);
        }
        if self.image.is_none() {
            let message = "a command without an image runs in this folder, not on a server";
            let hint = "add --image, or run it here with --server local";
            return Err(Failure::new(ErrorCode::Usage, message).hint(hint));
        }
        self.write(context).map(|(folder, _)| Some(folder))
    }

    /// Returns the source of the agent, for people.
    pub(super) fn shown(&self, context: &Context) -> String {
        match &self.image {
            Some(image) => format!("image {image}"),
            None => context.cwd.display().to_string(),
        }
    }

    /// Writes the agent. Returns its folder, which is removed with the returned value, and the name
    /// of its file.
    pub(super) fn write(&self, context: &Context) -> Result<(TempDir, &'static str), Failure> {
        let mut spec = Map::new();
        let providers = self.providers(context)?;
        if !providers.is_empty() {
            spec.insert("providers".to_owned(), json!(providers));
        }
        if let Some(path) = &self.mcp {
            let servers = mcp_file::servers(context, &context.cwd.join(path))?;
            spec.insert("mcp_servers".to_owned(), Value::Array(servers));
        }
        let (file, agent) = match (&self.image, self.command.split_first()) {
            (Some(image), _) => (FILE_NAME, self.in_container(image, spec)),
            (None, Some((program, arguments))) => {
                let folder = &context.cwd;
                if let Some(sandbox) = &self.sandbox {
                    let place = ProcessPlace { sandbox: Some(sandbox.in_folder(folder)) };
                    if !sandbox.egress().is_empty() {
                        let rules = json!({ "egress": { "allow": sandbox.egress() } });
                        spec.insert("policy".to_owned(), rules);
                    }
                    spec.insert("target".to_owned(), json!(TargetKind::Process(place)));
                }
                (COMMAND_FILE, in_folder(folder, program, arguments, spec)?)
            }
            (None, None) => return Err(Failure::new(ErrorCode::Usage, "no command is given")),
        };
        let folder = tempfile::Builder::new()
            .prefix("errand-agent-")
            .tempdir()
            .map_err(|error| Failure::internal("cannot make a folder for the agent", &error))?;
        let path = folder.path().join(file);
        // JSON is YAML.
        fs::write(&path, agent.to_string()).map_err(|error| Failure::io("write", &path, &error))?;
        Ok((folder, file))
    }

    /// Returns the failure for problems of the file that was made of the options, by the names of the
    /// options; `None` if a problem is of none of them.
    pub(super) fn problem_of_options(&self, files: &[Problems]) -> Option<Failure> {
        let problems: Vec<_> = files.iter().flat_map(|file| &file.problems).collect();
        let told: Option<Vec<String>> = problems
            .iter()
            .map(|problem| Some(format!("{}: {}", self.option_of(&problem.path)?, problem.message)))
            .collect();
        let failure = Failure::new(Problems::code_of(files), told?.join("\n"));
        let mut hints: Vec<&str> = problems.iter().filter_map(|it| it.hint.as_deref()).collect();
        hints.dedup();
        Some(hints.into_iter().fold(failure, |failure, hint| failure.hint(hint.to_owned())))
    }

    /// Returns the option, with its value where it is short, that a field of the made file comes from.
    fn option_of(&self, field: &str) -> Option<String> {
        let is_in = |part: &str| field == part || field.starts_with(&format!("{part}."));
        let is_of_list = |part: &str| field.starts_with(&format!("{part}["));
        if is_in("spec.target.image") {
            return Some("--image".to_owned());
        }
        if is_in("spec.target.sandbox") || is_in("spec.policy") {
            return Some("--sandbox".to_owned());
        }
        if is_in("spec.providers") {
            return Some("--provider".to_owned());
        }
        if is_in("spec.command") || is_of_list("spec.command") {
            return Some("COMMAND".to_owned());
        }
        let file = self.mcp.as_ref().filter(|_| is_of_list("spec.mcp_servers"))?;
        Some(format!("--mcp {}: {}", file.display(), field.trim_start_matches("spec.")))
    }

    fn in_container(&self, image: &str, mut spec: Map<String, Value>) -> Value {
        let target = json!({ "type": "container", "image": image });
        spec.insert("target".to_owned(), target);
        if !self.command.is_empty() {
            spec.insert("command".to_owned(), json!(self.command));
        }
        file_of_image(image, &spec)
    }

    /// Returns the providers, with the addresses that this process has for them: later attempts may
    /// not see its environment.
    fn providers(&self, context: &Context) -> Result<Providers, Failure> {
        let mut providers = Providers::default();
        for given in &self.providers {
            let (name, mut provider) = given.read()?;
            if provider.base_url.is_none() {
                let own = context.variable(name.base_url_variable());
                provider.base_url = own.and_then(|url| url.to_str()).map(str::to_owned);
            }
            if providers.set(name, provider).is_some() {
                let message = format!("--provider {} is given twice", name.as_str());
                return Err(Failure::new(ErrorCode::Usage, message));
            }
        }
        Ok(providers)
    }
}

/// Returns the agent file of a command in a folder of this machine.
fn in_folder(
    folder: &Path,
    program: &str,
    arguments: &[String],
    mut spec: Map<String, Value>,
) -> Result<Value, Failure> {
    // A path is one of the caller's folder, not of the parcel.
    let found = if program.contains('/') {
        let path = folder.join(program);
        path.to_str().map(str::to_owned).ok_or_else(|| {
            let message = format!("the path {} has no UTF-8 name", path.display());
            Failure::new(ErrorCode::Usage, message)
        })?
    } else {
        program.to_owned()
    };
    let command: Vec<&str> =
        std::iter::once(found.as_str()).chain(arguments.iter().map(String::as_str)).collect();
    spec.insert("command".to_owned(), json!(command));
    spec.insert("workspace".to_owned(), json!({ "mode": "cwd" }));
    Ok(file_of_command(program, &spec))
}
