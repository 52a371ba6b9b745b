//! Members of JSON that are read if they have the expected type, and are otherwise absent.
//!
//! Strings are borrowed from the input wherever they have no escapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::event::Events;

/// Reads a document that is an object.
pub(crate) fn document<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    // One check of the whole text is faster than one of each string.
    let Object(object) = match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text)?,
        Err(_) => serde_json::from_slice(json)?,
    };
    object.ok_or_else(|| serde_json::Error::custom("expected an object"))
}

/// A string, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Option<Cow<'a, str>>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// The string, if it is not empty.
    pub(crate) fn given(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    pub(crate) fn owned(&self) -> Option<String> {
        self.given().map(str::to_owned)
    }
}

/// A whole number of at least 0, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<u64>);

/// A truth value, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) Option<bool>);

/// An object, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// The objects of an array; empty if there is no array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Text of a message: a string, or parts with a text each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Content<'a, T> {
    /// Neither.
    #[default]
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// The objects of an array.
    Parts(Vec<T>),
}

/// Implements the methods of a visitor for values of types that are not expected: the default.
macro_rules! absent {
    ($($type:ident),*) => { $(absent!(@ $type);)* };
    (@ null) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ bool) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ number) => {
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ string) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ array) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (@ object) => {
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    absent!(null, bool, number, array, object);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    absent!(null, bool, string, array, object);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Count(Some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Count(u64::try_from(number).ok()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        // Some writers make every number a double. Above 2^53 such a number is no count.
        let is_whole = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
        Ok(Count(is_whole.then(|| format!("{:.0}", number.abs()).parse().ok()).flatten()))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct FlagVisitor;

impl<'de> Visitor<'de> for FlagVisitor {
    type Value = Flag;

    absent!(null, number, string, array, object);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Flag(Some(truth)))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    absent!(null, bool, number, string, array);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(|object| Object(Some(object)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    absent!(null, bool, number, string, object);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        objects(items).map(List)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

fn objects<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(mut items: A) -> Result<Vec<T>, A::Error> {
    let mut objects = Vec::new();
    while let Some(Object(item)) = items.next_element()? {
        objects.extend(item);
    }
    Ok(objects)
}

struct ContentVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ContentVisitor<T> {
    type Value = Content<'de, T>;

    absent!(null, bool, number, object);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        objects(items).map(Content::Parts)
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de> + Default> Deserialize<'de> for Content<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor(PhantomData))
    }
}

/// The `error` of an answer: an object, or just its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorMember<'a>(pub(crate) Option<ProviderError<'a>>);

/// Members of an error in any of the formats.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct ProviderError<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    code: Text<'a>,
    /// Gemini's name of the kind; its `code` is a number.
    #[serde(borrow)]
    status: Text<'a>,
}

impl ProviderError<'_> {
    pub(crate) fn report(&self, events: &mut Events<'_>) {
        let kind = self.code.given().or(self.status.given()).or(self.kind.given());
        events.provider_error(kind.unwrap_or_default(), self.message.as_str());
    }
}

struct ErrorVisitor;

impl<'de> Visitor<'de> for ErrorVisitor {
    type Value = ErrorMember<'de>;

    absent!(null, bool, number, array);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        let message = Text(Some(Cow::Borrowed(text)));
        Ok(ErrorMember(Some(ProviderError { message, ..ProviderError::default() })))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let message = Text(Some(Cow::Owned(text.to_owned())));
        Ok(ErrorMember(Some(ProviderError { message, ..ProviderError::default() })))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let error = ProviderError::deserialize(MapAccessDeserializer::new(members))?;
        Ok(ErrorMember(Some(error)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ErrorMember<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ErrorVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Sample<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        count: Count,
        flag: Flag,
        #[serde(borrow)]
        object: Object<Box<Self>>,
        #[serde(borrow)]
        list: List<Self>,
    }

    #[test]
    fn members_of_other_types_are_absent() {
        for other in ["null", "true", "7", "-7", "1.5", "\"x\"", "[1,{}]", "{\"a\":[]}"] {
            let json = |name: &str| format!("{{\"{name}\":{other},\"unknown\":{other}}}");
            let sample = |name| {
                let json = json(name);
                let sample: Sample<'_> = serde_json::from_str(&json).unwrap();
                (
                    sample.text.given().is_some(),
                    sample.count.0.is_some(),
                    sample.flag.0.is_some(),
                    sample.object.0.is_some(),
                    !sample.list.0.is_empty(),
                )
            };
            assert_eq!(sample("text").0, other.starts_with('"'), "{other}");
            assert_eq!(sample("count").1, other == "7", "{other}");
            assert_eq!(sample("flag").2, other == "true", "{other}");
            assert_eq!(sample("object").3, other.starts_with('{'), "{other}");
            assert_eq!(sample("list").4, other.starts_with('['), "{other}");
        }
    }

    #[test]
    fn a_double_that_is_whole_is_a_count() {
        let count = |json: &str| serde_json::from_str::<Count>(json).unwrap().0;
        assert_eq!(count("12.0"), Some(12));
        assert_eq!(count("12.5"), None);
        assert_eq!(count("1e300"), None);
        assert_eq!(count("-0.0"), Some(0));
        assert_eq!(count("18446744073709551615"), Some(u64::MAX));
    }
}
