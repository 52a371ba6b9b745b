//! Filter of events by type.

/// Types and nouns; an empty list accepts all.
#[derive(Debug)]
pub(super) struct Kinds(pub(super) Vec<String>);

impl Kinds {
    pub(super) fn has(&self, kind: &str) -> bool {
        let noun = kind.split('.').next().unwrap_or_default();
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == kind || wanted == noun)
    }
}

/// Parses a type or a noun; `step.*` is the noun.
pub(super) fn one(text: &str) -> Result<String, String> {
    let wanted = text.trim().trim_end_matches(".*");
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    if wanted.split('.').count() <= 2 && wanted.split('.').all(is_word) {
        return Ok(wanted.to_owned());
    }
    Err("a type is written noun.verb_past, such as step.failed, and step means all of a step"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_means_all_of_its_events() {
        let wanted = Kinds(["step", "run.failed", "tool.*"].map(|text| one(text).unwrap()).into());
        for kind in ["step.started", "step.failed", "run.failed", "tool.called"] {
            assert!(wanted.has(kind), "{kind}");
        }
        for kind in ["run.completed", "steps.started", "attempt.failed"] {
            assert!(!wanted.has(kind), "{kind}");
        }
        assert!(Kinds(Vec::new()).has("anything.at_all"));
        assert!(["", "Step", "a.b.c", "a.", "*"].iter().all(|text| one(text).is_err()));
    }
}
