//! From a URL to a file.

use std::path::PathBuf;

use crate::store::Error;
use crate::store::Result;

/// The file that `sqlite:PATH` or `sqlite://PATH` names; a relative one is below the directory in
/// which the process works now. Nothing in it is decoded.
pub(super) fn parse(url: &str) -> Result<PathBuf> {
    let refused = |why: &str| Error::Unusable {
        problem: format!("{url:?} {why}; use sqlite:PATH, such as sqlite:tasks.db"),
    };
    let path = url.strip_prefix("sqlite:").ok_or_else(|| refused("names no file"))?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.ends_with('/') {
        return Err(refused("names no file"));
    }
    if path.starts_with(':') {
        return Err(refused("names no file; memory: is a store without one"));
    }
    if path.contains(['?', '#']) {
        return Err(refused("has settings, and a file has none"));
    }
    std::path::absolute(path).map_err(|error| refused(&format!("cannot be found ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file() {
        assert_eq!(parse("sqlite:/a/b.db").unwrap(), PathBuf::from("/a/b.db"));
        assert_eq!(parse("sqlite:///a/b c.db").unwrap(), PathBuf::from("/a/b c.db"));
        let here = std::env::current_dir().unwrap();
        for url in ["sqlite:b.db", "sqlite://b.db", "sqlite:./b.db"] {
            assert_eq!(parse(url).unwrap(), here.join("b.db"), "{url}");
        }
    }

    #[test]
    fn what_names_no_file_is_refused() {
        for url in ["sqlite:", "sqlite://", "sqlite::memory:", "sqlite:/a/", "sqlite:a.db?mode=rwc"]
        {
            let refused = parse(url).unwrap_err().to_string();
            assert!(refused.contains("sqlite:tasks.db"), "{refused}");
        }
    }
}
