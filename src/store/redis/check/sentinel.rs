//! Who watches the primary.

use std::time::Duration;

use crate::store::Finding;
use crate::store::Severity;
use crate::store::redis::sentinel::Sentinels;
use crate::store::redis::sentinel::Told;

use super::failover_time;
use super::fine;

/// From when a primary is known to be gone until its replica has taken its place: the sentinels vote,
/// the chosen one tells the replica, and asks it whether it is so, each within about a second.
const ELECTION: Duration = Duration::from_secs(2);

/// Fewest sentinels of which one may be away.
const SENTINELS_MIN: u64 = 3;

/// Looks over what the sentinels say.
pub(super) async fn look(sentinels: &Sentinels, lease: Duration) -> Vec<Finding> {
    let told = match sentinels.ask().await {
        Ok(told) => told,
        Err(error) => {
            let found = format!("none answers: {error}");
            return vec![serious(
                found,
                "start them; without them nothing takes a dead primary's place",
            )];
        }
    };
    let newest = told.iter().max_by_key(|told| told.number("config-epoch"));
    let newest = newest.expect("somebody answered");
    let down_after = Duration::from_millis(newest.number("down-after-milliseconds"));
    vec![
        answering(told.len(), sentinels.count()),
        quorum(newest),
        replicas(newest),
        failover_time(down_after + ELECTION, "down-after-milliseconds and an election", lease),
    ]
}

fn answering(answered: usize, named: usize) -> Finding {
    let found = format!("{answered} of the {named} named in the URL answer");
    if answered == named {
        return fine("sentinels", found);
    }
    let advice = "start the others, or name those that there are".into();
    Finding { severity: Severity::Advice, topic: "sentinels", found, advice }
}

fn quorum(told: &Told) -> Finding {
    let (count, quorum) = (told.number("num-other-sentinels") + 1, told.number("quorum"));
    let found = format!("{count} watch the primary, {quorum} of them must agree that it is gone");
    if count < SENTINELS_MIN || quorum >= count {
        return serious(found, "run at least three, of which one may be away");
    }
    fine("sentinels", found)
}

fn replicas(told: &Told) -> Finding {
    let count = told.number("num-slaves");
    let found = format!("{count} replicas to fail over to");
    if count == 0 {
        return serious(found, "give the primary a replica");
    }
    fine("sentinels", found)
}

fn serious(found: String, advice: &str) -> Finding {
    Finding { severity: Severity::Serious, topic: "sentinels", found, advice: advice.into() }
}
