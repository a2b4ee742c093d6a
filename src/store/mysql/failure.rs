//! What errors of the driver mean.

use mysql_async::DriverError;
use mysql_async::Error as Fault;
use mysql_async::ServerError;

use crate::store::Error;
use crate::store::sql::Trouble;

use super::SCHEMA;

/// Another step was in the way: a deadlock, a wait that was too long, a row that somebody else wrote
/// first or changed after it was read.
const CONFLICTS: &[u16] = &[1213, 1205, DUPLICATE, 1020];

/// A row that somebody else wrote first.
const DUPLICATE: u16 = 1062;

/// There is no such savepoint.
const UNKNOWN_MARK: u16 = 1305;

/// There is no room in a table or on the disk.
const FULL: &[u16] = &[1114, 1021];

/// Errors of the file system, which name the reason in their text.
const DISK: &[u16] = &[3, 1026, 1030, 1180];

/// The server takes no writes, for now or any more.
const READ_ONLY: &[u16] = &[1290, 1836, 1792];

/// There is no such table or column.
const NO_TABLE: &[u16] = &[1146, 1054];

/// The server goes, or has ended the connection.
const GONE: &[u16] = &[1047, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 4031];

/// What a person has to mend, and how.
const UNUSABLE: &[(u16, &str)] = &[
    (1044, "give the user rights on the database: GRANT ALL ON DATABASE.* TO USER"),
    (1045, "check user and password in the URL"),
    (1049, "create the database: CREATE DATABASE NAME"),
    (1064, ""),
    (1130, "let the server take connections from here"),
    (1142, "give the user rights on the database: GRANT ALL ON DATABASE.* TO USER"),
    (1143, "give the user rights on the database: GRANT ALL ON DATABASE.* TO USER"),
    (1153, "raise max_allowed_packet of the server, or add smaller tasks or fewer at once"),
    (1364, ""),
    (1366, ""),
    (1406, ""),
    (1665, "set binlog_format = ROW in the server's configuration and restart it"),
    (1698, "this user logs in by its name on the machine alone; give it a password"),
];

/// Why a read-only server is not used.
#[derive(Debug, thiserror::Error)]
#[error("the server is read only: a replica, or one that was taken out of service")]
pub(super) struct ReadOnly;

/// Why an attempt ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("{what} took more than {seconds} s")]
pub(super) struct TooSlow {
    pub(super) what: &'static str,
    pub(super) seconds: u64,
}

/// What an error of the driver means for the step that met it.
pub(super) fn trouble(method: &'static str, fault: Fault) -> Trouble {
    match &fault {
        Fault::Server(said) if CONFLICTS.contains(&said.code) => Trouble::Again(Box::new(fault)),
        _ => Trouble::Refused(explain(method, fault)),
    }
}

/// What an error of the driver means for the caller.
pub(super) fn explain(method: &'static str, fault: Fault) -> Error {
    match &fault {
        Fault::Server(said) => match meaning(said) {
            Meaning::Unusable(advice) => {
                let problem = match advice {
                    "" => said.to_string(),
                    advice => format!("{said}; {advice}"),
                };
                Error::Unusable { problem }
            }
            Meaning::Schema => Error::Schema { found: "0".into(), wanted: SCHEMA },
            Meaning::Full if matches!(method, "add" | "restore") => {
                Error::Full { method, source: Box::new(fault) }
            }
            Meaning::Full | Meaning::Passing => {
                Error::Unavailable { method, source: Box::new(fault) }
            }
        },
        Fault::Driver(DriverError::UnknownAuthPlugin { .. }) | Fault::Url(_) => {
            Error::Unusable { problem: fault.to_string() }
        }
        _ => Error::Unavailable { method, source: Box::new(fault) },
    }
}

/// Whether a row was refused because there is one with its key.
pub(super) fn is_duplicate(fault: &Fault) -> bool {
    matches!(fault, Fault::Server(said) if said.code == DUPLICATE)
}

/// Whether a savepoint is not there, because its transaction is not.
pub(super) fn is_unknown_mark(fault: &Fault) -> bool {
    matches!(fault, Fault::Server(said) if said.code == UNKNOWN_MARK)
}

/// Whether the connection is of no use after `fault`. One to a server that became read only is not:
/// the next one may reach the primary.
pub(super) fn breaks_connection(fault: &Fault) -> bool {
    match fault {
        Fault::Server(said) => GONE.contains(&said.code) || READ_ONLY.contains(&said.code),
        _ => true,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It may pass by itself.
    Passing,
    Full,
    Schema,
    /// With advice.
    Unusable(&'static str),
}

fn meaning(said: &ServerError) -> Meaning {
    let code = said.code;
    let is_disk_full = DISK.contains(&code)
        && ["No space left", "rror 28", ": 28"].iter().any(|text| said.message.contains(text));
    if FULL.contains(&code) || is_disk_full {
        return Meaning::Full;
    }
    if NO_TABLE.contains(&code) {
        return Meaning::Schema;
    }
    let unusable = UNUSABLE.iter().find(|(known, _)| *known == code);
    unusable.map_or(Meaning::Passing, |(_, advice)| Meaning::Unusable(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16) -> Fault {
        let (message, state) = ("what the server said".into(), "HY000".into());
        Fault::Server(ServerError { code, message, state })
    }

    #[test]
    fn a_step_that_met_another_one_is_taken_again() {
        for code in CONFLICTS {
            assert!(matches!(trouble("claim", said(*code)), Trouble::Again(_)), "{code}");
            assert!(!breaks_connection(&said(*code)));
        }
    }

    #[test]
    fn only_new_tasks_are_refused_for_lack_of_room() {
        for method in ["add", "restore"] {
            assert!(matches!(explain(method, said(1114)), Error::Full { .. }));
        }
        assert!(matches!(explain("ack", said(1114)), Error::Unavailable { .. }));
    }

    #[test]
    fn what_a_person_must_mend_is_told_with_advice() {
        for code in [1044, 1045, 1049, 1142, 1665] {
            let told = explain("prepare", said(code));
            assert!(!told.is_transient() && told.to_string().contains("; "), "{told}");
        }
    }

    #[test]
    fn a_server_that_is_away_busy_or_read_only_is_asked_again() {
        for code in [1040, 1203, 1053, 1290, 1836, 1792, 1927, 1317, 2006, 2013] {
            assert!(explain("claim", said(code)).is_transient(), "{code}");
        }
        for code in [1290, 1836, 1792, 1927, 2013] {
            assert!(breaks_connection(&said(code)), "{code}");
        }
    }

    #[test]
    fn a_missing_table_is_a_schema_to_be_made() {
        let told = explain("prepare", said(1146)).to_string();

        assert!(told.contains("taskshed migrate --store"), "{told}");
    }
}
