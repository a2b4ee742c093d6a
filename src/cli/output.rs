//! Writes to standard output: tables for people, JSON for programs.

use std::io;
use std::io::IsTerminal;
use std::io::Write;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::value::RawValue;

use super::failure::Failure;

/// How a list looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns, for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON value a line.
    Jsonl,
}

impl Format {
    /// The format that was asked for, else a table on a terminal and lines of JSON elsewhere.
    pub(super) fn chosen(asked: Option<Self>) -> Self {
        let usual = if io::stdout().is_terminal() { Self::Table } else { Self::Jsonl };
        asked.unwrap_or(usual)
    }
}

/// Writes a line.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Tells the user something that is not part of the output.
pub(super) fn note(text: &str) {
    let _nowhere_to_tell_else = writeln!(io::stderr(), "{text}");
}

/// Writes a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string(value).map_err(io::Error::from)?)
}

/// Writes each value on a line of its own, byte for byte as it came.
pub(super) fn json_lines(values: &[Box<RawValue>]) -> Result<(), Failure> {
    values.iter().try_for_each(|value| line(value.get()))
}

/// Writes rows under a heading.
pub(super) fn table(
    heading: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(heading);
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for row in table.lines() {
        line(row.trim_end())?;
    }
    Ok(())
}

/// The text with nothing in it that a terminal would obey: tasks may come from anybody.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The start of a text, cut with an ellipsis.
pub(super) fn short(text: &str, letters_max: usize) -> String {
    let mut letters = text.chars();
    let start: String = letters.by_ref().take(letters_max).collect();
    if letters.next().is_some() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(plain("a\u{1b}[31mb\nc\u{9b}d"), "a [31mb c d");
        assert_eq!(short("größe", 3), "grö…");
        assert_eq!(short("größe", 5), "größe");
    }
}
