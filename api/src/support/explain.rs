//! Why a JSON text is not a value of a type, and where. Slow, so only for texts that are known to be wrong.

use serde::de::DeserializeOwned;

/// A JSON pointer to the fault, and what is wrong there. `None` if the text is right after all.
#[cold]
pub(super) fn explain<T: DeserializeOwned>(bytes: &[u8]) -> Option<(String, String)> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => Some((pointer(error.path()), sentence(error.inner()))),
        // The value is right, so something follows it.
        Ok(_) => deserializer.end().err().map(|error| (String::new(), sentence(&error))),
    }
}

/// What is wrong. Where the JSON itself is right, the line and column mean little to the sender of one line.
pub(super) fn sentence(error: &serde_json::Error) -> String {
    let sentence = error.to_string();
    match (error.is_data(), sentence.rsplit_once(" at line ")) {
        (true, Some((sentence, _))) => sentence.to_owned(),
        _ => sentence,
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}
