//! Lines of a program's output, each within a limit.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The longest line that is taken. What is longer is left out.
const LONGEST: usize = 8 << 20;

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// Whether the rest of the line is left out.
    skips: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), skips: false }
    }

    /// The next line that is not empty, without its end; what is not UTF-8 in it is replaced. `None` at the end. Loses
    /// nothing when dropped before it completes.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let read = self.reader.fill_buf().await.unwrap_or_default();
            let ended = read.is_empty();
            let (part, taken, complete) = match read.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&read[..end], end + 1, true),
                None => (read, read.len(), ended),
            };
            if !self.skips {
                self.line.extend_from_slice(part);
            }
            self.reader.consume(taken);
            if self.line.len() > LONGEST {
                tracing::warn!(
                    bytes = self.line.len(),
                    "an agent's program said a line that is too long; it is left out"
                );
                self.line = Vec::new();
                self.skips = true;
            }
            if !complete {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let skipped = std::mem::take(&mut self.skips);
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if !skipped && !text.is_empty() {
                return Some(text.to_owned());
            }
            if ended {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one() {
        let mut lines = Lines::new(&b"one\r\n\n  two \nthr\xffee"[..]);
        assert_eq!(lines.next().await.as_deref(), Some("one"));
        assert_eq!(lines.next().await.as_deref(), Some("two"));
        assert_eq!(lines.next().await.as_deref(), Some("thr\u{fffd}ee"));
        assert_eq!(lines.next().await, None);
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_left_out() {
        let mut text = vec![b'x'; LONGEST + 70_000];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(&text[..]);
        assert_eq!(lines.next().await.as_deref(), Some("next"));
        assert!(lines.line.capacity() <= LONGEST);
    }
}
