//! Places in the tree of a file.

use super::yaml::{Entry, Kind, Node};

/// A node and the way to it from the root, such as `spec.timeouts.run`.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
}

impl<'a> At<'a> {
    /// The root of a file.
    pub(crate) const fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// A field of a mapping; `None` for any other node, too.
    pub(crate) fn field(&self, name: &str) -> Option<Self> {
        let Kind::Map(entries) = &self.node.kind else { return None };
        entries.iter().find(|entry| entry.key == name).map(|entry| field_of(self, entry))
    }

    /// The items of a list; none for any other node.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Kind::List(items) = &self.node.kind else { return Vec::new() };
        let item = |(index, node)| At { node, path: format!("{}[{index}]", self.path) };
        items.iter().enumerate().map(item).collect()
    }

    /// Reports whether this is a mapping.
    pub(crate) const fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    /// Reports whether this is a list.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// The text that stands here.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let Kind::Text { text } = &self.node.kind else { return None };
        Some(text)
    }
}

/// The value of an entry of a mapping.
pub(crate) fn field_of<'a>(at: &At<'_>, entry: &'a Entry) -> At<'a> {
    At { node: &entry.value, path: join(&at.path, &entry.key) }
}

/// The way to a field of what is at `path`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A node in the words of a problem: its sort, and its text if that is short.
pub(crate) fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Null => "nothing".to_owned(),
        Kind::Bool { text, .. } => format!("the truth value {text}"),
        Kind::Number { text } => format!("the number {text}"),
        Kind::Text { text } => match text.char_indices().nth(40) {
            None => format!("the text {text:?}"),
            Some((cut, _)) => format!("the text {:?}…", &text[..cut]),
        },
        Kind::List(_) => "a list".to_owned(),
        Kind::Map(_) => "a mapping".to_owned(),
    }
}
