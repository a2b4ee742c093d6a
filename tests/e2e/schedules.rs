//! Schedules of two files that meet in a rolling deploy, on real nodes.

use std::fs;

use serde_json::Value;

use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::until;
use crate::redis_server::RedisServer;

const OLD: &str = "[schedules.hourly]\ncallback = \"tick\"\ninterval = \"1h\"\n\
                   [schedules.gone]\ncallback = \"tick\"\ncron = \"0 2 * * *\"\n";

const NEW: &str = "[schedules.hourly]\ncallback = \"tick\"\ninterval = \"1h\"\n\
                   [schedules.nightly]\ncallback = \"tick\"\ncron = \"0 2 * * *\"\n\
                   timezone = \"Europe/Rome\"\nkwargs = { n = 1 }\n";

fn node(place: &Place, file: &str, name: &str) -> NodeProcess {
    place.node(&["--config", file, "--name", name, "--no-run"])
}

/// Makes whoever leads resign until `name` does.
fn lead(place: &Place, name: &str) {
    until(&format!("{name} leads"), || {
        let leader: Value = serde_json::from_str(&place.run(&["leader"]).out).unwrap_or_default();
        if leader["leader"]["node"] == name {
            return true;
        }
        if leader["leader"].is_object() {
            place.run(&["leader", "resign"]);
        }
        false
    });
}

/// The two files lead in turns, each with SIGKILL in between; the newer one's schedules stay, and what
/// is in both keeps its planned time. A later revision brings the older ones back.
#[test]
fn the_schedules_of_a_newer_file_stay_whoever_leads() {
    let mut place = Place::new("");
    let server = RedisServer::start(&[]);
    let write = |file: &str, schedules: &str| {
        let text = format!("store = \"{}\"\n{schedules}", server.url());
        fs::write(place.path(file), text).unwrap();
    };
    write("old.toml", OLD);
    write("new.toml", NEW);
    write("back.toml", &format!("[schedules]\nrevision = 1\n{OLD}"));
    write("none.toml", "");
    write("empty.toml", "[schedules]\nrevision = 2\n");
    let api = place.node(&["--config", "none.toml", "--name", "api", "--no-run", "--no-leader"]);
    place.talk_to(&api);

    let mut old = node(&place, "old.toml", "old");
    lead(&place, "old");
    until("the old file holds", || place.task("schedule:gone").is_some());
    let hourly = place.done(&["show", "schedule:hourly"]);

    for _ in 0..2 {
        let mut new = node(&place, "new.toml", "new");
        lead(&place, "new");
        until("the new file holds", || {
            place.task("schedule:gone").is_none() && place.task("schedule:nightly").is_some()
        });
        new.kill();
        old.kill();
        old = node(&place, "old.toml", "old");
        lead(&place, "old");
        until("the old one says so", || old.log().contains("newer schedules than those of this"));
        assert!(place.task("schedule:gone").is_none());
        assert_eq!(place.task("schedule:nightly").unwrap()["timezone"], "Europe/Rome");
        assert_eq!(place.done(&["show", "schedule:hourly"]), hourly);
    }

    let _back = node(&place, "back.toml", "back");
    lead(&place, "back");
    until("the revision counts", || place.task("schedule:gone").is_some());
    assert!(place.task("schedule:nightly").is_none());
    assert_eq!(place.done(&["show", "schedule:hourly"]), hourly);

    let _empty = node(&place, "empty.toml", "empty");
    lead(&place, "empty");
    until("all are gone", || place.task("schedule:hourly").is_none());
}
