//! The text of a statement, from its file.

use std::fmt::Write;

/// A statement. Its text may hold three marks:
///
/// * `?` for one value;
/// * `(?*)` for a list of values, which is as long as what is bound to it;
/// * lines that begin with `FOR UPDATE` or `LOCK IN` hold rows until the end of the transaction.
///   Databases with one writer at a time leave them out.
///
/// What stands in `/*! … */` is read by MariaDB and MySQL, and is a comment to SQLite. There it names
/// the index: of a table that is nearly empty these servers would read all rows instead, and lock
/// those of others. They would do the same with all rows of the namespace where the index holds
/// whatever the statement looks at, so what locks rows asks about a column outside of it.
#[derive(Debug)]
pub(in crate::store) struct Statement {
    /// Its file, header included.
    text: &'static str,
}

/// Whether lines that hold rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Rows {
    #[cfg_attr(
        not(feature = "mysql"),
        expect(dead_code, reason = "SQLite has one writer at a time")
    )]
    Held,
    Free,
}

impl Statement {
    /// A statement from the text of its file.
    pub(in crate::store) const fn new(text: &'static str) -> Self {
        Self { text }
    }

    /// Its text without the header; `lists` says how long each list is, `rows` how many rows an
    /// insert has.
    pub(in crate::store) fn text(&self, held: Rows, lists: &[usize], rows: usize) -> String {
        let mut text = String::new();
        let is_left_out = |line: &str| {
            line.starts_with("--")
                || held == Rows::Free
                    && (line.starts_with("FOR UPDATE") || line.starts_with("LOCK IN"))
        };
        for line in self.text.lines().filter(|line| !is_left_out(line)) {
            text.push_str(line);
            text.push('\n');
        }
        for length in lists {
            text = text.replacen("(?*)", &marks(*length), 1);
        }
        if let Some((head, row)) = text.split_once("VALUES").filter(|_| rows > 1) {
            let row = row.trim_end();
            let mut many = format!("{head}VALUES{row}");
            for _ in 1..rows {
                let _infallible = write!(many, ",{row}");
            }
            text = many;
        }
        text
    }
}

/// A line of a statement taken apart where it names a table: what stands before it, the table, and
/// what follows. In all statements such a line begins with the verb, or with FROM.
pub(in crate::store) fn named_table(line: &str) -> Option<(&str, &str, &str)> {
    ["FROM ", "DELETE ", "INSERT ", "UPDATE "].iter().find(|word| line.starts_with(**word))?;
    let end_of = |word: &&str| line.find(*word).map(|at| at + word.len());
    let (before, rest) = line.split_at(["INTO ", "FROM ", "UPDATE "].iter().find_map(end_of)?);
    let (table, after) = rest.split_at(rest.find([' ', '\n']).unwrap_or(rest.len()));
    Some((before, table, after))
}

fn marks(count: usize) -> String {
    let mut marks = String::from("(?");
    for _ in 1..count {
        marks.push_str(",?");
    }
    marks.push(')');
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Statement = Statement::new(
        "-- claim: header\nSELECT id\nWHERE a = ?\n  AND b IN (?*)\nFOR UPDATE SKIP LOCKED\n",
    );
    const PUT: Statement = Statement::new("-- put\nPUT x (a, b)\nVALUES (?, ?)\n");

    #[test]
    fn a_list_is_as_long_as_what_is_bound() {
        let text = CLAIM.text(Rows::Free, &[3], 0);

        assert_eq!(text, "SELECT id\nWHERE a = ?\n  AND b IN (?,?,?)\n");
    }

    #[test]
    fn a_database_with_one_writer_holds_no_rows() {
        assert_eq!(CLAIM.text(Rows::Free, &[1], 0), "SELECT id\nWHERE a = ?\n  AND b IN (?)\n");
    }

    #[test]
    fn a_line_that_names_a_table_is_known_by_its_first_word() {
        assert_eq!(named_table("FROM x\n"), Some(("FROM ", "x", "\n")));
        assert_eq!(named_table("UPDATE x SET"), Some(("UPDATE ", "x", " SET")));
        let put = named_table(concat!("INSERT", " INTO x (a)"));
        assert_eq!(put, Some((concat!("INSERT", " INTO "), "x", " (a)")));
        assert_eq!(named_table("FOR UPDATE\n"), None);
        assert_eq!(named_table("SELECT a\n"), None);
    }

    #[test]
    fn an_insert_has_as_many_rows_as_it_is_given() {
        let text = PUT.text(Rows::Free, &[], 3);

        assert_eq!(text, "PUT x (a, b)\nVALUES (?, ?), (?, ?), (?, ?)");
        assert_eq!(PUT.text(Rows::Free, &[], 1), "PUT x (a, b)\nVALUES (?, ?)\n");
    }
}
