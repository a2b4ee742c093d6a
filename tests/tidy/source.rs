//! Reads source files apart into code, text and comments.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// One file of the project.
pub(crate) struct Source {
    /// Path from the root of the project, with `/` between its parts.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

/// One line of Rust, taken apart.
#[derive(Default)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Code; string literals are emptied, comments cut off.
    pub(crate) code: String,
    /// What stands in string literals.
    pub(crate) strings: String,
    /// Comment with its slashes.
    pub(crate) comment: String,
}

impl Source {
    /// The lines of a Rust file, taken apart.
    pub(crate) fn lines(&self) -> Vec<Line> {
        take_apart(&self.text)
    }

    /// Whether its name ends with this extension.
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// File name without folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Names of crates or modules that start a path in the code (`a` in `a::b::c`), with their
    /// lines.
    pub(crate) fn path_roots(&self) -> Vec<(usize, String)> {
        let mut roots = Vec::new();
        for line in self.lines() {
            for (name, before, after) in words(&line.code) {
                if after.starts_with("::") && !before.ends_with("::") && !before.ends_with('.') {
                    roots.push((line.number, name.to_owned()));
                }
            }
        }
        roots
    }

    /// Names that follow `prefix::` in the code, with their lines.
    pub(crate) fn named_after(&self, prefix: &str) -> Vec<(usize, String)> {
        let mut named = Vec::new();
        for line in self.lines() {
            for (name, before, _) in words(&line.code) {
                let is_after = before.strip_suffix("::").is_some_and(|path| {
                    let start = path.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
                    &path[start..] == prefix && !path[..start].ends_with("::")
                });
                if is_after {
                    named.push((line.number, name.to_owned()));
                }
            }
        }
        named
    }
}

/// All files of the project that are written by people, under these folders or files.
pub(crate) fn files(places: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for place in places {
        walk(&root.join(place), &mut found);
    }
    found.sort();

    let source = |path: &PathBuf| {
        let shown = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        fs::read_to_string(path).ok().map(|text| Source { path: shown, text })
    };
    found.iter().filter_map(source).collect()
}

/// The Rust files under these folders.
pub(crate) fn rust_files(places: &[&str]) -> Vec<Source> {
    let mut sources = files(places);
    sources.retain(|source| source.is("rs"));
    assert!(!sources.is_empty(), "no Rust files under {places:?}");
    sources
}

fn walk(place: &Path, found: &mut Vec<PathBuf>) {
    if place.is_file() {
        found.push(place.to_owned());
    }
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        walk(&entry.path(), found);
    }
}

/// Each word with what stands before and after it.
pub(crate) fn words(code: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = code[from..].find(is_word).map(|at| from + at) {
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |at| start + at);
        found.push((&code[start..end], &code[..start], &code[end..]));
        from = end;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a reader of Rust is.
enum Place {
    Code,
    /// In a string that ends with a quote and this many hashes; `None` if escapes count.
    Text(Option<usize>),
    Comment(usize),
}

fn take_apart(text: &str) -> Vec<Line> {
    let mut place = Place::Code;
    let mut lines = Vec::new();
    for (index, row) in text.lines().enumerate() {
        let mut line = Line { number: index + 1, ..Line::default() };
        let mut rest = row;
        while !rest.is_empty() {
            rest = match place {
                Place::Code => read_code(rest, &mut line, &mut place),
                Place::Text(hashes) => read_text(rest, hashes, &mut line, &mut place),
                Place::Comment(depth) => read_comment(rest, depth, &mut line, &mut place),
            };
        }
        lines.push(line);
    }
    lines
}

/// Reads one step of code and answers the rest.
fn read_code<'a>(rest: &'a str, line: &mut Line, place: &mut Place) -> &'a str {
    if rest.starts_with("//") {
        line.comment.push_str(rest);
        return "";
    }
    if let Some(inner) = rest.strip_prefix("/*") {
        *place = Place::Comment(1);
        return inner;
    }
    if rest.starts_with("r\"") || rest.starts_with("r#") {
        let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            *place = Place::Text(Some(hashes));
            return &rest[2 + hashes..];
        }
    }
    if let Some(inner) = rest.strip_prefix('"') {
        *place = Place::Text(None);
        return inner;
    }
    for literal in ["'\"'", "'\\''", "'\\\\'", "'/'"] {
        if let Some(after) = rest.strip_prefix(literal) {
            return after;
        }
    }
    push_first(rest, &mut line.code)
}

fn read_text<'a>(
    rest: &'a str,
    hashes: Option<usize>,
    line: &mut Line,
    place: &mut Place,
) -> &'a str {
    let end = format!("\"{}", "#".repeat(hashes.unwrap_or(0)));
    if let Some(after) = rest.strip_prefix(end.as_str()) {
        *place = Place::Code;
        line.strings.push(' ');
        return after;
    }
    let rest = if hashes.is_none() && rest.starts_with('\\') {
        push_first(rest, &mut line.strings)
    } else {
        rest
    };
    push_first(rest, &mut line.strings)
}

fn read_comment<'a>(rest: &'a str, depth: usize, line: &mut Line, place: &mut Place) -> &'a str {
    if let Some(after) = rest.strip_prefix("*/") {
        *place = if depth == 1 { Place::Code } else { Place::Comment(depth - 1) };
        return after;
    }
    if let Some(after) = rest.strip_prefix("/*") {
        *place = Place::Comment(depth + 1);
        return after;
    }
    push_first(rest, &mut line.comment)
}

fn push_first<'a>(rest: &'a str, to: &mut String) -> &'a str {
    let mut letters = rest.chars();
    to.extend(letters.next());
    letters.as_str()
}

#[test]
fn code_text_and_comments_are_told_apart() {
    let text = "let a = \"x // \\\" y\"; // why\nlet b = r#\"c::d\"#; /* e::f */ g::h('\"')\n";
    let lines = take_apart(text);

    assert_eq!(lines[0].code, "let a = ; ");
    assert_eq!(lines[0].comment, "// why");
    assert_eq!(lines[0].strings.trim(), "x // \\\" y");
    assert_eq!(lines[1].code, "let b = ;  g::h()");

    let source = Source { path: "a.rs".into(), text: "use crate::x::y; z::crate::w".into() };
    assert_eq!(source.named_after("crate"), [(1, "x".into())]);
}
