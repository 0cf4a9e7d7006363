//! What a diff is.

use serde::{Deserialize, Serialize};

/// How many files a diff may have.
pub const MAX_DIFF_FILES: usize = 2_000;
/// How many lines of patch a diff may have.
pub const MAX_DIFF_LINES: usize = 200_000;
/// How many bytes of patch a diff may have.
pub const MAX_DIFF_BYTES: u64 = 16 * 1024 * 1024;

/// What has changed against a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The commit it is against, as its full name.
    pub base: String,
    /// SHA-256 over the files' patches, in hex. Two diffs that would do the same to the same base have the same.
    pub digest: String,
    pub files: Vec<FilePatch>,
}

/// What has changed in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePatch {
    /// Its path, and its name in a selection. One that is not UTF-8 is in quotes, as git writes it.
    pub path: String,
    /// What it was called before, if it was renamed.
    pub old_path: Option<String>,
    pub kind: Kind,
    /// Whether git takes its content for something other than text; there are no hunks then.
    pub binary: bool,
    /// Whether it can only be taken as a whole: binary, renamed, added, deleted, of another mode, or empty.
    pub whole: bool,
    /// The mode before and after, as `100644`; `None` where there is no file.
    pub old_mode: Option<String>,
    pub new_mode: Option<String>,
    /// The whole patch, as git made it. Serialized as base64.
    #[serde(with = "base64_bytes")]
    pub patch: Vec<u8>,
    pub hunks: Vec<Hunk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Added,
    Modified,
    Deleted,
    Renamed,
}

/// One stretch of changed lines, for show. Bytes that are no UTF-8 are replaced; the patch has them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    pub start_old: u64,
    pub len_old: u64,
    pub start_new: u64,
    pub len_new: u64,
    /// With their first character: ` `, `-`, `+`, or `\` for "No newline at end of file".
    pub lines: Vec<String>,
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
