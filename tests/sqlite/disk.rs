//! Disks that are full, fail, or may not be written.

use crate::file::Fault;
use crate::file::File;
use crate::process::Process;
use crate::process::Word;

/// Works, meets a fault, goes on after it, and is killed. Answers what was told during the fault.
async fn outlive(fault: Fault, until: &[&str]) -> Vec<Word> {
    let file = File::on_a_bad_disk();
    let mut process = Process::start(&file, "one");
    process.hear("done");

    file.suffer(fault);
    for word in until {
        process.hear(word);
    }
    let so_far = process.told();
    for word in until {
        process.hear(word);
    }
    let during = process.told()[so_far.len()..].to_vec();

    file.suffer(Fault::None);
    process.catch_up();
    process.hear("added");
    process.hear("done");
    file.holds(&process.kill()).await;
    during
}

/// Guards T1: nothing is acknowledged that has no room, what is there can be read, and the same
/// process goes on once there is room.
#[tokio::test]
async fn a_full_disk_refuses_new_tasks_and_loses_none() {
    let during = outlive(Fault::Full, &["refused add full", "refused add full"]).await;

    let is_wrong = |word: &Word| {
        word.starts_with("added") || word.starts_with("done") || word.starts_with("refused fetch")
    };
    assert!(!during.iter().any(is_wrong), "{during:?}");
    assert!(during.iter().any(|word| word == "read"), "{during:?}");
}

/// Guards T1: an error of the disk is an outage, and ends with it.
#[tokio::test]
async fn a_disk_that_fails_is_an_outage() {
    fails(Fault::Errors).await;
}

/// Guards T1: what the disk has not synced is not acknowledged.
#[tokio::test]
async fn a_disk_that_does_not_sync_is_an_outage() {
    fails(Fault::Unsynced).await;
}

async fn fails(fault: Fault) {
    let during = outlive(fault, &["refused add unavailable"; 2]).await;

    let is_outage = |word: &Word| !word.starts_with("refused") || word.ends_with(" unavailable");
    assert!(during.iter().all(is_outage), "{during:?}");
    assert!(!during.iter().any(|word| word.starts_with("added")), "{during:?}");
}

/// A file that this user may not write is an outage, too: somebody may mend it.
#[tokio::test]
async fn a_file_that_may_not_be_written_is_out_of_reach() {
    let file = File::on_a_bad_disk();
    let mut before = Process::start(&file, "before");
    before.hear("done");
    let mut words = before.kill();

    file.suffer(Fault::ReadOnly);
    let mut process = Process::start(&file, "one");
    process.hear("refused prepare unavailable");
    process.hear("refused prepare unavailable");
    file.suffer(Fault::None);
    process.hear("done");

    words.extend(process.kill());
    file.holds(&words).await;
}
