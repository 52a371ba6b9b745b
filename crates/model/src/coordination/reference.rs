//! References that a coordinator's templates may contain.

/// A reference of a template of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// The coordinator's own input: a JSON pointer into it.
    Input(String),
    /// JSON pointer into the value that would be given without the template.
    Output(String),
    /// Sender of the value.
    From,
    /// Type of the message.
    Type,
    /// The last output of an agent of the plan.
    OutputOf {
        /// The agent's name.
        name: String,
        /// A JSON pointer into the output.
        pointer: String,
    },
}

impl Reference {
    /// Reads `input`, `input.a.0`, `input#/a/0`, the same with `output` and `outputs.<name>`,
    /// `from` and `type`.
    ///
    /// # Errors
    ///
    /// Description of the problem, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not input, output, outputs.<name> (each of them also with .a.b or \
                 #/a/b), from or type"
            )
        };
        let (path, pointer) = match text.split_once('#') {
            Some((_, pointer)) if !pointer.is_empty() && !pointer.starts_with('/') => {
                return Err(format!("{text:?}: what follows # is a JSON pointer such as #/a/0"));
            }
            Some((path, pointer)) => (path, Some(pointer)),
            None => (text, None),
        };
        let mut parts = path.split('.');
        let root = parts.next().unwrap_or_default();
        let name = if root == "outputs" { Some(parts.next().ok_or_else(wrong)?) } else { None };
        let parts: Vec<&str> = parts.collect();
        if parts.iter().chain(&name).any(|part| part.is_empty()) {
            return Err(wrong());
        }
        let pointer = match pointer {
            Some(pointer) if parts.is_empty() => pointer.to_owned(),
            Some(_) => return Err(wrong()),
            None => parts.iter().fold(String::new(), |all, part| {
                all + "/" + &part.replace('~', "~0").replace('/', "~1")
            }),
        };
        match (root, name) {
            ("input", None) => Ok(Self::Input(pointer)),
            ("output", None) => Ok(Self::Output(pointer)),
            ("outputs", Some(name)) => Ok(Self::OutputOf { name: name.to_owned(), pointer }),
            ("from", None) if text == "from" => Ok(Self::From),
            ("type", None) if text == "type" => Ok(Self::Type),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_people_write_them() {
        let input = |pointer: &str| Ok(Reference::Input(pointer.to_owned()));
        let of = |name: &str, pointer: &str| {
            Ok(Reference::OutputOf { name: name.to_owned(), pointer: pointer.to_owned() })
        };
        assert_eq!(Reference::parse("input"), input(""));
        assert_eq!(Reference::parse("input.a.0"), input("/a/0"));
        assert_eq!(Reference::parse("input#/a~1b"), input("/a~1b"));
        assert_eq!(Reference::parse("output.x"), Ok(Reference::Output("/x".to_owned())));
        assert_eq!(Reference::parse("outputs.my-agent"), of("my-agent", ""));
        assert_eq!(Reference::parse("outputs.a.b.c"), of("a", "/b/c"));
        assert_eq!(Reference::parse("outputs.a#/b.c"), of("a", "/b.c"));
        assert_eq!(Reference::parse("from"), Ok(Reference::From));
        assert_eq!(Reference::parse("type"), Ok(Reference::Type));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "inputs",
            "input.",
            "input..a",
            "input#a",
            "input.a#/b",
            "outputs",
            "outputs.",
            "outputs#/a",
            "from.a",
            "type#",
            "body.a",
            "Input",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?} is taken");
        }
    }
}
