//! Deserializer of name-value pairs into a struct with numbers, booleans and lists.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde_path_to_error::Segment;

/// A value that cannot be read, or an unknown name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParameterMistake {
    /// Name of the parameter.
    pub(crate) name: String,
    /// Description of the fault.
    pub(crate) message: String,
}

/// Reads pairs as a `T`. A repeated name becomes a list.
pub(crate) fn read<T: DeserializeOwned>(
    pairs: Vec<(String, String)>,
) -> Result<T, ParameterMistake> {
    let mut fields: Vec<(String, Values)> = Vec::new();
    for (name, value) in pairs {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.values.push(value),
            None => fields.push((name.clone(), Values { name, values: vec![value] })),
        }
    }
    let fields = MapDeserializer::new(fields.into_iter());
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let name = match error.path().iter().next() {
            Some(Segment::Map { key }) => key.clone(),
            Some(Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown) | None => {
                "query".to_owned()
            }
        };
        ParameterMistake { name, message: error.into_inner().to_string() }
    })
}

/// All values of a parameter.
struct Values {
    name: String,
    values: Vec<String>,
}

impl Values {
    fn one(mut self) -> Result<String, Error> {
        let name = self.name;
        match (self.values.pop(), self.values.is_empty()) {
            (Some(value), true) => Ok(value),
            (_, false) => Err(Error::custom(format!("{name} is given more than once"))),
            (None, true) => Err(Error::custom(format!("{name} has no value"))),
        }
    }
}

impl IntoDeserializer<'_> for Values {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident, $visit:ident, $what:literal;)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                let name = self.name.clone();
                let text = self.one()?;
                match text.parse() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(Error::custom(format!("{name} is {text:?}, which is not {}", $what))),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Values {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.one()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.values.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text: StringDeserializer<Error> = self.one()?.into_deserializer();
        visitor.visit_enum(text)
    }

    parsed! {
        deserialize_bool, visit_bool, "true or false";
        deserialize_u8, visit_u8, "a whole number from 0 to 255";
        deserialize_u16, visit_u16, "a whole number from 0 to 65535";
        deserialize_u32, visit_u32, "a whole number";
        deserialize_u64, visit_u64, "a whole number";
        deserialize_i32, visit_i32, "a whole number";
        deserialize_i64, visit_i64, "a whole number";
        deserialize_f64, visit_f64, "a number";
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ExampleQuery {
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        live: bool,
        #[serde(default)]
        label: Vec<String>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Job,
    }

    fn asked(pairs: &[(&str, &str)]) -> Result<ExampleQuery, ParameterMistake> {
        read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn numbers_booleans_words_and_lists_are_read_as_the_struct_has_them() {
        let pairs =
            [("limit", "5"), ("label", "a=b"), ("live", "true"), ("label", "c"), ("kind", "job")];
        let label = vec!["a=b".to_owned(), "c".to_owned()];
        let expected = ExampleQuery { limit: Some(5), live: true, label, kind: Some(Kind::Job) };
        assert_eq!(asked(&pairs), Ok(expected));
    }

    #[test]
    fn unreadable_values_are_refused_under_their_name() {
        for (name, value) in [("limit", "-1"), ("live", "yes"), ("kind", "x"), ("nonsense", "1")] {
            assert_eq!(asked(&[(name, value)]).unwrap_err().name, name);
        }
        assert_eq!(asked(&[("limit", "1"), ("limit", "2")]).unwrap_err().name, "limit");
    }
}
