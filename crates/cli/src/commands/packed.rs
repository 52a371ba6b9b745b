//! Summary of the files in an agent's parcel, for people.

use std::fmt::Write as _;

use errand_agent::parcel::{Content, ParcelFile, ParcelPlan};

use crate::render::visible;

/// Most left-out paths named in a line.
const NAMED: usize = 5;

/// Numbers about a parcel, and the paths left out of it.
#[derive(Debug)]
pub(super) struct Packed {
    files: usize,
    size_bytes: u64,
    /// The largest file and its length.
    largest: Option<(String, u64)>,
    pub(super) left_out: Vec<String>,
}

impl Packed {
    pub(super) fn of(plan: &ParcelPlan) -> Self {
        let sizes =
            || plan.files().iter().filter_map(|file| Some((file.path.clone(), size(file)?)));
        Self {
            files: plan.files().len(),
            size_bytes: sizes().map(|(_, size_bytes)| size_bytes).sum(),
            largest: sizes().max_by_key(|(_, size_bytes)| *size_bytes),
            left_out: plan.left_out().to_vec(),
        }
    }

    /// Returns one or two lines for people.
    ///
    /// Writing to a string cannot fail.
    pub(super) fn told(&self) -> String {
        let noun = if self.files == 1 { "file" } else { "files" };
        let mut text = format!("packed {} {noun}, {}", self.files, spoken_size(self.size_bytes));
        if let Some((path, size_bytes)) = self.largest.as_ref().filter(|_| self.files > 1) {
            let size = spoken_size(*size_bytes);
            let _written = write!(text, "; the largest is {} ({size})", visible(path));
        }
        if !self.left_out.is_empty() {
            let named: Vec<_> =
                self.left_out.iter().take(NAMED).map(|path| visible(path)).collect();
            text.push_str("\nleft out: ");
            text.push_str(&named.join(", "));
            if self.left_out.len() > NAMED {
                let _written = write!(text, " and {} more", self.left_out.len() - NAMED);
            }
        }
        text
    }
}

/// Returns the line of a list for one file or link.
pub(super) fn line(file: &ParcelFile) -> String {
    let path = visible(&file.path);
    match &file.content {
        Content::File { size_bytes, .. } => format!("{:>10}  {path}", spoken_size(*size_bytes)),
        Content::Link { target } => format!("{:>10}  {path} -> {}", "link", visible(target)),
    }
}

const fn size(file: &ParcelFile) -> Option<u64> {
    match &file.content {
        Content::File { size_bytes, .. } => Some(*size_bytes),
        Content::Link { .. } => None,
    }
}

/// Formats a length in its largest unit of at least 1, with one decimal.
fn spoken_size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size),
        None => format!("{bytes} B"),
    }
}
