//! `errand brief`: the brief of a run.

use errand_api::brief::BriefPage;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The brief is everything that the agent is told at boot: skills, configs, names of secrets,
instructions, context and input. Values of secrets are masked in it.

Examples:
  errand brief review
  errand brief review --json | jq -r .brief.instructions")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Print the brief with its key and digest as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the brief of a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let page = place.brief(&run_id).await?;
    if args.json {
        context.printer.json(&page)?;
    } else {
        context.printer.line(&shown(&page))?;
    }
    Ok(0)
}

fn shown(page: &BriefPage) -> String {
    let brief = &page.brief;
    let mut lines =
        vec![format!("key      {}", page.key), format!("size     {} bytes", page.size_bytes)];
    let skills = brief.skills.iter().map(|skill| skill.slug.as_str());
    let configs = brief.configs.iter().map(|config| config.slug.as_str());
    let secrets = brief.secrets.iter().map(String::as_str);
    let lists: [(&str, Vec<&str>); 3] = [
        ("skills", skills.collect()),
        ("configs", configs.collect()),
        ("secrets", secrets.collect()),
    ];
    let lists = lists.iter().filter(|(_, names)| !names.is_empty());
    lines.extend(lists.map(|(name, names)| format!("{name:<9}{}", names.join(", "))));
    let input = match &brief.input {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(format!("{other:#}"))
        }
    };
    let skills = brief.skills.iter().map(|it| (format!("skill {}", it.slug), &it.instructions));
    let configs = brief.configs.iter().map(|it| (format!("config {}", it.slug), &it.content));
    let texts = [
        ("instructions", brief.instructions.as_ref()),
        ("context", brief.context.as_ref()),
        ("input", input.as_ref()),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    let texts = texts.chain(skills).chain(configs);
    lines.extend(texts.map(|(name, text)| format!("\n--- {name}\n{}", text.trim_end())));
    lines.join("\n")
}
