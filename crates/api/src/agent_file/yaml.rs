//! The YAML of a file as a tree in which every node knows its place.
//!
//! Bounds hold while the tree is built: a small file cannot become a large tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::problem::{AgentFileProblem, ProblemKind};

/// Larger files are refused: an agent file is written by hand.
pub(crate) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Deeper nesting is refused: what walks the tree is recursive.
pub(crate) const MAX_DEPTH: usize = 64;
/// More nodes are refused, those that aliases stand for included.
pub(crate) const MAX_NODES: usize = 200_000;

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct YamlPosition {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl YamlPosition {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    pub(crate) fn problem(
        self,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> AgentFileProblem {
        AgentFileProblem {
            path: String::new(),
            line: self.line,
            column: self.column,
            message: message.into(),
            hint: hint.map(str::to_owned),
            kind: ProblemKind::Invalid,
            excerpt: None,
        }
    }
}

/// A node and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: YamlPosition,
    pub(crate) kind: Kind,
}

/// Kind of a node. Scalars keep their text: a number may be meant as a version.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool { value: bool, text: String },
    Number { text: String },
    Text { text: String },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: YamlPosition,
    pub(crate) value: Node,
}

/// Reads a file that holds one document.
///
/// Fails with all duplicate keys and unreadable keys at once, or with the first thing after which
/// the rest cannot be read.
pub(crate) fn load(bytes: &[u8]) -> Result<Node, Vec<AgentFileProblem>> {
    match roots(bytes, Builder::default())?.pop() {
        Some(Node { kind: Kind::Null, .. }) | None => {
            Err(vec![YamlPosition::START.problem("the file is empty", Some(MINIMAL_HINT))])
        }
        Some(root) => Ok(root),
    }
}

/// Reads a file of any number of documents, which `---` lines separate. Empty ones do not count.
///
/// Fails as [`load`].
pub(crate) fn load_all(bytes: &[u8]) -> Result<Vec<Node>, Vec<AgentFileProblem>> {
    let mut roots = roots(bytes, Builder { takes_many: true, ..Builder::default() })?;
    roots.retain(|root| !matches!(root.kind, Kind::Null));
    Ok(roots)
}

fn roots(bytes: &[u8], mut builder: Builder) -> Result<Vec<Node>, Vec<AgentFileProblem>> {
    let text = decode(bytes).map_err(|problem| vec![problem])?;
    for event in Parser::<StrInput<'_>>::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(syntax_problem(text, place_of(*error.marker()), error.info())),
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return Err(builder.problems);
        }
    }
    if builder.problems.is_empty() { Ok(builder.roots) } else { Err(builder.problems) }
}

const MINIMAL_HINT: &str =
    "the least is: apiVersion: errand.dev/v1, kind: Agent, metadata: { name }, spec: { command }";

/// The text of the file, without a byte order mark; refuses what no YAML file may hold.
fn decode(bytes: &[u8]) -> Result<&str, AgentFileProblem> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(YamlPosition::START.problem(
            format!("the file is longer than {MAX_FILE_BYTES} bytes"),
            Some("keep long texts in files of their own beside it"),
        ));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            return Err(end_of(&valid)
                .problem("this is not UTF-8", Some("save the file in the encoding UTF-8")));
        }
    };
    let is_forbidden =
        |c: char| c == '\u{7f}' || (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r'));
    match text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        None => Ok(text),
        Some((at, c)) => Err(end_of(&text[..at]).problem(
            format!("the character U+{:04X} cannot stand in a YAML file", u32::from(c)),
            Some("remove it, or write it as an escape in double quotes"),
        )),
    }
}

/// The place right after `text`.
fn end_of(text: &str) -> YamlPosition {
    let line = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    YamlPosition { line, column }
}

fn place_of(marker: Marker) -> YamlPosition {
    YamlPosition { line: marker.line().max(1), column: marker.col() + 1 }
}

fn syntax_problem(text: &str, place: YamlPosition, info: &str) -> AgentFileProblem {
    let line = text.lines().nth(place.line - 1).unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    let hint = if indent.contains('\t') || info.contains("found a tab") {
        Some("a line is indented with a tab: YAML wants spaces")
    } else if info.contains("anchor") {
        Some("write &name at the first place, and *name only after it")
    } else {
        None
    };
    place.problem(format!("this is not YAML: {}", info.trim_end_matches('.')), hint)
}

/// A list or mapping whose end was not yet seen.
struct Frame {
    anchor: usize,
    place: YamlPosition,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, YamlPosition>, key: Option<Key> },
}

/// A key whose value was not yet seen; without text if it cannot be one.
struct Key {
    text: Option<String>,
    place: YamlPosition,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    /// True if the file may have more than one document.
    takes_many: bool,
    roots: Vec<Node>,
    problems: Vec<AgentFileProblem>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), AgentFileProblem> {
        let place = place_of(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.start_document(place),
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let kind = scalar(text.into_owned(), plain, tag.as_deref(), place)?;
                self.count(1, place)?;
                self.finish(Node { place, kind }, anchor, 1);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), place)?;
                self.open(Frame { anchor, place, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), place)?;
                let content = Content::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.open(Frame { anchor, place, content })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close();
                Ok(())
            }
        }
    }

    fn start_document(&mut self, place: YamlPosition) -> Result<(), AgentFileProblem> {
        self.documents += 1;
        if self.documents == 1 || self.takes_many {
            // Anchors are those of one document.
            self.anchors.clear();
            return Ok(());
        }
        Err(place.problem(
            "a second document starts here",
            Some("an agent file holds one agent: put the other into a folder of its own"),
        ))
    }

    fn open(&mut self, frame: Frame) -> Result<(), AgentFileProblem> {
        if self.stack.len() == MAX_DEPTH {
            return Err(frame
                .place
                .problem(format!("this is nested more than {MAX_DEPTH} levels deep"), None));
        }
        self.count(1, frame.place)?;
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(frame) = self.stack.pop() {
            let kind = match frame.content {
                Content::List(items) => Kind::List(items),
                Content::Map { entries, .. } => Kind::Map(entries),
            };
            let node = Node { place: frame.place, kind };
            let size = if frame.anchor > 0 { size_of(&node) } else { 0 };
            self.finish(node, frame.anchor, size);
        }
    }

    fn alias(&mut self, anchor: usize, place: YamlPosition) -> Result<(), AgentFileProblem> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(place.problem("this alias stands inside of what it names", None));
        };
        let (mut node, size) = (node.clone(), *size);
        if self.stack.len() + depth_of(&node) > MAX_DEPTH {
            return Err(
                place.problem(format!("this is nested more than {MAX_DEPTH} levels deep"), None)
            );
        }
        self.count(size, place)?;
        node.place = place;
        self.finish(node, 0, size);
        Ok(())
    }

    fn count(&mut self, more: usize, place: YamlPosition) -> Result<(), AgentFileProblem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(place.problem(
            format!("the file has more than {MAX_NODES} values, those of aliases included"),
            None,
        ))
    }

    /// Puts a finished node where it belongs: a key, a value, an item, or the document itself.
    fn finish(&mut self, node: Node, anchor: usize, size: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.roots.push(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, seen, key }) => match key.take() {
                None => *key = Some(key_of(node, &mut self.problems)),
                Some(Key { text: None, .. }) => {}
                Some(Key { text: Some(text), place }) => match seen.get(&text) {
                    None => {
                        seen.insert(text.clone(), place);
                        entries.push(Entry { key: text, key_place: place, value: node });
                    }
                    Some(first) => self.problems.push(place.problem(
                        format!("{text:?} is given twice, first on line {}", first.line),
                        Some("keep one of them"),
                    )),
                },
            },
        }
    }
}

fn key_of(node: Node, problems: &mut Vec<AgentFileProblem>) -> Key {
    let place = node.place;
    let text = match node.kind {
        Kind::Text { text } | Kind::Number { text } | Kind::Bool { text, .. } => Some(text),
        Kind::Null | Kind::List(_) | Kind::Map(_) => {
            problems.push(place.problem("a key must be text", None));
            None
        }
    };
    Key { text, place }
}

fn size_of(node: &Node) -> usize {
    match &node.kind {
        Kind::Null | Kind::Bool { .. } | Kind::Number { .. } | Kind::Text { .. } => 1,
        Kind::List(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| size_of(&entry.value)).sum::<usize>(),
    }
}

fn depth_of(node: &Node) -> usize {
    match &node.kind {
        Kind::Null | Kind::Bool { .. } | Kind::Number { .. } | Kind::Text { .. } => 0,
        Kind::List(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Kind::Map(entries) => {
            1 + entries.iter().map(|entry| depth_of(&entry.value)).max().unwrap_or(0)
        }
    }
}

/// The kind of a scalar by the core schema of YAML 1.2 (section 10.3.2).
fn scalar(
    text: String,
    plain: bool,
    tag: Option<&Tag>,
    place: YamlPosition,
) -> Result<Kind, AgentFileProblem> {
    match tag {
        Some(tag) if tag.handle == "tag:yaml.org,2002:" => match tag.suffix.as_str() {
            "str" => return Ok(Kind::Text { text }),
            "int" | "float" | "bool" | "null" => {}
            _ => return Err(unknown_tag(tag, place)),
        },
        Some(tag) => return Err(unknown_tag(tag, place)),
        None if !plain => return Ok(Kind::Text { text }),
        None => {}
    }
    Ok(match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool { value: true, text },
        "false" | "False" | "FALSE" => Kind::Bool { value: false, text },
        _ if is_number(&text) => Kind::Number { text },
        _ => Kind::Text { text },
    })
}

fn collection_tag(tag: Option<&Tag>, place: YamlPosition) -> Result<(), AgentFileProblem> {
    match tag {
        Some(tag)
            if tag.handle != "tag:yaml.org,2002:"
                || !matches!(tag.suffix.as_str(), "seq" | "map") =>
        {
            Err(unknown_tag(tag, place))
        }
        Some(_) | None => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, place: YamlPosition) -> AgentFileProblem {
    let name = match tag.handle.as_str() {
        "tag:yaml.org,2002:" => format!("!!{}", tag.suffix),
        handle => format!("{handle}{}", tag.suffix),
    };
    place
        .problem(format!("the tag {name} means nothing here"), Some("remove it, or quote the text"))
}

fn is_number(text: &str) -> bool {
    let all =
        |digits: &str, is: fn(&u8) -> bool| !digits.is_empty() && digits.bytes().all(|b| is(&b));
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |byte| matches!(byte, b'0'..=b'7'));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let starts = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    starts
        && unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.parse::<f64>().is_ok()
}
