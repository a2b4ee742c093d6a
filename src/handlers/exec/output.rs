//! What a command writes: the start of one stream, the end of the other, and nothing more.
//!
//! Both streams are read to their end whatever their length, so that a command never waits because
//! nobody reads.

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

use crate::domain::json::Json;
use crate::domain::json::RESULT_BYTES_MAX;

/// Most bytes of standard error that become the error message.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// How much is read at once.
const CHUNK_BYTES: usize = 8 << 10;

/// The start of standard output.
#[derive(Debug, Default)]
pub(super) struct Head {
    kept: Vec<u8>,
    is_cut: bool,
}

/// The end of standard error.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: Vec<u8>,
    is_cut: bool,
}

impl Head {
    /// Reads `source` to its end.
    pub(super) async fn read(&mut self, source: impl AsyncRead + Unpin) {
        read(source, |chunk| self.take(chunk)).await;
    }

    fn take(&mut self, chunk: &[u8]) {
        // One more than a result may have, for the line break after it.
        if self.kept.len() + chunk.len() > RESULT_BYTES_MAX + 1 {
            self.is_cut = true;
            self.kept = Vec::new();
        }
        if !self.is_cut {
            self.kept.extend_from_slice(chunk);
        }
    }

    /// The result: what was written, if it is JSON that is kept.
    pub(super) fn into_result(self) -> Option<Json> {
        let json = Json::parse(std::str::from_utf8(&self.kept).ok()?).ok()?;
        (json.as_str().len() <= RESULT_BYTES_MAX && json.as_str() != "null").then_some(json)
    }
}

impl Tail {
    /// Reads `source` to its end.
    pub(super) async fn read(&mut self, source: impl AsyncRead + Unpin) {
        read(source, |chunk| self.take(chunk)).await;
    }

    fn take(&mut self, chunk: &[u8]) {
        self.kept.extend_from_slice(chunk);
        if self.kept.len() > 2 * MESSAGE_BYTES_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let surplus = self.kept.len().saturating_sub(MESSAGE_BYTES_MAX);
        self.is_cut |= surplus > 0;
        self.kept.drain(..surplus);
    }

    /// The message: the last 4 KiB, from the first whole letter on.
    pub(super) fn into_message(mut self) -> Option<String> {
        self.cut();
        let is_inside_letter = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let start = if self.is_cut {
            self.kept.iter().take(3).take_while(is_inside_letter).count()
        } else {
            0
        };
        let text = String::from_utf8_lossy(&self.kept[start..]);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

async fn read(mut source: impl AsyncRead + Unpin, mut take: impl FnMut(&[u8])) {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    while let Ok(1..) = source.read_buf(&mut chunk).await {
        take(&chunk);
        chunk.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(chunks: &[&[u8]]) -> Option<Json> {
        let mut head = Head::default();
        for chunk in chunks {
            head.take(chunk);
        }
        head.into_result()
    }

    fn tail(chunks: &[&[u8]]) -> Option<String> {
        let mut tail = Tail::default();
        for chunk in chunks {
            tail.take(chunk);
        }
        tail.into_message()
    }

    #[test]
    fn json_is_the_result_and_anything_else_is_none() {
        assert_eq!(head(&[b"{\"a\":", b" [1]}\n"]), Json::parse("{\"a\": [1]}").ok());
        for other in ["", "done", "1 2", "null", "{"] {
            assert_eq!(head(&[other.as_bytes()]), None, "{other}");
        }
        assert_eq!(head(&[b"\"\xff\""]), None);
    }

    #[test]
    fn a_result_of_64_kib_is_kept_and_a_longer_one_is_not() {
        let longest = format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX - 2));
        let longer = format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX - 1));

        assert!(head(&[longest.as_bytes(), b"\n"]).is_some());
        assert!(head(&[longer.as_bytes()]).is_none());
        assert!(head(&[longest.as_bytes(), b"\n", b"\n", b"1"]).is_none());
    }

    #[test]
    fn the_message_is_the_end_of_what_was_written() {
        assert_eq!(tail(&[b"one\n", b"two\n"]).as_deref(), Some("one\ntwo"));
        assert_eq!(tail(&[b" \n"]), None);

        let long: Vec<String> = (0..5_000).map(|line| format!("line {line}\n")).collect();
        let chunks: Vec<&[u8]> = long.iter().map(String::as_bytes).collect();
        let message = tail(&chunks).unwrap();
        assert!(message.ends_with("line 4998\nline 4999"));
        assert!(message.len() <= MESSAGE_BYTES_MAX && message.len() > MESSAGE_BYTES_MAX - 20);
    }

    #[test]
    fn the_message_starts_with_a_whole_letter_and_survives_what_is_no_text() {
        let message = tail(&["é".repeat(MESSAGE_BYTES_MAX).as_bytes(), b"!"]).unwrap();
        assert!(message.starts_with('é') && message.ends_with("é!"));

        assert_eq!(tail(&[b"a\xffb"]).as_deref(), Some("a\u{fffd}b"));
    }
}
