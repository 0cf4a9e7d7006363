//! Which agents there are: those that the server knows, and those that its operator adds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use super::process::CommandLine;

/// How the server talks with an agent, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Inside the server, by a script; the built-in one if there is none.
    Mock {
        script: Option<PathBuf>,
    },
    /// By the Agent Client Protocol.
    Acp {
        command: CommandLine,
    },
    ClaudeCode {
        command: CommandLine,
    },
    Codex {
        command: CommandLine,
    },
}

/// An agent that can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub name: String,
    pub kind: Kind,
    /// Variables of the server's environment that its program needs; `X_*` stands for all that begin with `X_`.
    pub environment: &'static [&'static str],
}

/// A known agent: its name, how it is talked with, its command line, and what it needs of the environment.
type Known = (&'static str, &'static str, &'static str, &'static [&'static str]);

const ANTHROPIC: &[&str] = &["ANTHROPIC_*", "CLAUDE_*", "AWS_*", "DISABLE_*"];
const OPENAI: &[&str] = &["OPENAI_*", "CODEX_*"];

const KNOWN: &[Known] = &[
    ("claude-code", "claude-code", "claude", ANTHROPIC),
    ("codex", "codex", "codex", OPENAI),
    ("claude-acp", "acp", "claude-agent-acp", ANTHROPIC),
    ("codex-acp", "acp", "codex-acp", OPENAI),
    ("gemini", "acp", "gemini --acp", &["GEMINI_*", "GOOGLE_*"]),
    ("opencode", "acp", "opencode acp", &["OPENCODE_*", "ANTHROPIC_*", "OPENAI_*", "GEMINI_*"]),
    ("copilot", "acp", "copilot --acp", &["COPILOT_*", "GH_*", "GITHUB_*"]),
    ("cline", "acp", "cline --acp --auto-approve false", &["CLINE_*"]),
    ("goose", "acp", "goose acp", &["GOOSE_*", "ANTHROPIC_*", "OPENAI_*"]),
    ("cursor", "acp", "cursor-agent acp", &["CURSOR_*"]),
    ("qwen", "acp", "qwen --acp", &["QWEN_*", "OPENAI_*"]),
    ("kimi", "acp", "kimi acp", &["KIMI_*", "MOONSHOT_*"]),
];

/// An agent that the operator adds, as it is written: `name=kind:command line`, e.g. `mine=acp:my-agent --stdio`, or
/// `demo=mock:/path/to/script.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added(pub Definition);

impl FromStr for Added {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not an agent; write it as `name=kind:command line`, with kind acp, claude-code, codex or mock"
            )
        };
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (kind, command) = rest.split_once(':').ok_or_else(wrong)?;
        let name = name.trim();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(format!("`{name}` is no name for an agent; take lower case letters, digits and hyphens"));
        }
        let kind = match kind.trim() {
            "mock" => Kind::Mock { script: Some(PathBuf::from(command.trim())) },
            kind => kind_of(kind, command)?.ok_or_else(wrong)?,
        };
        Ok(Self(Definition { name: name.to_owned(), kind, environment: &[] }))
    }
}

fn kind_of(kind: &str, command: &str) -> Result<Option<Kind>, String> {
    let command: CommandLine = command.parse()?;
    Ok(match kind {
        "acp" => Some(Kind::Acp { command }),
        "claude-code" => Some(Kind::ClaudeCode { command }),
        "codex" => Some(Kind::Codex { command }),
        _ => None,
    })
}

/// All of them by name; one that is added takes the place of a known one.
#[must_use]
pub fn all(mock_script: Option<PathBuf>, added: Vec<Added>) -> BTreeMap<String, Definition> {
    let mock = Definition { name: "mock".to_owned(), kind: Kind::Mock { script: mock_script }, environment: &[] };
    let known = KNOWN.iter().filter_map(|(name, kind, command, environment)| {
        Some(Definition { name: (*name).to_owned(), kind: kind_of(kind, command).ok().flatten()?, environment })
    });
    let mut all: BTreeMap<_, _> =
        std::iter::once(mock).chain(known).map(|definition| (definition.name.clone(), definition)).collect();
    for Added(mut definition) in added {
        if let Some(known) = all.get(&definition.name) {
            definition.environment = known.environment;
        }
        all.insert(definition.name.clone(), definition);
    }
    all
}

impl Kind {
    /// As the protocol calls it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Mock { .. } => "mock",
            Self::Acp { .. } => "acp",
            Self::ClaudeCode { .. } => "claude-code",
            Self::Codex { .. } => "codex",
        }
    }

    /// The command line of its program, if it has one.
    #[must_use]
    pub const fn command(&self) -> Option<&CommandLine> {
        match self {
            Self::Mock { .. } => None,
            Self::Acp { command } | Self::ClaudeCode { command } | Self::Codex { command } => Some(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_agent_can_be_named() {
        let all = all(None, Vec::new());
        assert_eq!(all.len(), KNOWN.len() + 1);
        assert_eq!(all["gemini"].kind.command().map(ToString::to_string).as_deref(), Some("gemini --acp"));
        assert_eq!(all["mock"].kind, Kind::Mock { script: None });
    }

    #[test]
    fn an_operator_adds_agents_and_replaces_known_ones() {
        let added = |text: &str| text.parse::<Added>().expect("it is one");
        let all = all(None, vec![added("mine=acp:'my agent' --stdio"), added("claude-code=claude-code:/opt/claude")]);
        assert_eq!(all["mine"].kind.command().map(CommandLine::program), Some("my agent"));
        assert_eq!(all["claude-code"].environment, ANTHROPIC);
        for wrong in ["", "mine", "mine=acp", "My=acp:x", "mine=ssh:x", "mine=acp:'x", "mine=acp: "] {
            assert!(wrong.parse::<Added>().is_err(), "{wrong}");
        }
    }
}
