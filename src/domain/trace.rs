//! Trace context: which trace a task belongs to, as the W3C writes it.
//!
//! A task carries it in its metadata, under the name that the header has, so that it goes wherever the
//! task goes: to handlers, to workers that are no nodes, to another store.

/// Key of a task's metadata under which its trace context stands, and the name of the header.
pub const TRACEPARENT: &str = "traceparent";

/// Letters of version 00, and of the part that later versions share with it.
const LETTERS: usize = 55;

/// Longest text of a later version that is taken.
const LETTERS_MAX: usize = 512;

/// A `traceparent` that is well formed, kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext(String);

impl TraceContext {
    /// Reads the value of a header. `None` if it is malformed: then the sender is as good as without a
    /// trace, as the standard has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.get(..LETTERS)?;
        let mut parts = known.split('-');
        let [version, trace, span, flags] = std::array::from_fn(|_| parts.next().unwrap_or(""));
        let is_hex = |part: &str, letters| {
            part.len() == letters && part.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_set = |part: &str| part.bytes().any(|letter| letter != b'0');
        let is_sound = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_set(trace)
            && is_hex(span, 16)
            && is_set(span)
            && is_hex(flags, 2);
        let rest = &text[LETTERS..];
        let may_end = rest.is_empty()
            || (version != "00"
                && rest.starts_with('-')
                && text.len() <= LETTERS_MAX
                && rest.bytes().all(|byte| byte.is_ascii_graphic()));
        (is_sound && may_end).then(|| Self(text.to_owned()))
    }

    /// The text as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A span of the same trace whose id follows from `words`, so that whoever knows them can name it.
    #[must_use]
    pub fn beside(&self, words: &[&str]) -> Self {
        Self(format!("00-{}-{:016x}-{}", self.trace_id(), number(words), self.flags()))
    }

    /// The root of a trace whose ids follow from `words`. It is sampled if `like` is, or without that.
    #[must_use]
    pub fn root(words: &[&str], like: Option<&Self>) -> Self {
        let half = |name| number(&[&[name], words].concat());
        let flags = like.map_or("01", Self::flags);
        Self(format!("00-{:016x}{:016x}-{:016x}-{flags}", half("a"), half("b"), number(words)))
    }

    fn flags(&self) -> &str {
        &self.0[53..LETTERS]
    }

    /// The 32 letters that name the trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }
}

/// A number from 1. FNV-1a: nothing depends on it but that two of them differ, and that they are spread, since
/// some sample by the size of an id.
fn number(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let spread = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread ^ (spread >> 32)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_well_formed_stays_as_it_is() {
        let later = format!("cc{}-what-the-future-will-be-like", &SOUND[2..]);
        for text in [SOUND, &SOUND.replace("-01", "-00"), &later] {
            let context = TraceContext::parse(text).unwrap();
            assert_eq!(context.as_str(), text);
            assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        }
    }

    #[test]
    fn a_span_beside_follows_from_its_words() {
        let context = TraceContext::parse(SOUND).unwrap();
        let beside = context.beside(&["a", "b"]);

        assert_eq!(TraceContext::parse(beside.as_str()), Some(beside.clone()));
        assert_eq!(beside.trace_id(), context.trace_id());
        assert!(beside.as_str().ends_with("-01"));
        assert_eq!(context.beside(&["a", "b"]), beside);
        for words in [["ab", ""], ["", "ab"], ["b", "a"]] {
            assert_ne!(context.beside(&words), beside);
        }
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        let too_long = format!("01{}-{}", &SOUND[2..], "x".repeat(LETTERS_MAX));
        for text in [
            "",
            "00-ab-cd-01",
            &SOUND[..54],
            &format!("{SOUND}-x"),
            &format!("{SOUND}0"),
            &format!("ff{}", &SOUND[2..]),
            &SOUND.to_uppercase(),
            &SOUND.replace("-01", "-0g"),
            &SOUND.replace('-', "_"),
            &SOUND.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &SOUND.replace("b7ad6b7169203331", &"0".repeat(16)),
            &format!("01{}x", &SOUND[2..]),
            &format!("01{}-\n", &SOUND[2..]),
            &"ü".repeat(40),
            &too_long,
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_root_of_a_trace_follows_from_words_and_is_sampled_like_another() {
        let unsampled = TraceContext::parse(&SOUND.replace("-01", "-00")).unwrap();

        let root = TraceContext::root(&["a", "b"], None);

        assert_eq!(TraceContext::parse(root.as_str()), Some(root.clone()));
        assert_eq!(TraceContext::root(&["a", "b"], None), root);
        for other in [&["ab"][..], &["a", "c"], &["b", "a"]] {
            assert_ne!(TraceContext::root(other, None).trace_id(), root.trace_id());
        }
        let like = TraceContext::root(&["a", "b"], Some(&unsampled));
        assert_eq!(like.as_str(), root.as_str().replace("-01", "-00"));
    }
}
