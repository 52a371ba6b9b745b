//! `errand messages`: messages between the agents of a coordinated run.

use errand_api::message::{MessagePage, SentMessage};
use errand_engine::operations::More;
use errand_model::RunId;
use errand_model::event::MessageType;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::render;

/// Messages read at once.
const PAGE: usize = 1_000;
/// Shown characters of a message.
const SAID_CHARS: usize = 60;
/// Shown characters of a name.
const NAME_CHARS: usize = 24;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line has the time, who said it to whom, its type, and the beginning of what was said; → is the step
that got it. Of an agent's run it lists what that agent sent itself.

Examples:
  errand messages report
  errand messages -f report --type validation,error
  errand messages report --json | jq -r 'select(.type == \"ERROR\").payload.message'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only messages of that type; may be given again
    #[arg(short, long = "type", value_name = "TYPE", value_delimiter = ',', ignore_case = true)]
    types: Vec<Kind>,
    /// Print the messages as JSON, one in a line
    #[arg(long)]
    json: bool,
}

/// A type of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Work to do
    Task,
    /// Result of a task
    Result,
    /// A verdict, or the question for one
    Validation,
    /// Something went wrong
    Error,
    /// For the coordination itself
    Control,
}

impl From<Kind> for MessageType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Task => Self::Task,
            Kind::Result => Self::Result,
            Kind::Validation => Self::Validation,
            Kind::Error => Self::Error,
            Kind::Control => Self::Control,
        }
    }
}

/// Lists messages in order, each once.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let list = List {
        context,
        run_id,
        types: args.types.into_iter().map(MessageType::from).collect(),
        json: args.json,
    };
    show(&place, &list, args.follow).await
}

async fn show(
    place: &RegistryOrServer,
    list: &List<'_>,
    is_following: bool,
) -> Result<u8, Failure> {
    let (mut seen, mut heard) = (0, 0);
    loop {
        let page = place.messages(&list.run_id, (seen, PAGE), list.kind()).await?;
        seen = list.show(&page, seen)?;
        if page.next_after.is_some() {
            continue;
        }
        if !is_following || page.is_over {
            list.note_none(seen);
            return Ok(0);
        }
        place
            .follow(&list.run_id, heard.max(seen), &mut |event| {
                heard = event.seq;
                let is_one = event.kind == "message.sent" || event.kind.starts_with("run.");
                Ok(if is_one { More::Enough } else { More::Wanted })
            })
            .await?;
        seen = seen.max(heard.saturating_sub(1));
    }
}

/// Selection and format of the list.
struct List<'a> {
    context: &'a Context,
    run_id: RunId,
    types: Vec<MessageType>,
    json: bool,
}

impl List<'_> {
    /// Prints a note that there was nothing to show.
    fn note_none(&self, seen: u64) {
        if seen == 0 {
            self.context.printer.note(&format!(
                "run {} has no such messages (the agents of a fan-out say nothing to each other: \
                 `errand graph` shows them)",
                self.run_id
            ));
        }
    }

    /// Returns the selected type, if there is exactly one.
    fn kind(&self) -> Option<MessageType> {
        match self.types.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Shows the messages of a page, and returns the number of the last one, or else `seen`.
    fn show(&self, page: &MessagePage, seen: u64) -> Result<u64, Failure> {
        let is_wanted =
            |message: &&SentMessage| self.types.is_empty() || self.types.contains(&message.kind);
        let mut text = String::new();
        for message in page.messages.iter().filter(is_wanted) {
            text.push_str(&if self.json { json!(message).to_string() } else { line(message) });
            text.push('\n');
        }
        if !text.is_empty() {
            self.context.printer.bytes(text.as_bytes())?;
        }
        Ok(page.messages.last().map_or(seen, |last| last.seq))
    }
}

/// Formats `12:00:01.250Z  researcher → analyst  RESULT  {"findings": …}`.
fn line(message: &SentMessage) -> String {
    let at = message.at_ms.to_string();
    let (from, to) = (name(&message.from), name(&message.to));
    let way = format!("{from} → {to}");
    let blanks = 30_usize.saturating_sub(way.width());
    let got = message.delivered_to.as_deref().map(|step| format!("  → {}", name(step)));
    format!(
        "{at}  {way}{}  {:<10}  {}{}",
        " ".repeat(blanks),
        message.kind.word(),
        said(&message.payload),
        got.unwrap_or_default(),
    )
}

fn name(text: &str) -> String {
    render::at_most(text, NAME_CHARS)
}

fn said(payload: &Value) -> String {
    let text = match payload {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            payload.to_string()
        }
    };
    render::at_most(&text, SAID_CHARS)
}
