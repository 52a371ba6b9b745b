//! Tool uses whose arguments are still arriving.

use crate::event::{Events, ToolSite, ToolUse, WireEvent};

/// The most bytes of arguments that a decoder collects at a time. Far above what a model can write;
/// a stream that never ends does not fill the memory.
const MAX_ARGUMENTS_BYTES: usize = 64 * 1024 * 1024;

/// Place of a tool use in an answer: its choice, and its index in it.
pub(crate) type ToolKey = (u64, u64);

/// Tool uses that have begun and are not complete.
#[derive(Debug, Default)]
pub(crate) struct OpenTools {
    open: Vec<(ToolKey, ToolUse)>,
    collected_bytes: usize,
}

impl OpenTools {
    /// Begins a tool use, and reports that.
    pub(crate) fn begin(&mut self, key: ToolKey, tool_use: ToolUse, events: &mut Events<'_>) {
        let (id, name) = (tool_use.id.clone(), tool_use.name.clone());
        events.push(WireEvent::ToolUseBegin { id, name });
        self.collected_bytes = self.collected_bytes.saturating_add(tool_use.arguments.len());
        self.open.push((key, tool_use));
    }

    /// The open tool use with the greatest index of a choice.
    pub(crate) fn last_of(&self, choice: u64) -> Option<(ToolKey, &ToolUse)> {
        let of_choice = self.open.iter().rev().find(|((of, _), _)| *of == choice);
        of_choice.map(|(key, tool_use)| (*key, tool_use))
    }

    /// Adds a piece of the arguments. Pieces for a tool use that never began are dropped.
    pub(crate) fn append(&mut self, key: ToolKey, piece: &str) {
        let collected_bytes = self.collected_bytes.saturating_add(piece.len());
        let found = self.open.iter_mut().find(|(open, _)| *open == key);
        if let Some((_, tool_use)) = found
            && collected_bytes <= MAX_ARGUMENTS_BYTES
        {
            self.collected_bytes = collected_bytes;
            tool_use.arguments.push_str(piece);
        }
    }

    /// Takes out a tool use.
    pub(crate) fn take(&mut self, key: ToolKey) -> Option<ToolUse> {
        let at = self.open.iter().position(|(open, _)| *open == key)?;
        let (_, tool_use) = self.open.remove(at);
        self.collected_bytes = self.collected_bytes.saturating_sub(tool_use.arguments.len());
        Some(tool_use)
    }

    /// Completes a tool use, and reports it.
    pub(crate) fn complete(&mut self, key: ToolKey, events: &mut Events<'_>) {
        if let Some(mut tool_use) = self.take(key) {
            if tool_use.arguments.is_empty() {
                "{}".clone_into(&mut tool_use.arguments);
            }
            events.push(WireEvent::ToolUse(tool_use));
        }
    }

    /// Completes all tool uses of a choice, in the order of their begin.
    pub(crate) fn complete_choice(&mut self, choice: u64, events: &mut Events<'_>) {
        while let Some((key, _)) = self.open.iter().find(|((of, _), _)| *of == choice) {
            let key = *key;
            self.complete(key, events);
        }
    }

    /// Reports a tool use that arrived in one piece.
    pub(crate) fn whole(tool_use: ToolUse, events: &mut Events<'_>) {
        let (id, name) = (tool_use.id.clone(), tool_use.name.clone());
        events.push(WireEvent::ToolUseBegin { id, name });
        events.push(WireEvent::ToolUse(tool_use));
    }
}

/// A tool use of the client with no arguments yet.
pub(crate) fn named(id: Option<String>, name: &str) -> ToolUse {
    ToolUse { id, name: name.to_owned(), arguments: String::new(), site: ToolSite::Client }
}
