//! The files of a spec as trees whose every node knows its file, line and column.
//!
//! Reading from a folder is in [`files`], from a git revision in [`git`], from text to tree in [`yaml`], and what a
//! `$ref` may say in [`mod@reference`]. What the trees mean is not known here.

pub mod files;
pub mod git;
pub mod node;
pub mod reference;
pub mod yaml;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

pub use node::{Entry, FileId, Located, Node, Span, Value};

use crate::diagnostic::{Code, Problems};

/// The most that one file may hold, in bytes. The largest honest file is a hundredth of this.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a file that must be there was not read.
const MISSING: &str = "does not exist";

/// What a path inside the spec is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// `openapi/openapi.yaml`
    RouteMap,
    /// `openapi/paths/<surface>.yaml`
    Surface(&'a str),
    /// `schemas/<Type>.yaml`
    Schema(&'a str),
    /// `errors.yaml`
    Errors,
    /// `examples/<surface>/<operationId>.yaml`
    Example { surface: &'a str, operation: &'a str },
    /// `examples/errors/<code>.yaml`
    ErrorExample(&'a str),
    /// `asyncapi/asyncapi.yaml`
    SocketMap,
    /// `asyncapi/channels/<socket>.yaml`
    Socket(&'a str),
    /// `asyncapi/close-codes.yaml`
    CloseCodes,
    /// `examples/sockets/<socket>/<name>.yaml`
    SocketExample { socket: &'a str },
    /// In a folder that is read, but not where or what is read there.
    Stray,
    /// Prose, and inputs of other kinds.
    Ignored,
}

/// The path of the route map.
pub const ROUTE_MAP: &str = "openapi/openapi.yaml";
/// The path of the error catalogue.
pub const ERRORS: &str = "errors.yaml";
/// The path of the list of sockets.
pub const SOCKET_MAP: &str = "asyncapi/asyncapi.yaml";
/// The path of the table of close codes.
pub const CLOSE_CODES: &str = "asyncapi/close-codes.yaml";

impl<'a> Role<'a> {
    /// Whether the file's contents matter to what is generated.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::RouteMap | Self::Surface(_) | Self::Schema(_) | Self::Errors) || self.is_of_sockets()
    }

    /// Whether the file is there for sockets only. A spec has all kinds of them, or none.
    const fn is_of_sockets(self) -> bool {
        matches!(self, Self::SocketMap | Self::Socket(_) | Self::CloseCodes)
    }

    /// Tells what a path, relative to the spec's root and with forward slashes, is for.
    pub fn of(path: &'a str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        let stem = parts.last().and_then(|name| name.strip_suffix(".yaml"));
        match (parts.as_slice(), stem) {
            ([.., "README.md"], _) => Self::Ignored,
            (["openapi", "openapi.yaml"], _) => Self::RouteMap,
            (["openapi", "paths", _], Some(stem)) => Self::Surface(stem),
            (["schemas", _], Some(stem)) => Self::Schema(stem),
            (["errors.yaml"], _) => Self::Errors,
            (["asyncapi", "asyncapi.yaml"], _) => Self::SocketMap,
            (["asyncapi", "channels", _], Some(stem)) => Self::Socket(stem),
            (["asyncapi", "close-codes.yaml"], _) => Self::CloseCodes,
            (["examples", "sockets", socket, _], Some(_)) => Self::SocketExample { socket },
            (["examples", "sockets", ..], _) => Self::Stray,
            (["examples", "errors", _], Some(code)) => Self::ErrorExample(code),
            (["examples", surface, _], Some(operation)) => Self::Example { surface, operation },
            (["openapi" | "asyncapi" | "schemas" | "examples", ..], _) => Self::Stray,
            _ => Self::Ignored,
        }
    }
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    Bytes(Vec<u8>),
    /// It is there, and its contents do not matter to this stage.
    Unread,
    /// It may not be read, and why.
    Refused(String),
}

/// A file of the spec.
#[derive(Debug)]
pub struct SourceFile {
    /// Relative to the spec's root, with forward slashes.
    pub path: String,
    /// Empty where the file was not read.
    pub text: String,
    /// Absent where the file was not read or is not sound YAML; that has been reported.
    pub root: Option<Node>,
}

/// Every file of a spec, sorted by path.
#[derive(Debug)]
pub struct Sources {
    /// Put before each path that is shown, e.g. `spec`.
    label: String,
    files: Vec<SourceFile>,
}

impl Sources {
    /// Parses what was found, and reports what cannot be read.
    pub fn parse(label: impl Into<String>, mut found: BTreeMap<String, Raw>, problems: &mut Problems) -> Self {
        let sockets = found.keys().any(|path| Role::of(path).is_of_sockets());
        let of_sockets = if sockets { &[SOCKET_MAP, CLOSE_CODES][..] } else { &[] };
        for expected in [ROUTE_MAP, ERRORS].iter().chain(of_sockets) {
            found.entry((*expected).to_owned()).or_insert_with(|| Raw::Refused(MISSING.to_owned()));
        }
        let mut files = Vec::with_capacity(found.len());
        for (number, (path, raw)) in found.into_iter().enumerate() {
            let file = FileId(u32::try_from(number).unwrap_or(u32::MAX));
            files.push(parse_one(file, path, raw, problems));
        }
        Self { label: label.into(), files }
    }

    /// The file with this number.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// Every file with its number, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0..).map(FileId).zip(&self.files)
    }

    /// The file at a path relative to the spec's root.
    pub fn find(&self, path: &str) -> Option<(FileId, &SourceFile)> {
        let index = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some((FileId(u32::try_from(index).ok()?), &self.files[index]))
    }

    /// Whether there is such a file, sound or not.
    pub fn contains(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The path as a person wants to see it.
    pub fn shown_path(&self, id: FileId) -> String {
        let path = self.file(id).map_or("?", |file| file.path.as_str());
        if self.label.is_empty() { path.to_owned() } else { format!("{}/{path}", self.label) }
    }

    /// The line that a place is on.
    pub fn line(&self, at: Span) -> Option<&str> {
        let text = &self.file(at.file)?.text;
        text.lines().nth((at.line as usize).checked_sub(1)?)
    }

    /// SHA-256 over the path and text of every file that influences what is generated, in hex.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            if !Role::of(&file.path).is_read() {
                continue;
            }
            for part in [&file.path, &file.text] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        hex::encode(hash.finalize())
    }
}

fn parse_one(file: FileId, path: String, raw: Raw, problems: &mut Problems) -> SourceFile {
    let at = Span::start_of(file);
    if Role::of(&path) == Role::Stray {
        problems.report(
            Code::StrayFile,
            at,
            "nothing reads this file",
            "the README of the spec shows where each kind of file belongs; names end in .yaml",
        );
        return SourceFile { path, text: String::new(), root: None };
    }
    let text = match raw {
        Raw::Bytes(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
        Raw::Unread => Ok(String::new()),
        Raw::Refused(reason) => Err(reason),
    };
    match text {
        Ok(text) if !Role::of(&path).is_read() => SourceFile { path, text, root: None },
        Ok(text) => {
            let root = yaml::parse(file, &text, problems);
            SourceFile { path, text, root }
        }
        Err(reason) => {
            let hint = if reason == MISSING {
                "write it; the README of the spec shows what belongs in it".to_owned()
            } else {
                format!("a spec is UTF-8 text in ordinary files of at most {} KiB", MAX_FILE_BYTES / 1024)
            };
            problems.report(Code::Unreadable, at, format!("the file {reason}"), hint);
            SourceFile { path, text: String::new(), root: None }
        }
    }
}
