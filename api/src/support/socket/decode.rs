//! From a text frame to a message, or to what is wrong with it.
//!
//! A frame is read twice: once for what tells the message, once for the message itself. Only what the protocol leaves open
//! becomes a tree, so it is a socket's limit that bounds what a frame can cost. Which messages there are is generated.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::{Fault, FaultKind};
use crate::support::check::{Location, Problems, Validate};
use crate::support::explain::{explain, sentence};

/// Objects and lists within each other. serde_json reads no deeper, but what it skips it does not count.
const DEEPEST: usize = 127;

/// The longest `id` that comes back, so that an answer is not as large as what it answers. No message takes a longer
/// one.
const LONGEST_ID: usize = 128;

/// The longest tag that is repeated in a sentence.
const LONGEST_TAG: usize = 64;

/// Properties of a faulty frame that are named.
const MOST_KEYS: usize = 16;

/// A text frame that is a JSON object, and what it says about itself.
#[derive(Debug)]
pub struct Incoming<'a> {
    text: &'a str,
    tag: Option<String>,
    id: Option<String>,
}

impl<'a> Incoming<'a> {
    /// `discriminator` is the property that tells the messages of the socket apart.
    ///
    /// # Errors
    ///
    /// The text is not JSON, is nested too deeply, or is not an object.
    pub fn new(text: &'a str, discriminator: &str) -> Result<Self, Fault> {
        let not_json = |message| Fault {
            kind: FaultKind::NotJson,
            path: String::new(),
            message,
            id: None,
            tag: None,
            keys: Box::default(),
        };
        if is_too_deep(text) {
            return Err(not_json(format!("more than {DEEPEST} objects and lists within each other")));
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let head = Head { discriminator }.deserialize(&mut deserializer);
        let (tag, id) =
            head.and_then(|head| deserializer.end().map(|()| head)).map_err(|error| not_json(sentence(&error)))?;
        Ok(Self { text, tag, id: id.filter(|id| id.chars().nth(LONGEST_ID).is_none()) })
    }

    /// The same, for a protocol whose clients may write the discriminator's value in any case and with space around it.
    ///
    /// # Errors
    ///
    /// The text is not JSON, is nested too deeply, or is not an object.
    pub fn relaxed(text: &'a str, discriminator: &str) -> Result<Self, Fault> {
        let mut incoming = Self::new(text, discriminator)?;
        incoming.tag = incoming.tag.map(|tag| tag.trim().to_ascii_lowercase());
        Ok(incoming)
    }

    /// The discriminator's value, if it is a text.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether the object has this property, by which a message without a tag is recognised.
    #[must_use]
    pub fn has(&self, property: &str) -> bool {
        let properties: BTreeMap<String, IgnoredAny> = serde_json::from_str(self.text).unwrap_or_default();
        properties.contains_key(property)
    }

    /// The message, within the limits of the spec.
    ///
    /// # Errors
    ///
    /// The object is not a `T`, or breaks one of its limits.
    pub fn decode<T: DeserializeOwned + Serialize + Validate>(&self) -> Result<T, Fault> {
        let message: T = serde_json::from_str(self.text).map_err(|error| {
            let (path, message) =
                explain::<T>(self.text.as_bytes()).unwrap_or_else(|| (String::new(), sentence(&error)));
            self.fault(FaultKind::InvalidMessage, path, message)
        })?;
        if self.text.contains('[')
            && let Some(path) = serde_json::to_string(&message).ok().and_then(|read| list_for_object(self.text, &read))
        {
            return Err(self.fault(
                FaultKind::InvalidMessage,
                path,
                "an object is expected, and not a list".to_owned(),
            ));
        }
        let mut problems = Problems::new();
        message.validate(&Location::Body, &mut problems);
        match problems.into_first() {
            None => Ok(message),
            Some(first) => Err(self.fault(FaultKind::InvalidMessage, first.path, first.message)),
        }
    }

    /// It is none of the messages that the socket takes; `known` are their tags.
    #[must_use]
    pub fn unknown(&self, known: &[&str]) -> Fault {
        let what = match self.tag() {
            Some(tag) if tag.chars().nth(LONGEST_TAG).is_none() => format!("{tag:?} is no message of this socket"),
            Some(_) => "what the object says it is, is no message of this socket".to_owned(),
            None => "the object does not say which message it is".to_owned(),
        };
        self.fault(FaultKind::UnknownMessage, String::new(), format!("{what}; it takes {}", known.join(", ")))
    }

    #[cold]
    fn fault(&self, kind: FaultKind, path: String, message: String) -> Fault {
        let properties: BTreeMap<String, IgnoredAny> = serde_json::from_str(self.text).unwrap_or_default();
        let keys = properties.into_keys().take(MOST_KEYS).map(|key| key.chars().take(LONGEST_TAG).collect());
        Fault { kind, path, message, id: self.id.clone(), tag: self.tag.clone(), keys: keys.collect() }
    }
}

/// Where a list was sent and an object was read: serde takes a struct's fields from a list, too, in their order. Looks at a
/// message's own properties: no message has objects further down that are not free.
fn list_for_object(sent: &str, read: &str) -> Option<String> {
    let properties = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default();
    let sent = properties(sent);
    properties(read).into_iter().find_map(|(name, read)| {
        let misread = read.get().starts_with('{') && sent.get(&name)?.get().starts_with('[');
        misread.then(|| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
    })
}

/// Whether objects and lists are nested deeper than [`DEEPEST`]. Of a text that is not JSON the answer means nothing.
fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

/// Reads an object's tag and id, and skips the rest.
struct Head<'d> {
    discriminator: &'d str,
}

impl<'de> DeserializeSeed<'de> for Head<'_> {
    type Value = (Option<String>, Option<String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Head<'_> {
    type Value = (Option<String>, Option<String>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    /// Of a property that occurs twice the last one counts, as in JavaScript.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut tag, mut id) = (None, None);
        while let Some(key) = map.next_key_seed(Key { discriminator: self.discriminator })? {
            match key {
                Known::Discriminator => tag = text(map.next_value()?),
                Known::Id => id = text(map.next_value()?),
                Known::Neither => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok((tag, id))
    }
}

/// A value that is a text.
fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

enum Known {
    Discriminator,
    Id,
    Neither,
}

/// Tells a key without a copy of it.
struct Key<'d> {
    discriminator: &'d str,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Known;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Known, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Known;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a property's name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Known, E> {
        Ok(match key {
            _ if key == self.discriminator => Known::Discriminator,
            "id" => Known::Id,
            _ => Known::Neither,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::support::JsonValue;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Draw {
        at: Point,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        data: JsonValue,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u64,
    }

    impl Validate for Draw {
        fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
            problems.maximum(&at.property("at").property("x"), self.at.x, 10);
            let tags = at.property("tags");
            for (index, tag) in self.tags.iter().enumerate() {
                problems.max_length(&tags.item(index), tag, 3);
            }
        }
    }

    fn decode(text: &str) -> Result<Draw, Fault> {
        let frame = Incoming::new(text, "type")?;
        match frame.tag() {
            Some("draw") => frame.decode(),
            None if frame.has("at") => frame.decode(),
            _ => Err(frame.unknown(&["draw", "erase"])),
        }
    }

    fn fault(text: &str) -> Fault {
        decode(text).expect_err(text)
    }

    fn nested(opening: &str, closing: &str, depth: usize) -> String {
        opening.repeat(depth) + &closing.repeat(depth)
    }

    #[test]
    fn a_message_is_read_whatever_else_is_in_it() {
        let plain = Draw { at: Point { x: 1 }, tags: Vec::new(), data: JsonValue::default() };
        for text in [
            r#"{"type":"draw","at":{"x":1}}"#,
            r#"  {"at":{"x":1},"new_in_version_9":[{"type":"erase"}],"ty\u0070e":"dra\u0077"}  "#,
            r#"{"type":"erase","type":"draw","at":{"x":1},"huge":1e999}"#,
            r#"{"at":{"x":1}}"#,
            r#"{"at":{"x":1},"braces":"[[[{{{\"[[\\"}"#,
        ] {
            assert_eq!(decode(text).as_ref(), Ok(&plain), "{text}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        let fault = fault(r#"{"type":"draw","at":[1],"tags":["a"],"data":[1]}"#);
        assert_eq!((fault.kind, fault.path.as_str()), (FaultKind::InvalidMessage, "/at"));
        assert!(decode(r#"{"type":"draw","at":{"x":1},"tags":["a"],"data":[{}]}"#).is_ok());
    }

    #[test]
    fn what_is_not_an_object_is_not_json_enough() {
        for text in
            ["", " ", "{", "{]", "nonsense", "{} {}", "[]", "[{}]", "null", "1", "\"draw\"", "{\"a\":1,}", "{'a':1}"]
        {
            let fault = fault(text);
            assert_eq!((fault.kind, fault.path.as_str()), (FaultKind::NotJson, ""), "{text}");
            assert!(!fault.message.is_empty() && fault.id.is_none() && fault.tag.is_none(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_wherever_it_is() {
        for depth in [DEEPEST, 200, 500_000] {
            let lists = nested("[", "]", depth);
            for text in [
                format!(r#"{{"type":"draw","at":{{"x":1}},"data":{lists}}}"#),
                format!(r#"{{"type":"draw","at":{{"x":1}},"ignored":{lists}}}"#),
                nested(r#"{"a":"#, "}", depth + 1).replace(":}", ":0}"),
                "[".repeat(depth + 1),
            ] {
                assert_eq!(fault(&text).kind, FaultKind::NotJson);
            }
        }
        let lists = nested("[", "]", DEEPEST - 1);
        let right = decode(&format!(r#"{{"type":"draw","at":{{"x":1}},"data":{lists},"ignored":{lists}}}"#));
        assert_eq!(right.map(|draw| serde_json::to_string(&draw.data).expect("it is JSON")), Ok(lists));
    }

    #[test]
    fn an_unknown_message_is_told_what_there_is() {
        for (text, tag, sentence) in [
            (r#"{"type":"paint"}"#, Some("paint"), r#""paint" is no message of this socket; it takes draw, erase"#),
            (r#"{"type":"DRAW"}"#, Some("DRAW"), r#""DRAW" is no message of this socket; it takes draw, erase"#),
            ("{}", None, "the object does not say which message it is; it takes draw, erase"),
            (r#"{"type":5}"#, None, "the object does not say which message it is; it takes draw, erase"),
            (r#"{"type":null}"#, None, "the object does not say which message it is; it takes draw, erase"),
            (r#"{"type":["draw"]}"#, None, "the object does not say which message it is; it takes draw, erase"),
            // Having a tag, it is not recognised by a property.
            (r#"{"type":"","at":{"x":1}}"#, Some(""), r#""" is no message of this socket; it takes draw, erase"#),
        ] {
            let fault = fault(text);
            assert_eq!((fault.kind, fault.tag.as_deref()), (FaultKind::UnknownMessage, tag), "{text}");
            assert_eq!((fault.path.as_str(), fault.message.as_str()), ("", sentence), "{text}");
        }
        let long = fault(&format!(r#"{{"type":"{}"}}"#, "a".repeat(10_000)));
        assert!(long.kind == FaultKind::UnknownMessage && long.message.len() < 200, "{}", long.message);
    }

    #[test]
    fn a_wrong_message_is_told_where() {
        for (text, path) in [
            (r#"{"type":"draw"}"#, ""),
            (r#"{"type":"draw","at":null}"#, "/at"),
            (r#"{"type":"draw","at":5}"#, "/at"),
            (r#"{"type":"draw","at":{}}"#, "/at"),
            (r#"{"type":"draw","at":{"x":"1"}}"#, "/at/x"),
            (r#"{"type":"draw","at":{"x":-1}}"#, "/at/x"),
            (r#"{"type":"draw","at":{"x":1.5}}"#, "/at/x"),
            (r#"{"type":"draw","at":{"x":18446744073709551616}}"#, "/at/x"),
            (r#"{"type":"draw","at":{"x":1},"tags":["a",2]}"#, "/tags/1"),
            (r#"{"type":"draw","at":{"x":1},"at":{"x":2}}"#, ""),
            (r#"{"at":{"x":"1"}}"#, "/at/x"),
            // Limits.
            (r#"{"type":"draw","at":{"x":11}}"#, "/at/x"),
            (r#"{"type":"draw","at":{"x":1},"tags":["a","bcde"]}"#, "/tags/1"),
        ] {
            let fault = fault(text);
            assert_eq!((fault.kind, fault.path.as_str()), (FaultKind::InvalidMessage, path), "{text}");
            assert!(!fault.message.is_empty() && !fault.message.contains(" at line "), "{}", fault.message);
        }
    }

    #[test]
    fn the_id_of_a_faulty_frame_comes_back() {
        for (text, id) in [
            (r#"{"type":"paint","id":"a\u0031"}"#, Some("a1")),
            (r#"{"id":"a1","type":"draw"}"#, Some("a1")),
            (r#"{"id":"","type":"draw"}"#, Some("")),
            (r#"{"id":"a1","type":"draw","at":{"x":11}}"#, Some("a1")),
            (r#"{"type":"draw","id":5}"#, None),
            (r#"{"type":"draw","id":{"a":"b"}}"#, None),
            (r#"{"type":"draw"}"#, None),
        ] {
            assert_eq!(fault(text).id.as_deref(), id, "{text}");
        }
        let long = |length| fault(&format!(r#"{{"type":"draw","id":"{}"}}"#, "\u{e9}".repeat(length)));
        assert!(long(LONGEST_ID).id.is_some());
        assert_eq!(long(LONGEST_ID + 1).id, None);
    }

    #[test]
    fn big_numbers_keep_their_value_or_are_refused() {
        let data = |text: &str| decode(&format!(r#"{{"type":"draw","at":{{"x":1}},"data":{text}}}"#));
        for text in ["18446744073709551615", "-9223372036854775808", "9007199254740993"] {
            let kept = data(text).map(|draw| draw.data.to_string());
            assert_eq!(kept.as_deref(), Ok(text));
        }
        let refused = data("1e999").expect_err("no number is as large");
        assert_eq!((refused.kind, refused.path.as_str()), (FaultKind::InvalidMessage, "/data"));
    }
}
