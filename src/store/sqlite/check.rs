//! What would cost tasks or time, for `doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::StatFs;

use crate::store::Finding;
use crate::store::Severity;

use super::SCHEMA;
use super::failure::Failure;
use super::link::Link;

const DAMAGED: &str = include_str!("sql/damaged.sql");

/// File systems of other machines, by the number that the kernel gives them: NFS, SMB (three of
/// them), Ceph, Lustre, AFS, 9P.
const REMOTE: &[u32] =
    &[0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x00C3_6400, 0x0BD0_0BD0, 0x5346_414F, 0x0102_1997];

/// File systems that end with the machine: tmpfs, ramfs.
const VOLATILE: &[u32] = &[0x0102_1994, 0x8584_58F6];

/// Less room than this is worth a word.
const ROOM_MIN: u64 = 1 << 30;

/// Looks a prepared file over. Reads all of it.
pub(super) fn check(link: &mut Link) -> Result<Vec<Finding>, Failure> {
    let path = link.home.path.clone();
    let open = link.ready()?;
    let found = (|| {
        let connection = &open.connection;
        let text = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        let mut damaged = connection.prepare(DAMAGED)?;
        let ids = damaged.query_map([open.ns], |row| row.get(0))?;
        let ids = ids.collect::<rusqlite::Result<Vec<String>>>()?;
        let sync =
            connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?;
        Ok(vec![
            fine("version", format!("SQLite {}, schema {SCHEMA}", rusqlite::version())),
            journal(&text("journal_mode")?, sync),
            integrity(text("quick_check")?),
            records(&ids),
        ])
    })();
    let mut found = found.map_err(|error: rusqlite::Error| Failure::of(&error, &path))?;
    found.push(permissions(&path));
    let dir = path.parent().unwrap_or(Path::new("/"));
    if let Ok(system) = rustix::fs::statfs(dir) {
        found.push(room(&system));
        found.push(file_system(&system));
    }
    Ok(found)
}

fn fine(topic: &'static str, found: impl Into<String>) -> Finding {
    Finding { severity: Severity::Fine, topic, found: found.into(), advice: String::new() }
}

fn serious(topic: &'static str, found: impl Into<String>, advice: &str) -> Finding {
    let (found, advice) = (found.into(), advice.into());
    Finding { severity: Severity::Serious, topic, found, advice }
}

fn journal(mode: &str, sync: i64) -> Finding {
    if mode == "wal" && sync == 2 {
        return fine("durability", "written ahead, and synced at each commit");
    }
    let found = format!("journal_mode is {mode}, synchronous is {sync}");
    serious("durability", found, "stop all nodes and start them again: they set both")
}

fn integrity(said: String) -> Finding {
    if said == "ok" {
        return fine("integrity", said);
    }
    serious("integrity", said, "stop all nodes and put a copy in its place, or sqlite3's .recover")
}

fn records(damaged: &[String]) -> Finding {
    if damaged.is_empty() {
        return fine("records", "none is damaged");
    }
    let found = format!("damaged and set aside: {}", damaged.join(", "));
    serious("records", found, "look at them with sqlite3, then remove or add the tasks anew")
}

fn permissions(path: &Path) -> Finding {
    let Ok(file) = fs::metadata(path) else {
        return serious("permissions", "the file cannot be looked at", "let this user read it");
    };
    let mode = file.permissions().mode() & 0o777;
    let found = format!("mode {mode:o}");
    if mode & 0o002 != 0 {
        return serious("permissions", found + ": every user can change tasks", "chmod o-rw");
    }
    if mode & 0o004 != 0 {
        let found = found + ": every user of the machine can read tasks";
        let advice = "chmod o-r, if arguments of tasks are confidential".into();
        return Finding { severity: Severity::Advice, topic: "permissions", found, advice };
    }
    fine("permissions", found)
}

fn room(system: &StatFs) -> Finding {
    let block = u64::try_from(system.f_bsize).unwrap_or(0);
    let free = system.f_bavail.saturating_mul(block);
    let found = format!("{} MiB free", free >> 20);
    if free >= ROOM_MIN {
        return fine("disk", found);
    }
    serious("disk", found, "make room: on a full disk new tasks are refused and others wait")
}

fn file_system(system: &StatFs) -> Finding {
    // Types are 32 bits wide, some machines give them a sign.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as said")]
    let kind = system.f_type as u32;
    if REMOTE.contains(&kind) {
        let found = "of another machine: SQLite's locks and shared memory do not work there";
        return serious("file system", found, "move the file to a disk of this machine");
    }
    if VOLATILE.contains(&kind) {
        let found = "in memory: the file ends with the machine";
        return serious("file system", found, "move the file to a disk");
    }
    fine("file system", "of this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_to_the_disk_is_serious() {
        assert_eq!(journal("wal", 2).severity, Severity::Fine);
        assert_eq!(journal("wal", 1).severity, Severity::Serious);
        assert_eq!(journal("delete", 2).severity, Severity::Serious);
    }

    #[test]
    fn a_file_in_memory_is_found() {
        let system = rustix::fs::statfs("/dev/shm").unwrap();

        assert_eq!(file_system(&system).severity, Severity::Serious);
    }
}
