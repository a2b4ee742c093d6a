//! L1: terms only grow, and an older one changes nothing after a newer one has acted.

use std::collections::HashMap;

use crate::checker::history::Call;
use crate::checker::history::Reply;
use crate::checker::story::Span;
use crate::checker::story::Story;

use super::Findings;
use super::seconds;

/// L1.
pub(super) fn terms_grow_and_old_ones_do_nothing(story: &Story<'_>, findings: &mut Findings) {
    let mut holders: HashMap<u64, &str> = HashMap::new();
    let mut acts: Vec<(&Span<'_>, u64)> = Vec::new();
    for span in &story.calls {
        let Some(term) = acted(span) else { continue };
        acts.push((span, term));
        let is_own = matches!(span.reply, Some(Reply::Leads { own: true, .. }));
        if is_own && *holders.entry(term).or_insert(span.by) != span.by {
            let (one, other) = (holders[&term], span.by);
            findings.all(format!("term {term} belongs to {one} and to {other}"));
        }
    }

    let mut answered = acts.clone();
    answered.sort_by_key(|(span, _)| span.answered);
    let (mut next, mut highest) = (0, None::<(u64, &Span<'_>)>);
    for (span, term) in acts {
        while let Some((over, seen)) =
            answered.get(next).filter(|(over, _)| over.answered < span.sent)
        {
            if highest.is_none_or(|(most, _)| *seen > most) {
                highest = Some((*seen, over));
            }
            next += 1;
        }
        let Some((most, newer)) = highest else { continue };
        if term < most {
            let (at, before) = (seconds(span.sent), seconds(newer.answered));
            findings.all(format!(
                "{} acted in term {term} at {at}, after {} had in term {most} at {before}",
                span.by, newer.by
            ));
        }
    }
    leaders_that_overlap(story, findings);
}

/// The term in which a call had an effect, or that its answer showed.
fn acted(span: &Span<'_>) -> Option<u64> {
    match (span.what, span.reply?) {
        (Call::Reclaim { term, .. } | Call::Duty { term, .. }, Reply::Led { taken: Some(_) }) => {
            Some(*term)
        }
        (Call::Campaign, Reply::Leads { term, .. }) => *term,
        _ => None,
    }
}

/// How long a process went on asking for duties of its term after a newer one was won.
fn leaders_that_overlap(story: &Story<'_>, findings: &mut Findings) {
    let mut won: Vec<(u64, u64)> = Vec::new();
    for span in &story.calls {
        if let Some(Reply::Leads { term: Some(term), own: true, .. }) = span.reply
            && !won.iter().any(|(known, _)| known == term)
        {
            won.push((*term, span.answered));
        }
    }
    for span in &story.calls {
        let (Call::Reclaim { term, .. } | Call::Duty { term, .. }) = span.what else { continue };
        let newer = won.iter().filter(|(other, _)| other > term).map(|(_, at)| *at).min();
        if let Some(at) = newer.filter(|at| *at < span.sent) {
            let overlap = &mut findings.figures.leader_overlap_us;
            *overlap = (*overlap).max(span.sent - at);
        }
    }
}
