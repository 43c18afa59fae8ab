//! JSON of requests and answers: read with errors that name the field, written as results or errors.

use super::error::{ApiError, ErrorBody};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// Something that has to be a JSON object: without this an array of the fields in order would be accepted too.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnlyMap(PhantomData)).map(Self)
    }
}

struct OnlyMap<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads an optional object.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// Reads an optional text that, where it is given, is one.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Reads a value that may be `null`, which is a value too.
pub(super) fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a whole number, also one that is written as `5.0`, as JSON Schema and some libraries have it.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Whole(PhantomData))
}

struct Whole<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for Whole<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number within its range")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number.into()).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number.into()).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        // A float beyond this is not exact.
        let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within 53 bits")]
        let whole = is_whole.then(|| T::try_from(number as i128).ok()).flatten();
        whole.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

/// Reads a request. No body at all is one without fields.
pub(super) fn read<'a, T: DeriveDeserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice::<Object<T>>(body).map(|object| object.0).map_err(|error| explain::<T>(body, &error))
}

/// Reads once more, with a look at where the error is.
fn explain<'a, T: DeriveDeserialize<'a>>(body: &'a [u8], error: &serde_json::Error) -> ApiError {
    let mut reader = serde_json::Deserializer::from_slice(body);
    if let Err(error) = serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
        let path = error.path().to_string();
        // The last part is a question mark where the text itself is not JSON.
        let field = path.trim_end_matches('?').trim_end_matches('.');
        if !field.is_empty() {
            return ApiError::bad_request(format!("{field}: {}", error.inner()));
        }
    }
    ApiError::bad_request(format!("the body: {error}"))
}

/// An answer.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer<T> {
    /// It was done, with this result.
    Result(T),
    /// It was not done.
    Error(ErrorBody),
}

impl<T> From<Result<T, ApiError>> for Answer<T> {
    fn from(done: Result<T, ApiError>) -> Self {
        match done {
            Ok(result) => Self::Result(result),
            Err(error) => Self::Error(error.into_body()),
        }
    }
}

/// Writes a value. What the hub answers can be written, so this does not fail.
pub(super) fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Outer<'a> {
        name: &'a str,
        #[serde(default, deserialize_with = "object")]
        inner: Option<Inner>,
        #[serde(borrow, default, deserialize_with = "any")]
        value: Option<&'a RawValue>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(deserialize_with = "whole")]
        number: u64,
    }

    #[test]
    fn errors_name_the_field_the_value_and_the_rule() {
        for (body, expected) in [
            (r#"{"name":7}"#, "name: invalid type: integer `7`, expected a borrowed string at line 1 column 9"),
            (
                r#"{"name":"a","inner":{"number":-1}}"#,
                "inner.number: invalid value: integer `-1`, expected a whole number",
            ),
            (r#"{"name":"a","inner":{"number":1.5}}"#, "inner.number: invalid value: floating point `1.5`, expected"),
            (r#"{"name":"a","inner":{"number":"1"}}"#, "inner.number: invalid type: string \"1\", expected a whole"),
            (r#"{"name":"a","inner":[1]}"#, "inner: invalid type: sequence, expected an object"),
            ("{}", "the body: missing field `name`"),
            ("", "the body: missing field `name`"),
            (r#"["a"]"#, "the body: invalid type: sequence, expected an object"),
            ("{", "the body: EOF while parsing an object"),
            (r#"{"name":"a"}}"#, "the body: trailing characters"),
        ] {
            let error = read::<Outer<'_>>(body.as_bytes()).unwrap_err();
            let text = serde_json::to_value(error.into_body()).unwrap()["message"].as_str().unwrap().to_owned();
            assert!(text.starts_with(expected), "{body}: {text}");
        }
    }

    #[test]
    fn null_is_a_value_and_unknown_fields_are_ignored() {
        let outer: Outer<'_> = read(br#"{"name":"a","value":null,"other":[{}],"inner":null}"#).unwrap();
        assert_eq!((outer.name, outer.value.map(RawValue::get)), ("a", Some("null")));
        assert!(outer.inner.is_none());
        let outer: Outer<'_> = read(br#"{"name":"a","inner":{"number":1.0}}"#).unwrap();
        assert_eq!((outer.inner.map(|inner| inner.number), outer.value.is_none()), (Some(1), true));
    }
}
