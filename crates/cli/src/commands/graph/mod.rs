//! `errand graph`: messages between the agents of a coordinated run.

mod draw;
mod offset;
mod sequence;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use errand_api::error_code::ErrorCode;
use errand_api::graph::{Graph, dot, mermaid, svg};

use super::trace::width;
use crate::context::Context;
use crate::failure::Failure;
use crate::target::Target;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A column is an agent, a line all messages of one type from one agent to another, by when the first
one was sent; dashed lines are edges of the plan that nothing took. Where that is too wide, the same
is listed. `errand messages` lists single messages, `errand trace` tells where the time went.

Of a run that was handed over to other agents it shows these.

Examples:
  errand graph report
  errand graph report -o report.svg
  errand graph report --format mermaid >> report.md
  errand graph report --format dot | dot -Tpng > report.png")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The form; by default text, or what the name of the file says
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<Format>,
    /// Write it to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw so many columns; by default those of the terminal
    #[arg(short, long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(20..=1000))]
    width: Option<u16>,
    /// Print the graph as JSON: --format json
    #[arg(long)]
    json: bool,
}

/// Forms of a graph.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// For people, in a terminal
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown that draws Mermaid
    Mermaid,
    /// A picture
    Svg,
    /// For programs
    Json,
}

impl Format {
    /// Returns the format for a file's extension.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "dot" | "gv" => Some(Self::Dot),
            "mmd" | "mermaid" => Some(Self::Mermaid),
            "svg" => Some(Self::Svg),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Extensions of pictures that are not supported.
const NOT_DRAWN: [&str; 5] = ["png", "jpg", "jpeg", "pdf", "webp"];

/// Refuses a file name whose extension promises an unsupported picture.
fn check_name(path: &Path) -> Result<(), Failure> {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    if !NOT_DRAWN.contains(&extension) {
        return Ok(());
    }
    let message = format!("a graph cannot be drawn as {extension}");
    Err(Failure::new(ErrorCode::Usage, message)
        .hint("name a file .svg, .dot, .mmd or .json; `errand graph RUN --format dot | dot -Tpng`"))
}

/// Draws a graph.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    if let (Some(path), None) = (&args.output, args.format) {
        check_name(path)?;
    }
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let graph = place.graph(&run_id).await?;
    let named = args.output.as_deref().and_then(Format::of);
    let format = if args.json { Some(Format::Json) } else { args.format.or(named) };
    let text = match format.unwrap_or(Format::Text) {
        Format::Text => draw_text(context, &args, &graph),
        Format::Dot => dot(&graph),
        Format::Mermaid => mermaid(&graph),
        Format::Svg => svg(&graph),
        Format::Json => {
            let text = serde_json::to_string_pretty(&graph);
            text.map_err(|error| Failure::internal("cannot write JSON", &error))? + "\n"
        }
    };
    let mut target = Target::open(args.output.as_deref())?;
    let written = target.write_all(text.as_bytes()).and_then(|()| target.flush());
    written.map_err(|error| target.unwritten(&error))?;
    Ok(0)
}

fn draw_text(context: &Context, args: &Args, graph: &Graph) -> String {
    let columns = args.width.map_or_else(|| width(context), usize::from);
    let is_plain = context.variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_seen = args.output.is_none() && io::stdout().is_terminal();
    draw::draw(
        graph,
        columns,
        if is_seen && !is_plain { draw::DrawStyle::Coloured } else { draw::DrawStyle::Plain },
    )
}
